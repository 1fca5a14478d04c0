package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
)

const (
	soakFlows    = 50
	soakPassword = "soak-password-that-nobody-sees"
)

// soakFlow connects to each secret of both configurations in turn, from another one
// on in each flow.
const soakFlow = `
for i = 1, input.turns do
  for _, vault in ipairs{ "tolerant", "strict" } do
    connect(vault .. "-" .. (input.flow + i) % input.secrets, nil, { on_error = "return" })
  end
  sleep("100ms")
end`

// soakReport is what a round of flows came to; the last one tells of the end.
type soakReport struct {
	Done       int            `json:"done"`     // connects that succeeded
	Failures   map[string]int `json:"failures"` // by their text
	Stale      int            `json:"stale"`    // warnings of outdated secrets
	Back       int            `json:"back"`     // connects that got an older version than the one before
	Goroutines int            `json:"goroutines"`
	Heap       uint64         `json:"heap"`
	Resident   uint64         `json:"resident"`
	End        bool           `json:"end"` // everything is closed; Goroutines are those that are left
	Stacks     string         `json:"stacks,omitempty"`
}

// soaked is the process of TestSoak: weir in a directory, which runs rounds of flows
// until standard input ends, and reports each one.
func soaked() {
	if err := soakRounds(os.Args[1], os.Stdin, json.NewEncoder(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func soakRounds(dir string, stdin io.Reader, reports *json.Encoder) error {
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(stop)
	}()
	before := runtime.NumGoroutine()
	a := &app{wired: &wired{}, process: process{getenv: func(string) string { return "" }, home: func() (string, error) { return dir, nil }}}
	a.flags.connections, a.flags.dataDir, a.flags.vaultFile = []string{dir}, filepath.Join(dir, "data"), filepath.Join(dir, "vaults.yml")
	runner, err := a.runner(nil)
	if err != nil {
		return err
	}
	for running := true; running; {
		report, err := soakRound(runner, dir)
		if err != nil {
			return err
		}
		if err := reports.Encode(report); err != nil {
			return err
		}
		select {
		case <-stop:
			running = false
		default:
		}
	}
	if err := a.close(); err != nil {
		return err
	}
	// The goroutine of standard input has ended by now, which was there before.
	end := soakReport{End: true}
	for range 200 { // connections that were closed take a moment
		if end.Goroutines = max(runtime.NumGoroutine()-(before-1), 0); end.Goroutines == 0 {
			return reports.Encode(end)
		}
		<-time.After(10 * time.Millisecond)
	}
	var stacks strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
	end.Stacks = stacks.String()
	return reports.Encode(end)
}

// soakRound runs all flows once, side by side.
func soakRound(runner engine.Runner, dir string) (soakReport, error) {
	report := soakReport{Failures: map[string]int{}}
	var mu sync.Mutex
	var failed error
	var flows sync.WaitGroup
	for i := range soakFlows {
		flows.Go(func() {
			versions := map[string]int{}
			finished, err := runner.Run(context.Background(), engine.Request{
				File: "soak.lua", Text: []byte(soakFlow), Files: dir,
				Inputs: map[string]any{"flow": float64(i), "turns": float64(2 * soakSecrets), "secrets": float64(soakSecrets)},
				Watch: func(e engine.Event) {
					mu.Lock()
					defer mu.Unlock()
					report.watch(e, versions)
				},
			})
			mu.Lock()
			defer mu.Unlock()
			if failure := finished.Execution.Error; err == nil && failure != nil {
				err = failure
			}
			failed = errors.Join(failed, err)
		})
	}
	flows.Wait()
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	report.Heap, report.Resident, report.Goroutines = memory.HeapAlloc, residentMemory(), runtime.NumGoroutine()
	return report, failed
}

// watch counts what happens in one flow, whose newest version of each secret is kept.
func (r *soakReport) watch(e engine.Event, versions map[string]int) {
	if e.Kind == engine.EventLog && e.Level == engine.Warn && strings.Contains(e.Message, " is as it was at ") {
		r.Stale++
	}
	if e.State == nil || e.State.Kind != engine.CallConnect || !e.State.Status.Ended() {
		return
	}
	if failure := e.State.Error; failure != nil {
		r.Failures[fmt.Sprintf("%s: %s (hint: %s)", failure.Kind, failure.Message, failure.Hint)]++
		return
	}
	r.Done++
	for _, used := range e.State.Uses.Secrets {
		if used.Version < versions[used.Path] {
			r.Back++
		}
		versions[used.Path] = used.Version
	}
}

// residentMemory is how much memory of the machine this process has.
func residentMemory() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0 // not on this system
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}
