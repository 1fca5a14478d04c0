package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// sleepers makes n executions that sleep for an hour or more, of ten owners.
func sleepers(b *testing.B, s *store.Store, n int) {
	b.Helper()
	for made := 0; made < n; {
		var changes []journal.Change
		for range min(1000, n-made) {
			change := root(engine.ID(fmt.Sprintf("%011x-abcdefghijkl", made)), fmt.Sprint("owner", made%10))
			change.Events = append(change.Events, &journal.Called{
				Address: journal.Address{Number: 1}, Identity: journal.Identity{Kind: engine.CallSleep}, At: now(), Until: now(),
			})
			change.Create.State = journal.State{Status: engine.Waiting, Wake: now().Add(time.Hour + time.Duration(made)*time.Millisecond)}
			changes = append(changes, change)
			made++
		}
		mustCommit(b, s, changes...)
	}
}

// BenchmarkSleeping works with a store in which many executions sleep: 10,000, or
// as many as WEIR_BENCH_SLEEPING says.
func BenchmarkSleeping(b *testing.B) {
	n := 10_000
	if given, err := strconv.Atoi(os.Getenv("WEIR_BENCH_SLEEPING")); err == nil {
		n = given
	}
	dir := b.TempDir()
	s := open(b, dir)
	sleepers(b, s, n)
	e := s.Executions()
	times := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	want := func(got, want int, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("got %d, want %d", got, want)
		}
		return err
	}
	times("open", func() error {
		again, err := store.Open(b.Context(), store.Config{Dir: dir})
		if err != nil {
			return err
		}
		return again.Close()
	})
	times("none due", func() error {
		due, _, err := e.Due(b.Context(), now(), 100)
		return want(len(due), 0, err)
	})
	times("all due", func() error {
		due, _, err := e.Due(b.Context(), now().Add(time.Hour*10_000), 100)
		return want(len(due), 1000, err)
	})
	times("recover", func() error { return e.Recover(b.Context(), now()) })
	times("list", func() error {
		rows, _, err := e.List(b.Context(), store.Filter{Owner: "owner3", Status: engine.Waiting, Limit: 20})
		return want(len(rows), 20, err)
	})
	times("counts", func() error {
		counts, err := e.Counts(b.Context(), "owner3")
		return want(counts[engine.Waiting], n/10, err)
	})
	b.Run("wake", func(b *testing.B) { wakeSleepers(b, s, n) })
	b.Run("prune", func(b *testing.B) { pruneSleepers(b, s, dir, n) })
}

// wakeSleepers takes executions up, all at the same time.
func wakeSleepers(b *testing.B, s *store.Store, n int) {
	done := make(chan error, b.N)
	for i := range b.N {
		id := engine.ID(fmt.Sprintf("%011x-abcdefghijkl", i%n))
		state := &journal.State{Status: engine.Running}
		s.Executions().Commit([]journal.Change{{ID: id, State: state}}, func(err error) { done <- err })
	}
	for range b.N {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// pruneSleepers ends executions and removes them, as long as there are any.
func pruneSleepers(b *testing.B, s *store.Store, dir string, n int) {
	edit(b, dir, fmt.Sprintf(`UPDATE execution SET status = 'failed', wake = NULL, ended = 1 WHERE id IN (SELECT id FROM execution LIMIT %d)`, b.N))
	info, err := os.Stat(filepath.Join(dir, "weir.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(n), "B/sleeping")
	start := time.Now()
	trees, err := s.Executions().Prune(b.Context(), now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(trees)/time.Since(start).Seconds(), "trees/s")
}
