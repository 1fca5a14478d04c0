package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/testdata/disk"
)

// steps is one execution that writes a step after the other: each is on disk
// before the next is written.
func steps(tb testing.TB, s *store.Store, id engine.ID, left *atomic.Int64, lives func() engine.ID) {
	done := make(chan error, 1)
	write := func(change journal.Change) {
		s.Executions().Commit([]journal.Change{change}, func(err error) { done <- err })
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
	const each = 10
	for number := each; left.Add(-1) >= 0; number++ {
		if number == each {
			id, number = lives(), 1
			write(root(id, ""))
		}
		write(journal.Change{ID: id, First: number, Events: []journal.Event{returned(number, int64(number))}})
	}
}

// BenchmarkCommit has writers that wait for each of their changes, of one event
// of 150 bytes or so. Every ten changes a writer begins a new execution.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			disk.Syncs() // from here on
			s := open(b, b.TempDir())
			mustCommit(b, s, root("0", ""))
			before := disk.Syncs()
			var left, made atomic.Int64
			left.Store(int64(b.N))
			lives := func() engine.ID { return engine.ID(fmt.Sprintf("%011x-abcdefghijkl", made.Add(1))) }
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			var writing sync.WaitGroup
			for range writers {
				writing.Go(func() { steps(b, s, "", &left, lives) })
			}
			writing.Wait()
			changes := float64(int64(b.N) + made.Load())
			b.ReportMetric(changes/time.Since(start).Seconds(), "changes/s")
			b.ReportMetric(float64(disk.Syncs()-before)/changes, "fsyncs/change")
		})
	}
}

// BenchmarkLone commits one change at a time, with nothing else to do. After each
// twenty it does as often the least that any durable write can do: 4 KiB written
// into a file that has its size already, and the wait for the disk.
func BenchmarkLone(b *testing.B) {
	s := open(b, b.TempDir())
	file := disk.NewFile(b)
	mustCommit(b, s, root("0", ""))
	lone, floor := make([]time.Duration, 0, 10_000), make([]time.Duration, 0, 10_000)
	warm(b, s)
	for i := 1; b.Loop(); i++ {
		change := journal.Change{ID: "0", First: i, Events: []journal.Event{returned(i, int64(i))}}
		start := time.Now()
		mustCommit(b, s, change)
		lone = append(lone, time.Since(start))
		for range twentieth(i) {
			start = time.Now()
			file.Sync(b)
			floor = append(floor, time.Since(start))
		}
	}
	if len(floor) == 0 {
		return
	}
	b.ReportMetric(mean(lone), "us/commit")
	b.ReportMetric(mean(lone)/mean(floor), "x-floor")
	for _, part := range []int{10, 50} {
		b.ReportMetric(percentile(lone, part), fmt.Sprintf("p%d-us/commit", part))
		b.ReportMetric(percentile(lone, part)/percentile(floor, part), fmt.Sprintf("p%d-x-floor", part))
	}
}

// warm makes the write-ahead log as long as it gets: from then on a commit
// overwrites, which is quicker than making a file longer.
func warm(b *testing.B, s *store.Store) {
	b.Helper()
	mustCommit(b, s, root("warm", ""))
	large := strings.Repeat("x", 100_000)
	for i := 1; i < 100; i++ {
		mustCommit(b, s, journal.Change{ID: "warm", First: i, Events: []journal.Event{returned(i, large)}})
	}
}

func mean(times []time.Duration) float64 {
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return float64(sum.Nanoseconds()) / 1e3 / float64(len(times))
}

func percentile(times []time.Duration, part int) float64 {
	times = slices.Sorted(slices.Values(times))
	return float64(times[len(times)*part/100].Nanoseconds()) / 1e3
}

// twentieth gives 20 each twentieth time, else 0.
func twentieth(i int) int {
	if i%20 == 0 {
		return 20
	}
	return 0
}

// BenchmarkLoad reads an execution of 500 steps.
func BenchmarkLoad(b *testing.B) {
	s := open(b, b.TempDir())
	change := root("0", "")
	for i := range 500 {
		change.Events = append(change.Events, returned(i+1, map[string]any{"rows": int64(i)}))
	}
	mustCommit(b, s, change)
	b.ReportAllocs()
	for b.Loop() {
		load(b, s, "0")
	}
}

// BenchmarkChanged asks whether another process has written, as an engine does
// all the time.
func BenchmarkChanged(b *testing.B) {
	s := open(b, b.TempDir())
	for b.Loop() {
		if _, err := s.Executions().Changed(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
