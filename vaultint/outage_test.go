package vaultint_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
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
	clock.forward(2 * time.Minute)
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

// A Vault that takes connections and does not answer costs one wait, and not one each
// time that it is asked again: that goes on in the background.
func TestHangingVault(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	var hangs atomic.Bool
	asked := make(chan struct{}, 100)
	config, clock := tolerant(withToken(server, server.RootToken))
	config.Timeout = 2 * time.Second
	config.Address = front(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		if !hangs.Load() {
			return false
		}
		if strings.HasPrefix(r.URL.Path, "/v1/"+mount) {
			asked <- struct{}{}
		}
		<-r.Context().Done()
		return true
	})
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	read(t, client, ref)
	hangs.Store(true)
	clock.forward(31 * time.Second)
	// A reader that has no time for it does not keep the outage from being noticed.
	hasty, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := client.ReadSecret(hasty, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the reader's own end", err)
	}
	wantStale(t, client, ref, secret.TimedOut)

	clock.forward(6 * time.Second)
	for range 100 {
		wantStale(t, client, ref, secret.TimedOut)
	}
	<-asked
	if got := client.Stats(); got.Errors != 1 || got.Reads != 2 || got.Stale != 101 {
		t.Errorf("got %+v, want that nobody waited for the second read that fails", got)
	}
	if len(asked) > 0 {
		t.Errorf("vault was asked %d times more than once", len(asked))
	}
	hangs.Store(false)
	server.PutKV(t, mount, "oracle", map[string]any{"password": "new"})
	clock.forward(time.Second)
	waitFor(t, "end of the outage", func() bool {
		clock.forward(time.Second)
		return read(t, client, ref).Ref.Version == 2
	})
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
