package connections_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
)

// versioned has nine versions of every secret; a password tells which one it is of.
type versioned struct{}

func (versioned) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	if ref.Version == 0 {
		ref.Version = 9
	}
	return secret.Data{Ref: ref, Keys: map[string]any{"password": secret.New(fmt.Sprintf("password-%d", ref.Version))}}, nil
}

// A version that is pinned by an attachment is the one that a placeholder gives
// which names the same path, in whichever spelling.
func TestPlaceholderReadsThePinnedVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ placeholder, attached, want string }{
		{"secret/oracle.password", "{path: secret/oracle, version: 2, keys: []}", "secret/oracle@2"},
		{"secret/oracle.password", "{path: /secret/data/oracle/, version: 2, keys: []}", "secret/oracle@2"},
		{"secret/data/oracle.password", "{path: secret/oracle, version: 2, keys: []}", "secret/data/oracle@2"},
		{"default:secret/oracle.password", "{path: secret/oracle, version: 2, keys: []}", "secret/oracle@2"},
		{"team/kv/oracle.password", "{mount: team/kv, path: oracle, version: 2, keys: []}", "team/kv/oracle@2"},
		{"team/kv/data/oracle.password", "{mount: team/kv, path: oracle, version: 2, keys: []}", "team/kv/data/oracle@2"},
		{"prod:secret/oracle.password", "{path: secret/oracle, version: 2, vault: prod, keys: []}", "prod:secret/oracle@2"},
		{"secret/oracle.password", "{path: secret/oracle, version: 3}, {path: secret/oracle, version: 2}", "secret/oracle@2"},
		{"secret/oracle.password", "{path: secret/oracle, version: 3}, {path: secret/oracle}", "secret/oracle@9"},
		{"prod:secret/oracle.password", "{path: secret/oracle, version: 2, keys: []}", "prod:secret/oracle@9"},
		{"secret/other.password", "{path: secret/oracle, version: 2, keys: []}", "secret/other@9"},
		{"secret/a/data/oracle.password", "{path: secret/a/oracle, version: 2, keys: []}", "secret/a/data/oracle@9"},
	} {
		l := newLab(t, map[string]string{"o.yaml": "name: o\ntype: SQLORACLE\nvalue:\n  host: h\n  user: u\n" +
			"  password: vault.secret(" + test.placeholder + ")\nsecrets: [" + test.attached + "]\n"})
		resolver, err := connections.NewResolver(connections.ResolverConfig{
			Sources: []connections.Source{connections.NewDirs([]string{l.dir})}, Secrets: versioned{}, Types: types(),
		})
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := resolver.Resolve(t.Context(), connections.Request{Name: "o"})
		if err != nil {
			t.Fatalf("%s: %v", test.placeholder, err)
		}
		_, version, _ := strings.Cut(test.want, "@")
		if got := resolved.Inputs.Secret("password").Reveal(); got != "password-"+version {
			t.Errorf("%s with %s: got %s", test.placeholder, test.attached, got)
		}
		if got := resolved.Merged.Inputs["password"].Origin.Path; got != test.want {
			t.Errorf("%s with %s: got it from %s, want %s", test.placeholder, test.attached, got, test.want)
		}
		explained, err := resolver.Explain(t.Context(), connections.Request{Name: "o"})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range explained.Inputs {
			if row.Input == "password" && !strings.HasPrefix(row.From, test.want+"#password") {
				t.Errorf("%s with %s: explained as %s", test.placeholder, test.attached, row.From)
			}
		}
	}
}
