package vaultint_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

func TestUserpass(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	login := "people-" + mount
	server.Do(t, http.MethodPost, "sys/auth/"+login, map[string]any{"type": "userpass"})
	policies := []string{server.Policy(t, mayRead(mount+"/data/*"))}
	password := canary + "-password"
	server.Do(t, http.MethodPost, "auth/"+login+"/users/ann", map[string]any{"password": password, "token_policies": policies})
	config := withToken(server, "")
	config.Auth = vaultint.Auth{Method: vaultint.MethodUserpass, Mount: login, Username: "ann", Password: secret.New(password)}
	ref := secret.Ref{Path: mount + "/oracle"}
	read(t, newClient(t, config), ref)

	config.Auth.Password = secret.New(canary + "-wrong")
	_, err := newClient(t, config).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "the user name and the password")
}

// The file of a signed token is read again at each login. One that is issued anew is
// nothing to see to; that of another subject is used at once, and what was kept of the
// one before is not given to it.
func TestJWTFile(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	company := server.JWTLogin(t, "weir*", server.Policy(t, mayRead(mount+"/data/*")))
	ref := secret.Ref{Path: mount + "/oracle"}
	file := filepath.Join(t.TempDir(), "jwt")
	config, _ := cached(withToken(server, ""))
	config.Auth = vaultint.Auth{Method: vaultint.MethodJWT, Mount: company.Mount, Role: "weir", JWTFile: file}
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := newClient(t, config)
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "jwt file "+file+": no such file or directory")
	logins := func() int { return server.Requests(t, "auth/"+company.Mount+"/login") }
	for _, subject := range []string{"weir", "weir", "weir-2", "weir-2"} {
		put(company.Sign(t, subject, time.Hour))
		read(t, client, ref)
	}
	if got := logins(); got != 2 {
		t.Errorf("got %d logins, want one for each subject", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	read(t, client, ref) // it is being replaced

	stranger := company.Sign(t, "somebody", time.Hour)
	put(stranger)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "whether it accepts the token's issuer, audience and claims", stranger)
	expired := company.Sign(t, "weir", -time.Hour)
	put(expired)
	_, _, err = stagesOf(t, config, ref.Path)
	wantFailure(t, err, secret.LoginFailed, "vault answered 400: error validating token", expired)
	put(company.Sign(t, "weir", time.Hour))
	said, _, err := stagesOf(t, config, ref.Path)
	if err != nil || !strings.Contains(said["login"].Detail, "remaining life of the token: 1h0m0s") {
		t.Errorf("got %+v and %v", said["login"], err)
	}
}

// The login of Kubernetes is looked at on the wire: what stands in for Vault is a fake
// of the one request, before a real one that is read from. Its answer repeats the token,
// as a careless server might.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	policies := []string{server.Policy(t, mayRead(mount+"/data/*"))}
	ref := secret.Ref{Path: mount + "/oracle"}
	var expected, issued atomic.Value
	config := withToken(server, "")
	config.Address = front(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/auth/kubernetes/login" {
			return false
		}
		var body struct{ Role, JWT string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body.Role != "weir" || body.JWT != expected.Load() {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{"bad: " + body.JWT}})
			return true
		}
		token := server.Token(t, servers.TokenConfig{Policies: policies})
		issued.Store(token)
		_ = json.NewEncoder(w).Encode(map[string]any{"auth": map[string]any{"client_token": token}})
		return true
	})
	file := filepath.Join(t.TempDir(), "jwt")
	config.Auth = vaultint.Auth{Method: vaultint.MethodKubernetes, Role: "weir", JWTFile: file}
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("first.jwt\n")
	expected.Store("first.jwt")
	client := newClient(t, config)
	read(t, client, ref)
	put("second.jwt\n")
	expected.Store("second.jwt")
	server.RevokeToken(t, issued.Load().(string))
	read(t, client, ref)

	put(canary + ".jwt")
	_, err := newClient(t, config).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "vault answered 400: bad: ***")
}
