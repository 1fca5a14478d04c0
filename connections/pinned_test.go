package connections_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
)

func TestPinnedInputs(t *testing.T) {
	t.Parallel()
	oracle := oracleFile("", "secrets: [path: secret/oracle, keys: [password]]\npinned: [host, port, password]\n")
	oracle["oracle.yaml"] = "name: oracle\ntype: SQLORACLE\nvalue: {host: DB.Example.com, user: u}\npinned: [host, port, password]\nsecrets: [{path: secret/oracle, keys: [password]}]\n"
	oracle["git.yaml"] = "name: git\ntype: GIT\nvalue: {repository_url: https://git.example.com/Repo, password: vault.secret(secret/oracle.password)}\npinned: [repository_url]\n"
	oracle["open.yaml"] = "name: open\ntype: GIT\nvalue: {repository_url: https://git.example.com/Repo, ref: main}\npinned: [ref]\n"
	oracle["odd.yaml"] = "name: odd\ntype: GIT\nvalue: {repository_url: 'https://vault.secret(secret/later.password)@x/', ref: main}\npinned: [repository_url]\n"
	l := newLab(t, oracle)
	for _, c := range []struct {
		name, connection string
		flow             map[string]any
		denied           []string
	}{
		{"nothing of it", "oracle", map[string]any{"execute": "x"}, nil},
		{"other host", "oracle", map[string]any{"host": "evil"}, []string{"host"}},
		{"both", "oracle", map[string]any{"host": "evil", "port": 1.0}, []string{"host", "port"}},
		{"the same host", "oracle", map[string]any{"host": " db.example.com. "}, nil},
		{"the default port", "oracle", map[string]any{"port": "1521"}, nil},
		{"null for the default", "oracle", map[string]any{"port": nil}, nil},
		{"host taken away", "oracle", map[string]any{"host": nil}, []string{"host"}},
		{"own password", "oracle", map[string]any{"host": "mine", "password": "my own password"}, nil},
		{"guessing the password", "oracle", map[string]any{"host": "DB.Example.com", "password": "tiger-password"}, nil},
		{"own wallet password beside the stored one", "oracle", map[string]any{"host": "evil", "wallet_password": "mine-mine"}, []string{"host"}},
		{"spelling of a URL", "git", map[string]any{"repository_url": "https://GIT.example.com/Repo/"}, nil},
		{"other path", "git", map[string]any{"repository_url": "https://git.example.com/repo"}, []string{"repository_url"}},
		{"other scheme", "git", map[string]any{"repository_url": "http://git.example.com/Repo"}, []string{"repository_url"}},
		{"pinned without secrets", "open", map[string]any{"ref": "v2"}, []string{"ref"}},
		{"a URL that holds a secret cannot be guessed", "odd", map[string]any{"repository_url": "https://later-password@x/"}, []string{"repository_url"}},
	} {
		_, err := l.resolver.Resolve(t.Context(), connections.Request{Name: c.connection, Overrides: c.flow})
		var pinned *connections.PinnedError
		var got []string
		if errors.As(err, &pinned) {
			got = pinned.Inputs
		} else if invalid := new(*connections.InvalidError); err != nil && !errors.As(err, invalid) {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.denied, got); diff != "" {
			t.Errorf("%s: pinned inputs (-want +got):\n%s", c.name, diff)
		}
	}
	got, _ := l.fail(t, "oracle", map[string]any{"host": "evil"})
	if want := `connection "oracle": a flow may not override "host": pinned by its owner`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnknownPinnedInput(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile("password: some-password", "pinned: [hots]\n"))
	got, _ := l.fail(t, "oracle", nil)
	if want := `connection "oracle": oracle.yaml:1: unknown input "hots" is pinned`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
