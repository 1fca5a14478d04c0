package vaultint_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// tolerant is a configuration that bridges an outage of up to ten minutes.
func tolerant(config vaultint.Config) (vaultint.Config, *clock) {
	config, clock := cached(config)
	config.Tolerate = 10 * time.Minute
	return config, clock
}

// wantStale checks that a secret is an older one, and says why.
func wantStale(t *testing.T, client *vaultint.Client, ref secret.Ref, reason secret.Reason) secret.Data {
	t.Helper()
	data := read(t, client, ref)
	if data.Outage == nil || data.Outage.Reason != reason || data.ReadAt.IsZero() {
		t.Fatalf("got outage %v of a secret read at %s, want %q", data.Outage, data.ReadAt, reason)
	}
	if got := data.Warning(); !strings.Contains(got, ref.Path) || !strings.Contains(got, string(reason)) || strings.Contains(got, canary) {
		t.Errorf("got the warning %q, want the path and %q", got, reason)
	}
	return data
}

// wantOver waits for the end of an outage, which is noticed in the background.
func wantOver(t *testing.T, client *vaultint.Client, ref secret.Ref, version int) {
	t.Helper()
	waitFor(t, "end of the outage", func() bool {
		data := read(t, client, ref)
		return data.Outage == nil && data.Ref.Version == version
	})
}

// Vault is killed, started again and unsealed: strict fails clearly, tolerate goes on
// and says so.
func TestOutage(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{Persistent: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	server.PutKV(t, mount, "other", map[string]any{"password": canary})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	ref := secret.Ref{Path: mount + "/oracle"}
	config, clock := tolerant(withRole(server, role))
	client := newClient(t, config)
	config.Tolerate = 0
	strict := newClient(t, config)
	config.Tolerate, config.CacheTTL = 10*time.Minute, -1
	uncached := newClient(t, config)
	for _, c := range []*vaultint.Client{client, strict, uncached} {
		if data := read(t, c, ref); data.Outage != nil || data.Warning() != "" {
			t.Errorf("got %v before there is an outage", data.Outage)
		}
	}

	server.Kill(t)
	wantStale(t, uncached, ref, secret.Unreachable)
	if data := read(t, client, ref); data.Outage != nil {
		t.Errorf("got outage %v, want a secret that is kept anyway", data.Outage)
	}
	clock.forward(31 * time.Second)
	_, err := strict.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "connection refused", role.SecretID)
	data := wantStale(t, client, ref, secret.Unreachable)
	_, err = client.ReadSecret(t.Context(), secret.Ref{Path: mount + "/other"}) // never read before
	wantFailure(t, err, secret.Unreachable, "connection refused", role.SecretID)
	client.Forget(data.Ref) // nothing better can be had
	wantStale(t, client, ref, secret.Unreachable)

	server.Restart(t)
	clock.forward(time.Minute)
	wantStale(t, client, ref, secret.Sealed)
	_, err = strict.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Sealed, "is sealed", role.SecretID)

	server.Unseal(t)
	server.PutKV(t, mount, "oracle", map[string]any{"password": "new"})
	clock.forward(6 * time.Second)
	for _, c := range []*vaultint.Client{client, strict, uncached} {
		wantOver(t, c, ref, 2)
	}
	server.Kill(t)
	clock.forward(11 * time.Minute)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "connection refused", role.SecretID)
}

// What Vault answers, no older secret hides.
func TestRefusalIsNoOutage(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	token := server.Token(t, servers.TokenConfig{Policies: []string{server.Policy(t, mayRead(mount+"/data/*"))}})
	config, clock := tolerant(withToken(server, token))
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	read(t, client, ref)
	clock.forward(31 * time.Second)
	server.DeleteKV(t, mount, "oracle", 1)
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Deleted, "version 1 was deleted")

	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	read(t, client, ref)
	clock.forward(31 * time.Second)
	server.RevokeToken(t, token)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "does not accept the token", token)
}
