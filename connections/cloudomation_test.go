package connections_test

import (
	"testing"
)

// These tests are the examples of the page that the product was asked for from.

func TestLibraryOverrideByRef(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"library.yaml": `
name: library
type: GIT
value:
  ref: develop
  command: metadata
  repository_url: 'https://git.example.com/library.git'
`})
	stored := l.resolve(t, "library", nil)
	if got := stored.Inputs.String("ref"); got != "develop" {
		t.Errorf("got ref %q, want develop", got)
	}
	over := l.resolve(t, "library", map[string]any{"ref": "v2"})
	if got := over.Inputs.String("ref"); got != "v2" {
		t.Errorf("got ref %q, want v2", got)
	}
	if got := over.Inputs.String("command"); got != "metadata" {
		t.Errorf("got command %q, want the stored one", got)
	}
}

const oracleSecret = "secret/oracle:\n  user: my-user\n  password: my-secret-password\n"

func TestAttachedSecretWithPlaceholders(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{secretsName: oracleSecret, "oracle.yaml": `
name: oracle
type: SQLORACLE
value:
  host: my-oracle-server
  service_name: xe
  user: vault.secret(user)
  password: vault.secret(password)
secrets:
  - path: secret/data/oracle
`})
	wantOracle(t, l)
}

func TestAttachedSecretWithoutPlaceholders(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{secretsName: oracleSecret, "oracle.yaml": `
name: oracle
type: SQLORACLE
value:
  host: my-oracle-server
  service_name: xe
secrets:
  - path: secret/oracle
`})
	wantOracle(t, l)
}

func wantOracle(t *testing.T, l lab) {
	t.Helper()
	in := l.resolve(t, "oracle", map[string]any{"execute": "SELECT * FROM v$version"}).Inputs
	got := []string{in.String("host"), in.String("service_name"), in.String("user"), in.Secret("password").Reveal(), in.String("execute")}
	want := []string{"my-oracle-server", "xe", "my-user", "my-secret-password", "SELECT * FROM v$version"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestOrderOfInputApplication(t *testing.T) {
	t.Parallel()
	head := "name: oracle\ntype: SQLORACLE\nvalue:\n  host: h\n"
	value, attached := "  port: 1111\n", "secrets: [path: secret/db]\n"
	flow := map[string]any{"port": 3333.0}
	for name, c := range map[string]struct {
		text string
		flow map[string]any
		want int64
		from string
	}{
		"value":          {head + value, nil, 1111, "value"},
		"secret":         {head + attached, nil, 2222, "secret"},
		"flow":           {head, flow, 3333, "flow"},
		"value, secret":  {head + value + attached, nil, 2222, "secret"},
		"value, flow":    {head + value, flow, 3333, "flow"},
		"secret, flow":   {head + attached, flow, 3333, "flow"},
		"all":            {head + value + attached, flow, 3333, "flow"},
		"none":           {head, nil, 1521, ""},
		"null from flow": {head + value + attached, map[string]any{"port": nil}, 1521, ""},
	} {
		l := newLab(t, map[string]string{"oracle.yaml": c.text, secretsName: "secret/db: {port: 2222}\n"})
		overrides := map[string]any{"user": "u", "password": "p"}
		for key, v := range c.flow {
			overrides[key] = v
		}
		resolved := l.resolve(t, "oracle", overrides)
		if got := resolved.Inputs.Int("port"); got != c.want {
			t.Errorf("%s: got port %d, want %d", name, got, c.want)
		}
		if got := string(resolved.Merged.Inputs["port"].Origin.Layer); got != c.from {
			t.Errorf("%s: got port from %q, want %q", name, got, c.from)
		}
	}
}
