package flows_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAFlowConnectsAndReturns(t *testing.T) {
	t.Parallel()
	h := &host{}
	got, err := run(t, h, `
local library = connect("library", { ref = "v2" })
return { ref = library.output.ref, same = library:get("output_value").ref, status = library.status }`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"ref": "v2", "same": "v2", "status": "succeeded"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"connect library"}, h.called()); d != "" {
		t.Error(d)
	}
	if c := h.calls[0]; c.Where != "flow.lua:2" || c.From != "flow.lua" {
		t.Errorf("the call says where %q, from %q", c.Where, c.From)
	}
}
