package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// VaultServer is a running HashiCorp Vault: initialized, unsealed, with an audit
// device. Its methods act through its real HTTP API, as root, and fail the test
// if they cannot.
type VaultServer struct {
	// Address is its URL, without a slash at the end.
	Address   string
	RootToken string
	// CACert is the PEM text of the authority that signed its certificate; empty
	// without TLS.
	CACert string

	config    VaultConfig
	shared    bool
	dir       string // of storage, certificate and audit log
	unsealKey string
	client    *http.Client
	log       logBuffer
	process   *process // nil while it is killed
}

// VaultConfig says how a Vault server of a test's own differs from the shared one.
type VaultConfig struct {
	// TLS serves HTTPS with a certificate for 127.0.0.1, localhost and vault.test,
	// signed by an authority of its own.
	TLS bool
	// Persistent keeps the storage in files, so that Kill and Restart lose nothing.
	Persistent bool
}

// One server per test binary is the point.
var sharedVault = sync.OnceValues(func() (*VaultServer, error) {
	dir, err := os.MkdirTemp("", "weir-vault-")
	if err != nil {
		return nil, err
	}
	s := &VaultServer{shared: true, dir: dir}
	if err := s.start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
})

// Vault gives the Vault server that all tests of this binary share; it keeps its
// storage in memory. It fails the test if Vault cannot be built or started.
func Vault(tb testing.TB) *VaultServer {
	tb.Helper()
	s, err := sharedVault()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// NewVault starts a Vault server for one test, which is stopped at its end.
func NewVault(tb testing.TB, config VaultConfig) *VaultServer {
	tb.Helper()
	s := &VaultServer{config: config, dir: tb.TempDir()}
	tb.Cleanup(func() {
		if s.process != nil {
			s.process.stop()
		}
	})
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
	return s
}

// start brings up a server for the first time.
func (s *VaultServer) start() error {
	if s.config.TLS {
		authority, err := writeCertificate(s.dir)
		if err != nil {
			return fmt.Errorf("make a certificate for vault: %w", err)
		}
		s.CACert = authority
	}
	// It is this process's own child, whatever certificate a test gives it.
	s.client = &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}},
	}
	if err := s.run("127.0.0.1:0"); err != nil {
		return err
	}
	return s.initialize()
}

// run starts the server's process on an address.
func (s *VaultServer) run(listen string) error {
	program, err := build(context.Background(), "vault")
	if err != nil {
		return err
	}
	args := []string{"-listen", listen}
	if s.config.Persistent {
		args = append(args, "-storage", filepath.Join(s.dir, "storage"))
	}
	scheme := "http://"
	if s.config.TLS {
		scheme = "https://"
		args = append(args, "-tls-cert", filepath.Join(s.dir, "cert.pem"), "-tls-key", filepath.Join(s.dir, "key.pem"))
	}
	if s.shared {
		args = append(args, "-remove", s.dir)
	}
	process, line, err := start(&s.log, program, args...)
	if err != nil {
		return err
	}
	s.process = process
	s.Address = scheme + strings.TrimPrefix(line, "listening on ")
	return nil
}

func (s *VaultServer) initialize() error {
	var keys struct {
		Keys      []string `json:"keys"`
		RootToken string   `json:"root_token"`
	}
	ctx := context.Background()
	if err := s.call(ctx, http.MethodPut, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}, &keys); err != nil {
		return err
	}
	s.unsealKey, s.RootToken = keys.Keys[0], keys.RootToken
	if err := s.unseal(ctx); err != nil {
		return err
	}
	audit := map[string]any{"type": "file", "options": map[string]any{"file_path": s.auditPath()}}
	return s.call(ctx, http.MethodPut, "sys/audit/file", audit, nil)
}

func (s *VaultServer) unseal(ctx context.Context) error {
	return s.call(ctx, http.MethodPut, "sys/unseal", map[string]any{"key": s.unsealKey}, nil)
}

func (s *VaultServer) auditPath() string { return filepath.Join(s.dir, "audit.log") }

// call sends one request as root and decodes the answer into out, unless that is nil.
func (s *VaultServer) call(ctx context.Context, method, path string, body, out any) error {
	return s.callWrapped(ctx, method, path, body, out, 0)
}

// callWrapped is call whose answer Vault keeps for so long, behind a wrapping token.
func (s *VaultServer) callWrapped(ctx context.Context, method, path string, body, out any, wrap time.Duration) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("vault: %s %s: %w", method, path, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.Address+"/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("vault: %s %s: %w", method, path, err)
	}
	request.Header.Set("X-Vault-Token", s.RootToken)
	if wrap != 0 {
		request.Header.Set("X-Vault-Wrap-TTL", wrap.String())
	}
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("vault: %s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("vault: %s %s: %s: %s", method, path, response.Status, answer)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	return decoder.Decode(out)
}

// Do sends one request as root and gives the answer, nil if it has no body.
// The path is without "/v1/".
func (s *VaultServer) Do(tb testing.TB, method, path string, body any) map[string]any {
	tb.Helper()
	var answer map[string]any
	if err := s.call(tb.Context(), method, path, body, &answer); err != nil {
		tb.Fatal(err)
	}
	return answer
}

// Seal closes the vault; the process goes on.
func (s *VaultServer) Seal(tb testing.TB) {
	tb.Helper()
	s.own(tb)
	s.Do(tb, http.MethodPut, "sys/seal", nil)
}

// Unseal opens it again.
func (s *VaultServer) Unseal(tb testing.TB) {
	tb.Helper()
	if err := s.unseal(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// Kill ends the process as a power cut would.
func (s *VaultServer) Kill(tb testing.TB) {
	tb.Helper()
	s.own(tb)
	s.process.kill()
	s.process = nil
}

// Restart starts a killed server again at the same address. It is sealed then.
func (s *VaultServer) Restart(tb testing.TB) {
	tb.Helper()
	if !s.config.Persistent {
		tb.Fatal("vault: only a persistent server survives a restart")
	}
	_, listen, _ := strings.Cut(s.Address, "://")
	if err := s.run(listen); err != nil {
		tb.Fatal(err)
	}
}

// own keeps a test from breaking the server that others use too.
func (s *VaultServer) own(tb testing.TB) {
	tb.Helper()
	if s.shared {
		tb.Fatal("vault: the shared server must stay up: start one with NewVault")
	}
}

// ReplaceCertificate gives a killed server another certificate, signed by another
// authority, for when it is started again. CACert becomes that authority's.
func (s *VaultServer) ReplaceCertificate(tb testing.TB, authority *Authority, config CertificateConfig) {
	tb.Helper()
	config.Hosts = serverHosts()
	if err := authority.Sign(tb, config).write(s.dir); err != nil {
		tb.Fatal(err)
	}
	s.CACert = authority.PEM
}

// Log is everything that the server logged so far.
func (s *VaultServer) Log() string { return s.log.String() }

// AuditLog is the text of its audit device: one JSON object a line for each
// request and each response, with hashes in place of secrets.
func (s *VaultServer) AuditLog(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(s.auditPath())
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Requests counts the requests that the server was sent for exactly this path
// (without "/v1/"), whatever it answered.
func (s *VaultServer) Requests(tb testing.TB, path string) int {
	tb.Helper()
	count := 0
	for line := range strings.Lines(s.AuditLog(tb)) {
		if !strings.HasSuffix(line, "\n") {
			break // of another test, and being written: Vault answers after that
		}
		var entry struct {
			Type    string
			Request struct{ Path string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			tb.Fatalf("vault: audit log: %v", err)
		}
		if entry.Type == "request" && entry.Request.Path == path {
			count++
		}
	}
	return count
}
