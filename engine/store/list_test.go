package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// forest commits ten trees of an owner, each of a root and two children, half of
// whose roots have succeeded.
func forest(tb testing.TB, s *store.Store, owner string) {
	tb.Helper()
	for i := range 10 {
		id := engine.ID(fmt.Sprint(owner, "r", i))
		created := now().Add(time.Duration(i/2) * time.Second) // pairs of the same time
		top := root(id, owner)
		top.Create.Created = created
		if i%2 == 0 {
			top.State = &journal.State{Status: engine.Succeeded, Ended: created}
		}
		first := childOf(id, 1)
		first.Create.Owner, first.Create.Created = owner, created.Add(time.Minute)
		second := childOf(id, 2)
		second.Create.Owner, second.Create.Created, second.Create.Status = owner, created, engine.Paused
		mustCommit(tb, s, top, first, second)
	}
}

func ids(rows []journal.Row) (ids []engine.ID) {
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	forest(t, s, "")
	forest(t, s, "ann")
	for name, test := range map[string]struct {
		filter store.Filter
		want   []engine.ID
	}{
		"roots":     {store.Filter{}, []engine.ID{"r9", "r8", "r7", "r6", "r5", "r4", "r3", "r2", "r1", "r0"}},
		"succeeded": {store.Filter{Status: engine.Succeeded, Owner: "ann"}, []engine.ID{"annr8", "annr6", "annr4", "annr2", "annr0"}},
		"running":   {store.Filter{Status: engine.Running}, []engine.ID{"r9", "r7", "r5", "r3", "r1"}},
		"all":       {store.Filter{Limit: 12, Children: true, Status: engine.Paused}, []engine.ID{"r9.2", "r8.2", "r7.2", "r6.2", "r5.2", "r4.2", "r3.2", "r2.2", "r1.2", "r0.2"}},
		"named":     {store.Filter{Name: "part", Children: true, Status: engine.Running}, []engine.ID{"r9.1", "r8.1", "r7.1", "r6.1", "r5.1", "r4.1", "r3.1", "r2.1", "r1.1", "r0.1"}},
		"no root":   {store.Filter{Name: "part"}, nil},
		"nobody":    {store.Filter{Owner: "bob", Children: true}, nil},
	} {
		for _, limit := range []int{0, 1, 3} {
			filter := test.filter
			filter.Limit = limit
			var got []engine.ID
			for pages := 0; ; pages++ {
				rows, next, err := s.Executions().List(t.Context(), filter)
				if err != nil || limit > 0 && len(rows) > limit || pages > 30 {
					t.Fatalf("%s: %d rows, %v", name, len(rows), err)
				}
				got = append(got, ids(rows)...)
				if filter.Before = next; next == "" {
					break
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s in pages of %d (-want +got):\n%s", name, limit, diff)
			}
		}
	}
	rows, _, err := s.Executions().List(t.Context(), store.Filter{Children: true})
	if err != nil || len(rows) != 30 || rows[0].ID != "r9.1" || rows[10].ID != "r9.2" || rows[11].ID != "r9" {
		t.Errorf("all: %v, %v", ids(rows), err)
	}
	_, _, err = s.Executions().List(t.Context(), store.Filter{Before: "yesterday"})
	wantFailure(t, err, engine.Invalid, `"yesterday" is no cursor`, "")
	counts, err := s.Executions().Counts(t.Context(), "ann")
	if diff := cmp.Diff(map[engine.Status]int{engine.Running: 15, engine.Paused: 10, engine.Succeeded: 5}, counts); diff != "" || err != nil {
		t.Errorf("counts %v (-want +got):\n%s", err, diff)
	}
}

func TestTreeAndLines(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	e := s.Executions()
	top, kid, grandkid := root("a", ""), childOf("a", 1), childOf("a.1", 7)
	grandkid.Create.Root = "a"
	mustCommit(t, s, top, kid, childOf("a", 2), grandkid, root("b", ""))
	for i := range 40 {
		var changes []journal.Change
		for _, id := range []engine.ID{"b", "a", "a.1", "a.1.7"} {
			changes = append(changes, journal.Change{ID: id, Lines: []journal.Line{line(i+1, i, fmt.Sprint(id, " says ", i))}})
		}
		mustCommit(t, s, changes...)
	}
	for id, want := range map[engine.ID][]engine.ID{
		"a": {"a", "a.1", "a.1.7", "a.2"}, "a.1": {"a.1", "a.1.7"}, "a.2": {"a.2"}, "b": {"b"},
	} {
		rows, err := e.Tree(t.Context(), id)
		if diff := cmp.Diff(want, ids(rows)); diff != "" || err != nil {
			t.Errorf("tree of %s, %v (-want +got):\n%s", id, err, diff)
		}
	}
	for id, want := range map[engine.ID][]engine.ID{"a": {"a", "a.1", "a.1.7"}, "a.1": {"a.1", "a.1.7"}, "a.2": nil, "b": {"b"}} {
		var after int64
		count := 0
		for {
			lines, err := e.Lines(t.Context(), id, after, 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) == 0 {
				break
			}
			for _, l := range lines {
				number := count/len(want) + 1
				of := want[count%len(want)]
				if diff := cmp.Diff(line(number, number-1, fmt.Sprint(of, " says ", number-1)), l.Line); diff != "" || l.Execution != of || l.Position <= after {
					t.Fatalf("line %d of %s is of %s (-want +got):\n%s", count, id, l.Execution, diff)
				}
				after = l.Position
				count++
			}
		}
		if count != 40*len(want) {
			t.Errorf("%s has %d lines, want %d", id, count, 40*len(want))
		}
	}
	wantFailure(t, second2(e.Tree(t.Context(), "c")), engine.NotFound, `no such execution: "c"`, "")
	wantFailure(t, second2(e.Lines(t.Context(), "c", 0, 1)), engine.NotFound, `no such execution: "c"`, "")
}

func TestFlows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	f := s.Flows()
	apply := func(owner, name, text string, want int, wantChanged bool) {
		t.Helper()
		version, changed, err := f.Apply(t.Context(), owner, name, []byte(text))
		if err != nil || version.Version != want || changed != wantChanged || version.Name != name || !version.Changed.Equal(now().Truncate(time.Microsecond)) {
			t.Errorf("apply gives %+v, %t, %v", version, changed, err)
		}
	}
	apply("", "nightly", script, 1, true)
	apply("", "nightly", script, 1, false)
	apply("", "nightly", "return 2", 2, true)
	apply("", "nightly", script, 3, true)
	apply("", "hourly", "", 1, true)
	apply("ann", "nightly", "return 4", 1, true)
	for version, want := range map[int]string{0: script, 1: script, 2: "return 2", 3: script} {
		if _, text, err := f.Get(t.Context(), "", "nightly", version); err != nil || string(text) != want {
			t.Errorf("version %d is %q, %v", version, text, err)
		}
	}
	list, err := f.List(t.Context(), "")
	if err != nil || len(list) != 2 || list[0].Name != "hourly" || list[1].Version != 3 {
		t.Errorf("list is %+v, %v", list, err)
	}
	versions, err := f.Versions(t.Context(), "", "nightly")
	if err != nil || len(versions) != 3 || versions[0].Version != 3 || versions[1].Digest != journal.Digest([]byte("return 2")) {
		t.Errorf("versions are %+v, %v", versions, err)
	}
	mustCommit(t, s, root("a", "")) // keeps its text
	if err := f.Delete(t.Context(), "", "nightly"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		f.Delete(t.Context(), "", "nightly"), second2(f.Versions(t.Context(), "", "nightly")),
		func() error { _, _, err := f.Get(t.Context(), "", "nightly", 2); return err }(),
	} {
		wantFailure(t, err, engine.NotFound, "no such flow", "")
	}
	if _, err := s.Executions().Text(t.Context(), journal.Digest([]byte(script))); err != nil {
		t.Errorf("the text of an execution went with its flow: %v", err)
	}
	wantFailure(t, second2(s.Executions().Text(t.Context(), journal.Digest([]byte("return 2")))), engine.NotFound, "", "")
	apply("", "nightly", script, 4, true)
	wantFailure(t, func() error { _, _, err := f.Apply(t.Context(), "", "", nil); return err }(), engine.Invalid, "needs a name", "")
}
