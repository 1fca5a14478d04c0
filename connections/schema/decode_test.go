package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

func object() schema.Object {
	return schema.Object{
		Fields: []schema.Field{
			{Name: "host", Type: schema.String, Required: true, Public: true, Destination: true},
			{Name: "port", Type: schema.Int, Default: int64(1521), Public: true, Doc: "where it listens"},
			{Name: "service_name", Type: schema.String, Public: true},
			{Name: "sid", Type: schema.String, Public: true},
			{Name: "user", Type: schema.String},
			{Name: "password", Type: schema.String, Sensitive: true, PairedWith: "user"},
			{Name: "mode", Type: schema.String, Enum: []string{"fetch", "fetchrow", "execute"}, Default: "fetch"},
			{Name: "timeout", Type: schema.Duration, Default: 30 * time.Second},
			{Name: "ratio", Type: schema.Number},
			{Name: "autocommit", Type: schema.Bool, Default: true},
			{Name: "paths", Type: schema.List, Elem: schema.String},
			{Name: "labels", Type: schema.Map, Elem: schema.Int},
			{Name: "params", Type: schema.Any},
		},
		Conflicts: [][]string{{"service_name", "sid"}},
	}
}

// fromFile gives inputs as a connection file gives them.
func fromFile(t *testing.T, text string) map[string]schema.Input {
	t.Helper()
	inputs := map[string]schema.Input{}
	for _, e := range parseOne(t, text).Node.Entries {
		inputs[e.Key] = schema.Input{Value: e.Value.Tree(), Origin: schema.Origin{Layer: schema.LayerValue, Pos: e.Pos}}
	}
	return inputs
}

func fromFlow(v any) schema.Input {
	return schema.Input{Value: v, Origin: schema.Origin{Layer: schema.LayerFlow}}
}

func fromSecret(v any) schema.Input {
	return schema.Input{Value: v, Origin: schema.Origin{Layer: schema.LayerSecret, Path: "secret/oracle@3", Key: "k"}}
}

func TestDecodeTypesInputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		input schema.Input
		want  any
	}{
		{"port", fromFlow(1521.0), int64(1521)},
		{"port", fromFlow("1521"), int64(1521)},
		{"port", fromFlow(json.Number("1521")), int64(1521)},
		{"port", fromSecret(secret.New("1521")), int64(1521)},
		{"port", fromSecret(secret.Of(json.Number("1521"))), int64(1521)},
		{"user", fromFlow(1521.0), "1521"},
		{"user", fromFlow(1234567890123.0), "1234567890123"},
		{"user", fromSecret(secret.Of(json.Number("1e3"))), "1e3"},
		{"user", fromSecret(secret.Of(true)), "true"},
		{"mode", fromSecret(secret.New("execute")), "execute"},
		{"timeout", fromFlow(1.5), 1500 * time.Millisecond},
		{"timeout", fromFlow("2m"), 2 * time.Minute},
		{"timeout", fromFlow(int64(7)), 7 * time.Second},
		{"timeout", fromSecret(secret.New("90")), 90 * time.Second},
		{"ratio", fromFlow(int64(2)), 2.0},
		{"ratio", fromFlow("0.25"), 0.25},
		{"autocommit", fromFlow("false"), false},
		{"paths", fromFlow([]any{"a", 1.0, secret.New("b")}), []any{"a", "1", "b"}},
		{"labels", fromFlow(map[string]any{"a": "1", "b": 2}), map[string]any{"a": int64(1), "b": int64(2)}},
		{"params", fromFlow(map[string]any{"a": []any{nil, secret.New("x"), json.Number("12345678901234567890")}}), map[string]any{"a": []any{nil, "x", json.Number("12345678901234567890")}}},
	} {
		in, problems := object().Decode(map[string]schema.Input{"host": fromFlow("h"), c.name: c.input})
		if len(problems) > 0 {
			t.Errorf("%s from %T: %v", c.name, c.input.Value, problems)
			continue
		}
		if diff := cmp.Diff(c.want, in.Any(c.name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestTextsStayAsTyped(t *testing.T) {
	t.Parallel()
	in, problems := object().Decode(fromFile(t, "host: 0123\nuser: 1e3\nsid: 2026-01-02\npassword: 0x1F\npaths: [yes, 01, 1.50, null]\nparams: [yes, 01, 1.50]\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := []any{in.String("host"), in.String("user"), in.String("sid"), in.Secret("password").Reveal(), in.Strings("paths"), in.Any("params")}
	want := []any{"0123", "1e3", "2026-01-02", "0x1F", []string{"yes", "01", "1.50", "null"}, []any{"yes", "01", 1.5}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDefaultsAndAbsence(t *testing.T) {
	t.Parallel()
	in, problems := object().Decode(map[string]schema.Input{"host": fromFlow("h"), "port": fromFlow(nil), "user": fromSecret(secret.Of(nil))})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if in.Int("port") != 1521 || in.Duration("timeout") != 30*time.Second || !in.Bool("autocommit") || in.Has("user") || in.Has("password") {
		t.Errorf("got port %d, timeout %s, user %v, password %v", in.Int("port"), in.Duration("timeout"), in.Has("user"), in.Has("password"))
	}
}

func TestDecodeTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2-canary"
	given := fromFile(t, "prot: 1\nsid: x\nautocommit: yes\npaths:\n  - a\n  - [b]\nlabels: {a: 1, b: x}\nzzzzzz: 1\n")
	given["service_name"] = fromFlow("xe")
	given["port"] = fromSecret(secret.New(hidden))
	given["mode"] = fromFlow("fetchrows")
	given["timeout"] = fromFlow(-1.0)
	given["user"] = fromFlow([]any{hidden})
	given["password"] = fromSecret([]any{secret.New(hidden)})
	given["ratio"] = fromFlow(hidden)
	in, problems := object().Decode(given)
	var got []string
	for _, p := range problems {
		got = append(got, p.String()+" | "+p.Hint)
	}
	want := []string{
		`"host" is required | `,
		`"port" must be a whole number, not this text (from secret secret/oracle@3#k) | `,
		`"user" must be a text, not a list (from the flow) | `,
		`"password" must be a text, not a list (from secret secret/oracle@3#k) | `,
		`"mode" must be one of fetch, fetchrow, execute (from the flow) | did you mean "fetchrow"?`,
		`"timeout" must not be negative (from the flow) | write a number of seconds, or a text such as 30s, 5m or 1h30m`,
		`"ratio" must be a number, not this text (from the flow) | `,
		`f.yaml:3: "autocommit" must be true or false | `,
		`f.yaml:4: "paths"[2] must be a text, not a list | `,
		`f.yaml:7: "labels"[b] must be a whole number, not this text | `,
		`f.yaml:1: unknown input "prot" | did you mean "port"?`,
		`f.yaml:8: unknown input "zzzzzz" | known are autocommit, host, labels, mode, params, password, paths, port, ratio, service_name, sid, timeout, user`,
		`f.yaml:2: "service_name" (flow) and "sid" (value f.yaml:2) exclude each other | give one of them; a null in the flow takes an input away`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := fmt.Sprint(problems); strings.Contains(text, hidden) {
		t.Errorf("a value shows: %s", text)
	}
	if in.Has("port") || !in.Has("sid") {
		t.Error("want what is right, and nothing else")
	}
}

func TestEnumFromSecretGivesNoHint(t *testing.T) {
	t.Parallel()
	_, problems := object().Decode(map[string]schema.Input{"host": fromFlow("h"), "mode": fromSecret(secret.New("fetchrows"))})
	if len(problems) != 1 || problems[0].Hint != "" {
		t.Errorf("got %+v, want one problem without a hint: it would tell about the secret", problems)
	}
}

func TestSensitiveInputsAreSecrets(t *testing.T) {
	t.Parallel()
	for _, input := range []schema.Input{fromFlow("0123"), fromSecret(secret.New("0123")), fromFile(t, "password: 0123\n")["password"]} {
		in, problems := object().Decode(map[string]schema.Input{"host": fromFlow("h"), "password": input})
		if len(problems) > 0 || in.Secret("password").Reveal() != "0123" {
			t.Errorf("from %s: problems %v", input.Origin, problems)
		}
		if text := fmt.Sprintf("%+v %#v", in, in); strings.Contains(text, "0123") {
			t.Errorf("the inputs print the secret: %s", text)
		}
	}
}

func TestDecodedInputsShareNothing(t *testing.T) {
	t.Parallel()
	o := schema.Object{Fields: []schema.Field{{Name: "a", Type: schema.Any}, {Name: "d", Type: schema.List, Default: []any{"x"}}}}
	given := map[string]any{"k": []any{"v"}}
	in, _ := o.Decode(map[string]schema.Input{"a": fromFlow(given)})
	in.Any("a").(map[string]any)["k"].([]any)[0] = "changed"
	in.List("d")[0] = "changed"
	if given["k"].([]any)[0] != "v" || o.Fields[1].Default.([]any)[0] != "x" {
		t.Error("a change of decoded inputs reached their sources")
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"repository_url", "password", "port", "host", "ref", "files_path", "service_name", "user"}
	for name, want := range map[string]string{
		"prot": "port", "passwd": "password", "pasword": "password", "PASSWORD": "password", "usr": "user", "usre": "user",
		"service-name": "service_name", "url": "repository_url", "repo": "repository_url", "rfe": "ref", "hosts": "host",
		"xyz": "", "": "", "zzzzzz": "", strings.Repeat("p", 1000): "", "tempo": "",
	} {
		if got := schema.Nearest(name, known); got != want {
			t.Errorf("Nearest(%.20q): got %q, want %q", name, got, want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	o := object()
	given := map[string]schema.Input{"host": fromFlow("h"), "port": fromFlow(1.0), "user": fromSecret(secret.New("u")), "password": fromSecret(secret.New("p")), "sid": fromFlow("x")}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := o.Decode(given); problems != nil {
			b.Fatal(problems)
		}
	}
}

func TestGiven(t *testing.T) {
	t.Parallel()
	in, problems := object().Decode(map[string]schema.Input{"host": fromFlow("db"), "port": fromFlow(int64(1521)), "mode": fromFlow(nil)})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, want := range map[string]bool{"host": true, "port": true, "mode": false, "timeout": false, "user": false} {
		if in.Given(name) != want {
			t.Errorf("%s: given is %v", name, !want)
		}
	}
}
