package vaultint_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

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

// The logins of Kubernetes and JWT are looked at on the wire: what stands in for
// Vault is a fake of the one request, before a real one that is read from. The file is
// read again at each login.
func TestJWTFile(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	policies := []string{server.Policy(t, mayRead(mount+"/data/*"))}
	ref := secret.Ref{Path: mount + "/oracle"}
	for _, method := range []vaultint.Method{vaultint.MethodKubernetes, vaultint.MethodJWT} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			var expected, issued atomic.Value
			config := withToken(server, "")
			config.Address = front(t, server, func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/v1/auth/"+string(method)+"/login" {
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
			config.Auth = vaultint.Auth{Method: method, Role: "weir", JWTFile: file}
			_, err := newClient(t, config).ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.LoginFailed, "jwt file "+file+": no such file or directory")

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
			_, err = newClient(t, config).ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.LoginFailed, "vault answered 400: bad: ***")
		})
	}
}
