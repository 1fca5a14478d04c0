package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// furnish stores something of every kind, with what canary gives for all that a
// user may have typed or a task may have read.
func furnish(tb testing.TB, s *store.Store, canary func() string) {
	tb.Helper()
	ctx := tb.Context()
	create(tb, s, connections.Connection{Name: "oracle", Type: "SQLORACLE", Text: "password: " + canary() + "\n"})
	if err := s.Documents("vault").Put(ctx, "", "eu", canary()); err != nil {
		tb.Fatal(err)
	}
	text := []byte("return " + canary())
	if _, _, err := s.Flows().Apply(ctx, "", "nightly", text); err != nil {
		tb.Fatal(err)
	}
	top := root("a", "")
	top.Texts[journal.Digest(text)] = text
	top.Events[0].(*journal.Begun).Inputs["token"] = canary()
	top.Events = append(top.Events,
		&journal.Observed{Address: journal.Address{Number: 1}, Text: journal.Digest(text)}, returned(2, map[string]any{canary(): canary()}))
	top.Lines = []journal.Line{line(1, 1, canary()), line(2, 0, canary())}
	top.Traces = [][]byte{[]byte(canary()), []byte(canary())}
	kid := childOf("a", 3)
	kid.Events = append(kid.Events, &journal.Finished{At: now(), Status: engine.Failed, Error: &engine.Error{Kind: engine.Denied, Message: canary()}})
	kid.State = &journal.State{Status: engine.Failed, Ended: now(), Kind: engine.Denied}
	mustCommit(tb, s, top, kid)
	begin(tb, s, "b", "").want(journal.SettingSet, "cursor", canary(), 0, nil)
	order := journal.Order{Execution: "a", Verb: journal.VerbAnswer, Value: canary(), Step: canary(), By: canary(), At: now()}
	if err := s.Executions().Order(ctx, order); err != nil {
		tb.Fatal(err)
	}
}

func plain() string { return "hunter22" }

// check gives what is wrong with a store.
func check(tb testing.TB, s *store.Store) (seen store.Checked, faults []string) {
	tb.Helper()
	seen, err := s.Check(tb.Context(), func(err error) { faults = append(faults, err.Error()) })
	if err != nil {
		tb.Fatal(err)
	}
	return seen, faults
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ statement, want string }{
		"sound":            {`SELECT 1`, ""},
		"connection":       {`UPDATE connection_revision SET body = x'00'`, `v1|"connection"|""|"oracle"|"SQLORACLE"|"1" cannot be decrypted`},
		"document":         {`UPDATE document SET name = 'us'`, `v1|"document"|""|"vault"|"us" cannot be decrypted`},
		"text":             {`UPDATE text SET digest = 'x' || digest WHERE id = 1`, `the text x`},
		"text gone":        {`DELETE FROM flow_version; DELETE FROM text WHERE id = 1`, "event 1 of execution a names the text"},
		"event":            {`UPDATE journal SET body = x'00' WHERE execution = 'a' AND number = 2`, "event 2 of execution a cannot be read"},
		"event gone":       {`DELETE FROM journal WHERE execution = 'a' AND number = 1`, "event 1 is missing"},
		"journal gone":     {`DELETE FROM journal WHERE execution = 'a'`, "the journal of execution a cannot be played back"},
		"line":             {`UPDATE log SET number = 7 WHERE number = 2`, "line 7 of the log of execution a cannot be read"},
		"trace":            {`UPDATE trace SET root = 'b'`, "execution b: a trace of its secrets cannot be read"},
		"order":            {`UPDATE orders SET number = 7`, "order 7 for execution a cannot be read"},
		"setting":          {`UPDATE setting SET name = 'cursor2'`, `setting "cursor2" cannot be read`},
		"root":             {`DELETE FROM execution WHERE id = 'a'`, "execution a.3 belongs to a, which is not there"},
		"rows of nobody":   {`DELETE FROM execution WHERE id = 'a.3'`, "table journal has rows of execution a.3, which is not there"},
		"status":           {`UPDATE execution SET ended = NULL WHERE id = 'a.3'`, "execution a.3 is failed, and ended at"},
		"journal key":      {`UPDATE journal_key SET sealed = x'00'`, "journal key 1 cannot be decrypted"},
		"journal key gone": {`DELETE FROM journal_key`, "execution a: journal key 1 is missing"},
		"reference":        {`DELETE FROM flow`, "of table flow_version refers to what is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			furnish(t, s, plain)
			edit(t, dir, test.statement)
			seen, faults := check(t, open(t, dir))
			text := strings.Join(faults, "\n")
			if test.want == "" {
				want := store.Checked{Connections: 1, Documents: 1, Settings: 1, Texts: 2, Executions: 3, Events: 7, Lines: 2}
				if diff := cmp.Diff(want, seen); diff != "" || text != "" {
					t.Errorf("%s (-want +got):\n%s", text, diff)
				}
			} else if !strings.Contains(text, test.want) || strings.Contains(text, "hunter22") {
				t.Errorf("got %s\nwant %s", text, test.want)
			}
		})
	}
}

// TestCheckFile cuts a page out of the file.
func TestCheckFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	furnish(t, s, plain)
	if err := s.RotateKey(t.Context()); err != nil { // empties the write-ahead log
		t.Fatal(err)
	}
	edit(t, dir, `PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'journal') WHERE name = 'log'`)
	_, faults := check(t, open(t, dir))
	if len(faults) == 0 || !strings.Contains(faults[0], "weir.db: ") {
		t.Errorf("faults are %q", faults)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	dir, parent := t.TempDir(), t.TempDir()
	s := open(t, dir, masterKey("a"))
	furnish(t, s, plain)
	restored := filepath.Join(parent, "store")
	if err := os.Mkdir(restored, 0o700); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(restored, "weir.db")
	// Somebody writes all the time.
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		next := 3
		for ; ctx.Err() == nil; next++ {
			if err := commit(s, journal.Change{ID: "a", First: next, Events: []journal.Event{returned(next, nil)}}); err != nil {
				t.Error(err)
			}
		}
		ended <- next
	}()
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	stop()
	written := <-ended
	info, err := os.Stat(copied)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v", info.Mode(), err)
	}
	wantFailure(t, s.Backup(t.Context(), copied), engine.Conflict, "the file exists", "does not exist")
	if entries, err := os.ReadDir(restored); err != nil || len(entries) != 1 {
		t.Errorf("beside the copy there is %v, %v", entries, err)
	}
	wantFailure(t, openError(t, restored, masterKey("b")), engine.Denied, "another master key", "nothing was changed")
	again := open(t, restored, masterKey("a"))
	if _, faults := check(t, again); len(faults) > 0 {
		t.Errorf("what was restored has faults: %q", faults)
	}
	h := load(t, again, "a")
	if len(h.Events) < 3 || len(h.Events) > written {
		t.Errorf("what was restored has %d events of %d", len(h.Events), written)
	}
	mustCommit(t, again, journal.Change{ID: "a", First: len(h.Events), Events: []journal.Event{returned(99, nil)}})
	if err := s.Backup(t.Context(), filepath.Join(parent, "none", "weir.db")); err == nil {
		t.Error("a backup into no directory")
	}
}

// TestExecutionsCanary looks for secrets in every file, also of a backup.
func TestExecutionsCanary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var canaries []string
	furnish(t, s, func() string {
		canaries = append(canaries, fmt.Sprintf("canary-%d-of-many-c0ffee", len(canaries)))
		return canaries[len(canaries)-1]
	})
	if err := s.Backup(t.Context(), filepath.Join(dir, "backup")); err != nil {
		t.Fatal(err)
	}
	lookFor(t, dir, canaries, "commits and a backup")
	if err := s.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	lookFor(t, dir, canaries, "a rotation")
	if len(canaries) < 12 {
		t.Errorf("there are only %d canaries", len(canaries))
	}
}

// grow commits a tree of two, with texts, traces and lines of its own. A zero time
// is of an execution that has not ended.
func grow(tb testing.TB, s *store.Store, id engine.ID, owner string, ended, kidEnded time.Time) {
	tb.Helper()
	top, kid := root(id, owner), childOf(id, 1)
	kid.Create.Owner = owner
	for c, at := range map[*journal.Change]time.Time{&top: ended, &kid: kidEnded} {
		c.Texts[journal.Digest(textOf(id))] = textOf(id)
		c.Lines, c.Traces = []journal.Line{line(1, 1, "x")}, [][]byte{[]byte("trace")}
		if !at.IsZero() {
			c.State = &journal.State{Status: engine.Succeeded, Ended: at}
		}
	}
	mustCommit(tb, s, top, kid)
}

func textOf(id engine.ID) []byte { return []byte("-- " + string(id)) }

func TestPrune(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	e := s.Executions()
	old, late := now().Add(-time.Hour), now().Add(time.Hour)
	grow(t, s, "old", "", old, old)
	grow(t, s, "anns", "ann", old, old)
	grow(t, s, "late", "", late, old)
	grow(t, s, "running", "", time.Time{}, old)
	grow(t, s, "kid-running", "", old, time.Time{})
	for i := range 120 {
		kid := childOf("old", 10+i)
		kid.State = &journal.State{Status: engine.Failed, Ended: old}
		for n := range 20 {
			kid.Events = append(kid.Events, returned(n, nil))
		}
		mustCommit(t, s, kid)
	}
	if err := e.Order(t.Context(), journal.Order{Execution: "old.1", Verb: journal.VerbRetry}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Flows().Apply(t.Context(), "", "anns", textOf("anns")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		owners []string
		want   int
	}{{[]string{"bob"}, 0}, {[]string{"", "bob"}, 1}, {nil, 1}, {nil, 0}} {
		if trees, err := e.Prune(t.Context(), now(), step.owners...); err != nil || trees != step.want {
			t.Errorf("pruned %d trees of %q, %v, want %d", trees, step.owners, err, step.want)
		}
	}
	for id, want := range map[engine.ID]int{"old": 0, "anns": 0, "late": 2, "running": 2, "kid-running": 2} {
		wantTree(t, s, id, want)
	}
	seen, faults := check(t, s)
	if len(faults) > 0 || seen.Executions != 6 || seen.Events != 6 || seen.Lines != 6 {
		t.Errorf("after pruning there are %+v, %q", seen, faults)
	}
	if orders, err := e.Orders(t.Context()); err != nil || len(orders) != 0 {
		t.Errorf("orders are %v, %v", orders, err)
	}
}

// wantTree checks how many executions of a tree there are, and that its text is
// there, unless it is gone and no flow has that text.
func wantTree(tb testing.TB, s *store.Store, id engine.ID, want int) {
	tb.Helper()
	rows, err := s.Executions().Tree(tb.Context(), id)
	if want == 0 {
		wantFailure(tb, err, engine.NotFound, "no such execution", "")
	} else if err != nil || len(rows) != want {
		tb.Errorf("of tree %s there are %d, %v", id, len(rows), err)
	}
	_, err = s.Executions().Text(tb.Context(), journal.Digest(textOf(id)))
	if id == "old" {
		wantFailure(tb, err, engine.NotFound, "", "")
	} else if err != nil {
		tb.Errorf("text of %s: %v", id, err)
	}
}
