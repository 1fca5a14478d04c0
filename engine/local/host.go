package local

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/flows"
)

// host is what one running flow can reach.
type host struct {
	tree  *tree
	id    engine.ID
	depth int
	life  context.Context // ends with the flow; its children live in it
	turn  chan struct{}   // holds a token while none of the script's goroutines runs

	mu       sync.Mutex
	numbers  map[string]int // calls made, by branch
	children map[engine.ID]*child
	running  sync.WaitGroup
}

// child is an execution that a flow started.
type child struct {
	cancel context.CancelFunc
	done   chan struct{}
	ended  engine.Execution // valid once done is closed
	began  engine.Execution
}

func newHost(life context.Context, t *tree, id engine.ID, depth int) *host {
	return &host{
		tree: t, id: id, depth: depth, life: life,
		turn: make(chan struct{}, 1), numbers: map[string]int{}, children: map[engine.ID]*child{},
	}
}

// wait returns when all children have ended.
func (h *host) wait() { h.running.Wait() }

// Emit implements engine.Host.
func (h *host) Emit(e engine.Event) {
	e.Execution = h.id
	h.tree.emit(e)
}

// Parallel implements engine.Host.
func (h *host) Parallel(parts []func()) {
	var ended sync.WaitGroup
	started := make(chan struct{}, 1)
	started <- struct{}{}
	h.turn <- struct{}{}
	for _, part := range parts {
		<-started
		ended.Go(func() {
			<-h.turn
			started <- struct{}{}
			defer func() { h.turn <- struct{}{} }()
			part()
		})
	}
	ended.Wait()
	<-h.turn
}

// Call implements engine.Host.
func (h *host) Call(ctx context.Context, call engine.Call) (engine.Reply, error) {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if err := ctx.Err(); err != nil {
		return engine.Reply{}, err
	}
	switch call.Kind {
	case engine.CallConnect, engine.CallTask, engine.CallFlow:
		return h.start(ctx, call)
	case engine.CallWaitAll, engine.CallWaitAny, engine.CallCancel:
		return h.join(ctx, call)
	case engine.CallSleep:
		return engine.Reply{}, sleep(ctx, call)
	case engine.CallNow:
		return engine.Reply{Time: time.Now()}, nil
	case engine.CallSource:
		file, text, err := load(call.From, call.Name, h.tree.config.FlowDirs)
		return engine.Reply{File: file, Text: text}, err
	}
	return engine.Reply{}, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("unknown call %q", call.Kind)}
}

// start begins a child and, unless the call says otherwise, waits for it.
func (h *host) start(ctx context.Context, call engine.Call) (engine.Reply, error) {
	e, err := h.next(call)
	if err != nil {
		return engine.Reply{}, err
	}
	c := h.launch(ctx, e, call)
	if call.Options.NoWait {
		return engine.Reply{Executions: []engine.Execution{c.began}}, nil
	}
	select {
	case <-c.done:
		return engine.Reply{Executions: []engine.Execution{c.ended}}, nil
	case <-ctx.Done():
		c.cancel()
		<-c.done
		return engine.Reply{}, ctx.Err()
	}
}

// next makes the child that a call asks for.
func (h *host) next(call engine.Call) (engine.Execution, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.children) >= MaxChildren {
		return engine.Execution{}, &engine.Error{
			Kind: engine.Limit, Where: call.Where,
			Message: fmt.Sprintf("a flow may start at most %d executions", MaxChildren),
			Hint:    "split the work into child flows",
		}
	}
	h.numbers[call.Branch]++
	number := fmt.Sprint(h.numbers[call.Branch])
	if call.Branch != "" {
		number = strings.ReplaceAll(call.Branch, ".", "-") + "-" + number
	}
	name := call.Options.Name
	if name == "" {
		name = call.Name
	}
	e := engine.Execution{
		ID: h.id + engine.ID("."+number), Parent: h.id, Kind: call.Kind, Name: name, Status: engine.Pending,
	}
	if call.Kind == engine.CallFlow {
		e.Type = "FLOW"
	}
	return e, nil
}

// launch runs a child beside the flow. It lives as long as the flow, not as the
// call: a branch that ends leaves what it started without waiting alone. A call
// that is made after the flow's end, by a deferred function, lives as its call.
func (h *host) launch(ctx context.Context, e engine.Execution, call engine.Call) *child {
	life := h.life
	if life.Err() != nil {
		life = ctx
	}
	life, cancel := context.WithCancel(life)
	c := &child{cancel: cancel, done: make(chan struct{}), began: e}
	c.began.Status = engine.Running
	h.mu.Lock()
	h.children[e.ID] = c
	h.mu.Unlock()
	h.running.Go(func() {
		defer close(c.done)
		defer cancel()
		if call.Kind == engine.CallFlow {
			c.ended = h.runFlow(life, e, call)
		} else {
			c.ended = h.runTask(life, e, call)
		}
	})
	return c
}

// runTask runs a connect or task call to its end.
func (h *host) runTask(ctx context.Context, e engine.Execution, call engine.Call) engine.Execution {
	select {
	case h.tree.slots <- struct{}{}:
		defer func() { <-h.tree.slots }()
	case <-ctx.Done():
		return h.tree.end(e, nil, ctx.Err())
	}
	e.Status, e.Started = engine.Running, time.Now()
	h.tree.emitState(e)
	out, failure := h.tree.config.Dispatcher.Do(ctx, dispatch.Step{
		Owner: h.tree.owner, Call: call, Scope: h.tree.scope,
		Emit: func(event engine.Event) {
			event.Execution = e.ID
			h.tree.emit(event)
		},
	})
	e.Type, e.Tries, e.Uses = out.Type, out.Tries, out.Uses
	if failure != nil {
		return h.tree.end(e, nil, failure)
	}
	return h.tree.end(e, out.Output, nil)
}

// runFlow runs a child flow with all its tries.
func (h *host) runFlow(ctx context.Context, e engine.Execution, call engine.Call) engine.Execution {
	if h.depth+1 >= MaxDepth {
		return h.tree.end(e, nil, &engine.Error{
			Kind: engine.Limit, Where: call.Where, Message: fmt.Sprintf("flows call flows more than %d deep", MaxDepth),
			Hint: "look for a flow that runs itself",
		})
	}
	file, text, err := load(call.From, call.Name, h.tree.config.FlowDirs)
	if err != nil {
		return h.tree.end(e, nil, err)
	}
	program, err := flows.Compile(file, text)
	if err != nil {
		return h.tree.end(e, nil, err)
	}
	ctx, cancel := dispatch.WithTimeout(ctx, call.Options.Timeout)
	defer cancel()
	_ = dispatch.Retry(ctx, call.Options.Retry, func(int) *engine.Error {
		e = h.tree.runFlow(ctx, e, program, call.Inputs, h.depth+1)
		return e.Error
	})
	if late := dispatch.Late(ctx); late != nil && e.Status == engine.Cancelled {
		e.Status, e.Error = engine.Failed, late
	}
	return e
}

// join waits for executions, or cancels them.
func (h *host) join(ctx context.Context, call engine.Call) (engine.Reply, error) {
	joined := make([]*child, len(call.Executions))
	for i, id := range call.Executions {
		h.mu.Lock()
		c, ok := h.children[id]
		h.mu.Unlock()
		if !ok {
			return engine.Reply{}, &engine.Error{
				Kind: engine.NotFound, Where: call.Where, Message: fmt.Sprintf("%s: this flow has no execution %q", call.Kind, id),
			}
		}
		joined[i] = c
	}
	if call.Kind == engine.CallWaitAny {
		return waitAny(ctx, joined)
	}
	if call.Kind == engine.CallCancel {
		for _, c := range joined {
			c.cancel()
		}
	}
	return waitAll(ctx, joined)
}

func waitAll(ctx context.Context, joined []*child) (engine.Reply, error) {
	var reply engine.Reply
	for _, c := range joined {
		select {
		case <-c.done:
			reply.Executions = append(reply.Executions, c.ended)
		case <-ctx.Done():
			return engine.Reply{}, ctx.Err()
		}
	}
	return reply, nil
}

// waitAny gives the first that ended; of several that have, the first in order.
func waitAny(ctx context.Context, joined []*child) (engine.Reply, error) {
	if len(joined) == 0 {
		return engine.Reply{}, &engine.Error{Kind: engine.Invalid, Message: "wait_any: there is nothing to wait for"}
	}
	stop := make(chan struct{})
	defer close(stop)
	first := make(chan *child)
	for _, c := range joined {
		select {
		case <-c.done:
			return engine.Reply{Executions: []engine.Execution{c.ended}}, nil
		default:
		}
		go func() {
			select {
			case <-c.done:
			case <-stop:
				return
			}
			select {
			case first <- c:
			case <-stop:
			}
		}()
	}
	select {
	case c := <-first:
		return engine.Reply{Executions: []engine.Execution{c.ended}}, nil
	case <-ctx.Done():
		return engine.Reply{}, ctx.Err()
	}
}

func sleep(ctx context.Context, call engine.Call) error {
	d := call.Duration
	if !call.Until.IsZero() {
		d = time.Until(call.Until)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// seed derives a script's randomness from its execution's id.
func seed(id engine.ID) [32]byte { return sha256.Sum256([]byte(id)) }
