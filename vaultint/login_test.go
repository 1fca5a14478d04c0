package vaultint_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// All readers of a client share one login, the first time and when it has ended.
func TestAppRoleLogsInOnce(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	client := newClient(t, withRole(server, role))
	for want := 1; want <= 2; want++ {
		var readers sync.WaitGroup
		for range 50 {
			readers.Go(func() {
				if _, err := client.ReadSecret(t.Context(), secret.Ref{Path: mount + "/oracle"}); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		if got := server.Requests(t, "auth/"+role.Mount+"/login"); got != want {
			t.Errorf("got %d logins, want %d", got, want)
		}
		server.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", nil)
	}
}

// A login without the policy "default" may not even look itself up.
func TestBareAppRoleLogsInAgain(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, map[string]any{"token_no_default_policy": true}, server.Policy(t, mayRead(mount+"/data/oracle")))
	client := newClient(t, withRole(server, role))
	for range 2 {
		text(t, client, secret.Ref{Path: mount + "/oracle"}, "user")
		server.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", nil)
	}
	// Refused reads do not make it log in again and again.
	read(t, client, secret.Ref{Path: mount + "/oracle"})
	logins := server.Requests(t, "auth/"+role.Mount+"/login")
	for range 3 {
		_, err := client.ReadSecret(t.Context(), secret.Ref{Path: mount + "/mysql"})
		wantFailure(t, err, secret.Denied, mayRead(mount+"/data/mysql"), role.SecretID)
	}
	if got := server.Requests(t, "auth/"+role.Mount+"/login"); got != logins {
		t.Errorf("got %d logins more, want none", got-logins)
	}
}

// A role that got another policy is allowed it without a restart, though its old
// token is valid still.
func TestRoleGetsAPolicy(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil)
	var later atomic.Int64
	config := withRole(server, role)
	config.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Denied, mayRead(mount+"/data/oracle"), role.SecretID)

	policies := map[string]any{"token_policies": []string{server.Policy(t, mayRead(mount+"/data/*"))}}
	server.Do(t, http.MethodPost, "auth/"+role.Mount+"/role/"+role.Name, policies)
	later.Store(int64(time.Minute))
	read(t, client, ref)
}

func TestAppRoleIsRefused(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	role := server.AppRole(t, nil)
	ref := secret.Ref{Path: "secret/oracle"}
	tests := map[string]func(*vaultint.Config){
		"secret id": func(c *vaultint.Config) { c.Auth.SecretID = secret.New(canary) },
		"role id":   func(c *vaultint.Config) { c.Auth.RoleID = canary },
		"no id":     func(c *vaultint.Config) { c.Auth.SecretID = secret.Value{} },
		"mount":     func(c *vaultint.Config) { c.Auth.Mount = "nowhere" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withRole(server, role)
			change(&config)
			_, err := newClient(t, config).ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.LoginFailed, "approle login at auth/"+config.Auth.Mount+": vault answered 40", role.SecretID, role.RoleID)
		})
	}
	t.Run("used up", func(t *testing.T) {
		t.Parallel()
		role := server.AppRole(t, map[string]any{"secret_id_num_uses": 1})
		_, err := newClient(t, withRole(server, role)).ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.Denied, "policies", role.SecretID)
		_, err = newClient(t, withRole(server, role)).ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.LoginFailed, "used up", role.SecretID)
	})
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	policies := servers.TokenConfig{Policies: []string{server.Policy(t, mayRead(mount+"/data/*"))}}
	ref := secret.Ref{Path: mount + "/oracle"}
	path := filepath.Join(t.TempDir(), "token")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log lockedBuffer
	config := withToken(server, "")
	config.Auth = vaultint.Auth{Method: vaultint.MethodTokenFile, TokenFile: path}
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	client := newClient(t, config)

	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "token file "+path+": no such file or directory")
	put("\n")
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "is empty")
	put("two " + canary)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "white space")

	first, second := server.Token(t, policies), server.Token(t, policies)
	put("\t" + first + "\n\n")
	read(t, client, ref)
	put(second + "\n")
	server.RevokeToken(t, first)
	read(t, client, ref)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	read(t, client, ref) // the token that was read is good still
	put(first)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "does not accept the token", first)

	if log.String() != "" {
		t.Errorf("got the warning %q, want none for a private file", log.String())
	}
	put(second)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		read(t, client, ref)
	}
	if got := strings.Count(log.String(), "every user of this machine can read"); got != 1 {
		t.Errorf("got %d warnings, want 1: %s", got, log.String())
	}
}

// lockedBuffer is a buffer that several goroutines may write.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// Namespaces are of Vault Enterprise; what is looked at here is the header alone.
func TestNamespaceHeader(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string][]string{}
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Path] = append(seen[r.URL.Path], strings.Join(r.Header.Values("X-Vault-Namespace"), ","))
		switch r.URL.Path {
		case "/v1/auth/approle/login":
			_, _ = w.Write([]byte(`{"auth":{"client_token":"t"}}`))
		case "/v1/sys/internal/ui/mounts/secret/oracle":
			_, _ = w.Write([]byte(`{"data":{"path":"secret/","type":"kv","options":{"version":"1"}}}`))
		case "/v1/secret/oracle":
			_, _ = w.Write([]byte(`{"data":{"user":"scott"}}`))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(fake.Close)
	const login, mounts, data, revoke = "/v1/auth/approle/login", "/v1/sys/internal/ui/mounts/secret/oracle", "/v1/secret/oracle", "/v1/auth/token/revoke-self"
	tests := []struct {
		namespace, loginNamespace string
		want                      map[string][]string
	}{
		{"", "", map[string][]string{login: {""}, mounts: {""}, data: {""}, revoke: {""}}},
		{"team", "", map[string][]string{login: {"team"}, mounts: {"team"}, data: {"team"}, revoke: {"team"}}},
		{"team/a", "root", map[string][]string{login: {"root"}, mounts: {"team/a"}, data: {"team/a"}, revoke: {"root"}}},
	}
	for _, test := range tests {
		client := newClient(t, vaultint.Config{
			Address: fake.URL, Namespace: test.namespace, LoginNamespace: test.loginNamespace,
			Auth: vaultint.Auth{Method: vaultint.MethodAppRole, RoleID: "role"},
		})
		read(t, client, secret.Ref{Path: "secret/oracle"})
		client.Close()
		mu.Lock()
		if diff := cmp.Diff(test.want, seen); diff != "" {
			t.Errorf("namespace %q, login %q (-want +got):\n%s", test.namespace, test.loginNamespace, diff)
		}
		clear(seen)
		mu.Unlock()
	}
}

func TestCloseRevokesItsOwnLogin(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	policy := server.Policy(t, mayRead(mount+"/data/*"))
	given := server.Token(t, servers.TokenConfig{Policies: []string{policy}})
	var own atomic.Value
	behind := front(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		own.Store(r.Header.Get("X-Vault-Token"))
		return false
	})
	ref := secret.Ref{Path: mount + "/oracle"}
	byRole := withRole(server, server.AppRole(t, nil, policy))
	byRole.Address = behind
	client := newClient(t, byRole)
	read(t, client, ref)
	client.Close()
	client.Close()
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "closed")
	_, err = newClient(t, withToken(server, own.Load().(string))).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "does not accept the token")

	client = newClient(t, withToken(server, given))
	read(t, client, ref)
	client.Close()
	read(t, newClient(t, withToken(server, given)), ref)
}

// A client that is printed by mistake shows nothing.
func TestClientPrintsNoCredentials(t *testing.T) {
	t.Parallel()
	for _, auth := range []vaultint.Auth{
		{Method: vaultint.MethodToken, Token: secret.New("hvs." + canary)},
		{Method: vaultint.MethodAppRole, RoleID: "role", SecretID: secret.New(canary)},
	} {
		config := vaultint.Config{Address: "http://127.0.0.1:1", Auth: auth}
		client := newClient(t, config)
		if shown := fmt.Sprintf("%v %+v %#v %+v %#v", config, config, config, client, client); strings.Contains(shown, canary) {
			t.Errorf("%s: the credentials are shown: %s", auth.Method, shown)
		}
	}
}

// Close ends a login that nobody answers, and whoever waits for it.
func TestCloseEndsALogin(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	client := newClient(t, vaultint.Config{
		Address: "http://" + silent.Addr().String(),
		Timeout: time.Minute,
		Auth:    vaultint.Auth{Method: vaultint.MethodAppRole, RoleID: "role"},
	})
	failed := make(chan error)
	go func() {
		_, err := client.ReadSecret(context.Background(), secret.Ref{Path: "secret/oracle"})
		failed <- err
	}()
	connection, err := silent.Accept() // the login is under way
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	// A waiter that gives up leaves the login to the others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.ReadSecret(ctx, secret.Ref{Path: "secret/oracle"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	client.Close()
	wantFailure(t, <-failed, secret.Unreachable, "closed")
}

// Not parallel: it counts goroutines, and sets what all others must not see.
func TestCloseLeavesNothingRunning(t *testing.T) {
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	count := func() int {
		stacks := make([]byte, 1<<20)
		all := string(stacks[:runtime.Stack(stacks, true)])
		return strings.Count(all, "net/http.(*persistConn).readLoop") + strings.Count(all, "/vaultint.(*Client)")
	}
	before := count()
	client, err := vaultint.New(withRole(server, role))
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 20 {
		readers.Go(func() { _, _ = client.ReadSecret(t.Context(), secret.Ref{Path: mount + "/oracle"}) })
	}
	readers.Wait()
	if count() <= before {
		t.Error("the client has no connection open, so that this test proves nothing")
	}
	client.Close()
	for limit := time.Now().Add(10 * time.Second); count() > before; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines more than before", count()-before)
		}
	}
}

// Not parallel: it sets the environment.
func TestNoVariableIsHeeded(t *testing.T) {
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	for name, value := range map[string]string{
		"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_AGENT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "hvs." + canary,
		"VAULT_NAMESPACE": "elsewhere", "VAULT_WRAP_TTL": "60", "VAULT_CLIENT_TIMEOUT": "1ns", "VAULT_MAX_RETRIES": "9",
		"VAULT_RATE_LIMIT": "0.001:0", "VAULT_HEADERS": `{"X-Odd":"` + canary + `"}`, "VAULT_PROXY_ADDR": "http://127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
	var odd atomic.Int64
	config := withRole(server, server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*"))))
	config.Address = front(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Vault-Namespace")+r.Header.Get("X-Vault-Wrap-Ttl")+r.Header.Get("X-Odd") != "" || r.Header.Get("X-Vault-Token") == "hvs."+canary {
			odd.Add(1)
		}
		return false
	})
	read(t, newClient(t, config), secret.Ref{Path: mount + "/oracle"})
	if odd.Load() != 0 {
		t.Errorf("%d requests heeded VAULT_* variables", odd.Load())
	}
}
