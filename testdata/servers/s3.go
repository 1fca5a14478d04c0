package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// S3Server is a running S3 server: Versity's gateway, which keeps objects in files
// of a directory. Tests share it, each with buckets of its own.
type S3Server struct {
	// Endpoint is its URL, without a slash at the end.
	Endpoint string
	// AccessKey and SecretKey are those of the account that may do anything.
	AccessKey, SecretKey string
	// UserKey and UserSecret are those of an account that may do what bucket
	// policies allow it.
	UserKey, UserSecret string
	// CACert is the PEM text of the authority that signed its certificate; empty
	// without TLS.
	CACert string

	config  S3Config
	shared  bool
	dir     string
	log     logBuffer
	process *process // nil while it is killed
}

// S3Config says how an S3 server of a test's own differs from the shared one.
type S3Config struct {
	// TLS serves HTTPS with a certificate for 127.0.0.1, localhost and vault.test,
	// signed by an authority of its own.
	TLS bool
	// AccessKey and SecretKey replace those that servers have otherwise.
	AccessKey, SecretKey string
}

// One server per test binary is the point.
var sharedS3 = sync.OnceValues(func() (*S3Server, error) {
	dir, err := os.MkdirTemp("", "weir-s3-")
	if err != nil {
		return nil, err
	}
	s := newS3(S3Config{}, dir)
	s.shared = true
	if err := s.run(""); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
})

// S3 gives the S3 server that all tests of this binary share. It fails the test if
// the server cannot be built or started.
func S3(tb testing.TB) *S3Server {
	tb.Helper()
	s, err := sharedS3()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// NewS3 starts an S3 server for one test, which is stopped at its end.
func NewS3(tb testing.TB, config S3Config) *S3Server {
	tb.Helper()
	s := newS3(config, tb.TempDir())
	tb.Cleanup(func() {
		if s.process != nil {
			s.process.stop()
		}
	})
	if err := s.run(""); err != nil {
		tb.Fatal(err)
	}
	return s
}

func newS3(config S3Config, dir string) *S3Server {
	s := &S3Server{
		config: config, dir: dir,
		AccessKey: "weir-root-key", SecretKey: "weir-root-secret-of-the-s3-server",
		UserKey: "weir-user-key", UserSecret: "weir-user-secret-of-the-s3-server",
	}
	if config.AccessKey != "" {
		s.AccessKey, s.SecretKey = config.AccessKey, config.SecretKey
	}
	return s
}

// run starts the server's process on an address, or on a free port.
func (s *S3Server) run(listen string) error {
	program, err := build(context.Background(), "s3")
	if err != nil {
		return err
	}
	args := []string{
		"-dir", s.dir, "-root-key", s.AccessKey, "-root-secret", s.SecretKey,
		"-user-key", s.UserKey, "-user-secret", s.UserSecret, "-listen", listen,
	}
	scheme := "http://"
	if s.config.TLS {
		scheme = "https://"
		if s.CACert == "" {
			if s.CACert, err = writeCertificate(s.dir); err != nil {
				return fmt.Errorf("make a certificate for s3: %w", err)
			}
		}
		args = append(args, "-tls-cert", filepath.Join(s.dir, "cert.pem"), "-tls-key", filepath.Join(s.dir, "key.pem"))
	}
	if s.shared {
		args = append(args, "-remove")
	}
	process, line, err := start(&s.log, program, args...)
	if err != nil {
		return err
	}
	s.process = process
	s.Endpoint = scheme + strings.TrimPrefix(line, "listening on ")
	return nil
}

// Kill ends the process as a power cut would.
func (s *S3Server) Kill(tb testing.TB) {
	tb.Helper()
	if s.shared {
		tb.Fatal("s3: the shared server must stay up: start one with NewS3")
	}
	s.process.kill()
	s.process = nil
}

// Restart starts a killed server again at the same address, with what it had.
func (s *S3Server) Restart(tb testing.TB) {
	tb.Helper()
	_, listen, _ := strings.Cut(s.Endpoint, "://")
	if err := s.run(listen); err != nil {
		tb.Fatal(err)
	}
}

// Log is everything that the server logged so far.
func (s *S3Server) Log() string { return s.log.String() }

// Program builds one of the programs beside the servers that weir is measured
// against, "s5cmd" or "rclone", and gives its file.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	program, err := build(tb.Context(), name)
	if err != nil {
		tb.Fatal(err)
	}
	return program
}
