package vaultint_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
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

// clock is one that a test moves on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// cached is a configuration that keeps what it reads, with the clock for that.
func cached(config vaultint.Config) (vaultint.Config, *clock) {
	moved := new(clock)
	config.CacheTTL = 0
	config.Now = moved.Now
	return config, moved
}

// reads counts the requests for a secret that were made since it was called first.
func reads(t *testing.T, server *servers.VaultServer, path string) func() int {
	t.Helper()
	before := server.Requests(t, path)
	return func() int {
		t.Helper()
		return server.Requests(t, path) - before
	}
}

// readAtOnce reads a secret 1,000 times side by side.
func readAtOnce(t *testing.T, client *vaultint.Client, refs ...secret.Ref) {
	t.Helper()
	var readers sync.WaitGroup
	start := make(chan struct{})
	for i := range 1000 {
		readers.Go(func() {
			<-start
			if _, err := client.ReadSecret(t.Context(), refs[i%len(refs)]); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	readers.Wait()
}

// A thousand readers of a cold cache make one read; a token that is revoked
// meanwhile costs one login and fails nobody.
func TestThousandReadersMakeOneRead(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	config, clock := cached(withRole(server, role))
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	requests := reads(t, server, mount+"/data/oracle")

	readAtOnce(t, client, ref)
	if got := requests(); got != 1 {
		t.Errorf("got %d reads of a cold cache, want 1", got)
	}
	if got, want := client.Stats(), (vaultint.Stats{Reads: 1, Hits: 999, Logins: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	readAtOnce(t, client, ref, secret.Ref{Path: mount + "/data/oracle"}, secret.Ref{Mount: mount, Path: "oracle"})
	if got := requests(); got != 1 {
		t.Errorf("got %d reads, want 1: all forms of a path are one secret", got)
	}

	server.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", nil)
	clock.forward(31 * time.Second)
	readAtOnce(t, client, ref)
	if got := server.Requests(t, "auth/"+role.Mount+"/login"); got != 2 {
		t.Errorf("got %d logins, want 2", got)
	}
	if got := requests(); got != 3 {
		t.Errorf("got %d reads, want 3: the first, the refused one, and that after the login", got)
	}
}

func TestCacheKeepsApart(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	for _, password := range []string{"one", "two"} {
		server.PutKV(t, mount, "oracle", map[string]any{"password": password, "tree": map[string]any{"list": []any{"a"}}})
	}
	server.PutMetadata(t, mount, "oracle", map[string]string{"owner": "dba"})
	config, clock := cached(withToken(server, server.RootToken))
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	requests := reads(t, server, mount+"/data/oracle")
	for range 2 {
		for version, want := range map[int]string{0: "two", 1: "one", 2: "two"} {
			pinned := ref
			pinned.Version = version
			if got := text(t, client, pinned, "password"); got != want {
				t.Errorf("version %d: got %q, want %q", version, got, want)
			}
		}
	}
	first := read(t, client, ref)
	if left := first.CachedUntil.Sub(clock.Now()); left <= 20*time.Second || left > 30*time.Second {
		t.Errorf("cached for %s, want up to 30s", left)
	}
	// What one reader does to its copy, no other sees.
	first.Keys["tree"].(map[string]any)["list"].([]any)[0] = "spoilt"
	delete(first.Keys, "password")
	first.Metadata["owner"] = "spoilt"
	again := read(t, client, secret.Ref{Path: mount + "/data/oracle"})
	list := again.Keys["tree"].(map[string]any)["list"].([]any)
	if got, want := list[0].(secret.Value).Reveal(), "a"; got != want || len(again.Keys) != 2 || again.Metadata["owner"] != "dba" {
		t.Errorf("the cache was changed by a reader: %v", again)
	}
	if want := (secret.Ref{Path: mount + "/data/oracle", Version: 2}); again.Ref != want {
		t.Errorf("got the reference %+v, want that of its reader, %+v", again.Ref, want)
	}
	if got := requests(); got != 3 {
		t.Errorf("got %d reads, want one for each of the newest and two versions", got)
	}
}

// A secret that is of no use any more is read afresh, once.
func TestForget(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": "old"})
	config, clock := cached(withToken(server, server.RootToken))
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	old := read(t, client, ref)
	server.PutKV(t, mount, "oracle", map[string]any{"password": "new"})
	requests := reads(t, server, mount+"/data/oracle")
	if got := text(t, client, ref, "password"); got != "old" {
		t.Errorf("got %q, want the old one until it is forgotten", got)
	}
	for range 3 { // others whose credentials were refused too
		client.Forget(old.Ref)
		if got := text(t, client, ref, "password"); got != "new" {
			t.Errorf("got %q, want the new one", got)
		}
	}
	if got := requests(); got != 1 {
		t.Errorf("got %d reads more, want 1", got)
	}
	server.PutKV(t, mount, "oracle", map[string]any{"password": "newest"})
	clock.forward(31 * time.Second)
	if got := text(t, client, ref, "password"); got != "newest" {
		t.Errorf("got %q after 31s, want the newest one", got)
	}
}

// Refusals are kept for a short time, which grows; failures that may be over at any
// time are not.
func TestRefusalsAreKept(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	var down atomic.Bool
	config, clock := cached(withToken(server, server.RootToken))
	config.Address = front(t, server, func(w http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			w.WriteHeader(http.StatusBadRequest)
			return true
		}
		return false
	})
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	asked := func() int { return int(client.Stats().Reads) }
	var waits []int
	for range 7 {
		before, seconds := asked(), 0
		for ; asked() == before; seconds++ {
			_, err := client.ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.NotFound, mount+"/data/oracle")
			clock.forward(time.Second)
		}
		waits = append(waits, seconds)
	}
	if diff := cmp.Diff([]int{1, 1, 2, 4, 8, 16, 30}, waits); diff != "" {
		t.Errorf("seconds until Vault was asked again (-want +got):\n%s", diff)
	}
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.NotFound, "is asked again in ")

	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	clock.forward(30 * time.Second)
	read(t, client, ref)
	clock.forward(31 * time.Second)
	down.Store(true)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "answered 400")
	down.Store(false)
	read(t, client, ref)
}

// What a token may read is not given to the one that takes its place.
func TestCacheIsOfOneIdentity(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	path := filepath.Join(t.TempDir(), "token")
	config, _ := cached(withToken(server, ""))
	config.Auth = vaultint.Auth{Method: vaultint.MethodTokenFile, TokenFile: path}
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	put := func(token string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(server.RootToken)
	read(t, client, ref)
	other := server.Token(t, servers.TokenConfig{})
	put(other)
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Denied, mayRead(mount+"/data/oracle"), other, server.RootToken)
}

// What is made for its reader, two readers never share.
func TestMadeSecretsAreNotShared(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		var made atomic.Int64
		config, _ := cached(withToken(servers.Vault(t), "t"))
		config.Address = front(t, servers.Vault(t), func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.HasPrefix(r.URL.Path, "/v1/sys/") && told:
				_, _ = w.Write([]byte(`{"data":{"path":"database/","type":"database"}}`))
			case r.URL.Path == "/v1/database/creds/ro":
				user := strings.Repeat("u", int(made.Add(1)))
				_, _ = w.Write([]byte(`{"lease_id":"database/creds/ro/1","lease_duration":60,"data":{"user":"` + user + `"}}`))
			default:
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(`{"errors":[]}`))
			}
			return true
		})
		client := newClient(t, config)
		var readers sync.WaitGroup
		var users sync.Map
		for range 20 {
			readers.Go(func() {
				data, err := client.ReadSecret(t.Context(), secret.Ref{Path: "database/creds/ro"})
				if err != nil {
					t.Error(err)
					return
				}
				user := data.Keys["user"].(secret.Value).Reveal()
				if _, shared := users.LoadOrStore(user, true); shared || !data.CachedUntil.IsZero() {
					t.Errorf("got one that was made for another reader, cached until %s", data.CachedUntil)
				}
			})
		}
		readers.Wait()
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	config := withToken(server, server.RootToken)
	config.RateLimit = 20
	client := newClient(t, config)
	start := time.Now()
	for range 30 { // twenty at once, then one each 50 ms
		read(t, client, secret.Ref{Path: mount + "/oracle"})
	}
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("30 reads took %s, which is faster than the limit allows", took)
	}
	// Who waits for his turn does so no longer than he wants.
	config.RateLimit = 0.001
	slow := newClient(t, config)
	read(t, slow, secret.Ref{Path: mount + "/oracle"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := slow.ReadSecret(ctx, secret.Ref{Path: mount + "/oracle"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// The memory of a cache is bounded: what was read first is read again.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 1)
	big := strings.Repeat("x", 900<<10)
	names := strings.Split("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN", "") // 40 of 900 KiB are over 32 MiB
	for _, name := range names {
		server.PutKV1(t, mount, name, map[string]any{"big": big})
	}
	config, _ := cached(withToken(server, server.RootToken))
	client := newClient(t, config)
	for _, name := range names {
		read(t, client, secret.Ref{Path: mount + "/" + name})
	}
	read(t, client, secret.Ref{Path: mount + "/N"})
	read(t, client, secret.Ref{Path: mount + "/a"})
	if got, want := client.Stats(), (vaultint.Stats{Reads: 41, Hits: 1, Logins: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
