package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-engine/weir/connections/schema"
)

func compile(t *testing.T, o schema.Object) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(o.JSONSchema())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("inputs.json", tree); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("inputs.json") // checks it against the meta-schema, too
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSONSchemaJudgesLikeDecode(t *testing.T) {
	t.Parallel()
	compiled := compile(t, object())
	for text, valid := range map[string]bool{
		`{"host": "h"}`: true,
		`{"host": "h", "port": 1, "timeout": "1m30s", "ratio": 1.5, "autocommit": false, "paths": ["a"], "labels": {"a": 1}, "params": [1, null], "mode": "fetch", "password": "p"}`: true,
		`{"host": "h", "timeout": 5}`:                    true,
		`{"host": "h", "sid": "x"}`:                      true,
		`{}`:                                             false,
		`{"host": "h", "prot": 1}`:                       false,
		`{"host": "h", "port": 1.5}`:                     false,
		`{"host": "h", "timeout": "soon"}`:               false,
		`{"host": "h", "timeout": -1}`:                   false,
		`{"host": "h", "mode": "guess"}`:                 false,
		`{"host": "h", "paths": "a"}`:                    false,
		`{"host": "h", "labels": {"a": "x"}}`:            false,
		`{"host": "h", "sid": "x", "service_name": "y"}`: false,
	} {
		tree, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(tree); (err == nil) != valid {
			t.Errorf("schema on %s: %v", text, err)
		}
		given := map[string]schema.Input{}
		for name, v := range tree.(map[string]any) {
			given[name] = fromFlow(v)
		}
		if _, problems := object().Decode(given); (len(problems) == 0) != valid {
			t.Errorf("Decode on %s: %v", text, problems)
		}
	}
}

func TestJSONSchemaMarksSecrets(t *testing.T) {
	t.Parallel()
	password := object().JSONSchema()["properties"].(map[string]any)["password"].(map[string]any)
	if password["writeOnly"] != true || password["format"] != "password" {
		t.Errorf("got %v", password)
	}
}
