package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// clock is a time that a test sets.
type clock struct{ now time.Time }

// openAt opens a new store whose clock is the test's.
func openAt(tb testing.TB, c *clock) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Config{Dir: tb.TempDir(), Now: func() time.Time { return c.now }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// flow is an execution that uses settings.
type flow struct {
	tb    testing.TB
	s     *store.Store
	id    engine.ID
	owner string
	next  int
}

func begin(tb testing.TB, s *store.Store, id engine.ID, owner string) *flow {
	tb.Helper()
	mustCommit(tb, s, root(id, owner))
	return &flow{tb, s, id, owner, 1}
}

// call carries a call out and gives what was observed; nil if another holds the lock.
func (f *flow) call(verb journal.SettingVerb, name string, value any, fence int64) (*journal.Observed, *journal.SettingCall) {
	f.tb.Helper()
	call := &journal.SettingCall{
		Verb: verb, Owner: f.owner, Name: name, Value: value, Lease: time.Minute, Fence: fence,
		Observed: &journal.Observed{Address: journal.Address{Number: f.next}, Identity: journal.Identity{Kind: "setting", Name: name}},
		Waiting:  &journal.State{Status: engine.Waiting, Waits: journal.WaitsForLock(name)},
	}
	mustCommit(f.tb, f.s, journal.Change{ID: f.id, First: f.next, Setting: call})
	if !call.Done {
		return nil, call
	}
	h := load(f.tb, f.s, f.id)
	if diff := cmp.Diff(journal.Event(call.Observed), h.Events[f.next]); diff != "" {
		f.tb.Errorf("what was written is not what is told:\n%s", diff)
	}
	f.next++
	return call.Observed, call
}

func (f *flow) want(verb journal.SettingVerb, name string, value any, fence int64, want any) {
	f.tb.Helper()
	seen, call := f.call(verb, name, value, fence)
	if seen == nil {
		f.tb.Fatalf("%s %s: another holds the lock until %s", verb, name, call.Until)
	}
	if seen.Error != nil {
		f.tb.Fatalf("%s %s: %v", verb, name, seen.Error)
	}
	got := seen.Value
	if verb == journal.SettingLock {
		got = seen.Fence
	}
	if diff := cmp.Diff(want, got); diff != "" {
		f.tb.Errorf("%s %s (-want +got):\n%s", verb, name, diff)
	}
}

func (f *flow) wantRefused(name string, fence int64, message string) {
	f.tb.Helper()
	seen, _ := f.call(journal.SettingSet, name, "x", fence)
	if seen == nil || seen.Error == nil {
		f.tb.Fatalf("set %s is not refused", name)
	}
	wantFailure(f.tb, seen.Error, engine.Conflict, message, "take the lock")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	s := openAt(t, c)
	a, b, ann := begin(t, s, "a", ""), begin(t, s, "b", ""), begin(t, s, "c", "ann")
	tree := map[string]any{"cursor": int64(7), "of": []any{nil, "x"}}
	a.want(journal.SettingGet, "cursor", nil, 0, nil)
	a.want(journal.SettingSet, "cursor", tree, 0, nil)
	b.want(journal.SettingGet, "cursor", nil, 0, tree)
	ann.want(journal.SettingGet, "cursor", nil, 0, nil)
	b.want(journal.SettingSet, "cursor", nil, 0, nil)
	a.want(journal.SettingGet, "cursor", nil, 0, nil)
	// Each is written with the rest of its change, or not at all.
	wrong := &journal.SettingCall{Verb: journal.SettingSet, Name: "cursor", Value: "wrong", Observed: &journal.Observed{}}
	if err := commit(s, journal.Change{ID: "a", First: 99, Setting: wrong}); err == nil {
		t.Error("an event of a wrong number is written")
	}
	b.want(journal.SettingGet, "cursor", nil, 0, nil)
}

func TestSettingLocks(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	s := openAt(t, c)
	a, b, ann := begin(t, s, "a", ""), begin(t, s, "b", ""), begin(t, s, "c", "ann")
	a.want(journal.SettingLock, "table", nil, 0, int64(1))
	ann.want(journal.SettingLock, "table", nil, 0, int64(1)) // her own
	a.want(journal.SettingLock, "table", nil, 1, int64(1))   // prolonged
	a.want(journal.SettingSet, "table", "a", 1, nil)
	b.wantRefused("table", 0, `setting "table" is locked by execution a until`)

	_, call := b.call(journal.SettingLock, "table", nil, 0)
	if call.Done || !call.Until.Equal(c.now.Add(time.Minute)) {
		t.Errorf("a lock that another holds: %+v", call)
	}
	h := load(t, s, "b")
	if h.Status != engine.Waiting || h.Waits != "lock table" || !h.Wake.Equal(call.Until) || len(h.Events) != b.next {
		t.Errorf("who waits for it is %+v, with %d events", h.State, len(h.Events))
	}
	a.want(journal.SettingUnlock, "table", nil, 1, true)
	a.want(journal.SettingUnlock, "table", nil, 1, false)
	if h = load(t, s, "b"); !h.Wake.Equal(c.now) {
		t.Errorf("after the release %+v", h.State)
	}
	b.want(journal.SettingLock, "table", nil, 0, int64(2))

	// A lease ends, and its holder cannot write any more.
	c.now = c.now.Add(time.Minute)
	b.want(journal.SettingSet, "table", "late, but nobody had it since", 2, nil)
	a.want(journal.SettingLock, "table", nil, 0, int64(3))
	b.wantRefused("table", 2, "is locked by execution a")
	a.want(journal.SettingUnlock, "table", nil, 3, true)
	b.wantRefused("table", 2, `the lock of setting "table" was lost`)
	b.want(journal.SettingSet, "table", "without a lock", 0, nil)

	// The end of a holder releases all that it holds.
	a.want(journal.SettingLock, "table", nil, 0, int64(4))
	a.want(journal.SettingLock, "chair", nil, 0, int64(1))
	b.call(journal.SettingLock, "chair", nil, 0)
	mustCommit(t, s, journal.Change{ID: "a", State: &journal.State{Status: engine.Cancelled, Ended: c.now}, Unlock: true})
	if h = load(t, s, "b"); !h.Wake.Equal(c.now) {
		t.Errorf("after the holder's end %+v", h.State)
	}
	b.want(journal.SettingLock, "chair", nil, 0, int64(2))
	b.want(journal.SettingLock, "table", nil, 0, int64(5))
	ann.want(journal.SettingUnlock, "table", nil, 1, false) // her lease has ended
}

// TestSettingsOfPeople reads and writes what flows have, and the other way round.
func TestSettingsOfPeople(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	s := openAt(t, c)
	st := s.Settings()
	a, ann := begin(t, s, "a", ""), begin(t, s, "b", "ann")
	a.want(journal.SettingSet, "cursor", int64(7), 0, nil)
	a.want(journal.SettingLock, "table", nil, 0, int64(1))
	ann.want(journal.SettingSet, "cursor", "hers", 0, nil)
	if value, err := st.Get(t.Context(), "", "cursor"); err != nil || value != int64(7) {
		t.Errorf("got %v, %v", value, err)
	}
	wantFailure(t, st.Set(t.Context(), "", "table", "x"), engine.Conflict, `setting "table" is locked by execution a until`, "weir execution cancel a")
	wantFailure(t, st.Delete(t.Context(), "", "table"), engine.Conflict, `setting "table" is locked by execution a until`, "")
	list := func(want ...store.Setting) {
		t.Helper()
		got, err := st.List(t.Context(), "")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	cursor := store.Setting{Name: "cursor", Changed: now()}
	table := store.Setting{Name: "table", Holder: "a", Expires: now().Add(time.Minute)}
	list(cursor, table)
	c.now = c.now.Add(time.Hour) // the lock's lease has ended
	list(cursor)
	if err := st.Set(t.Context(), "", "table", []any{"x"}); err != nil {
		t.Fatal(err)
	}
	a.want(journal.SettingGet, "table", nil, 0, []any{"x"})
	list(cursor, store.Setting{Name: "table", Changed: c.now})
	if err := st.Delete(t.Context(), "", "table"); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, st.Delete(t.Context(), "", "table"), engine.NotFound, `no such setting: "table"`, "")
	wantFailure(t, second2(st.Get(t.Context(), "", "table")), engine.NotFound, `no such setting: "table"`, "")
	wantFailure(t, st.Set(t.Context(), "", "", nil), engine.Invalid, "needs a name", "")
}
