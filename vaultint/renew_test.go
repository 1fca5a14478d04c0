package vaultint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// watched is a client of a role whose requests about its token are told.
func watched(t *testing.T, server *servers.VaultServer, role servers.AppRole) (*vaultint.Client, <-chan string) {
	t.Helper()
	told := make(chan string, 100)
	config := withRole(server, role)
	config.Address = front(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/auth/") {
			told <- r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		}
		return false
	})
	return newClient(t, config), told
}

func next(t *testing.T, told <-chan string) string {
	t.Helper()
	select {
	case got := <-told:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("no more requests about the token")
		return ""
	}
}

// A token is renewed before it ends, and replaced before it ends if it cannot be
// renewed: no read is ever refused.
func TestTokenIsKeptAlive(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		settings map[string]any
		want     string
	}{
		"renewed":     {map[string]any{"token_ttl": "2s"}, "login renew-self renew-self"},
		"at its end":  {map[string]any{"token_ttl": "4s", "token_max_ttl": "4s"}, "login renew-self login renew-self login"},
		"batch":       {map[string]any{"token_ttl": "2s", "token_type": "batch"}, "login login login"},
		"not allowed": {map[string]any{"token_ttl": "2s", "token_no_default_policy": true}, "login renew-self login renew-self login"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servers.Vault(t)
			mount := server.MountKV(t, 2)
			server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
			role := server.AppRole(t, test.settings, server.Policy(t, mayRead(mount+"/data/*")))
			client, told := watched(t, server, role)
			ref := secret.Ref{Path: mount + "/oracle"}
			read(t, client, ref)
			before := ""
			for i, want := range strings.Fields(test.want) {
				got := next(t, told)
				// Vault tells lives in whole seconds, so that one may seem worth renewing twice.
				for got == "renew-self" && before == got && want != got {
					got = next(t, told)
				}
				if got != want {
					t.Fatalf("request %d about the token is %s, want %s", i, got, want)
				}
				before = got
			}
			read(t, client, ref)
		})
	}
}

// A login that is refused is not repeated at once.
func TestRefusedLoginBacksOff(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	settings := "auth/" + role.Mount + "/role/" + role.Name + "/role-id"
	server.Do(t, http.MethodPost, settings, map[string]any{"role_id": "another"})
	config, clock := cached(withRole(server, role))
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		for range 5 {
			_, err := client.ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.LoginFailed, "vault answered 400", role.SecretID)
		}
		clock.forward(wait)
	}
	if got := server.Requests(t, "auth/"+role.Mount+"/login"); got != 3 {
		t.Errorf("got %d logins, want 3", got)
	}
	server.Do(t, http.MethodPost, settings, map[string]any{"role_id": role.RoleID})
	read(t, client, ref)
}
