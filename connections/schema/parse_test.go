package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/schema"
)

func parseOne(t *testing.T, text string) schema.Document {
	t.Helper()
	documents, problems := schema.Parse("f.yaml", []byte(text))
	if len(problems) != 0 || len(documents) != 1 {
		t.Fatalf("got %d documents and problems %v from:\n%s", len(documents), problems, text)
	}
	return documents[0]
}

func TestParseGivesPlainValuesByTheCoreSchema(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"0123": "0123", "-007": "-007", "1e3": 1000.0, "2026-01-02": "2026-01-02", "yes": "yes", "No": "No", "on": "on",
		"12": int64(12), "+5": int64(5), "-3": int64(-3), "0": int64(0), "0x1F": int64(31), "0o17": int64(15), "1_000": "1_000",
		"1.5": 1.5, ".5": 0.5, "5.": 5.0, "-1.5E-3": -0.0015, "1e999": "1e999", "00.5": "00.5", "1:30": "1:30",
		".inf": ".inf", ".NaN": ".NaN", "+": "+", "-": nil, ".": ".", "1.2.3": "1.2.3", "+e5": "+e5", "1e": "1e", "0x": "0x",
		"123456789012345678901234567890": json.Number("123456789012345678901234567890"),
		"true":                           true, "TRUE": true, "tRUE": "tRUE", "false": false, "null": nil, "~": nil, "": nil, `""`: "",
		`"12"`: "12", "'true'": "true", "!!str 12": "12", "!!int 12": int64(12), "!!float 12": 12.0, "!!bool true": true, "!!null ~": nil,
		"Grüße 🙂": "Grüße 🙂", "|\n  two\n  lines\n": "two\nlines\n",
	} {
		if text == "-" {
			continue // a list with nothing in it
		}
		got, _ := parseOne(t, "k: "+text+"\n").Node.Get("k")
		if diff := cmp.Diff(want, got.Plain()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestScalarsKeepTheirTextAndPlace(t *testing.T) {
	t.Parallel()
	node := parseOne(t, "# first\na: 0123\nb:\n  - 1e3\n  - 2026-01-02\n  - 'it''s'\n").Node
	got := node.Tree()
	scalar := func(text string, value any, line, col int) schema.Scalar {
		return schema.Scalar{Text: text, Value: value, Pos: schema.Pos{File: "f.yaml", Line: line, Col: col}}
	}
	want := map[string]any{
		"a": scalar("0123", "0123", 2, 4),
		"b": []any{scalar("1e3", 1000.0, 4, 5), scalar("2026-01-02", "2026-01-02", 5, 5), scalar("it's", "it's", 6, 5)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseReportsInItsOwnWords(t *testing.T) {
	t.Parallel()
	align := "keys of one mapping, and items of one list, start in the same column"
	for text, want := range map[string]string{
		"a: 1\n\tb: 2\n":                   "2: the line is indented with a tab | use spaces: YAML allows no tabs there",
		"a: 1\nb: x: y\n":                  "2: \": \" cannot stand here | check the indentation, or put a text that holds \": \" in quotes",
		"x:\n  a: 1\n  b: 2\n  c: 'd' e\n": "4: the indentation does not fit the lines before | " + align,
		"a:\n  - x\n - y\n":                "3: the indentation does not fit the lines before | " + align,
		"- a\n- b\nc: d\n":                 "3: the indentation does not fit the lines before | " + align,
		"x: 1\na: [1, 2\nb: 3\n":           "2: a list in [ ] is not closed, or lacks a comma | ",
		"x: 1\na: {b: 1\nc: 2\n":           "2: a mapping in { } is not closed, or lacks a comma | ",
		"x: 1\na: \"open\nb: 1\n":          "2: a quote is not closed | ",
		"a: 1\nfoo\n":                      "2: this is no \"key: value\" line | a space must follow the colon; check also that every quote is closed",
		"x: 1\na: *secret\n":               "2: an alias has no anchor of its name before it | put a text that starts with * in quotes",
		"a: @b\n":                          "1: a text cannot start like this | put a text that starts with @, % or ` in quotes",
		"a: \"\\d\"\n":                     "1: unknown escape after \\ in a text in double quotes | write \\\\ for a backslash, or use single quotes",
		"{a: 1}\nb: 2\n":                   "2: something follows the end of the value | ",
		"a: 1\nb: 2\na: 3\n":               "3: the key \"a\" stands twice, on lines 1 and 3 | keep one of them",
		"x:\n  7: y\n":                     "2: a key is a number, a truth value or empty; keys are texts | put the key in quotes",
		"? [a]\n: b\n":                     "1: a key is a list or a mapping; keys are texts | ",
		"a: !password x\n":                 "1: YAML tags (!name) other than !!str, !!int, !!float, !!bool, !!null, !!seq and !!map are not supported | put a text that starts with ! in quotes",
		"a: !!int x\n":                     "1: the value does not fit its tag !!int | ",
		"<<: 3\n":                          "1: the merge key << needs a mapping, or a list of mappings | ",
		"a: &x [*x]\n":                     "1: the alias stands inside of its own anchor | ",
		"a: 1\nb: \xff\n":                  "2: the text is not valid UTF-8 | ",
		"a: \x01\n":                        "1: the text holds a control character | write it as an escape in double quotes, such as \"\\x07\"",
		strings.Repeat("[", 20000):         "1: lists and mappings are nested too deeply | ",
		"a: " + strings.Repeat("[", 65) + strings.Repeat("]", 65): "1: lists and mappings are nested more than 64 deep | ",
		"a: " + strings.Repeat("x", schema.MaxText):               "1: the document has 1048579 bytes; at most 1048576 (1 MiB) are allowed | keep large data in a file of its own and name that file",
	} {
		documents, problems := schema.Parse("f.yaml", []byte(text))
		if len(documents) != 0 || len(problems) != 1 {
			t.Errorf("%.40q: got %d documents, problems %v", text, len(documents), problems)
			continue
		}
		got := strings.TrimPrefix(problems[0].String(), "f.yaml:") + " | " + problems[0].Hint
		if got != want {
			t.Errorf("%.40q\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestParseReportsEveryDuplicate(t *testing.T) {
	t.Parallel()
	_, problems := schema.Parse("", []byte("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n"))
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		`line 2: the key "a" stands twice, on lines 1 and 2`,
		`line 3: the key "c" stands twice, on lines 3 and 3`,
		`line 4: the key "a" stands twice, on lines 1 and 4`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAliasBombIsStopped(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&text, "l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	_, problems := schema.Parse("bomb.yaml", []byte(text.String()))
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "more than 100000 values") {
		t.Errorf("got %v", problems)
	}
}

func TestAliasesAndMergeKeysAreExpanded(t *testing.T) {
	t.Parallel()
	got := parseOne(t, `
base: &base {host: a, port: 1}
more: &more {user: u}
one: {<<: *base, port: 2}
two: {<<: [*more, *base], x: *base}
`).Node.Plain()
	base := map[string]any{"host": "a", "port": int64(1)}
	want := map[string]any{
		"base": base,
		"more": map[string]any{"user": "u"},
		"one":  map[string]any{"host": "a", "port": int64(2)},
		"two":  map[string]any{"user": "u", "host": "a", "port": int64(1), "x": base},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentsStandAlone(t *testing.T) {
	t.Parallel()
	documents, problems := schema.Parse("f.yaml", []byte("%YAML 1.2\n---\na: 1\n---\nb: [\n---\n# nothing\n---\n\n# c\nc: 3 # three\n...\nd: 4\n--- {e: 5}\n"))
	var got []string
	for _, d := range documents {
		line, _ := json.Marshal(d.Node.Plain())
		got = append(got, fmt.Sprintf("%s %s %q", d.Node.Pos, line, d.Text))
	}
	want := []string{
		`f.yaml:3 {"a":1} "a: 1\n"`,
		`f.yaml:11 {"c":3} "\n# c\nc: 3 # three\n"`,
		`f.yaml:13 {"d":4} "d: 4\n"`,
		`f.yaml:14 {"e":5} "{e: 5}\n"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(problems) != 1 || problems[0].Pos.Line != 5 {
		t.Errorf("got problems %v, want one on line 5", problems)
	}
}

func TestTextOfKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"comments and order": {
			"name: x\nvalue:\n  # the host\n  host: a   # here\n\n  port: 0123\n  # the end\n\n# of type\ntype: y\n",
			"# the host\nhost: a   # here\n\nport: 0123\n# the end\n",
		},
		"deeper":           {"value:\n    key: |\n      a\n       b\n    l:\n    - x\n    - y\nz: 1\n", "key: |\n  a\n   b\nl:\n- x\n- y\n"},
		"comment outdents": {"value:\n  a: 1\n# still inside\n  b: 2\n", "a: 1\n# still inside\nb: 2\n"},
		"flow":             {"value: {a: 1, b: [x]} # c\n", "{a: 1, b: [x]} # c\n"},
		"alias":            {"base: &b {a: 1}\nvalue:\n  x: *b\n  <<: *b\n", "x:\n  a: 1\na: 1\n"},
		"empty":            {"value: {}\n", "{}\n"},
		"last block":       {"value:\n  a: |+\n    x\n\n\n", "a: |+\n  x\n\n\n"},
		"list of mappings": {"value:\n- a: 1\n  b: 2\n- c\nx: 1\n", "- a: 1\n  b: 2\n- c\n"},
		"windows":          {"value:\r\n  a: 1\r\n  b: 2\r\n", "a: 1\nb: 2\n"},
	} {
		d := parseOne(t, c.text)
		value, _ := d.Node.Get("value")
		got := d.TextOf(value)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(value.Plain(), parseOne(t, got).Node.Plain()); diff != "" {
			t.Errorf("%s: value (-want +got):\n%s", name, diff)
		}
	}
}

func TestEncodeIsReadBack(t *testing.T) {
	t.Parallel()
	tree := map[string]any{
		"b": []any{nil, true, int64(5), 1.5, json.Number("123456789012345678901"), []any{}, map[string]any{}},
		"texts": []any{"", "x", "0123", "12", "1e3", "true", "null", "~", "yes", "<<", "- a", "a: b", "#c", " lead", "trail ",
			"two\nlines\n", "no end\nline", "\n lead", "tab\tin", "\ttab", "end\n\n", "ctrl\x00\x1b", "\u2028\u0085\ufeff", "'\"\\", "*a", "&a", "!a", "@a", "%a", "---", "...", "? x"},
		"a": map[string]any{"<<": "x", "1": "y", "null": "z", "k: v": "w"},
	}
	text, err := schema.Encode(tree)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(tree), parseOne(t, string(text)).Node.Plain()); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, text)
	}
	if i, j := strings.Index(string(text), "\na:"), strings.Index(string(text), "\nb:"); i > j {
		t.Errorf("keys are not sorted:\n%s", text)
	}
	for _, bad := range []any{make(chan int), "\xff", map[string]any{"\xff": 1}} {
		if _, err := schema.Encode(bad); err == nil {
			t.Errorf("Encode(%T) gave no error", bad)
		}
	}
}

// wholeNumbers makes float64s int64s where they are exact.
func wholeNumbers(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) && v > -1<<53 && v < 1<<53 {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = wholeNumbers(v[key])
		}
	}
	return v
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"a: 1\nb: [x, {y: z}]\n", "---\n# c\na: |+\n  x\n\n---\nb: &x {c: 1}\nd: *x\ne: {<<: *x}\n", "a: \"\\u00e9\"\n", "? a\n: b\n",
		"a:\n  - b\n  -  c: d\n     e: f\n", "a: !!int 0x1F\n", "a: 'x\n  y'\n", "\ta: 1\n", "%YAML 1.2\n---\na\n...\n", "a: >-\n  x\n   y\n\n  z\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, problems := schema.Parse("f", text)
		for _, p := range problems {
			breaks := strings.NewReplacer("\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(text))
			if p.Pos.Line < 1 || p.Pos.Line > 1+strings.Count(breaks, "\n") {
				t.Errorf("problem outside of the text: %+v", p)
			}
		}
		for _, d := range documents {
			want := wholeNumbers(d.Node.Plain())
			again, faults := schema.Parse("f", []byte(d.TextOf(d.Node)))
			if len(faults) != 0 || len(again) != 1 || !cmp.Equal(want, wholeNumbers(again[0].Node.Plain())) {
				t.Fatalf("TextOf reads as %v, problems %v, want %v\n%q", again, faults, want, d.TextOf(d.Node))
			}
			encoded, err := schema.Encode(want)
			if err != nil {
				t.Fatal(err)
			}
			again, faults = schema.Parse("f", encoded)
			if want == nil && len(again) == 0 {
				continue
			}
			if len(faults) != 0 || len(again) != 1 || !cmp.Equal(want, wholeNumbers(again[0].Node.Plain())) {
				t.Fatalf("Encode reads as %v, problems %v, want %v\n%q", again, faults, want, encoded)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte("name: oracle\ntype: SQLORACLE\nvalue:\n  host: my-oracle-server\n  port: 1521\n  service_name: xe\n  user: vault.secret(user)\n  password: vault.secret(password)\nsecrets:\n  - path: secret/data/oracle\n")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := schema.Parse("f.yaml", text); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}
