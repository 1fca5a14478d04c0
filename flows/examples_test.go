package flows_test

import (
	"context"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// example runs a flow of the examples. The task type FAKE gives its inputs back.
func example(t *testing.T, h *host, name string, input map[string]any) any {
	t.Helper()
	text, err := os.ReadFile("examples/" + name + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	h.reply = func(_ context.Context, c engine.Call) (any, error) {
		return map[string]any{"inputs": c.Inputs}, nil
	}
	got, failed := run(t, h, string(text), func(c *flows.Config) { c.Input = input })
	if failed != nil {
		t.Fatalf("%s: %v\n%s", name, failed, failed.Traceback)
	}
	return got
}

func TestExampleAsk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer map[string]string
		want   any
	}{
		{map[string]string{"approve": "true"}, map[string]any{"published": true, "channel": "stable"}},
		{map[string]string{"approve": "true", "channel": "beta", "note": "looks good"},
			map[string]any{"published": true, "channel": "beta", "note": "looks good"}},
		{map[string]string{"approve": "false", "note": "not yet"}, map[string]any{"published": false, "note": "not yet"}},
	} {
		h := &host{answer: typedIn(t, test.answer)}
		if d := cmp.Diff(test.want, example(t, h, "ask", map[string]any{"version": "2.0"})); d != "" {
			t.Errorf("%v: %s", test.answer, d)
		}
		if h.calls[0].Name != "Publish version 2.0?" {
			t.Errorf("the title is %q", h.calls[0].Name)
		}
	}
}

func TestExampleSetting(t *testing.T) {
	t.Parallel()
	s := newShelf()
	var got []any
	for _, name := range []string{"Ada", "Grace"} {
		got = append(got, example(t, &host{shelf: s}, "setting", map[string]any{"name": name}))
	}
	want := []any{
		map[string]any{"build": int64(1), "fence": int64(1)},
		map[string]any{"build": int64(2), "fence": int64(2), "before": "Ada"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
