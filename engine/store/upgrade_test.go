package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-engine/weir/engine/store"
)

// TestUpgrade opens stores as earlier releases wrote them, of which testdata has
// one for each version of the schema, and works with them.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range []string{"weir.db", "master.key"} {
				text, err := os.ReadFile(filepath.Join("testdata", version, name))
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, name), string(text), 0o600)
			}
			for range 2 {
				s := open(t, dir)
				revisions, err := s.Connections().Revisions(t.Context(), "", "oracle")
				if err != nil || len(revisions) != 2 || revisions[0].Text != "# the host\nhost: db2\nport: 1521\npassword: hunter22\n" || revisions[1].TTL != 60 {
					t.Errorf("revisions are %+v, %v", revisions, err)
				}
				if c, err := s.Connections().Get(t.Context(), "ann", "library"); err != nil || c.Type != "GIT" {
					t.Errorf("connection is %+v, %v", c, err)
				}
				d, err := s.Documents("vault").Get(t.Context(), "", "eu")
				if err != nil || d.Text() != "address: https://vault.example.org\ntoken: hunter22\n" {
					t.Errorf("document is %v", err)
				}
			}
			s := open(t, dir)
			mustCommit(t, s, root("a", ""))
			if err := s.RotateKey(t.Context()); err != nil {
				t.Fatal(err)
			}
			if h := load(t, open(t, dir), "a"); len(h.Events) != 1 {
				t.Errorf("an execution in it has %d events", len(h.Events))
			}
			wantFailure(t, openError(t, dir, store.KeyText("WEIR_MASTER_KEY", "00000000000000000000000000000000")), "denied", "another master key", "nothing was changed")
		})
	}
}
