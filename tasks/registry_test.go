package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

type driver struct{ spec tasks.Spec }

func (d driver) Spec() tasks.Spec { return d.spec }

func (driver) Open(context.Context, schema.Inputs, tasks.Env) (tasks.Session, error) {
	return nil, errors.New("not made for it")
}

// keeper is a driver that keeps something between sessions.
type keeper struct {
	driver
	closed *int
}

func (k keeper) Close() { *k.closed++ }

func TestRegistryClosesWhatDriversKeep(t *testing.T) {
	t.Parallel()
	closed := 0
	r, err := tasks.NewRegistry(driver{good("ABLE")}, keeper{driver{good("ZED")}, &closed})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if closed != 1 {
		t.Errorf("the driver was closed %d times", closed)
	}
}

func good(taskType string) tasks.Spec {
	return tasks.Spec{
		Type: taskType,
		Doc:  "Reads and writes.",
		Inputs: schema.Object{Fields: []schema.Field{
			{Name: "command", Type: schema.String, Enum: []string{"read", "write"}, Doc: "What to do.", Default: "read"},
			{Name: "user", Type: schema.String, Public: true, Doc: "Who."},
			{Name: "password", Type: schema.String, Sensitive: true, PairedWith: "user", Doc: "Their password."},
			{Name: "limits", Type: schema.Map, Elem: schema.Int, Doc: "Limits."},
			{Name: "wait", Type: schema.Duration, Default: time.Second, Doc: "How long."},
		}},
		Selector: "command",
		Operations: []tasks.Operation{
			{Name: "read", Idempotent: true, Doc: "Reads.", Output: []tasks.OutputField{{Name: "text", Type: schema.String, Doc: "What was read."}}},
			{Name: "write", Doc: "Writes.", Inputs: []string{"limits"}, Required: []string{"limits"}},
		},
		Default: map[string]any{"limits": map[string]any{"a": int64(1)}},
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	r, err := tasks.NewRegistry(driver{good("ZED")}, driver{good("ABLE")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ABLE", "ZED"}, r.Types()); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	d, ok := r.Driver("zed")
	if !ok || d.Spec().Type != "ZED" {
		t.Errorf("a type in lower case is not found")
	}
	if _, ok := r.Driver("nope"); ok {
		t.Error("an unknown type is found")
	}
	if in, ok := r.Inputs("Able"); !ok || len(in.Fields) != 5 {
		t.Errorf("inputs of a type: got %v, %v", in, ok)
	}

	got, _ := r.Default("able")
	got["limits"].(map[string]any)["a"] = int64(2)
	again, _ := r.Default("able")
	if diff := cmp.Diff(map[string]any{"limits": map[string]any{"a": int64(1)}}, again); diff != "" {
		t.Errorf("a caller changed the default (-want +got):\n%s", diff)
	}
	if _, ok := r.Default("nope"); ok {
		t.Error("an unknown type has a default")
	}
}

// chosen is a Spec without a selector: the inputs are the operations.
func chosen() tasks.Spec {
	s := good("CHOSEN")
	s.Selector = ""
	s.Inputs.Fields = append(s.Inputs.Fields,
		schema.Field{Name: "read", Type: schema.String, Doc: "What to read."}, schema.Field{Name: "write", Type: schema.String, Doc: "What to write."})
	s.Inputs.Conflicts = [][]string{{"read", "write"}}
	return s
}

func TestOperationByItsInput(t *testing.T) {
	t.Parallel()
	spec := chosen()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	in, problems := spec.Inputs.Decode(map[string]schema.Input{"read": {Value: "x"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if op, err := spec.Check(in); err != nil || op.Name != "read" {
		t.Errorf("got %q, %v", op.Name, err)
	}
	in, _ = spec.Inputs.Decode(nil)
	if _, err := spec.Check(in); err == nil || !strings.Contains(err.Error(), "no input says what to do") {
		t.Errorf("got %v", err)
	}

	spec.Inputs.Conflicts = nil
	if err := spec.Validate(); err == nil || !strings.Contains(err.Error(), "do not exclude each other") {
		t.Errorf("without the conflict: got %v", err)
	}
	spec = chosen()
	spec.Inputs.Fields[5].Default = "x"
	if err := spec.Validate(); err == nil || !strings.Contains(err.Error(), "chooses an operation and has a default") {
		t.Errorf("with a default: got %v", err)
	}
}

func TestRegistryRefusesATypeTwice(t *testing.T) {
	t.Parallel()
	_, err := tasks.NewRegistry(driver{good("ABLE")}, driver{good("ABLE")})
	if err == nil || !strings.Contains(err.Error(), "ABLE: it is registered twice") {
		t.Errorf("got %v", err)
	}
}

func TestRegistryRefusesBadSpecs(t *testing.T) {
	t.Parallel()
	field := func(s *tasks.Spec, i int) *schema.Field { return &s.Inputs.Fields[i] }
	tests := map[string]struct {
		spoil func(*tasks.Spec)
		want  string
	}{
		"lower case type":      {func(s *tasks.Spec) { s.Type = "able" }, `the type "able"`},
		"no doc":               {func(s *tasks.Spec) { s.Doc = " " }, "no doc"},
		"input twice":          {func(s *tasks.Spec) { field(s, 1).Name = "command" }, `input "command" is declared twice`},
		"camel case":           {func(s *tasks.Spec) { field(s, 1).Name = "userName" }, "not snake_case"},
		"input without doc":    {func(s *tasks.Spec) { field(s, 1).Doc = "" }, `input "user" has no doc`},
		"unknown type":         {func(s *tasks.Spec) { field(s, 1).Type = "text" }, `unknown type "text"`},
		"elements of a string": {func(s *tasks.Spec) { field(s, 1).Elem = schema.Int }, "neither list nor map"},
		"enum of an int":       {func(s *tasks.Spec) { field(s, 1).Type = schema.Int; field(s, 1).Enum = []string{"1"} }, "an enum but is no string"},
		"default's type":       {func(s *tasks.Spec) { field(s, 4).Default = "1s" }, `the default of input "wait" is a string, not a duration`},
		"default not in enum":  {func(s *tasks.Spec) { field(s, 0).Default = "x" }, "not in its enum"},
		"required default":     {func(s *tasks.Spec) { field(s, 0).Required = true }, "required and has a default"},
		"sensitive int":        {func(s *tasks.Spec) { field(s, 2).Type = schema.Int }, "sensitive but no string"},
		"sensitive public":     {func(s *tasks.Spec) { field(s, 2).Public = true }, "both sensitive and public"},
		"sensitive default":    {func(s *tasks.Spec) { field(s, 2).Default = "x" }, "sensitive and has a default"},
		"pair unknown":         {func(s *tasks.Spec) { field(s, 2).PairedWith = "usr" }, `input "usr", which is not declared`},
		"pair not sensitive":   {func(s *tasks.Spec) { field(s, 1).PairedWith = "command" }, "paired but not sensitive"},
		"conflict unknown":     {func(s *tasks.Spec) { s.Inputs.Conflicts = [][]string{{"user", "usr"}} }, `a conflict names input "usr"`},
		"no selector":          {func(s *tasks.Spec) { s.Selector = "op" }, `selector "op" is not declared`},
		"selector not an enum": {func(s *tasks.Spec) { field(s, 0).Enum = []string{"read"} }, "not an enum of the operations read, write"},
		"no operation":         {func(s *tasks.Spec) { s.Operations = nil }, "no operation"},
		"operation twice":      {func(s *tasks.Spec) { s.Operations[1].Name = "read" }, `"read" is unnamed or there twice`},
		"operation's input":    {func(s *tasks.Spec) { s.Operations[1].Inputs = []string{"limit"} }, `operation "write" names input "limit"`},
		"operation's required": {func(s *tasks.Spec) { s.Operations[1].Required = []string{"limit"} }, `operation "write" names input "limit"`},
		"operation's doc":      {func(s *tasks.Spec) { s.Operations[1].Doc = "" }, `operation "write" has no doc`},
		"output's doc":         {func(s *tasks.Spec) { s.Operations[0].Output[0].Doc = "" }, `output "text"`},
		"default unknown":      {func(s *tasks.Spec) { s.Default["x"] = "y" }, `gives "x", which is not declared`},
		"default sensitive":    {func(s *tasks.Spec) { s.Default["password"] = "y" }, `gives "password", which is sensitive`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good("ABLE")
			tt.spoil(&s)
			_, err := tasks.NewRegistry(driver{s})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %s", err, tt.want)
			}
		})
	}
}
