package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/enginetest"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

// frozenStores has a store for each version of the schema that could hold executions,
// as the weir of that time left it when it was killed. Each one has a file weir.db and
// its master.key. To add one, when the schema has changed for the last time before a
// release: go test ./cmd/weir -run TestUpgradedStore -update
const frozenStores = "testdata/upgrade"

// frozenFlows are the flows of a frozen store, each with an execution of its name.
var frozenFlows = map[string]string{ //nolint:gochecknoglobals // read only
	"ended": `
		log.info("begun", { n = input.n })
		local part = flow("part", { n = input.n })
		setting("last"):set({ n = part.output })
		return { n = part.output, count = task("FAKE", { operation = "count", counter = "ended" }).output.count }`,
	"part":   `return input.n * 2`,
	"failed": `task("FAKE", { fail_times = -1, fail_kind = "denied" })`,
	"sleeps": `
		local fence = setting("door"):lock()
		local u = uuid()
		local before = task("FAKE", { operation = "count", counter = "sleeps-before", payload = u }).output.inputs.payload
		sleep("5s")
		return { same = before == u, fence = fence, after = task("FAKE", { counter = "sleeps-after" }).output.count }`,
	"locked": `
		local fence = setting("door"):lock()
		return { fence = fence, last = setting("last"):get().n }`,
	"asks": `
		task("FAKE", { counter = "asks-before" })
		return ask{ title = "Deploy?", schema = { approve = "boolean" } }.approve`,
	"again":  `return connect("slow", { counter = "again" }).output.count`,
	"once":   `local x = connect("slow", { operation = "count", counter = "once" }) return x.status`,
	"paused": `local x = connect("slow", { counter = "paused" }) return x.status`,
	"parent": `
		local child = flow("child", {}, { wait = false })
		local parts = parallel{
			function() return child:wait().output end,
			function() sleep("5s") return "slept" end,
		}
		return parts`,
	"child": `task("FAKE", { counter = "child-before" }) sleep("5s") return "child"`,
}

// frozenOutputs are what the executions come to, when they go on.
var frozenOutputs = map[string]string{ //nolint:gochecknoglobals // read only
	"ended": `{"count":1,"n":42}`, "sleeps": `{"after":1,"fence":1,"same":true}`, "locked": `{"fence":2,"last":42}`,
	"asks": `true`, "again": `1`, "once": `"succeeded"`, "paused": `"succeeded"`, "parent": `["child","slept"]`,
}

func TestUpgradedStore(t *testing.T) {
	t.Parallel()
	if *update {
		freeze(t)
		return
	}
	versions, err := filepath.Glob(filepath.Join(frozenStores, "*", "weir.db"))
	if err != nil || len(versions) == 0 {
		t.Fatalf("there are no frozen stores: %v", err)
	}
	for _, file := range versions {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			t.Parallel()
			u := userOf{t, t.TempDir()}
			if err := os.CopyFS(filepath.Join(u.dir, "data"), os.DirFS(filepath.Dir(file))); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(u.dir, "data", "master.key"), 0o600); err != nil {
				t.Fatal(err)
			}
			u.thaw()
		})
	}
}

// thaw has an engine go on with what a frozen store holds.
func (u userOf) thaw() {
	u.t.Helper()
	u.has("delay: 1h", "connection", "export", "--reveal")
	u.has("hunter22", "connection", "export", "--reveal")
	u.has("return input.n * 2", "flow", "show", "part")
	u.has("return 'the first version'", "flow", "show", "part@1")
	u.has(`"n": 42`, "execution", "show", "ended", "-o", "json")
	u.has("status failed", "execution", "show", "failed")
	u.has("begun", "execution", "logs", "ended")
	if err := os.Mkdir(filepath.Join(u.dir, "quick"), 0o700); err != nil {
		u.t.Fatal(err)
	}
	u.write("quick/slow.yaml", "name: slow\ntype: FAKE\nvalue: {delay: 1ms}\n")
	cmd := u.command("serve", "--retention", "0", "--connections", "quick")
	log := &crashLog{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	u.until("status paused for a decision", "execution", "show", "once")
	u.weir("execution", "answer", "once", "done")
	u.weir("execution", "answer", "asks", "approve=true")
	for name, output := range frozenOutputs {
		u.until("output "+output, "execution", "show", name)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		u.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		u.t.Errorf("the engine ended with %v:\n%s", err, log.String())
	}
	entries, err := os.ReadDir(filepath.Join(u.dir, "files"))
	if err != nil {
		u.t.Fatal(err)
	}
	var tried []string
	for _, e := range entries {
		tried = append(tried, e.Name())
	}
	if want := []string{"again", "paused", "sleeps-after"}; !slices.Equal(tried, want) {
		u.t.Errorf("steps were run: %v, want %v", tried, want)
	}
	u.weir("store", "check")
	u.consistent()
}

// consistent looks for what contradicts itself in the store.
func (u userOf) consistent() {
	u.t.Helper()
	s := u.open()
	for name := range frozenOutputs {
		if err := enginetest.Consistent(u.t.Context(), s.Executions(), engine.ID(name)); err != nil {
			u.t.Error(err)
		}
	}
}

func (u userOf) open() *store.Store {
	u.t.Helper()
	s, err := store.Open(u.t.Context(), store.Config{Dir: filepath.Join(u.dir, "data")})
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			u.t.Error(err)
		}
	})
	return s
}

// has runs a command that must print something.
func (u userOf) has(text string, args ...string) {
	u.t.Helper()
	if out := u.weir(args...); !strings.Contains(squeezed(out), text) {
		u.t.Errorf("weir %s does not print %q:\n%s", strings.Join(args, " "), text, out)
	}
}

// squeezed has one space where a text has any.
func squeezed(text string) string { return strings.Join(strings.Fields(text), " ") }

// until runs a command until it prints something.
func (u userOf) until(text string, args ...string) {
	u.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	out := ""
	for start := time.Now(); time.Since(start) < time.Minute; <-tick.C {
		if out = u.weir(args...); strings.Contains(squeezed(out), text) {
			return
		}
	}
	u.t.Fatalf("weir %s never prints %q:\n%s", strings.Join(args, " "), text, out)
}

// freeze makes a store of the schema of this weir.
func freeze(t *testing.T) {
	t.Helper()
	u := userOf{t, t.TempDir()}
	if err := os.Mkdir(filepath.Join(u.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	u.write("data/master.key", strings.Repeat("0123456789abcdef", 4)+"\n")
	u.write("slow.yaml", "# how long\nname: slow\ntype: FAKE\nvalue: {delay: 2h, password: hunter22}\n")
	u.weir("connection", "apply", "slow.yaml")
	u.write("slow.yaml", "# how long\nname: slow\ntype: FAKE\nvalue: {delay: 1h, password: hunter22}\n")
	u.weir("connection", "apply", "slow.yaml")
	u.write("part.lua", "return 'the first version'")
	u.weir("flow", "apply", "part.lua")
	for name, text := range frozenFlows {
		u.write(name+".lua", text)
		u.weir("flow", "apply", name+".lua")
	}
	s := u.open()
	u.begin(s, "ended", "failed")
	cmd := u.command("serve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	u.until("status succeeded", "execution", "show", "ended")
	u.begin(s, "sleeps")
	u.until("status waiting", "execution", "show", "sleeps")
	u.begin(s, "asks", "again", "once", "paused", "parent", "locked")
	u.until("waiting for an answer", "execution", "show", "asks")
	u.until("status waiting", "execution", "show", "locked")
	u.until("running", "execution", "show", "again")
	u.weir("execution", "pause", "paused")
	u.until("status paus", "execution", "show", "paused")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	u.weir("execution", "resume", "paused") // waits for an engine
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(u.dir, "data", "weir.db")) //nolint:gosec // a test's own directory
	if err != nil {
		t.Fatal(err)
	}
	version := binary.BigEndian.Uint32(file[60:]) // user_version
	to := filepath.Join(frozenStores, fmt.Sprint("v", version))
	if err := os.MkdirAll(to, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"weir.db", "master.key"} {
		text, err := os.ReadFile(filepath.Join(u.dir, "data", name)) //nolint:gosec // a test's own directory
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// begin writes executions with a relative files directory, so that the store can be
// opened anywhere.
func (u userOf) begin(s *store.Store, names ...string) {
	u.t.Helper()
	now := time.Now()
	for _, name := range names {
		text := []byte(frozenFlows[name])
		id := engine.ID(name)
		begun := &journal.Begun{
			At: now, File: local.StoredFile(name, 1), Text: journal.Digest(text), Files: "files", Inputs: map[string]any{"n": int64(21)},
		}
		written := make(chan error, 1)
		s.Executions().Commit([]journal.Change{{
			ID:     id,
			Create: &journal.Row{ID: id, Root: id, Name: name, Created: now, State: journal.State{Status: engine.Pending, Wake: now}},
			Events: []journal.Event{begun}, Texts: map[string][]byte{begun.Text: text},
		}}, func(err error) { written <- err })
		if err := <-written; err != nil {
			u.t.Fatal(err)
		}
	}
}
