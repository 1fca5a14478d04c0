package store_test

import (
	"fmt"
	"testing"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// TestNews reads the lines of all executions, and of those of one owner, page by page
// in the order of writing.
func TestNews(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	executions := s.Executions()
	if at, err := executions.Position(t.Context()); err != nil || at != 0 {
		t.Errorf("an empty store: got position %d, %v", at, err)
	}
	for i, owner := range []string{"", "ann", ""} {
		id := engine.ID(fmt.Sprint("r", i))
		change := root(id, owner)
		change.Lines = []journal.Line{
			{Number: 1, Event: engine.Event{Kind: engine.EventLog, Execution: id, Level: engine.Info, Message: fmt.Sprint(id, " one")}},
			{Number: 2, Event: engine.Event{Kind: engine.EventLog, Execution: id, Level: engine.Info, Message: fmt.Sprint(id, " two")}},
		}
		mustCommit(t, s, change)
	}
	ann, nobody := "ann", "bob"
	for name, test := range map[string]struct {
		owner *string
		want  string
	}{
		"all":    {nil, "[/r0 one /r0 two ann/r1 one ann/r1 two /r2 one /r2 two]"},
		"ann":    {&ann, "[ann/r1 one ann/r1 two]"},
		"nobody": {&nobody, "[]"},
	} {
		for _, limit := range []int{1, 2, 100} {
			var got []string
			for after, more := int64(0), true; more; {
				lines, err := executions.News(t.Context(), test.owner, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range lines {
					got = append(got, l.Owner+"/"+l.Event.Message)
					after = l.Position
				}
				more = len(lines) == limit
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("%s, %d at once: got %v, want %s", name, limit, got, test.want)
			}
		}
	}
	if at, err := executions.Position(t.Context()); err != nil || at != 6 {
		t.Errorf("got position %d, %v", at, err)
	}
}
