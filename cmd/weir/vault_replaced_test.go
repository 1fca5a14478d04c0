package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/testdata/servers"
)

// TestReplacedVault: what another process does to a Vault configuration of the store
// counts for the next secret that the engine reads, whether it replaces it, takes it
// away or puts another one before that of the environment.
func TestReplacedVault(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	vault.PutKV(t, mount, "x", map[string]any{"password": "the-password"})
	none := vault.Token(t, servers.TokenConfig{})
	some := vault.Token(t, servers.TokenConfig{Policies: []string{vault.Policy(t, fmt.Sprintf(`path "%s/data/*" { capabilities = ["read"] }`, mount))}})
	for name, env := range map[string][]string{
		"of the store":       nil,
		"of the environment": {"VAULT_ADDR=" + vault.Address, "VAULT_TOKEN=" + none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAPISite(t, env...)
			weir := func(args ...string) {
				t.Helper()
				var said strings.Builder
				code := execute(t.Context(), args, process{
					in: strings.NewReader(""), out: &said, err: &said, home: os.UserHomeDir, terminal: func(any) bool { return false },
					getenv: func(key string) string { return map[string]string{"WEIR_DATA_DIR": s.data}[key] },
				})
				if code != 0 {
					t.Fatalf("weir %q: %d %s", args, code, &said)
				}
			}
			add := func(token string, more ...string) {
				t.Helper()
				file := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
					t.Fatal(err)
				}
				weir(append([]string{"vault", "add", "default", "--address", vault.Address, "--token-file", file}, more...)...)
			}
			want := func(kind string) {
				t.Helper()
				text := fmt.Sprintf(`task("FAKE", { password = secret("%s/data/x#password") })`, mount)
				if e := s.run(s.client(s.token), api.Start{Text: text}); e.ErrorKind != kind || !e.HasEnded() {
					t.Errorf("%s, kind %q, want %q", e.Status, e.ErrorKind, kind)
				}
			}
			if env == nil {
				want("invalid") // there is none
				add(none)
			}
			want("denied")
			add(some, "--replace")
			want("")
			want("")
			add(none, "--replace")
			want("denied")
			weir("vault", "remove", "default", "--yes")
			if env == nil {
				want("invalid")
			} else {
				want("denied")
			}
			add(some)
			want("")
		})
	}
}
