package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"golang.org/x/crypto/ssh"

	"github.com/weir-engine/weir/tasks"
)

// sshWire is git's protocol over SSH. go-git's own cannot be ended while it
// connects, and takes hosts and proxies from the user's files for everybody.
type sshWire struct {
	target     target // with what the user's SSH configuration says of it
	files      *os.Root
	wait       time.Duration
	knownHosts string   // text; empty means hostFiles
	hostFiles  []string // the user's known_hosts files
	identity   *identity

	client *ssh.Client
	// open is a command that has told its references and nothing else yet.
	open *sshCommand
}

// newSSH prepares a wire without connecting.
func newSSH(s *session, c Config) (*sshWire, error) {
	w := &sshWire{
		target:     s.target,
		files:      s.env.Files,
		wait:       s.in.Duration("connect_timeout"),
		knownHosts: s.in.String("known_hosts"),
	}
	if err := checkKnownHosts(w.knownHosts); err != nil {
		return nil, err
	}
	if user := s.in.String("username"); user != "" {
		w.target.user = user
	}
	var err error
	if w.identity, err = givenSSH(s.in); err != nil {
		return nil, err
	}
	if s.in.String("auth_method") == authDefault {
		home := c.home()
		if w.knownHosts == "" {
			w.hostFiles = exists(filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts")
		}
		if err := c.complete(w); err != nil {
			return nil, err
		}
	}
	if w.target.user == "" {
		w.target.user = "git"
	}
	if w.identity == nil {
		return nil, &tasks.Error{
			Kind: tasks.Denied, Message: "there are no credentials for " + w.target.host,
			Hint: "give `ssh_key`, or `auth_method: default` to use this machine's SSH agent and keys",
		}
	}
	return w, nil
}

func (w *sshWire) Close() error {
	var errs []error
	if w.client != nil {
		if err := w.client.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
		_ = w.client.Wait() // its goroutines end
		w.client = nil
	}
	if w.identity != nil {
		errs = append(errs, w.identity.Close())
	}
	return errors.Join(errs...)
}

// connect dials and logs in, once.
func (w *sshWire) connect(ctx context.Context, report reporter) error {
	if w.client != nil {
		return nil
	}
	address := w.target.address()
	db, err := hostKeys(w.files, w.knownHosts, w.hostFiles)
	if err != nil {
		return err
	}
	conn, err := w.dial(ctx, report)
	if err != nil {
		return err
	}
	var refused error
	trusted := trust(db, address)
	config := &ssh.ClientConfig{
		User: w.target.user,
		Auth: w.identity.methods(),
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			refused = trusted(host, remote, key)
			report("host_key", key.Type()+" "+ssh.FingerprintSHA256(key), refused)
			return refused
		},
		HostKeyAlgorithms: db.HostKeyAlgorithms(address),
	}
	// The handshake knows no context.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(w.wait))
	c, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		_ = conn.Close()
		err = w.loginError(err, refused)
		if refused == nil {
			report("authenticate", "as "+w.target.user, err)
		}
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	w.client = ssh.NewClient(c, channels, requests)
	report("authenticate", "as "+w.target.user, nil)
	return nil
}

func (w *sshWire) dial(ctx context.Context, report reporter) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: w.wait}
	if net.ParseIP(w.target.host) == nil {
		lookup, cancel := context.WithTimeout(ctx, w.wait)
		addresses, err := net.DefaultResolver.LookupHost(lookup, w.target.host)
		cancel()
		report("dns", strings.Join(addresses, ", "), err)
		if err != nil {
			return nil, err
		}
	}
	conn, err := dialer.DialContext(ctx, "tcp", w.target.address())
	detail := ""
	if err == nil {
		detail = conn.RemoteAddr().String()
	}
	report("tcp", detail, err)
	return conn, err
}

func (w *sshWire) loginError(err, refused error) error {
	if refused != nil {
		return refused
	}
	// The library has no type for it.
	if strings.Contains(err.Error(), "unable to authenticate") {
		return &tasks.Error{
			Kind: tasks.Denied, Auth: true, Err: err,
			Message: fmt.Sprintf("the server refused the credentials of user %q", w.target.user),
			Hint:    "check that the key is registered there, and `username`",
		}
	}
	return err
}

// sshCommand is one git command on the server.
type sshCommand struct {
	service string
	session *ssh.Session
	in      io.WriteCloser
	out     io.Reader
	errors  *tail
}

// start runs a git service on the server.
func (w *sshWire) start(ctx context.Context, service string) (*sshCommand, error) {
	if err := w.connect(ctx, func(string, string, error) {}); err != nil {
		return nil, err
	}
	session, err := w.client.NewSession()
	if err != nil {
		return nil, err
	}
	c := &sshCommand{service: service, session: session, errors: &tail{}}
	session.Stderr = c.errors
	if c.in, err = session.StdinPipe(); err != nil {
		return nil, err
	}
	if c.out, err = session.StdoutPipe(); err != nil {
		return nil, err
	}
	return c, session.Start(service + " " + quote(w.target.path))
}

// quote makes one argument of a path for the server's shell.
func quote(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

// abort closes the connection when ctx ends, until the function it gives is
// called.
func (w *sshWire) abort(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() {
		if c := w.client; c != nil {
			_ = c.Close()
		}
	})
}

func (w *sshWire) references(ctx context.Context, service string) (*packp.AdvRefs, error) {
	if err := w.connect(ctx, func(string, string, error) {}); err != nil {
		return nil, err
	}
	answer, cancel := context.WithTimeout(ctx, w.wait)
	defer cancel()
	defer w.abort(answer)()
	c, err := w.start(answer, service)
	if err != nil {
		return nil, cmp.Or(answer.Err(), err)
	}
	adv := packp.NewAdvRefs()
	if err := adv.Decode(c.out); err != nil && !errors.Is(err, packp.ErrEmptyAdvRefs) {
		return nil, cmp.Or(answer.Err(), c.failure(err))
	}
	w.open = c
	if service == transport.UploadPackServiceName && adv.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	transport.FilterUnsupportedCapabilities(adv.Capabilities)
	return adv, nil
}

// failure tells what the server's program said.
func (c *sshCommand) failure(err error) error {
	var refused *pktline.ErrorLine
	text := ""
	if errors.As(err, &refused) {
		text = refused.Text
	} else {
		_ = c.in.Close()
		if wait := c.session.Wait(); errors.Is(wait, net.ErrClosed) {
			return err
		}
		text = c.errors.String()
	}
	lower := strings.ToLower(text)
	for _, sign := range []string{"does not appear to be a git repository", "repository not found", "does not exist", "could not be found", "no such repository"} {
		if strings.Contains(lower, sign) {
			return fmt.Errorf("%w: %s", transport.ErrRepositoryNotFound, text)
		}
	}
	for _, sign := range []string{"permission denied", "access denied", "not allowed", "unauthorized"} {
		if strings.Contains(lower, sign) {
			return &tasks.Error{Kind: tasks.Denied, Message: "the server does not allow it: " + oneLine(text), Err: err}
		}
	}
	if text == "" {
		return fmt.Errorf("the server ended %s without a word: %w", c.service, err)
	}
	return &tasks.Error{Kind: tasks.Permanent, Message: "the server said: " + oneLine(text), Err: err}
}

// unused gives the command that has told its references, or a new one.
func (w *sshWire) unused(ctx context.Context, service string) (*sshCommand, error) {
	if w.open == nil || w.open.service != service {
		if _, err := w.references(ctx, service); err != nil {
			return nil, err
		}
	}
	c := w.open
	w.open = nil
	return c, nil
}

func (w *sshWire) fetch(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	c, err := w.unused(ctx, transport.UploadPackServiceName)
	if err != nil {
		return nil, err
	}
	stop := w.abort(ctx)
	resp := packp.NewUploadPackResponse(req)
	err = c.ask(req)
	if err == nil {
		err = resp.Decode(&sshStream{Reader: c.out, command: c, stop: stop})
	}
	if err != nil {
		defer stop()
		return nil, c.failure(err)
	}
	return resp, nil
}

func (c *sshCommand) ask(req *packp.UploadPackRequest) error {
	var b bytes.Buffer
	if err := req.UploadRequest.Encode(&b); err != nil {
		return err
	}
	if err := req.UploadHaves.Encode(&b, true); err != nil {
		return err
	}
	if err := pktline.NewEncoder(&b).EncodeString("done\n"); err != nil {
		return err
	}
	if _, err := c.in.Write(b.Bytes()); err != nil {
		return err
	}
	return c.in.Close()
}

// sshStream is a pack as it comes.
type sshStream struct {
	io.Reader
	command *sshCommand
	stop    func() bool
}

func (s *sshStream) Close() error {
	s.stop()
	_ = s.command.session.Close() // it may have ended by itself
	return nil
}

func (w *sshWire) push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	c, err := w.unused(ctx, transport.ReceivePackServiceName)
	if err != nil {
		return nil, err
	}
	defer w.abort(ctx)()
	defer c.session.Close() //nolint:errcheck // it may have ended by itself
	if err := req.Encode(c.in); err != nil {
		return nil, c.failure(err)
	}
	if err := c.in.Close(); err != nil {
		return nil, c.failure(err)
	}
	out := c.out
	if req.Capabilities.Supports(capability.Sideband64k) {
		d := sideband.NewDemuxer(sideband.Sideband64k, c.out)
		d.Progress = req.Progress
		out = d
	}
	report := packp.NewReportStatus()
	if err := report.Decode(out); err != nil {
		return nil, c.failure(err)
	}
	return report, nil
}

func (w *sshWire) test(ctx context.Context, report reporter) error { return w.connect(ctx, report) }

// tail keeps the end of what a command writes.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const enough = 4 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > enough {
		t.text = t.text[len(t.text)-enough:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
