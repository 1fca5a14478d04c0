package taskstest

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/weir-engine/weir/tasks"
)

// Benchmark measures one operation from opening to closing, in a files directory
// of its own each time, with the highest use of memory on the way as peak-MiB.
func Benchmark(b *testing.B, d tasks.Driver, inputs map[string]any) {
	b.Helper()
	Peak(b, func() {
		for b.Loop() {
			b.StopTimer()
			e := NewExecution(b)
			b.StartTimer()
			if _, err := e.Run(b.Context(), b, d, inputs); err != nil {
				b.Fatalf("%v", err)
			}
		}
	})
}

// Peak runs a benchmark's loop and reports the most memory that the Go heap had in
// use meanwhile, above what it had before.
func Peak(b *testing.B, loop func()) {
	b.Helper()
	runtime.GC()
	start := inUse()
	peak := start
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				peak = max(peak, inUse())
			case <-stop:
				return
			}
		}
	}()
	loop()
	close(stop)
	<-stopped
	b.ReportMetric(float64(peak-start)/(1<<20), "peak-MiB")
}

// inUse is what objects take, dead ones that were not swept yet included.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
