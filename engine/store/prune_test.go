package store_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// long commits an execution that ended long ago, with many events and lines.
func long(tb testing.TB, s *store.Store, id engine.ID, events int, output any) {
	tb.Helper()
	change := root(id, "")
	mustCommit(tb, s, change)
	for next := 1; next <= events; {
		change = journal.Change{ID: id, First: next}
		for ; next <= events && len(change.Events) < 1000; next++ {
			change.Events = append(change.Events, returned(next, output))
			change.Lines = append(change.Lines, line(next, next, "x"))
		}
		mustCommit(tb, s, change)
	}
	mustCommit(tb, s, journal.Change{ID: id, State: &journal.State{Status: engine.Succeeded, Ended: now().Add(-time.Hour)}})
}

// rows counts the rows of the journal and the log.
func rows(tb testing.TB, db *sql.DB) (n int) {
	tb.Helper()
	err := db.QueryRowContext(tb.Context(), "SELECT (SELECT count(*) FROM journal) + (SELECT count(*) FROM log)").Scan(&n)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// beside commits to another execution for as long as a prune takes. It gives how often
// it did, and the longest that one commit took.
func beside(tb testing.TB, s *store.Store) (commits int, longest time.Duration) {
	tb.Helper()
	mustCommit(tb, s, root("busy", ""))
	pruned := make(chan error, 1)
	go func() {
		_, err := s.Executions().Prune(context.WithoutCancel(tb.Context()), now())
		pruned <- err
	}()
	for ; ; commits++ {
		select {
		case err := <-pruned:
			if err != nil {
				tb.Fatal(err)
			}
			return commits, longest
		default:
		}
		start := time.Now()
		mustCommit(tb, s, journal.Change{ID: "busy", First: commits + 1, Events: []journal.Event{returned(commits+1, nil)}})
		longest = max(longest, time.Since(start))
	}
}

// TestPruneOfALongJournal shows that others go on while a journal is removed, and that
// it is gone for everybody from the first moment.
func TestPruneOfALongJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	long(t, s, "0-long", 5000, nil)
	if commits, _ := beside(t, s); commits < 10 {
		t.Errorf("there were %d commits beside it", commits)
	}
	if _, faults := check(t, s); len(faults) > 0 {
		t.Errorf("faults: %q", faults)
	}
	db := edit(t, dir, "DELETE FROM journal WHERE execution = 'busy'", "DELETE FROM execution WHERE id = 'busy'")
	if n := rows(t, db); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// TestPruneOfLargeEvents has events of which few make a transaction.
func TestPruneOfLargeEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	long(t, s, "0-large", 12, string(make([]byte, 1<<20)))
	if trees, err := s.Executions().Prune(t.Context(), now()); err != nil || trees != 1 {
		t.Errorf("pruned %d trees, %v", trees, err)
	}
	if n := rows(t, edit(t, dir)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// TestInterruptedPrune ends it in the middle of a journal: nobody sees what is left,
// and another one removes it.
func TestInterruptedPrune(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for _, id := range []engine.ID{"0-long", "0-lines", "0-other"} {
		long(t, s, id, 1200, nil)
	}
	db := edit(t, dir,
		"DELETE FROM execution WHERE id IN ('0-long', '0-lines')", "DELETE FROM text_use WHERE root IN ('0-long', '0-lines')",
		"DELETE FROM journal WHERE execution = '0-long' AND number < 600", "DELETE FROM log WHERE number = 1 AND execution = '0-long'",
		"DELETE FROM journal WHERE execution = '0-lines'", "DELETE FROM log WHERE number < 600 AND execution = '0-lines'")
	s = open(t, dir)
	if _, faults := check(t, s); len(faults) > 0 {
		t.Errorf("faults: %q", faults)
	}
	mustCommit(t, s, root("0-running", ""))
	if trees, err := s.Executions().Prune(t.Context(), now()); err != nil || trees != 1 {
		t.Errorf("pruned %d trees, %v", trees, err)
	}
	if n := rows(t, db); n != 1 {
		t.Errorf("%d rows are left, want that of the one that runs", n)
	}
}

// BenchmarkPruneOfALongJournal measures the longest that another commit takes while a
// journal of 100,000 events is removed.
func BenchmarkPruneOfALongJournal(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir())
		long(b, s, "0-long", 100_000, map[string]any{"rows": int64(7)})
		b.StartTimer()
		commits, longest := beside(b, s)
		b.ReportMetric(longest.Seconds()*1000, "ms/longest-commit")
		b.ReportMetric(float64(commits), "commits-beside")
	}
}
