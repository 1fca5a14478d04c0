package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// engineProcess is a `weir serve` of its own.
type engineProcess struct {
	cmd   *exec.Cmd
	ready time.Duration // from its start until it serves
}

// startEngine starts an engine on a store's directory and waits until it serves.
func startEngine(b *testing.B, dir string) *engineProcess {
	b.Helper()
	cmd := exec.Command(weirBinary(b), "serve", "--grace", "0s") //nolint:noctx // ended by hand
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "WEIR_LISTEN=127.0.0.1:0", "WEIR_DATA_DIR=" + filepath.Join(dir, "data")}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() {
		b.Fatal("the engine said nothing")
	}
	p := &engineProcess{cmd, time.Since(start)}
	go func() {
		for lines.Scan() {
			_ = lines.Text() // or it would wait for somebody to read
		}
	}()
	return p
}

// kill ends the process as a power cut would.
func (p *engineProcess) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}

// memory gives a figure of the process in MiB, such as VmRSS.
func (p *engineProcess) memory(b *testing.B, name string) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatal("no " + name)
	return 0
}

// poll waits for a condition that is met in another process.
func poll(b *testing.B, every time.Duration, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Minute); !done(); <-time.After(every) {
		if time.Now().After(deadline) {
			b.Fatal("it took more than half an hour")
		}
	}
}

// BenchmarkW4 kills an engine in the middle of a flow of 1,000 steps, and takes the
// time from the start of another to the flow's next new step.
func BenchmarkW4(b *testing.B) {
	var ready, recovery time.Duration
	again := 0
	for b.Loop() {
		dir := b.TempDir()
		file := filepath.Join(dir, "flow.lua")
		if err := os.WriteFile(file, []byte(`for i = 1, 1000 do task("FAKE", { counter = "steps" }) end`), 0o600); err != nil {
			b.Fatal(err)
		}
		first := startEngine(b, dir)
		start := exec.CommandContext(b.Context(), weirBinary(b), "execution", "start", file, "--files", dir)
		start.Env = first.cmd.Env
		id, err := start.Output()
		if err != nil {
			b.Fatal(err)
		}
		made := func() int64 {
			info, err := os.Stat(filepath.Join(dir, "steps"))
			if err != nil {
				return 0
			}
			return info.Size()
		}
		poll(b, time.Millisecond, func() bool { return made() >= 500 })
		first.kill()
		before := made()
		begin := time.Now()
		second := startEngine(b, dir)
		ready += second.ready
		// The step that was under way is made again; the one after it is new.
		poll(b, time.Millisecond, func() bool { return made() > before+1 })
		recovery += time.Since(begin)
		wait := exec.CommandContext(b.Context(), weirBinary(b), "execution", "logs", "-f", strings.TrimSpace(string(id)))
		wait.Env = first.cmd.Env
		if out, err := wait.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		again += int(made()) - 1000
		second.kill()
	}
	b.ReportMetric(float64(recovery.Microseconds())/1000/float64(b.N), "ms/recovery")
	b.ReportMetric(float64(ready.Microseconds())/1000/float64(b.N), "ms/ready")
	b.ReportMetric(float64(again)/float64(b.N), "steps-again")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkW5 is the time from the start of the process to the end of the first
// flow: alone, with a connection from a file, and with one from the store. The
// bare start of the binary is the floor. And it is the memory of an engine with many
// sleeping executions, and how many it wakes a second.
func BenchmarkW5(b *testing.B) {
	weir, dir := weirBinary(b), b.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return file
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(b.Context(), weir, args...)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + dir, "WEIR_DATA_DIR=" + dir + "/data", "WEIR_CONNECTION_PATH=" + dir}
		return cmd
	}
	write("oracle.yaml", "name: filed\ntype: FAKE\nvalue: {host: db.example.com}\n")
	if out, err := command("connection", "create", "stored", "--type", "FAKE", "--set", "host=db").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		name string
		args []string
	}{
		{"hello", []string{"run", "-q", write("hello.lua", `return "hello"`)}},
		{"connect-file", []string{"run", "-q", write("filed.lua", `connect("filed")`)}},
		{"connect-store", []string{"run", "-q", write("stored.lua", `connect("stored")`)}},
		{"floor-version", []string{"version"}},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				if out, err := command(test.args...).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
			b.ReportMetric(0, "ns/op")
		})
	}
	b.Run("sleeping", benchmarkSleeping)
	info, err := os.Stat(weir)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB/binary")
}

var sleepers = flag.Int("sleepers", 10_000, "how many sleeping executions BenchmarkW5/sleeping has")

// benchmarkSleeping has so many executions sleep (-sleepers), and all of them due at
// the same time.
func benchmarkSleeping(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		// So many are put to sleep in less than a third of this.
		due := time.Now().Add(10*time.Second + time.Duration(*sleepers)*time.Second/1000)
		s, err := store.Open(b.Context(), store.Config{Dir: filepath.Join(dir, "data")})
		if err != nil {
			b.Fatal(err)
		}
		putSleepers(b, s, dir, *sleepers, due)
		having := func(status engine.Status) int {
			counts, err := s.Executions().Counts(b.Context(), "")
			if err != nil {
				b.Fatal(err)
			}
			return counts[status]
		}
		start := time.Now()
		p := startEngine(b, dir)
		poll(b, 100*time.Millisecond, func() bool { return having(engine.Waiting) == *sleepers })
		b.ReportMetric(float64(*sleepers)/time.Since(start).Seconds(), "put-to-sleep/s")
		b.ReportMetric(p.memory(b, "VmHWM"), "MiB/peak")
		p.kill()
		p = startEngine(b, dir) // one that finds them asleep
		unit := "MiB/10k-sleeping"
		if *sleepers != 10_000 {
			unit = fmt.Sprintf("MiB/%d-sleeping", *sleepers)
		}
		b.ReportMetric(p.memory(b, "VmRSS"), unit)
		poll(b, 100*time.Millisecond, func() bool { return having(engine.Waiting) == 0 })
		b.ReportMetric(float64(*sleepers)/time.Since(due).Seconds(), "woken/s")
		b.ReportMetric(p.memory(b, "VmHWM"), "MiB/peak-woken")
		poll(b, 100*time.Millisecond, func() bool { return having(engine.Succeeded) == *sleepers })
		p.kill()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// putSleepers writes executions that are yet to be run, as `weir execution start` does.
func putSleepers(b *testing.B, s *store.Store, dir string, n int, until time.Time) {
	b.Helper()
	text := []byte(`local a = task("FAKE", { payload = 1 }) sleep_until(input.at) return a.output.payload`)
	digest, now := journal.Digest(text), time.Now()
	written := make(chan error, n)
	for i := range n {
		id := engine.ID(fmt.Sprintf("%011x%012x", now.UnixMilli(), i))
		s.Executions().Commit([]journal.Change{{
			ID: id,
			Create: &journal.Row{
				ID: id, Root: id, Name: "sleeper", Created: now, State: journal.State{Status: engine.Pending, Wake: now},
			},
			Events: []journal.Event{&journal.Begun{
				At: now, File: "sleeper.lua", Text: digest, Files: dir, Inputs: map[string]any{"at": float64(until.UnixMilli()) / 1000},
			}},
			Texts: map[string][]byte{digest: text},
		}}, func(err error) { written <- err })
	}
	for range n {
		if err := <-written; err != nil {
			b.Fatal(err)
		}
	}
}
