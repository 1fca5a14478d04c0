package connections_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

func TestProvenance(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile(
		"port: 1\nservice_name: xe\nexecute: vault.secret(user) and vault.secret(port)\npassword: plain-password\n",
		"secrets: [{path: secret/oracle}, {path: secret/later}]\n"))
	merged := l.resolve(t, "oracle", map[string]any{"port": 3.0, "params": secret.New("from-a-handle")}).Merged
	var got []string
	for name, in := range merged.Inputs {
		line := fmt.Sprintf("%s: %s, shadowed %s, secret %v", name, in.Origin, in.Shadowed, in.Secret)
		got = append(got, strings.ReplaceAll(line, l.dir+"/", ""))
	}
	slices.Sort(got)
	want := []string{
		"execute: secret secret/oracle#user, shadowed [], secret true",
		"host: value oracle.yaml:4, shadowed [], secret false",
		"params: flow, shadowed [], secret true",
		"password: secret secret/later#password, shadowed [secret secret/oracle#password value oracle.yaml:9], secret true",
		"port: flow, shadowed [secret secret/oracle#port value oracle.yaml:6], secret false",
		"service_name: value oracle.yaml:7, shadowed [], secret false",
		"user: secret secret/oracle#user, shadowed [value oracle.yaml:5], secret false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	surplus := fmt.Sprint(merged.Surplus)
	if want := "[secret secret/later#extra secret secret/oracle#a/b.c secret secret/oracle#rows secret secret/oracle#tls.key]"; surplus != want {
		t.Errorf("got surplus %s, want %s", surplus, want)
	}
}

func TestKeysAreSelectedAndRenamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ keys, want string }{
		{"[password]", "password=tiger-password"},
		{"{wallet_password: password, password: tls.key}", "password=dotted-key wallet_password=tiger-password"},
		{"[]", ""},
	} {
		l := newLab(t, oracleFile("", "secrets: [{path: secret/oracle, keys: "+c.keys+"}]\n"))
		inputs := connectionInputs(t, l, "oracle")
		var got []string
		for _, name := range []string{"password", "port", "wallet_password"} {
			if in, ok := inputs[name]; ok {
				got = append(got, fmt.Sprintf("%s=%v", name, reveal(in.Value)))
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("keys %s: got %q, want %q", c.keys, text, c.want)
		}
	}
}

// connectionInputs merges without validation.
func connectionInputs(t *testing.T, l lab, name string) map[string]schema.Input {
	t.Helper()
	c, err := l.resolver.Get(t.Context(), "", name)
	if err != nil {
		t.Fatal(err)
	}
	reader := connections.OpenFileSecrets(l.dir + "/" + secretsName)
	var reads []connections.Read
	for _, ref := range connections.Refs(c) {
		data, err := reader.ReadSecret(t.Context(), ref)
		reads = append(reads, connections.Read{Ref: ref, Data: data, Err: err})
	}
	object, _ := types().Inputs(c.Type)
	merged, problems := connections.Merge(object, c, reads, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return merged.Inputs
}

func TestNullTakesAnInputAway(t *testing.T) {
	t.Parallel()
	files := oracleFile("service_name: xe\nsid:\nport: 5\nexecute: x\n", "secrets: [path: secret/nulls]\n")
	files[secretsName] = "secret/nulls: {execute: null, password: some-password}\n"
	l := newLab(t, files)
	resolved := l.resolve(t, "oracle", map[string]any{"service_name": nil, "sid": "orcl", "port": nil})
	in := resolved.Inputs
	if in.Has("service_name") || in.String("sid") != "orcl" || in.Int("port") != 1521 || in.Has("execute") {
		t.Errorf("got service_name %v, sid %q, port %d, execute %v", in.Has("service_name"), in.String("sid"), in.Int("port"), in.Has("execute"))
	}
	removed := resolved.Merged.Removed
	if got := fmt.Sprint(removed["service_name"].Origin, removed["execute"].Origin); got != "flow secret secret/nulls#execute" {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsSecret(t *testing.T) {
	t.Parallel()
	files := oracleFile("params: {a: vault.secret(token), b: shown}\nservice_name: db-vault.secret(short)\nhost2: x\n", "secrets: [path: secret/x]\n")
	files["oracle.yaml"] = strings.Replace(files["oracle.yaml"], "  host2: x\n", "", 1)
	files[secretsName] = "secret/x: {token: token-value, short: abc, host: db.example.com, password: 12345, execute: secret-statement}\n"
	l := newLab(t, files)
	resolved := l.resolve(t, "oracle", map[string]any{"wallet_password": "typed-by-flow"})
	var masked []string
	for _, s := range resolved.Masked {
		masked = append(masked, s.Reveal())
	}
	slices.Sort(masked)
	want := []string{"12345", "abc", "db-abc", "secret-statement", "token-value", "typed-by-flow"}
	if diff := cmp.Diff(want, masked); diff != "" {
		t.Errorf("masked (-want +got):\n%s", diff)
	}
	in := resolved.Inputs
	if in.String("host") != "db.example.com" || in.String("execute") != "secret-statement" || in.String("service_name") != "db-abc" {
		t.Errorf("the driver got host %q, execute %q, service_name %q", in.String("host"), in.String("execute"), in.String("service_name"))
	}
	wantWarnings := []string{`"service_name" (secret secret/x#short) holds a secret shorter than 6 bytes: it is not masked where it appears`, `"password" (secret secret/x#password) holds a secret shorter than 6 bytes: it is not masked where it appears`}
	if diff := cmp.Diff(wantWarnings, resolved.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if len(resolved.Pairs) != 1 || resolved.Pairs[0].User != "u" || resolved.Pairs[0].Password.Reveal() != "12345" {
		t.Errorf("got pairs %v", resolved.Pairs)
	}
	for _, text := range []string{fmt.Sprintf("%+v", resolved), fmt.Sprintf("%#v", resolved)} {
		for _, hidden := range []string{"token-value", "12345", "typed-by-flow", "secret-statement"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%q shows in %s", hidden, text)
			}
		}
	}
}

func TestPlainPasswordInFileIsWarnedOf(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile("password: plain-password", ""))
	got := l.resolve(t, "oracle", nil).Warnings
	want := []string{l.dir + `/oracle.yaml:6: "password" stands in a file as plain text; attach a secret instead`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
