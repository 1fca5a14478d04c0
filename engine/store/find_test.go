package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
)

func TestFind(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	forest(t, s, "")
	forest(t, s, "rr")
	for name, test := range map[string]struct {
		prefix   string
		children bool
		limit    int
		want     []engine.ID
	}{
		"one":          {"r7", false, 10, []engine.ID{"r7"}},
		"with its own": {"r7", true, 10, []engine.ID{"r7", "r7.1", "r7.2"}},
		"a child":      {"r7.2", true, 10, []engine.ID{"r7.2"}},
		"no root":      {"r7.2", false, 10, nil},
		"some":         {"r", false, 3, []engine.ID{"r0", "r1", "r2"}},
		"none":         {"r77", true, 3, nil},
		"another's":    {"rrr", true, 3, nil},
		"a pattern":    {"%", true, 3, nil},
		"unicode":      {"r\U0010ffff", true, 3, nil},
	} {
		got, err := s.Executions().Find(t.Context(), "", test.prefix, test.children, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
