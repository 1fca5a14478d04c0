package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/testdata/servers"
)

// slowVault is a real Vault with something before it: each read of a secret waits
// there for hold.
type slowVault struct {
	dir string // with the connections oracle and five-0 to five-4, of one secret each, and five, of those five
	env []string

	mu    sync.Mutex
	reads map[string]int // by the secret's name
}

func newSlowVault(tb testing.TB, hold func(r *http.Request)) *slowVault {
	tb.Helper()
	vault := servers.Vault(tb)
	mount := vault.MountKV(tb, 2)
	target, err := url.Parse(vault.Address)
	if err != nil {
		tb.Fatal(err)
	}
	s := &slowVault{dir: tb.TempDir(), reads: map[string]int{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/v1/"+mount+"/data/"); ok {
			s.mu.Lock()
			s.reads[name]++
			s.mu.Unlock()
			hold(r)
		}
		proxy.ServeHTTP(w, r)
	}))
	tb.Cleanup(front.Close)

	text := fmt.Sprintf("name: oracle\ntype: FAKE\nsecrets: [{path: %s/data/oracle}]\n", mount)
	five := "---\nname: five\ntype: FAKE\nsecrets:\n"
	vault.PutKV(tb, mount, "oracle", map[string]any{"user": "scott", "password": "an-example-password"})
	for i, key := range []string{"host", "user", "password", "payload", "surplus"} {
		name := fmt.Sprintf("five-%d", i)
		vault.PutKV(tb, mount, name, map[string]any{key: "example-of-a-" + key})
		five += fmt.Sprintf("- path: %s/data/%s\n", mount, name)
		text += fmt.Sprintf("---\nname: %[2]s\ntype: FAKE\nsecrets: [{path: %[1]s/data/%[2]s}]\n", mount, name)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "connections.yaml"), []byte(text+five), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.env = []string{"HOME=" + s.dir, "VAULT_ADDR=" + front.URL, "VAULT_TOKEN=" + vault.RootToken}
	return s
}

// run runs a flow as a user would and gives what it printed.
func (s *slowVault) run(tb testing.TB, flow string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), weirBinary(tb), "run", "-q", "-", "--connections", ".")
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, strings.NewReader(flow)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// Flows that connect once, and many times in two ways.
const (
	connectOnce       = `return connect("oracle").output.inputs.user`
	connectAgain      = `for _ = 1, 39 do connect("oracle") end return connect("oracle").output.inputs.user`
	connectSideBySide = `
		local function one() return connect("oracle").output.inputs.user end
		local branches = {}
		for i = 1, 40 do branches[i] = one end
		return parallel(branches)[40]`
	connectFive   = `return connect("five").output.inputs.user`
	connectToFive = `
		local branches = {}
		for i = 0, 4 do branches[i + 1] = function() return connect("five-" .. i).output.inputs.user end end
		local _, user = unpack(parallel(branches))
		return user`
)

// TestManyConnectsReadASecretOnce runs flows that connect again and again, one after
// the other and side by side: what a slow Vault costs them is one read.
func TestManyConnectsReadASecretOnce(t *testing.T) {
	t.Parallel()
	for name, flow := range map[string]string{"one after the other": connectAgain, "side by side": connectSideBySide} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vault := newSlowVault(t, func(*http.Request) {})
			if got := vault.run(t, flow); got != `"scott"` {
				t.Errorf("got %s", got)
			}
			if diff := cmp.Diff(map[string]int{"oracle": 1}, vault.reads); diff != "" {
				t.Errorf("reads of 40 connects (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSecretsAreReadSideBySide lets no read of five secrets end before all five have
// come, be they of one connection or of five: what a slow Vault costs is one read's time.
func TestSecretsAreReadSideBySide(t *testing.T) {
	t.Parallel()
	for name, flow := range map[string]string{"of one connection": connectFive, "of five connections": connectToFive} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			all.Add(5)
			here := make(chan struct{})
			go func() {
				all.Wait()
				close(here)
			}()
			vault := newSlowVault(t, func(r *http.Request) {
				all.Done()
				select {
				case <-here:
				case <-r.Context().Done(): // the client has had enough
				}
			})
			if got := vault.run(t, flow); got != `"example-of-a-user"` {
				t.Errorf("got %s", got)
			}
			want := map[string]int{"five-0": 1, "five-1": 1, "five-2": 1, "five-3": 1, "five-4": 1}
			if diff := cmp.Diff(want, vault.reads); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
		})
	}
}

// BenchmarkSlowVault is what it costs to run flows where Vault needs so long for each
// read.
func BenchmarkSlowVault(b *testing.B) {
	weirBinary(b) // not to be built within a run
	for _, delay := range []time.Duration{0, 300 * time.Millisecond} {
		vault := newSlowVault(b, func(*http.Request) { <-time.After(delay) })
		for _, test := range []struct{ name, flow string }{
			{"one connect", connectOnce},
			{"40 one after the other", connectAgain},
			{"40 side by side", connectSideBySide},
			{"one with five secrets", connectFive},
			{"five with a secret each", connectToFive},
		} {
			b.Run(fmt.Sprintf("%s a read, %s", delay, test.name), func(b *testing.B) {
				for b.Loop() {
					vault.run(b, test.flow)
				}
				b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/run")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
