package taskstest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// checkOutput compares an output with what the operation says of it.
func checkOutput(t *testing.T, op tasks.Operation, output map[string]any) {
	t.Helper()
	declared := map[string]schema.Type{}
	for _, f := range op.Output {
		declared[f.Name] = f.Type
	}
	for name, v := range output {
		typ, ok := declared[name]
		if !ok {
			t.Errorf("operation %q gives %q, which it does not declare", op.Name, name)
			continue
		}
		if v != nil && !fits(typ, v) {
			t.Errorf("operation %q gives %q as %T, and declares %s", op.Name, name, v, typ)
		}
		if problem := plain(v, name); problem != "" {
			t.Errorf("operation %q: %s", op.Name, problem)
		}
	}
}

func fits(typ schema.Type, v any) bool {
	switch typ {
	case schema.String:
		_, ok := v.(string)
		return ok
	case schema.Int:
		_, ok := v.(int64)
		return ok
	case schema.Number:
		switch v.(type) {
		case float64, int64, json.Number:
			return true
		}
		return false
	case schema.Bool:
		_, ok := v.(bool)
		return ok
	case schema.List:
		_, ok := v.([]any)
		return ok
	case schema.Map:
		_, ok := v.(map[string]any)
		return ok
	}
	return true
}

// plain tells what in a tree is no plain value.
func plain(v any, at string) string {
	switch v := v.(type) {
	case nil, bool, float64, int64, json.Number, string:
	case []any:
		for i, e := range v {
			if problem := plain(e, fmt.Sprintf("%s[%d]", at, i)); problem != "" {
				return problem
			}
		}
	case map[string]any:
		for k, e := range v {
			if problem := plain(e, at+"."+k); problem != "" {
				return problem
			}
		}
	default:
		return fmt.Sprintf("%s is a %T, which is no plain value", at, v)
	}
	return ""
}
