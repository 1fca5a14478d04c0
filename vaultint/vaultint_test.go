package vaultint_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// canary is in every secret and credential of these tests that an error could show.
const canary = "canary-3f9c"

// newClient makes a client that is closed at the end of the test.
func newClient(t *testing.T, config vaultint.Config) *vaultint.Client {
	t.Helper()
	client, err := vaultint.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// withToken is the configuration of somebody who was given a token. Nothing is kept,
// and a machine that is busy is waited for, as in all configurations of these tests that
// do not say otherwise.
func withToken(server *servers.VaultServer, token string) vaultint.Config {
	return vaultint.Config{
		Address:  server.Address,
		CACert:   server.CACert,
		CacheTTL: -1,
		Timeout:  time.Minute,
		Auth:     vaultint.Auth{Method: vaultint.MethodToken, Token: secret.New(token)},
	}
}

// withRole is the configuration of a program that logs in to a role.
func withRole(server *servers.VaultServer, role servers.AppRole) vaultint.Config {
	return vaultint.Config{
		Address:  server.Address,
		CACert:   server.CACert,
		CacheTTL: -1,
		Timeout:  time.Minute,
		Auth: vaultint.Auth{
			Method: vaultint.MethodAppRole, Mount: role.Mount,
			RoleID: role.RoleID, SecretID: secret.New(role.SecretID),
		},
	}
}

// reader is a client whose token may read the given policy path and nothing else.
func reader(t *testing.T, server *servers.VaultServer, path string) *vaultint.Client {
	t.Helper()
	token := server.Token(t, servers.TokenConfig{Policies: []string{server.Policy(t, mayRead(path))}, Bare: true})
	return newClient(t, withToken(server, token))
}

func mayRead(path string) string {
	return fmt.Sprintf("path %q { capabilities = [\"read\"] }", path)
}

// read reads a secret that must be there.
func read(t *testing.T, client *vaultint.Client, ref secret.Ref) secret.Data {
	t.Helper()
	data, err := client.ReadSecret(t.Context(), ref)
	if err != nil {
		var failed *secret.ReadError
		errors.As(err, &failed)
		t.Fatalf("%v (%+v)", err, failed)
	}
	return data
}

// text gives one key of a secret that must be there, as text.
func text(t *testing.T, client *vaultint.Client, ref secret.Ref, key string) string {
	t.Helper()
	value, ok := read(t, client, ref).Keys[key].(secret.Value)
	if !ok {
		t.Fatalf("read %s: no key %q", ref, key)
	}
	return value.Reveal()
}

// wantFailure checks why a read failed, that its details say what they should, and
// that nothing in the error shows one of the secrets or a canary.
func wantFailure(t *testing.T, err error, reason secret.Reason, part string, secrets ...string) *secret.ReadError {
	t.Helper()
	var failed *secret.ReadError
	if !errors.As(err, &failed) {
		t.Fatalf("got error %v, want a *secret.ReadError with reason %q", err, reason)
	}
	if failed.Reason != reason {
		t.Errorf("got reason %q (%s; %s), want %q", failed.Reason, failed.Detail, failed.Hint, reason)
	}
	if whole := failed.Detail + "\n" + failed.Hint; !strings.Contains(whole, part) {
		t.Errorf("got %q, want it to say %q", whole, part)
	}
	shown := []string{failed.Detail, failed.Hint, fmt.Sprintf("%+v %#v", *failed, failed)}
	for e := err; e != nil; e = errors.Unwrap(e) {
		shown = append(shown, e.Error(), fmt.Sprintf("%+v %#v", e, e))
	}
	for _, text := range shown {
		for _, hidden := range append(secrets, canary) {
			if strings.Contains(text, hidden) {
				t.Errorf("error shows %q: %s", hidden, text)
			}
		}
		if strings.Contains(text, "/v1/") {
			t.Errorf("error shows the URL of a request: %s", text)
		}
	}
	return failed
}

// front is a server before Vault, which gets every request first. What it does not
// answer itself goes on to Vault.
func front(t *testing.T, server *servers.VaultServer, answers func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.ErrorLog = quiet()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answers(w, r) {
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// refuse answers as Vault does where a policy is missing.
func refuse(w http.ResponseWriter) {
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{"1 error occurred:\n\t* permission denied\n\n"}})
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no %s within 30s", what)
		}
	}
}

// quiet is the log of a server that is to refuse connections.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
