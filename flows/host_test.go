package flows_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// host is an engine in memory: it answers calls from what the test says and
// records them. The real hosts need this package, so it cannot use theirs.
type host struct {
	// reply answers connect, task and flow; nil gives the inputs as the output.
	reply func(ctx context.Context, c engine.Call) (any, error)
	// sources are the texts of flows and modules, by name.
	sources map[string]string
	// answer is what somebody answers to ask; it is any value, since a host may be
	// wrong.
	answer func(c engine.Call) any
	now    time.Time
	shelf  *shelf // the settings; nil answers that there are none

	turn turn

	mu         sync.Mutex
	calls      []engine.Call
	events     []engine.Event
	executions map[engine.ID]engine.Execution
}

// turn is held by the goroutine that runs the script; others get it in the order
// in which they asked. The zero turn is held.
type turn struct {
	mu    sync.Mutex
	free  bool
	queue []chan struct{}
}

// ask queues for the turn; the channel is closed when it is the caller's.
func (t *turn) ask() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := make(chan struct{})
	if t.free {
		t.free = false
		close(mine)
	} else {
		t.queue = append(t.queue, mine)
	}
	return mine
}

func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		t.free = true
		return
	}
	close(t.queue[0])
	t.queue = t.queue[1:]
}

func (h *host) Parallel(parts []func()) {
	var ended sync.WaitGroup
	for _, part := range parts {
		mine := h.turn.ask() // asked for here: they start in order
		ended.Go(func() {
			<-mine
			defer h.turn.give()
			part()
		})
	}
	h.turn.give()
	ended.Wait()
	<-h.turn.ask()
}

func (h *host) Call(ctx context.Context, c engine.Call) (engine.Reply, error) {
	h.turn.give()
	defer func() { <-h.turn.ask() }()
	h.mu.Lock()
	h.calls = append(h.calls, c)
	id := engine.ID(fmt.Sprintf("e%d", len(h.calls)))
	h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return engine.Reply{}, err
	}
	switch c.Kind {
	case engine.CallConnect, engine.CallTask, engine.CallFlow:
		return h.start(ctx, id, c)
	case engine.CallWaitAll, engine.CallWaitAny, engine.CallCancel:
		return h.wait(c), nil
	case engine.CallNow:
		return engine.Reply{Time: h.now}, nil
	case engine.CallSource:
		text, ok := h.sources[c.Name]
		if !ok {
			return engine.Reply{}, &engine.Error{Kind: engine.NotFound, Message: "there is no such module"}
		}
		return engine.Reply{File: c.Name + ".lua", Text: []byte(text)}, nil
	case engine.CallAsk:
		return engine.Reply{Value: h.answer(c)}, nil
	case engine.CallSettingGet, engine.CallSettingSet, engine.CallSettingLock, engine.CallSettingUnlock:
		return h.shelf.call(ctx, c)
	}
	return engine.Reply{}, nil
}

func (h *host) start(ctx context.Context, id engine.ID, c engine.Call) (engine.Reply, error) {
	e := engine.Execution{ID: id, Kind: c.Kind, Name: c.Name, Type: "FAKE", Status: engine.Succeeded}
	if h.reply != nil {
		out, err := h.reply(ctx, c)
		var failed *engine.Error
		switch {
		case errors.As(err, &failed) && failed.Kind == engine.Internal, err != nil && failed == nil:
			return engine.Reply{}, err
		case failed != nil:
			e.Status, e.Error = engine.Failed, failed
		default:
			e.Output = out
		}
	} else if c.Inputs != nil {
		e.Output = c.Inputs
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.executions == nil {
		h.executions = map[engine.ID]engine.Execution{}
	}
	h.executions[id] = e
	if c.Options.NoWait {
		e.Status, e.Output, e.Error = engine.Running, nil, nil
	}
	return engine.Reply{Executions: []engine.Execution{e}}, nil
}

func (h *host) wait(c engine.Call) engine.Reply {
	h.mu.Lock()
	defer h.mu.Unlock()
	var r engine.Reply
	for _, id := range c.Executions {
		e := h.executions[id]
		if c.Kind == engine.CallCancel {
			e.Status, e.Error = engine.Cancelled, &engine.Error{Kind: engine.Canceled, Message: "cancelled"}
		}
		r.Executions = append(r.Executions, e)
	}
	if c.Kind == engine.CallWaitAny {
		r.Executions = r.Executions[len(r.Executions)-1:]
	}
	return r
}

func (h *host) Emit(e engine.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// called lists the calls in short: "branch kind name".
func (h *host) called() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, c := range h.calls {
		list = append(list, strings.TrimSpace(c.Branch+" "+string(c.Kind)+" "+c.Name))
	}
	return list
}

// logged lists the messages of log events.
func (h *host) logged() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, e := range h.events {
		if e.Kind == engine.EventLog {
			list = append(list, string(e.Level)+": "+e.Message)
		}
	}
	return list
}

// run runs a script, named flow.lua, with a host.
func run(t testing.TB, h *host, script string, change ...func(*flows.Config)) (any, *engine.Error) {
	t.Helper()
	p, err := flows.Compile("flow.lua", []byte(script))
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	cfg := flows.Config{Host: h}
	for _, c := range change {
		c(&cfg)
	}
	out, err := flows.Run(t.Context(), p, cfg)
	if err == nil {
		return out, nil
	}
	return nil, asError(t, err)
}

// asError holds Run to its contract: every error is an *engine.Error.
func asError(t testing.TB, err error) *engine.Error {
	t.Helper()
	var failed *engine.Error
	if !errors.As(err, &failed) {
		t.Fatalf("the error is a %T, not an *engine.Error: %v", err, err)
	}
	return failed
}

// eval runs a script that must succeed and gives its output.
func eval(t testing.TB, script string) any {
	t.Helper()
	out, err := run(t, &host{}, script)
	if err != nil {
		t.Fatalf("%s\nfailed: %v\n%s", script, err, err.Traceback)
	}
	return out
}

// fails runs a script that must fail.
func fails(t testing.TB, h *host, script string, change ...func(*flows.Config)) *engine.Error {
	t.Helper()
	out, err := run(t, h, script, change...)
	if err == nil {
		t.Fatalf("%s\ngave %v, want an error", script, out)
	}
	return err
}
