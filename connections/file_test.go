package connections_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
)

const fullConnection = `name: oracle
type: SQLORACLE
description: |
  The library's database.
  Ask Ann.
labels:
  team: "0123"
  tier: gold
value:
  # where it is
  host: my-oracle-server   # the old one

  port: 0123
  options:
  - a: 1e3
    b: |
      two
      lines
  # the end
secrets:
  - path: secret/data/oracle
  - path: team/db
    mount: kv
    version: 3
    keys:
      password: pw
      user: login
    vault: prod
  - path: secret/three
    keys:
      - password
pinned:
  - host
ttl: 900
`

func TestParseReadsEveryField(t *testing.T) {
	t.Parallel()
	text := strings.Replace(fullConnection, "type: SQLORACLE", "type: sqloracle", 1)
	text = strings.Replace(text, "mount: kv", "mount: /kv/", 1)
	all, problems := connections.Parse("f.yaml", []byte(text))
	if len(problems) > 0 || len(all) != 1 {
		t.Fatal(problems)
	}
	got := all[0]
	want := connections.Connection{
		Name: "oracle", Type: "SQLORACLE",
		Description: "The library's database.\nAsk Ann.\n",
		Labels:      map[string]string{"team": "0123", "tier": "gold"},
		Text:        "# where it is\nhost: my-oracle-server   # the old one\n\nport: 0123\noptions:\n- a: 1e3\n  b: |\n    two\n    lines\n# the end\n",
		Secrets: []connections.AttachedSecret{
			{Path: "secret/data/oracle", Pos: schema.Pos{File: "f.yaml", Line: 21, Col: 5}},
			{Path: "team/db", Mount: "kv", Version: 3, Keys: map[string]string{"password": "pw", "user": "login"}, Vault: "prod", Pos: schema.Pos{File: "f.yaml", Line: 22, Col: 5}},
			{Path: "secret/three", Keys: map[string]string{"password": "password"}, Pos: schema.Pos{File: "f.yaml", Line: 29, Col: 5}},
		},
		Pinned: []string{"host"}, TTL: 900,
		Origin: connections.Origin{Source: "file", Pos: schema.Pos{File: "f.yaml", Line: 1, Col: 1}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(connections.Connection{}, "Value")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantValue := map[string]any{"host": "my-oracle-server", "port": "0123", "options": []any{map[string]any{"a": 1000.0, "b": "two\nlines\n"}}}
	if diff := cmp.Diff(any(wantValue), got.Value.Plain()); diff != "" {
		t.Errorf("value (-want +got):\n%s", diff)
	}
	if host := got.Value.Entries[0].Pos; host.Line != 11 {
		t.Errorf("got host on line %d, want 11", host.Line)
	}
}

func TestFormatIsReadBackTheSame(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"full":        fullConnection,
		"small":       "name: a\ntype: GIT\n",
		"empty value": "name: a\ntype: GIT\nvalue: {}\n",
		"flow value":  "name: a\ntype: GIT\nvalue: {a: 1, b: [x, y]}\n",
		"aliases":     "x-base: 1\nname: a\ntype: GIT\nvalue: {a: &x {k: v}, b: *x}\n",
		"odd texts":   "name: a\ntype: GIT\ndescription: ' spaces '\nlabels: {a: 'yes', b: '', c: \"\\ttab\"}\nvalue:\n  'a: b': \"x\\ny \\n\"\n  t: |+\n    keep\n\n\nsecrets: [{path: 'secret/a b', keys: []}]\npinned: ['1']\n",
	} {
		text = strings.TrimPrefix(text, "x-base: 1\n")
		want, problems := connections.Parse("", []byte(text))
		if len(problems) > 0 {
			t.Fatalf("%s: %v", name, problems)
		}
		formatted, err := connections.Format(want[0])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, problems := connections.Parse("", formatted)
		if len(problems) > 0 {
			t.Fatalf("%s: %v\n%s", name, problems, formatted)
		}
		noPlaces := cmp.FilterValues(func(schema.Pos, schema.Pos) bool { return true }, cmp.Ignore())
		if diff := cmp.Diff(want, got, noPlaces); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, formatted)
		}
		again, err := connections.Format(got[0])
		if err != nil || string(again) != string(formatted) {
			t.Errorf("%s: formatted twice it differs (-once +twice):\n%s", name, cmp.Diff(string(formatted), string(again)))
		}
	}
}

func TestParseTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: a\n":                                                         `"type" is required`,
		"type: GIT\nnmae: a\n":                                              `"name" is required; f:2: unknown field "nmae" (did you mean "name"?)`,
		"name: My Lib\ntype: GIT\n":                                         `f:1: "name" must be 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit ("my-lib" would do)`,
		"name: a\ntype: GIT-X\n":                                            `f:2: "type" must be a task type, such as GIT`,
		"- a\n":                                                             `f:1: a connection is a mapping, and this is a list (write one "key: value" a line)`,
		"just text\n":                                                       `f:1: a connection is a mapping, and this is a single value (write one "key: value" a line)`,
		"name: a\ntype: GIT\nvalue: [x]\n":                                  `f:3: "value" must be a mapping, not a list`,
		"name: a\ntype: GIT\nsecrets: [secret/x]\n":                         `f:3: an attached secret is a mapping, and this is a single value (write "- path: secret/oracle")`,
		"name: a\ntype: GIT\nsecrets: {path: x}\n":                          `f:3: "secrets" must be a list, not a mapping (write [a, b], or one item a line, each after "- ")`,
		"name: a\ntype: GIT\nsecrets: [{paht: secret/x}]\n":                 `f:3: "path" is required; f:3: unknown field "paht" (did you mean "path"?)`,
		"name: a\ntype: GIT\nsecrets: [{path: prod:secret/x}]\n":            `f:3: "path" holds the name of a Vault configuration (write vault: prod and path: secret/x)`,
		"name: a\ntype: GIT\nsecrets: [{path: secret/x#k}]\n":               `f:3: "path" holds a key (write the keys in a list of their own, as keys: [password])`,
		"name: a\ntype: GIT\nsecrets: [{path: secret/x, version: -1}]\n":    `f:3: "version" must be a version number from 1 on, or 0 for the newest`,
		"name: a\ntype: GIT\nsecrets: [{path: secret/x, keys: password}]\n": `f:3: "keys" must be a list of keys, or a mapping of input names to keys`,
		"name: a\ntype: GIT\nttl: 5m\n":                                     `f:3: "ttl" must be a whole number, not this text`,
		"name: a\ntype: GIT\nttl: -5\n":                                     `f:3: "ttl" must be a number of seconds from 0 on`,
		"name: a\ntype: GIT\nlabels: [x]\npinned: x\n":                      `f:3: "labels" must be a mapping, not a list; f:4: "pinned" must be a list, not this text (write [a, b], or one item a line, each after "- ")`,
		"name: a\ntype: GIT\nvalue:\n  x: 1\n  x: 2\n":                      `f:5: the key "x" stands twice, on lines 4 and 5 (keep one of them)`,
	} {
		all, problems := connections.Parse("f", []byte(text))
		if len(all) != 0 {
			t.Errorf("%q gave a connection", text)
		}
		var got []string
		for _, p := range problems {
			line := p.String()
			if p.Hint != "" {
				line += " (" + p.Hint + ")"
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseValue(t *testing.T) {
	t.Parallel()
	node, text, problems := connections.ParseValue("v.yaml", []byte("\n# c\na: 1 # one\n\n"))
	if len(problems) > 0 || text != "# c\na: 1 # one\n" || len(node.Entries) != 1 {
		t.Errorf("got %q, %v, %v", text, node, problems)
	}
	if node, text, problems = connections.ParseValue("", nil); len(problems) > 0 || text != "" || node.Kind != schema.MapNode {
		t.Errorf("got %q, %v, %v for nothing", text, node, problems)
	}
	for _, bad := range []string{"- a", "a: 1\n---\nb: 2\n", "a: [", "text", "a: " + strings.Repeat("x", 10<<20)} {
		if _, _, problems := connections.ParseValue("", []byte(bad)); len(problems) != 1 {
			t.Errorf("%.20q: got problems %v", bad, problems)
		}
	}
}

func TestValidName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "0": true, "s3.default": true, "a_b-c.d": true, strings.Repeat("a", 128): true,
		"": false, "A": false, ".a": false, "-a": false, "a b": false, "a/b": false, "ä": false, strings.Repeat("a", 129): false,
	} {
		if got := connections.ValidName(name); got != want {
			t.Errorf("ValidName(%q): got %v, want %v", name, got, want)
		}
	}
}
