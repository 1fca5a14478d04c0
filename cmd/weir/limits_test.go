package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// boundedFlows go beyond a limit each, with what is said of it.
var boundedFlows = map[string]struct{ text, want string }{ //nolint:gochecknoglobals // read only
	"loops": {
		"while true do end",
		"loops.lua:1: the flow exceeded its budget of instructions hint look for an endless loop",
	},
	"allocates": {
		`local all = {} while true do all[#all + 1] = ("x"):rep(1000) .. #all end`,
		"allocates.lua:1: the flow needs more than its 128 MiB of memory hint work on less at a time",
	},
	"steps": {
		`for i = 1, 100000 do task("FAKE", {}, { wait = false }) end`,
		"steps.lua:1: task \"FAKE\": a flow may start at most 10000 executions hint split the work into child flows",
	},
	"children": {
		`for i = 1, 100000 do flow("child", { n = i }, { wait = false }) end`,
		"children.lua:1: flow \"child\": a flow may start at most 10000 executions hint split the work into child flows",
	},
	"output": {
		`return task("FAKE", { size = 50000000 }).output`,
		"the output is 47 MiB; at most 32 MiB can be recorded hint have the task write a file",
	},
}

// TestLimitsOfTheEngine has flows that go beyond the limits, in a real engine beside one
// that does not: each is ended with an error that names its limit, and the other one goes
// on meanwhile.
func TestLimitsOfTheEngine(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	u.write("child.lua", `return input.n`)
	u.write("ticks.lua", `while not setting("stop"):get() do task("FAKE", { counter = "ticks" }) sleep(0.03) end return "unharmed"`)
	u.write("stop.lua", `setting("stop"):set(true)`)
	for name, flow := range boundedFlows {
		u.write(name+".lua", flow.text)
	}
	cmd := u.command("serve")
	log := &crashLog{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	ticks := u.weir("execution", "start", "ticks.lua", "--files", ".")
	for name, flow := range boundedFlows {
		before, start := u.ticks(), time.Now()
		id := u.weir("execution", "start", name+".lua")
		u.until(id+" "+name+" failed (limit)", "execution", "list", "--status", "failed")
		took, others := time.Since(start), u.ticks()-before
		if out := squeezed(u.weir("execution", "show", id)); !strings.Contains(out, flow.want) {
			t.Errorf("%s: it does not say %q:\n%.1000s", name, flow.want, out)
		}
		if others == 0 {
			t.Errorf("%s: the other flow stood still", name)
		}
		t.Logf("%s: ended after %s, %d steps of the other flow meanwhile", name, took.Round(time.Millisecond), others)
	}
	u.weir("execution", "start", "stop.lua", "--wait")
	u.until("ticks succeeded", "execution", "list", "--status", "succeeded")
	u.has(`"output": "unharmed"`, "execution", "show", ticks, "-o", "json")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the engine ended with %v:\n%s", err, log.String())
	}
	u.weir("store", "check")
}

// ticks counts the steps of the other flow.
func (u userOf) ticks() int {
	info, err := os.Stat(filepath.Join(u.dir, "ticks"))
	if err != nil {
		return 0
	}
	return int(info.Size())
}
