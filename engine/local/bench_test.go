package local_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/tasks/all"
	"github.com/weir-engine/weir/testdata/disk"
)

// durable is a runner that serves a store of its own.
func durable(tb testing.TB, dir string) *local.Runner {
	tb.Helper()
	debug.SetGCPercent(local.GCPercent) // as `weir serve` does
	types, err := all.Registry()
	if err != nil {
		tb.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDefaults(types)}, Secrets: oneSecret{}, Types: types,
	})
	if err != nil {
		tb.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: oneSecret{}, Tasks: types})
	if err != nil {
		tb.Fatal(err)
	}
	disk.Syncs() // counts from here on
	s, err := store.Open(tb.Context(), store.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := local.New(local.Config{Dispatcher: d, Store: s.Executions(), FilesDir: filepath.Join(dir, "files"), YAML: noYAML{}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

const fib = `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
for i = 1, %d do task("FAKE", { payload = fib(10) }) end
return "done"`

func execute(tb testing.TB, r *local.Runner, text, files string) engine.Execution {
	id, err := r.Start(context.Background(), engine.Request{File: "bench.lua", Text: []byte(text), Files: files})
	if err != nil {
		tb.Fatal(err)
	}
	e, err := r.Wait(context.Background(), id)
	if err != nil {
		tb.Fatal(err)
	}
	if e.Status != engine.Succeeded {
		tb.Fatal(e.Error)
	}
	return e
}

// BenchmarkW1 is the time from the start of a flow of 40 steps, one after the
// other, to its end; and what the disk alone takes for 40 waits.
func BenchmarkW1(b *testing.B) {
	r := durable(b, b.TempDir())
	text, files := fmt.Sprintf(fib, 40), b.TempDir()
	execute(b, r, text, files)
	var flows, floor time.Duration
	file := disk.NewFile(b)
	waits := disk.Syncs()
	b.ResetTimer()
	for b.Loop() { // turn about, for the disk is not the same all the time
		start := time.Now()
		execute(b, r, text, files)
		flows += time.Since(start)
		start = time.Now()
		for range 40 {
			file.Sync(b)
		}
		floor += time.Since(start)
	}
	b.ReportMetric(float64(flows.Microseconds())/1000/float64(b.N), "ms/flow")
	b.ReportMetric(float64(floor.Microseconds())/1000/float64(b.N), "floor-ms/flow")
	b.ReportMetric(float64(disk.Syncs()-waits)/40/float64(b.N), "fsyncs/step")
}

// BenchmarkW3 is a flow that starts 500 steps at once and waits for all.
func BenchmarkW3(b *testing.B) {
	r := durable(b, b.TempDir())
	text, files := `local steps = {}
for i = 1, 500 do steps[i] = task("FAKE", { payload = i }, { wait = false }) end
wait_all(steps)`, b.TempDir()
	for b.Loop() {
		execute(b, r, text, files)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/flow")
}

func BenchmarkW2(b *testing.B) {
	r := durable(b, b.TempDir())
	text, files := `for i = 1, 10 do task("FAKE", { payload = i }) end`, b.TempDir()
	waits := disk.Syncs()
	for b.Loop() {
		var group sync.WaitGroup
		left := make(chan int, 1000)
		for i := range 1000 {
			left <- i
		}
		close(left)
		for range 100 {
			group.Go(func() {
				for range left {
					execute(b, r, text, files)
				}
			})
		}
		group.Wait()
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "steps/s")
	b.ReportMetric(float64(disk.Syncs()-waits)/10_000/float64(b.N), "fsyncs/step")
}
