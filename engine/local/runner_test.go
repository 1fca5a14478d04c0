package local_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/tasks/all"
)

const canary = "canary/5ecret+Value?"

type oneSecret struct{}

func (oneSecret) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	return secret.Data{Ref: ref, Keys: map[string]any{"password": secret.New(canary)}}, nil
}

type noYAML struct{}

func (noYAML) Encode(any) ([]byte, error) { return nil, nil }
func (noYAML) Decode([]byte) (any, error) { return nil, nil }

// rig is a runner over a directory of flows.
type rig struct {
	runner *local.Runner
	dir    string
	events []engine.Event
}

func newRig(tb testing.TB, flows map[string]string) *rig {
	tb.Helper()
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
	r := &rig{dir: tb.TempDir()}
	shared := filepath.Join(r.dir, "shared")
	r.runner, err = local.New(local.Config{Dispatcher: d, FlowDirs: []string{shared}, YAML: noYAML{}})
	if err != nil {
		tb.Fatal(err)
	}
	for name, text := range flows {
		file := filepath.Join(r.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

// run runs a text as the flow main.lua of the rig's directory.
func (r *rig) run(ctx context.Context, text string) (engine.Finished, error) {
	return r.runner.Run(ctx, engine.Request{
		File: filepath.Join(r.dir, "main.lua"), Text: []byte(text), Files: r.dir,
		Watch: func(e engine.Event) { r.events = append(r.events, e) },
	})
}

// end runs a flow to its end.
func (r *rig) end(t *testing.T, text string) engine.Execution {
	t.Helper()
	finished, err := r.run(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return finished.Execution
}

func wantOutput(t *testing.T, e engine.Execution, want any) {
	t.Helper()
	if e.Error != nil {
		t.Fatalf("%s: %v\n%s", e.Error.Kind, e.Error, e.Error.Traceback)
	}
	got, err := json.Marshal(e.Output)
	if err != nil {
		t.Fatal(err)
	}
	expected, _ := json.Marshal(want)
	if diff := cmp.Diff(string(expected), string(got)); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func wantKind(t *testing.T, e engine.Execution, status engine.Status, kind engine.Kind, text string) {
	t.Helper()
	if e.Error == nil || e.Status != status || e.Error.Kind != kind || !strings.Contains(e.Error.Error(), text) {
		t.Fatalf("got %s, %+v, want %s, kind %s, text %q", e.Status, e.Error, status, kind, text)
	}
}

func TestTaskOfAFlow(t *testing.T) {
	t.Parallel()
	e := newRig(t, nil).end(t, `
		local x = connect("fake.default", { port = 99 })
		return { port = x.output.inputs.port, status = x.status, type = x.type, same = x:get("output_value").inputs.port }`)
	wantOutput(t, e, map[string]any{"port": 99, "status": "succeeded", "type": "FAKE", "same": 99})
}

func TestFailedTaskNamesItsPlace(t *testing.T) {
	t.Parallel()
	e := newRig(t, nil).end(t, "local a = 1\nconnect('fake.default', { fail_times = -1, fail_kind = 'denied' })")
	wantKind(t, e, engine.Failed, engine.Denied, `main.lua:2: connect "fake.default": `)
	if e.Error.Traceback == "" {
		t.Error("there is no traceback")
	}
}

func TestChildFlowsAndModules(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{
		"child.lua":         `return { doubled = input.n * 2, dir = require("lib.names").here }`,
		"lib/names.lua":     `return { here = "beside" }`,
		"shared/common.lua": `return flow("child", { n = 5 }).output.doubled`,
	})
	wantOutput(t, r.end(t, `return flow("child.lua", { n = 21 }).output`), map[string]any{"dir": "beside", "doubled": 42})
	wantKind(t, r.end(t, `require("names2")`), engine.Failed, engine.NotFound, "names2")
	// A flow in a --flows directory looks beside itself first, then in those
	// directories: it does not find the child of the main one.
	wantKind(t, r.end(t, `return flow("common").output`), engine.Failed, engine.NotFound, `"child"`)
}

func TestNoNameLeadsOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"inner/x.lua": "return 1"})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "y.lua"), []byte("return 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x", "/etc/passwd", "", "link/y", "inner/../../x", "."} {
		e := r.end(t, `return flow("`+name+`").output`)
		if e.Status != engine.Failed || e.Error.Kind != engine.Invalid && e.Error.Kind != engine.NotFound {
			t.Errorf("%q: got %s %v", name, e.Status, e.Error)
		}
	}
}

func TestUnknownFlowIsHinted(t *testing.T) {
	t.Parallel()
	e := newRig(t, map[string]string{"deploy.lua": "return 1"}).end(t, `flow("deplyo")`)
	wantKind(t, e, engine.Failed, engine.NotFound, `flow "deplyo": not found in `)
	hints := e.Error.Hint
	for cause := e.Error.Cause; cause != nil; cause = cause.Cause {
		hints += cause.Hint
	}
	if !strings.Contains(hints, "deploy") {
		t.Errorf("hint: %q", hints)
	}
}

func TestFlowThatCallsItselfForEver(t *testing.T) {
	t.Parallel()
	e := newRig(t, map[string]string{"again.lua": `return flow("again").output`}).end(t, `return flow("again").output`)
	wantKind(t, e, engine.Failed, engine.Limit, "deep")
}

func TestWaiting(t *testing.T) {
	t.Parallel()
	e := newRig(t, nil).end(t, `
		local slow = task("FAKE", { block = true }, { wait = false })
		local quick = task("FAKE", { payload = "quick" }, { wait = false, name = "quick" })
		local first = wait_any{ slow, quick }
		slow:cancel()
		return { first = first.output.inputs.payload, slow = slow.status, quick = quick:wait().status, name = quick.name }`)
	wantOutput(t, e, map[string]any{"first": "quick", "slow": "cancelled", "quick": "succeeded", "name": "quick"})
}

func TestSideBySide(t *testing.T) {
	t.Parallel()
	// Each branch waits until the other has started: one after the other, they
	// would wait for ever.
	e := newRig(t, nil).end(t, `
		local started = {}
		local function branch(me, other)
			return function()
				local x = task("FAKE", { payload = me })
				started[me] = true
				while not started[other] do sleep(0.001) end
				return x.output.inputs.payload
			end
		end
		return parallel{ branch("a", "b"), branch("b", "a") }`)
	wantOutput(t, e, []any{"a", "b"})
}

func TestChildrenEndBeforeTheirFlow(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	wantOutput(t, r.end(t, `task("FAKE", { delay = "30ms", payload = 1 }, { wait = false }); return 1`), 1)
	if diff := cmp.Diff([]string{"task succeeded", "flow succeeded"}, statuses(r.events)); diff != "" {
		t.Errorf("a flow that succeeds waits (-want +got):\n%s", diff)
	}
	r = newRig(t, nil)
	e := r.end(t, `task("FAKE", { block = true }, { wait = false }); error("boom")`)
	wantKind(t, e, engine.Failed, engine.Script, "boom")
	if diff := cmp.Diff([]string{"task cancelled", "flow failed"}, statuses(r.events)); diff != "" {
		t.Errorf("a flow that fails cancels (-want +got):\n%s", diff)
	}
}

func statuses(events []engine.Event) []string {
	var ended []string
	for _, e := range events {
		if e.Kind == engine.EventStatus && e.State.Status.Ended() {
			ended = append(ended, string(e.State.Kind)+" "+string(e.State.Status))
		}
	}
	return ended
}

// TestCancelledFlow cancels while everything that can block does.
func TestCancelledFlow(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"task":     `task("FAKE", { block = true })`,
		"sleep":    `sleep("1h")`,
		"wait":     `wait_all{ task("FAKE", { block = true }, { wait = false }) }`,
		"loop":     `while true do end`,
		"pcall":    `while true do pcall(function() task("FAKE", { block = true }) end) end`,
		"parallel": `parallel{ function() sleep("1h") end, function() task("FAKE", { block = true }) end }`,
		"child":    `flow("child")`,
		"retry":    `task("FAKE", { fail_times = -1 }, { retry = { max_tries = 9, delay = "1h" } })`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, map[string]string{"child.lua": `sleep("1h")`})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			finished, err := r.run(ctx, text)
			if err != nil {
				t.Fatal(err)
			}
			wantKind(t, finished.Execution, engine.Cancelled, engine.Canceled, "")
		})
	}
}

func TestTimeoutAndRetryOfAChildFlow(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{
		"slow.lua":  `sleep("1h")`,
		"flaky.lua": `return task("FAKE", { fail_times = 2, counter = "tries" }).output.count`,
	})
	e := r.end(t, `flow("slow", {}, { timeout = "20ms" })`)
	wantKind(t, e, engine.Failed, engine.Timeout, "20ms")
	e = r.end(t, `return flow("flaky", {}, { retry = { max_tries = 3, delay = "1ms" } }).output`)
	wantOutput(t, e, 3)
}

func TestDeferredRunsAfterCancel(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	finished, err := r.run(ctx, `
		defer(function() task("FAKE", { counter = "cleaned" }) end)
		sleep("1h")`)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, finished.Execution, engine.Cancelled, engine.Canceled, "")
	if text, err := os.ReadFile(filepath.Join(r.dir, "cleaned")); err != nil || len(text) != 1 {
		t.Errorf("the deferred function did not run its task: %q, %v", text, err)
	}
}

// TestSecretsAreMasked has a task give a secret to the flow, which shows it.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	finished, err := r.run(t.Context(), `
		local x = task("FAKE", { password = secret("secret/x#password"), leak = "output" })
		log.info("got " .. x.output.leaked, { field = x.output.leaked })
		progress(1, 2, x.output.leaked)
		error({ leaked = x.output.leaked, message = "bad " .. x.output.leaked })`)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(map[string]any{"events": r.events, "execution": finished.Execution})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), "5ecret") {
		t.Errorf("shows the secret: %s", shown)
	}
	if len(r.events) < 5 {
		t.Errorf("only %d events", len(r.events))
	}
}

func TestEventsCarryTimeAndExecution(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	wantOutput(t, r.end(t, `log.warn("w", { n = 1 }); task("FAKE", { steps = 3 })`), nil)
	for _, e := range r.events {
		if e.Time.IsZero() || e.Execution == "" {
			t.Errorf("event without time or execution: %+v", e)
		}
	}
}

func TestWrongFlowText(t *testing.T) {
	t.Parallel()
	_, err := newRig(t, nil).run(t.Context(), "local x = \n return")
	if err == nil || !strings.Contains(err.Error(), "main.lua:2") {
		t.Errorf("got %v, want an error at main.lua:2", err)
	}
}

// BenchmarkHello is the part of W5 that is not the start of the process.
func BenchmarkHello(b *testing.B) {
	r := newRig(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		finished, err := r.run(b.Context(), `return "hello"`)
		if err != nil || finished.Execution.Error != nil {
			b.Fatal(err, finished.Execution.Error)
		}
	}
}
