package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// httpWire is the smart HTTP protocol, by go-git, on a client of its own.
type httpWire struct {
	target    target
	transport *http.Transport
	auth      *githttp.BasicAuth // nil: none
	// ask gives credentials that the server asked for; nil: there are none to ask
	// for. It is called once.
	ask func(ctx context.Context) (*githttp.BasicAuth, error)

	upload  transport.UploadPackSession
	receive transport.ReceivePackSession
}

// newHTTP prepares a wire without connecting.
func newHTTP(s *session, c Config) (*httpWire, error) {
	wait := s.in.Duration("connect_timeout")
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.in.Has("ca_cert") {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(s.in.String("ca_cert"))) {
			return nil, &tasks.Error{Kind: tasks.Invalid, Input: "ca_cert", Message: "ca_cert holds no certificate in PEM format"}
		}
	}
	if s.target.scheme == schemeHTTPS && !s.in.Bool("tls_verify") {
		settings.InsecureSkipVerify = true //nolint:gosec // asked for, and warned of
		s.env.Warn("tls_verify is off: whoever is on the way to " + s.target.host + " can read and change everything")
	}
	w := &httpWire{
		target: s.target,
		transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: wait}).DialContext,
			TLSClientConfig:       settings,
			TLSHandshakeTimeout:   wait,
			ResponseHeaderTimeout: wait,
			ForceAttemptHTTP2:     true,
		},
		auth: givenHTTP(s.in),
	}
	if !s.env.Machine {
		w.transport.Proxy = nil // that of the environment
	}
	if w.auth == nil && s.in.String("auth_method") == authDefault {
		w.ask = func(ctx context.Context) (*githttp.BasicAuth, error) {
			auth, err := c.fill(ctx, s.target)
			if auth != nil {
				s.mask(secret.New(auth.Password))
			}
			return auth, err
		}
	}
	if w.auth != nil && s.target.scheme == schemeHTTP && !isLoopback(s.target.host) {
		s.env.Warn("the credentials are sent to " + s.target.host + " without encryption: use https")
	}
	return w, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (w *httpWire) Close() error {
	w.transport.CloseIdleConnections()
	return nil
}

// client is go-git's transport, which nobody else shares.
func (w *httpWire) client() transport.Transport {
	return githttp.NewClient(&http.Client{Transport: shortErrors{w.transport}})
}

// method avoids an interface that holds a nil pointer.
func (w *httpWire) method() transport.AuthMethod {
	if w.auth == nil {
		return nil
	}
	return w.auth
}

func (w *httpWire) references(ctx context.Context, service string) (*packp.AdvRefs, error) {
	adv, err := w.tryReferences(ctx, service)
	if !errors.Is(err, transport.ErrAuthenticationRequired) {
		return adv, err
	}
	if w.auth == nil && w.ask != nil {
		ask := w.ask
		w.ask = nil
		if w.auth, err = ask(ctx); err != nil {
			return nil, err
		}
		if w.auth != nil {
			return w.references(ctx, service)
		}
	}
	if w.auth == nil {
		return nil, &tasks.Error{
			Kind: tasks.Denied, Message: "the server wants credentials, and there are none", Err: err,
			Hint: "give `token`, or `username` and `password`; servers ask so too for a repository that does not exist",
		}
	}
	return nil, err
}

func (w *httpWire) tryReferences(ctx context.Context, service string) (*packp.AdvRefs, error) {
	var (
		s   transport.Session
		err error
	)
	if service == transport.UploadPackServiceName {
		w.upload, err = w.client().NewUploadPackSession(w.target.endpoint(), w.method())
		s = w.upload
	} else {
		w.receive, err = w.client().NewReceivePackSession(w.target.endpoint(), w.method())
		s = w.receive
	}
	if err != nil {
		return nil, err
	}
	return s.AdvertisedReferencesContext(ctx)
}

func (w *httpWire) fetch(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	return w.upload.UploadPack(ctx, req)
}

func (w *httpWire) push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error) {
	return w.receive.ReceivePack(ctx, req)
}

// shortErrors cuts the bodies of failures, which go-git reads as a whole.
type shortErrors struct{ next http.RoundTripper }

func (s shortErrors) RoundTrip(req *http.Request) (*http.Response, error) {
	const enough = 1 << 16
	resp, err := s.next.RoundTrip(req)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, enough), resp.Body}
	}
	return resp, err
}

// test watches one request for the references.
func (w *httpWire) test(ctx context.Context, report reporter) error {
	stages := &httpStages{report: report, wantsTLS: w.target.scheme == schemeHTTPS}
	_, err := w.references(httptrace.WithClientTrace(ctx, stages.trace()), transport.UploadPackServiceName)
	if name := stages.end(); err != nil && name != "" {
		report(name, "", err)
		return err
	}
	if err != nil && classify(ctx, err).Kind == tasks.Denied {
		report("authenticate", w.who(), err)
		return err
	}
	// Any other failure shows again in the next stage, which asks once more.
	report("authenticate", w.who(), nil)
	return nil
}

func (w *httpWire) who() string {
	if w.auth == nil {
		return "without credentials"
	}
	return "as " + w.auth.Username
}

// httpStages reports each stage of a connection once, when it worked.
type httpStages struct {
	report   reporter
	wantsTLS bool

	mu            sync.Mutex
	dns, tcp, tls bool
	failedLookup  bool
	ended         bool
}

func (s *httpStages) once(done *bool, name, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !*done && !s.ended {
		*done = true
		s.report(name, detail, nil)
	}
}

func (s *httpStages) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			if i.Err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.failedLookup = true
				return
			}
			var addresses []string
			for _, a := range i.Addrs {
				addresses = append(addresses, a.String())
			}
			s.once(&s.dns, "dns", strings.Join(addresses, ", "))
		},
		ConnectDone: func(_, address string, err error) {
			if err == nil {
				s.once(&s.tcp, "tcp", address)
			}
		},
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			if err == nil {
				s.once(&s.tls, "tls", certificate(state))
			}
		},
	}
}

// end gives the stage that did not come to its end, "" if all did.
func (s *httpStages) end() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	switch {
	case s.failedLookup && !s.tcp:
		return "dns"
	case !s.tcp:
		return "tcp"
	case s.wantsTLS && !s.tls:
		return "tls"
	}
	return ""
}

func certificate(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	c := state.PeerCertificates[0]
	return fmt.Sprintf("%s, %s until %s", tls.VersionName(state.Version), oneLine(c.Subject.String()), c.NotAfter.Format(time.DateOnly))
}
