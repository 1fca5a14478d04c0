package local_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/enginetest"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
	"github.com/weir-engine/weir/tasks/all"
)

// onTheClock serves a store in memory on the machine's clock, for flows that compute:
// while they do, no time passes in a bubble.
func onTheClock(t *testing.T, memory *enginetest.Memory, files string) enginetest.Engine {
	t.Helper()
	types, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDefaults(types)}, Secrets: oneSecret{}, Types: types,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: oneSecret{}, Tasks: types})
	if err != nil {
		t.Fatal(err)
	}
	limits := flows.Limits{Instructions: 1 << 50}
	return serve(t, enginetest.Setup{Dispatcher: d, FilesDir: files, Limits: limits}, kept{
		Store: memory, lines: memory.Lines, roots: memory.Roots, tree: memory.Tree, close: func() error { return nil },
	})
}

func start(t *testing.T, e enginetest.Engine, files, text string) engine.ID {
	t.Helper()
	id, err := e.Start(t.Context(), engine.Request{File: "main.lua", Text: []byte(text), Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func cancelExecution(t *testing.T, e enginetest.Engine, id engine.ID) engine.Execution {
	t.Helper()
	if err := e.Order(t.Context(), journal.Order{Execution: id, Verb: journal.VerbCancel, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return wait(t, e, id)
}

func wait(t *testing.T, e enginetest.Engine, id engine.ID) engine.Execution {
	t.Helper()
	ended, err := e.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

// busyFlows compute for ever.
var busyFlows = map[string]string{ //nolint:gochecknoglobals // read only
	"loop":          `while true do end`,
	"caught":        `while true do pcall(function() while true do end end) end`,
	"time":          `while true do pcall(time.now) end`,
	"beside others": `parallel{ function() sleep("1h") end, function() while true do end end, function() task("FAKE", { block = true }) end }`,
	"pattern":       `return (("a"):rep(3000)):find(".-.-.-.-.-.-b")`,
	"steps":         `while true do pcall(task, "FAKE", { delay = "1ms" }) end`,
}

// TestBusyFlowsAreCancelled cancels flows wherever they are, beside one that nobody
// disturbs, and again after a crash.
func TestBusyFlowsAreCancelled(t *testing.T) {
	t.Parallel()
	for name, text := range busyFlows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory, files := enginetest.NewMemory(), t.TempDir()
			e := onTheClock(t, memory, files)
			busy := `defer(function() task("FAKE", { counter = "deferred" }) end) task("FAKE", { counter = "begun" }) ` + text
			first, second := start(t, e, files, busy), start(t, e, files, busy)
			other := start(t, e, files, `for i = 1, 10 do task("FAKE", { delay = "1ms" }) end return "unharmed"`)
			wantOutput(t, wait(t, e, other), "unharmed")
			wantKind(t, cancelExecution(t, e, first), engine.Cancelled, engine.Canceled, "")
			e.Abandon()
			e = onTheClock(t, memory, files)
			wantKind(t, cancelExecution(t, e, second), engine.Cancelled, engine.Canceled, "")
			e.Close()
			if counted, err := os.ReadFile(filepath.Join(files, "deferred")); err != nil || len(counted) != 2 {
				t.Errorf("deferred functions ran %d times: %v", len(counted), err)
			}
		})
	}
}

// TestBusyFlowsDoNotKeepTheEngine stops an engine whose flows compute.
func TestBusyFlowsDoNotKeepTheEngine(t *testing.T) {
	t.Parallel()
	memory, files := enginetest.NewMemory(), t.TempDir()
	e := onTheClock(t, memory, files)
	var ids []engine.ID
	for _, text := range busyFlows {
		ids = append(ids, start(t, e, files, text))
	}
	e.Close()
	for _, id := range ids {
		if h, err := memory.Load(context.Background(), id); err != nil || h.Status == engine.Cancelled || h.Status == engine.Failed {
			t.Errorf("%s is %s: %v", id, h.Status, err)
		}
	}
}
