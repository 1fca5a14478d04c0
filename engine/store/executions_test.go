package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// commit writes changes and waits for them.
func commit(s *store.Store, changes ...journal.Change) error {
	done := make(chan error, 1)
	s.Executions().Commit(changes, func(err error) { done <- err })
	return <-done
}

func mustCommit(tb testing.TB, s *store.Store, changes ...journal.Change) {
	tb.Helper()
	if err := commit(s, changes...); err != nil {
		tb.Fatal(err)
	}
}

// root is the creation of an execution of a flow, with its first event.
func root(id engine.ID, owner string) journal.Change {
	return journal.Change{
		ID: id,
		Create: &journal.Row{
			ID: id, Root: id, Owner: owner, Name: "nightly", Created: now(),
			State: journal.State{Status: engine.Running},
		},
		Events: []journal.Event{begun()},
		Texts:  map[string][]byte{journal.Digest([]byte(script)): []byte(script)},
	}
}

const script = `return connect("oracle")`

func begun() *journal.Begun {
	return &journal.Begun{At: now(), File: "nightly.lua", Text: journal.Digest([]byte(script)), Inputs: map[string]any{"day": int64(3)}, Try: 1}
}

func childOf(parent engine.ID, number int) journal.Change {
	id := journal.ChildID(parent, journal.Address{Number: number})
	change := root(id, "")
	change.Create.Root, change.Create.Parent, change.Create.Name = parent, parent, "part"
	return change
}

func returned(number int, output any) *journal.Returned {
	return &journal.Returned{
		Address: journal.Address{Number: number}, Identity: journal.Identity{Kind: engine.CallConnect, Name: "oracle", Digest: 7},
		Where: "nightly.lua:1", Status: engine.Succeeded, Type: "SQLORACLE", Output: output, Started: now(), Ended: now(), Tries: 1,
	}
}

func line(number, ordinal int, message string) journal.Line {
	return journal.Line{Number: number, Ordinal: ordinal, Event: engine.Event{
		Time: now(), Execution: "x", Kind: engine.EventLog, Level: engine.Info, Message: message,
		Fields: map[string]any{"n": int64(number)}, Where: "nightly.lua:1",
	}}
}

func load(tb testing.TB, s *store.Store, id engine.ID) journal.History {
	tb.Helper()
	h, err := s.Executions().Load(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// TestLoad commits a tree and reads it again, also after the store was opened anew
// and its key was rotated.
func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	first := root("a1", "ann")
	first.Traces = [][]byte{[]byte("trace 1"), []byte("trace 2")}
	first.Lines = []journal.Line{line(1, 1, "hello"), line(2, 0, "of a task")}
	wake := now().Add(time.Hour)
	mustCommit(t, s, first)
	mustCommit(t, s, journal.Change{
		ID: "a1", First: 1, Events: []journal.Event{returned(1, map[string]any{"rows": []any{int64(1), nil}}), &journal.Woken{Address: journal.Address{Number: 2}}},
		State:  &journal.State{Status: engine.Waiting, Wake: wake, Waits: "answer"},
		Lines:  []journal.Line{line(3, 2, "more"), line(4, 0, "of another")},
		Traces: [][]byte{[]byte("trace 2"), []byte("trace 3")},
	})
	kid := childOf("a1", 3)
	kid.Create.Owner = "ann"
	mustCommit(t, s, kid, journal.Change{ID: kid.ID, First: 1, Events: []journal.Event{&journal.Finished{At: now(), Status: engine.Failed}},
		State: &journal.State{Status: engine.Failed, Ended: now(), Kind: engine.Denied}, Traces: [][]byte{[]byte("trace 4")}})

	want := journal.History{
		Row: journal.Row{ID: "a1", Root: "a1", Owner: "ann", Name: "nightly", Created: now(),
			State: journal.State{Status: engine.Waiting, Wake: wake, Waits: "answer"}},
		Events: []journal.Event{begun(), returned(1, map[string]any{"rows": []any{int64(1), nil}}), &journal.Woken{Address: journal.Address{Number: 2}}},
		Lines:  4, Ordinal: 2,
	}
	key := load(t, s, "a1").TraceKey
	if key == [32]byte{} {
		t.Error("there is no key for traces")
	}
	check := func(s *store.Store, when string) {
		t.Helper()
		wantTraces(t, s, when, key, "a1", kid.ID)
		got, below := load(t, s, "a1"), load(t, s, kid.ID)
		got.Traces, got.TraceKey = nil, [32]byte{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
		wantKid := *kid.Create
		wantKid.State = journal.State{Status: engine.Failed, Ended: now(), Kind: engine.Denied}
		if diff := cmp.Diff(wantKid, below.Row); diff != "" || len(below.Events) != 2 {
			t.Errorf("%s: the child, with %d events (-want +got):\n%s", when, len(below.Events), diff)
		}
		if text, err := s.Executions().Text(t.Context(), journal.Digest([]byte(script))); err != nil || string(text) != script {
			t.Errorf("%s: text %q, %v", when, text, err)
		}
	}
	check(s, "committed")
	if err := s.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(s, "rotated")
	check(open(t, dir), "opened again")
	// A tree keeps its journal key; what is new gets the new one.
	late := childOf("a1", 4)
	late.Create.Owner = "ann"
	mustCommit(t, s, late, root("b1", ""))
	if got := load(t, s, late.ID); got.TraceKey != key {
		t.Error("a child has another key for traces than its tree")
	}
	var keys, old int
	err := edit(t, dir).QueryRowContext(t.Context(), `SELECT count(DISTINCT key), (SELECT count(*) FROM execution WHERE key = 1) FROM execution`).Scan(&keys, &old)
	if err != nil || keys != 2 || old != 3 {
		t.Errorf("after a rotation there are executions of %d keys, %d of the old one, %v", keys, old, err)
	}
	wantFailure(t, second2(s.Executions().Load(t.Context(), "a2")), engine.NotFound, `no such execution: "a2"`, "")
	wantFailure(t, second2(s.Executions().Text(t.Context(), journal.Digest(nil))), engine.NotFound, "the text", "")
}

// wantTraces checks that executions of a tree have all four traces of it, and the
// key that they are made with.
func wantTraces(tb testing.TB, s *store.Store, when string, key [32]byte, ids ...engine.ID) {
	tb.Helper()
	for _, id := range ids {
		if h := load(tb, s, id); len(h.Traces) != 4 || h.TraceKey != key {
			tb.Errorf("%s, %s has %d traces, and the key %x", when, id, len(h.Traces), h.TraceKey)
		}
		if got, err := s.Executions().TraceKey(tb.Context(), id); err != nil || got != key {
			tb.Errorf("%s, %s has the key for traces %x, %v", when, id, got, err)
		}
	}
}

func TestCommitRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	mustCommit(t, s, root("a", ""))
	event := []journal.Event{returned(1, nil)}
	for name, test := range map[string]struct {
		change  journal.Change
		kind    engine.Kind
		message string
	}{
		"again":      {root("a", ""), engine.Conflict, `there is an execution "a" already`},
		"number":     {journal.Change{ID: "a", First: 0, Events: event}, engine.Conflict, "event 0 of execution a is there already"},
		"gap":        {journal.Change{ID: "a", First: 2, Events: event}, engine.Conflict, "event 2 of execution a cannot be written before event 1"},
		"unknown":    {journal.Change{ID: "b", First: 1, Events: event}, engine.NotFound, `no such execution: "b"`},
		"state":      {journal.Change{ID: "b", State: &journal.State{Status: engine.Failed}}, engine.NotFound, `no such execution: "b"`},
		"orphan":     {childOf("b", 1), engine.NotFound, `no such execution: "b"`},
		"line twice": {journal.Change{ID: "a", Lines: []journal.Line{line(1, 0, "x"), line(1, 0, "y")}}, engine.Conflict, "line 1 of the log"},
	} {
		good := journal.Change{ID: "a", Lines: []journal.Line{line(7, 0, name)}}
		wantFailure(t, commit(s, good, test.change), test.kind, test.message, "")
	}
	mustCommit(t, s, journal.Change{ID: "a", First: 1, Events: event})
	if h := load(t, s, "a"); len(h.Events) != 2 || h.Lines != 0 {
		t.Errorf("after refusals there are %d events and line %d", len(h.Events), h.Lines)
	}
}

// TestCommitBatch queues many commits at once, some of which must fail, alone.
func TestCommitBatch(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	const count = 300
	type end struct {
		number int
		err    error
	}
	ends := make(chan end, 2*count)
	for i := range count {
		id := engine.ID(fmt.Sprint("e", i))
		if i%50 == 7 {
			id = "e0"
		}
		s.Executions().Commit([]journal.Change{root(id, "")}, func(err error) { ends <- end{2 * i, err} })
		s.Executions().Commit([]journal.Change{{ID: id, First: 1, Events: []journal.Event{returned(1, int64(i))}}}, func(err error) { ends <- end{2*i + 1, err} })
	}
	for i := range 2 * count {
		got := <-ends
		if got.number != i {
			t.Fatalf("commit %d is done as number %d", got.number, i)
		}
		culprit := i/2%50 == 7
		var failure *engine.Error
		if culprit && (!errors.As(got.err, &failure) || failure.Kind != engine.Conflict) || !culprit && got.err != nil {
			t.Errorf("commit %d: %v", i, got.err)
		}
	}
	for i := range count {
		if i%50 != 7 {
			if h := load(t, s, engine.ID(fmt.Sprint("e", i))); len(h.Events) != 2 {
				t.Errorf("execution %d has %d events", i, len(h.Events))
			}
		}
	}
}

func TestCommitClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	const count = 100
	ends := make(chan error, count)
	for i := range count {
		s.Executions().Commit([]journal.Change{root(engine.ID(fmt.Sprint("e", i)), "")}, func(err error) { ends <- err })
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range count {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	wantFailure(t, commit(s, journal.Change{}), engine.Unavailable, "the store is closed", "")
	load(t, open(t, dir), "e99")
}

// TestTampered changes journals behind the store's back: none may be read.
func TestTampered(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ statement, want string }{
		"one bit":           {`UPDATE journal SET body = CAST(substr(body, 1, length(body) - 1) || CASE WHEN substr(body, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB) WHERE execution = 'a' AND number = 1`, "event 1 of execution a cannot be read"},
		"cut":               {`UPDATE journal SET body = x'' WHERE execution = 'a' AND number = 2`, "event 2 of execution a cannot be read"},
		"other number":      {`UPDATE journal SET body = (SELECT body FROM journal WHERE execution = 'a' AND number = 1) WHERE execution = 'a' AND number = 2`, "event 2 of execution a cannot be read"},
		"other execution":   {`UPDATE journal SET body = (SELECT body FROM journal WHERE execution = 'b' AND number = 1) WHERE execution = 'a' AND number = 1`, "event 1 of execution a cannot be read"},
		"whole journal":     {`DELETE FROM journal WHERE execution = 'a'; UPDATE journal SET execution = 'a'`, "event 0 of execution a cannot be read"},
		"removed":           {`DELETE FROM journal WHERE execution = 'a' AND number = 1`, "event 1 is missing"},
		"owner":             {`UPDATE execution SET owner = 'bob' WHERE id = 'a'`, "event 0 of execution a cannot be read"},
		"from the log":      {`UPDATE journal SET body = (SELECT body FROM log) WHERE execution = 'a' AND number = 1`, "event 1 of execution a cannot be read"},
		"journal key":       {`UPDATE journal_key SET sealed = x'00'`, "journal key 1 cannot be decrypted"},
		"journal key moved": {`UPDATE execution SET key = 2`, "journal key 2 is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			for _, id := range []engine.ID{"a", "b"} {
				change := root(id, "")
				change.Events = append(change.Events, returned(1, "hunter22"), returned(2, "hunter22"))
				change.Lines = []journal.Line{line(1, 1, "hunter22")}
				if id == "b" {
					change.Lines = nil
				}
				mustCommit(t, s, change)
			}
			edit(t, dir, test.statement)
			_, err := open(t, dir).Executions().Load(t.Context(), "a")
			wantFailure(t, err, engine.Permanent, test.want, "backup")
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	e := s.Executions()
	due, next, err := e.Due(t.Context(), now(), 3)
	if len(due) != 0 || !next.IsZero() || err != nil {
		t.Errorf("an empty store gives %d, next %s, %v", len(due), next, err)
	}
	for i := range 10 {
		for _, owner := range []string{"", "ann", "bob"} {
			change := root(engine.ID(fmt.Sprint(owner, "-", i)), owner)
			change.Create.State = journal.State{Status: engine.Waiting, Wake: now().Add(time.Duration(9-i) * time.Second)}
			if owner == "bob" {
				change.Create.Wake = now().Add(time.Hour)
			}
			mustCommit(t, s, change)
		}
	}
	mustCommit(t, s, root("running", ""))
	due, next, err = e.Due(t.Context(), now().Add(5*time.Second), 3)
	want := []engine.ID{"-9", "-8", "-7", "ann-9", "ann-8", "ann-7"}
	if diff := cmp.Diff(want, ids(due)); diff != "" || err != nil {
		t.Errorf("due %v (-want +got):\n%s", err, diff)
	}
	if want := now().Add(6 * time.Second); !next.Equal(want) {
		t.Errorf("next is %s, want %s", next, want)
	}
	if err := e.Recover(t.Context(), now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	// A change wakes those that wait, and only them.
	mustCommit(t, s, journal.Change{ID: "running", State: &journal.State{Status: engine.Waiting}, Wake: []engine.ID{"bob-3", "running"}})
	mustCommit(t, s, journal.Change{ID: "ann-1", State: &journal.State{Status: engine.Running}, Wake: []engine.ID{"running", "ann-1", "nobody"}})
	due, _, err = e.Due(t.Context(), now(), 100)
	if diff := cmp.Diff([]engine.ID{"-9", "running", "ann-9", "bob-3"}, ids(due)); diff != "" || err != nil {
		t.Errorf("due %v (-want +got):\n%s", err, diff)
	}
}

func TestRecover(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	mustCommit(t, s, root("a", ""), root("b", "ann"), root("c", ""), root("d", ""),
		journal.Change{ID: "c", State: &journal.State{Status: engine.Waiting, Waits: "answer"}},
		journal.Change{ID: "d", State: &journal.State{Status: engine.Succeeded, Ended: now()}})
	if err := s.Executions().Recover(t.Context(), now()); err != nil {
		t.Fatal(err)
	}
	due, _, err := s.Executions().Due(t.Context(), now(), 10)
	if err != nil || len(due) != 2 || due[0].ID != "a" || due[1].ID != "b" || due[0].Status != engine.Running {
		t.Errorf("due after recovery: %v, %v", due, err)
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	mustCommit(t, s, root("a", ""))
	changed := func(want bool) {
		t.Helper()
		if got, err := s.Executions().Changed(t.Context()); err != nil || got != want {
			t.Errorf("changed is %t, %v, want %t", got, err, want)
		}
	}
	changed(true) // the first time
	changed(false)
	mustCommit(t, s, journal.Change{ID: "a", First: 1, Events: []journal.Event{returned(1, nil)}})
	changed(false)
	order := journal.Order{Execution: "a", Verb: journal.VerbAnswer, Step: "2", Value: map[string]any{"ok": true}, By: "ann", At: now()}
	if err := other.Executions().Order(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	changed(true)
	if err := s.Executions().Order(t.Context(), journal.Order{Execution: "a", Verb: journal.VerbCancel, At: now()}); err != nil {
		t.Fatal(err)
	}
	changed(true)
	wantFailure(t, s.Executions().Order(t.Context(), journal.Order{Execution: "b", Verb: journal.VerbCancel}), engine.NotFound, `no such execution: "b"`, "")
	orders, err := s.Executions().Orders(t.Context())
	order.Number = 1
	if diff := cmp.Diff([]journal.Order{order, {Number: 2, Execution: "a", Verb: journal.VerbCancel, At: now()}}, orders); diff != "" || err != nil {
		t.Errorf("orders %v (-want +got):\n%s", err, diff)
	}
	mustCommit(t, s, journal.Change{ID: "a", Done: []int64{1, 2}})
	if err := other.Executions().Order(t.Context(), order); err != nil {
		t.Fatal(err)
	}
	if orders, err = s.Executions().Orders(t.Context()); err != nil || len(orders) != 1 || orders[0].Number != 3 {
		t.Errorf("after both are done: %v, %v", orders, err)
	}
}

func TestTakeEngine(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, other := open(t, dir), open(t, dir)
	runs := func(want bool) {
		t.Helper()
		for _, s := range []*store.Store{s, other} {
			if got, err := s.EngineRuns(t.Context()); err != nil || got != want {
				t.Errorf("an engine runs: %t, %v, want %t", got, err, want)
			}
		}
	}
	runs(false)
	for range 2 {
		release, err := s.TakeEngine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		runs(true)
		_, err = other.TakeEngine(t.Context())
		wantFailure(t, err, engine.Conflict, "another process runs the engine of store "+dir, "stop it")
		runs(true)
		release()
		runs(false)
	}
}

// TestLoadAtOnce reads many executions at the same time with a store that has read
// none yet: no read may wait for another to end.
func TestLoadAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	change := root("a", "")
	change.Lines = []journal.Line{line(1, 1, "x")}
	mustCommit(t, open(t, dir), change)
	for range 4 {
		s := open(t, dir)
		var reading sync.WaitGroup
		for range 40 {
			reading.Go(func() {
				_, err := s.Executions().Load(t.Context(), "a")
				_, errLines := s.Executions().Lines(t.Context(), "a", 0, 10)
				if err := errors.Join(err, errLines); err != nil {
					t.Error(err)
				}
			})
		}
		reading.Wait()
	}
}
