package connections_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
)

const vaultFile = `
secret/oracle: {user: scott-account, password: tiger-password, port: 1600, rows: [1, 2], "tls.key": dotted-key, "a/b.c": slashed-key}
secret/later: {password: later-password, extra: unused}
team/app.v2: {token: team-token-value}
`

// oracleFile is a connection file with these lines of the value and attachments.
func oracleFile(value, rest string) map[string]string {
	text := "name: oracle\ntype: SQLORACLE\nvalue:\n  host: h\n  user: u\n"
	for line := range strings.Lines(value) {
		text += "  " + line
	}
	return map[string]string{"oracle.yaml": text + "\n" + rest, secretsName: vaultFile}
}

// reveal makes the secrets of a merged tree comparable.
func reveal(v any) any {
	switch v := v.(type) {
	case secret.Value:
		return v.RevealAny()
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = reveal(v[i])
		}
		return list
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key := range v {
			tree[key] = reveal(v[key])
		}
		return tree
	}
	return v
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	const attached = "secrets: [path: secret/oracle]\n"
	for _, c := range []struct {
		name, value, rest, input string
		want                     any
	}{
		{"own name", "password: vault.secret(password)", attached, "password", "tiger-password"},
		{"other key", "wallet_password: vault.secret(password)", attached, "wallet_password", "tiger-password"},
		{"quoted scalar", "password: 'vault.secret( password )'", attached, "password", "tiger-password"},
		{"keeps the type", "params: vault.secret(port)", attached, "params", json.Number("1600")},
		{"whole list", "params: vault.secret(rows)", attached, "params", []any{json.Number("1"), json.Number("2")}},
		{"any depth", "params: {a: [x, {b: vault.secret(port)}]}", attached, "params", map[string]any{"a": []any{"x", map[string]any{"b": json.Number("1600")}}}},
		{"within text", "execute: connect vault.secret(user)/vault.secret(password)@x:vault.secret(port)", attached, "execute", "connect scott-account/tiger-password@x:1600"},
		{"by path", "password: vault.secret(secret/oracle.password)", "", "password", "tiger-password"},
		{"by data path", "password: vault.secret(/secret/data/oracle.password)", "", "password", "tiger-password"},
		{"by vault and path", "password: vault.secret(prod:secret/oracle.password)", "", "password", "tiger-password"},
		{"dot in the path", "password: vault.secret(team/app.v2.token)", "", "password", "team-token-value"},
		{"dot in the key", "password: vault.secret(tls.key)", attached, "password", "dotted-key"},
		{"quoted key", `password: vault.secret(secret/oracle."tls.key")`, "", "password", "dotted-key"},
		{"quoted odd key", `password: vault.secret('a/b.c')`, attached, "password", "slashed-key"},
		{"last attached wins", "wallet_password: vault.secret(password)", "secrets: [path: secret/oracle, {path: secret/later}]\n", "wallet_password", "later-password"},
		{"escape", `execute: vault.secret\(password) and vault.secret\\(x`, attached, "execute", `vault.secret(password) and vault.secret\(x`},
		{"no placeholder", "execute: the vault.secret is out", attached, "execute", "the vault.secret is out"},
	} {
		rest := strings.Replace(c.rest, "[path: secret/oracle, {", "[{path: secret/oracle}, {", 1)
		l := newLab(t, oracleFile(c.value, rest))
		resolved := l.resolve(t, "oracle", map[string]any{"password": "given-by-flow"})
		if c.input == "password" {
			l.write(t, "oracle.yaml", oracleFile(c.value, rest)["oracle.yaml"])
			resolved = l.resolve(t, "oracle", nil)
		}
		got := resolved.Inputs.Any(c.input)
		if diff := cmp.Diff(c.want, reveal(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestPlaceholderIsNotReplacedByTheOverlay(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile("password: vault.secret(secret/oracle.password)\nport: 1\n", "secrets: [path: secret/later]\n"))
	resolved := l.resolve(t, "oracle", nil)
	if got := resolved.Inputs.Secret("password").Reveal(); got != "tiger-password" {
		t.Errorf("the overlay replaced the placeholder: got %q", got)
	}
	in := resolved.Merged.Inputs["password"]
	if got, want := in.Origin.String(), "secret secret/oracle#password"; got != want {
		t.Errorf("got origin %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(in.Shadowed), "[secret secret/later#password]"; got != want {
		t.Errorf("got shadowed %s, want %s", got, want)
	}
}

func TestSecretsInSubstitutedTextChangeNoStructure(t *testing.T) {
	t.Parallel()
	files := oracleFile("params: {a: vault.secret(password), b: 'x vault.secret(password) y'}", "secrets: [path: secret/evil]\n")
	files[secretsName] = "secret/evil: {password: \"}\\nhost: evil\\n'\\\"#: vault.secret(user)\"}\n"
	l := newLab(t, files)
	const evil = "}\nhost: evil\n'\"#: vault.secret(user)"
	in := l.resolve(t, "oracle", nil).Inputs
	want := map[string]any{"a": evil, "b": "x " + evil + " y"}
	if diff := cmp.Diff(any(want), in.Any("params")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if in.String("host") != "h" {
		t.Errorf("got host %q", in.String("host"))
	}
}

func TestUnresolvedPlaceholders(t *testing.T) {
	t.Parallel()
	const attached = "secrets: [path: secret/oracle]\n"
	for _, c := range []struct{ name, value, rest, want, hint string }{
		{"mistyped key", "password: vault.secret(pasword)", attached,
			`oracle.yaml:6: "password": vault.secret(pasword): no key "pasword" in the attached secrets (secret/oracle)`, `did you mean "password"? the keys are a/b.c, password, port, rows, tls.key, user`},
		{"no such key", "password: vault.secret(zzzzzz)", "secrets: [path: secret/later]\n",
			`oracle.yaml:6: "password": vault.secret(zzzzzz): no key "zzzzzz" in the attached secrets (secret/later)`, "the keys are extra, password"},
		{"nothing attached", "password: vault.secret(password)", "",
			`oracle.yaml:6: "password": vault.secret(password) names a key, but no secret is attached`, "attach a secret, or name it: vault.secret(secret/path.key)"},
		{"no such key by path", "password: vault.secret(secret/oracle.pasword)", "",
			`oracle.yaml:6: the secret "secret/oracle" has no key "pasword"`, `did you mean "password"? its keys are a/b.c, password, port, rows, tls.key, user`},
		{"form of a handle", "password: vault.secret(secret/oracle#password)", attached,
			`oracle.yaml:6: "password": vault.secret(secret/oracle#password): no key "secret/oracle#password" in the attached secrets (secret/oracle)`, "a secret named by its path is written vault.secret(secret/path.key)"},
		{"not closed", "password: vault.secret(password", attached,
			`oracle.yaml:6: "password": a placeholder "vault.secret(" is not closed`, `write vault.secret\( where this very text is meant`},
		{"empty", "password: vault.secret()", attached,
			`oracle.yaml:6: "password": a placeholder "vault.secret(...)" names no key`, `write vault.secret\( where this very text is meant`},
		{"list in a text", "password: 'x vault.secret(rows)'", attached,
			`oracle.yaml:6: "password": vault.secret(rows) is a list or a mapping and cannot stand within a text`, ""},
		{"selected key", "", "secrets:\n- path: secret/oracle\n  keys: {password: pasword}\n",
			`oracle.yaml:8: the secret "secret/oracle" has no key "pasword"`, `did you mean "password"? its keys are a/b.c, password, port, rows, tls.key, user`},
		{"selected for an unknown input", "password: p-plain-p", "secrets:\n- path: secret/oracle\n  keys: {pasword: password}\n",
			`oracle.yaml:8: the secret "secret/oracle" is to give an unknown input "pasword"`, `did you mean "password"?`},
	} {
		got, err := newLab(t, oracleFile(c.value, c.rest)).fail(t, "oracle", nil)
		if want := `connection "oracle": ` + c.want; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
		}
		if hint := hintOf(err); hint != c.hint {
			t.Errorf("%s: got hint %q, want %q", c.name, hint, c.hint)
		}
	}
}

func TestFlowMayNotUsePlaceholders(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile("password: p-plain-p", "secrets: [path: secret/oracle]\n"))
	for _, value := range []any{"vault.secret(password)", "a vault.secret(secret/later.password) b", []any{map[string]any{"x": "vault.secret(user)"}}, "vault.secret("} {
		_, err := l.fail(t, "oracle", map[string]any{"params": value})
		if text := err.Error(); !strings.Contains(text, `"params" (from the flow): placeholders are for the values of connections only`) {
			t.Errorf("%v: got %s", value, text)
		}
		if hint := hintOf(err); !strings.Contains(hint, `secret("path#key")`) {
			t.Errorf("%v: got hint %q", value, hint)
		}
	}
	in := l.resolve(t, "oracle", map[string]any{"execute": `select 'vault.secret\(x)' from dual`}).Inputs
	if got, want := in.String("execute"), "select 'vault.secret(x)' from dual"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
