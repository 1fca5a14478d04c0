package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
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
			s := open(b, b.TempDir())
			mustCommit(b, s, root("0", ""))
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
		})
	}
}

// BenchmarkFloor is what no commit can be below: 4 KiB written into a file that
// has its size, and the wait for the disk.
func BenchmarkFloor(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	page := make([]byte, 4096)
	const pages = 1000
	for range pages {
		if _, err := file.Write(page); err != nil {
			b.Fatal(err)
		}
	}
	for i := 0; b.Loop(); i++ {
		if _, err := file.WriteAt(page, int64(i%pages)*4096); err != nil {
			b.Fatal(err)
		}
		if err := syncData(file); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLone commits one change at a time, with nothing else to do.
func BenchmarkLone(b *testing.B) {
	s := open(b, b.TempDir())
	mustCommit(b, s, root("0", ""))
	for i := 1; b.Loop(); i++ {
		mustCommit(b, s, journal.Change{ID: "0", First: i, Events: []journal.Event{returned(i, int64(i))}})
	}
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
