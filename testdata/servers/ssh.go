package servers

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gliderlabs/ssh"
	"github.com/skeema/knownhosts"
	xssh "golang.org/x/crypto/ssh"
)

// GitSSHOptions says how a Git server over SSH behaves.
type GitSSHOptions struct {
	// Root is the directory with the repositories.
	Root string
	// Keys are the public keys that it lets in, as lines of authorized_keys.
	Keys []string
	// Password lets in whoever gives it; empty means nobody.
	Password string
}

// GitSSHServer is an SSH server that runs git's own commands, and no others.
type GitSSHServer struct {
	Address string // host:port
	// URL is that of Root, for the user "git", without a slash at the end.
	URL string
	// KnownHosts is the line of its Ed25519 key, KnownHostsECDSA that of its other.
	KnownHosts, KnownHostsECDSA string
	// Fingerprint is the Ed25519 key's.
	Fingerprint string
}

// GitSSH starts an SSH server with host keys of its own for one test.
func GitSSH(tb testing.TB, o GitSSHOptions) *GitSSHServer {
	tb.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatalf("start an SSH server: %v", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("start an SSH server: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start an SSH server: %v", err)
	}
	s := &GitSSHServer{Address: listener.Addr().String()}
	s.URL = "ssh://git@" + s.Address

	server := &ssh.Server{Handler: func(session ssh.Session) { serveGit(session, o.Root) }}
	for _, key := range []any{ed, ec} {
		signer, err := xssh.NewSignerFromKey(key)
		if err != nil {
			tb.Fatalf("start an SSH server: %v", err)
		}
		server.AddHostKey(signer)
		line := knownhosts.Line([]string{s.Address}, signer.PublicKey())
		if key, ok := key.(ed25519.PrivateKey); ok && key != nil {
			s.KnownHosts, s.Fingerprint = line, xssh.FingerprintSHA256(signer.PublicKey())
		} else {
			s.KnownHostsECDSA = line
		}
	}
	server.PublicKeyHandler = func(_ ssh.Context, key ssh.PublicKey) bool {
		for _, line := range o.Keys {
			if known, _, _, _, err := xssh.ParseAuthorizedKey([]byte(line)); err == nil && ssh.KeysEqual(known, key) {
				return true
			}
		}
		return false
	}
	server.PasswordHandler = func(_ ssh.Context, password string) bool {
		return o.Password != "" && password == o.Password
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	tb.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

// serveGit runs one git command.
func serveGit(session ssh.Session, root string) {
	args := session.Command()
	if len(args) != 2 || args[0] != "git-upload-pack" && args[0] != "git-receive-pack" {
		_, _ = session.Stderr().Write([]byte("only git is served here\n"))
		_ = session.Exit(1)
		return
	}
	cmd := exec.CommandContext(session.Context(), "git", strings.TrimPrefix(args[0], "git-"), filepath.Join(root, filepath.Clean("/"+args[1])))
	cmd.Env = gitEnv()
	for _, pair := range session.Environ() {
		if strings.HasPrefix(pair, "GIT_PROTOCOL=") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Stdout, cmd.Stderr = session, session.Stderr()
	// A program that ends does not wait for the client to say no more.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		_ = session.Exit(1)
		return
	}
	go func() {
		_, _ = io.Copy(stdin, session)
		_ = stdin.Close()
	}()
	code := 0
	if err := cmd.Run(); err != nil {
		code = 128
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
	}
	_ = session.Exit(code)
}
