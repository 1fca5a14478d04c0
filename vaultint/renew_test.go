package vaultint_test

import (
	"log/slog"
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

// A token that was given is renewed as well, however short its life is; of one that
// cannot be, the log warns while it is still good.
func TestGivenTokenIsKeptAlive(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	policies := []string{server.Policy(t, mayRead(mount+"/data/*"))}
	ref := secret.Ref{Path: mount + "/oracle"}
	tests := map[string]struct {
		token    servers.TokenConfig
		renewals int64
		warns    bool
	}{
		"renewed":         {servers.TokenConfig{TTL: 4 * time.Second}, 2, false},
		"batch":           {servers.TokenConfig{TTL: time.Minute, Batch: true}, 0, true},
		"at its last end": {servers.TokenConfig{TTL: 4 * time.Second, MaxTTL: 5 * time.Second}, 1, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.token.Policies = policies
			config := withToken(server, server.Token(t, test.token))
			var log lockedBuffer
			config.Log = slog.New(slog.NewTextHandler(&log, nil))
			client := newClient(t, config)
			read(t, client, ref)
			waitFor(t, "renewal or warning", func() bool {
				return client.Stats().Renewals >= test.renewals && strings.Contains(log.String(), "cannot be renewed") == test.warns
			})
			if name != "at its last end" {
				read(t, client, ref)
			}
		})
	}
}

// Vault is killed while a renewal is due, and comes back: whether the token lives on
// then or has ended meanwhile, no read is refused.
func TestRenewalDuringAnOutage(t *testing.T) {
	t.Parallel()
	for _, life := range []string{"2s", "8s"} {
		t.Run(life, func(t *testing.T) {
			t.Parallel()
			server := servers.NewVault(t, servers.VaultConfig{Persistent: true})
			mount := server.MountKV(t, 2)
			server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
			role := server.AppRole(t, map[string]any{"token_ttl": life}, server.Policy(t, mayRead(mount+"/data/*")))
			client, told := watched(t, server, role)
			ref := secret.Ref{Path: mount + "/oracle"}
			read(t, client, ref)
			server.Kill(t)
			for _, want := range []string{"login", "renew-self"} {
				if got := next(t, told); got != want {
					t.Fatalf("got the request %s, want %s", got, want)
				}
			}
			_, err := client.ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.Unreachable, "", role.SecretID)
			server.Restart(t)
			server.Unseal(t)
			waitFor(t, "end of the outage", func() bool {
				_, err := client.ReadSecret(t.Context(), ref)
				return err == nil
			})
			for range 3 {
				read(t, client, ref)
			}
			if stats := client.Stats(); stats.Renewals == 0 && stats.Logins < 2 {
				waitFor(t, "renewal or login", func() bool { return client.Stats().Renewals > 0 || client.Stats().Logins > 1 })
			}
		})
	}
}

// What the clock of this machine says does not matter to the life of a token, nor does
// it that somebody sets it.
func TestClockIsWrong(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, map[string]any{"token_ttl": "2s"}, server.Policy(t, mayRead(mount+"/data/*")))
	ref := secret.Ref{Path: mount + "/oracle"}
	for name, wrong := range map[string]time.Duration{"ahead": 7 * time.Hour, "behind": -7 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, clock := cached(withRole(server, role))
			clock.forward(wrong)
			client := newClient(t, config)
			read(t, client, ref)
			waitFor(t, "renewal", func() bool { return client.Stats().Renewals >= 1 })
			clock.forward(-2 * wrong)
			before := client.Stats().Renewals
			waitFor(t, "renewal after the clock was set", func() bool { return client.Stats().Renewals > before })
			client.Forget(read(t, client, ref).Ref)
			read(t, client, ref)
			if got := client.Stats(); got.Logins != 1 || got.Errors != 0 {
				t.Errorf("got %+v, want one login and no error", got)
			}
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
