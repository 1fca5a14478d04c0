package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
)

// shortSleep is the longest sleep that a flow spends in memory, without a record
// of its end.
const shortSleep = time.Second

// errStopped is why a step ends whose engine is being stopped. Such a step has no
// result: the next engine decides what is to become of it.
var errStopped = errors.New("the engine is being stopped")

// launch begins what a call asks for.
func (f *flow) launch(c *call) {
	if f.dropped || c.begun || f.runner.draining.Load() {
		return // the next engine does
	}
	c.begun = true
	if called := f.cursor.Called(c.address); called != nil {
		if called.Identity != c.identity {
			f.misfit(c.address, called.Identity, c)
			return
		}
		c.until = called.Until
		if f.unsure(c) {
			f.doubts = append(f.doubts, c)
			f.paused = true
			return
		}
	}
	f.carryOut(c)
}

// unsure tells whether it is not known if a step took effect that must not run
// twice: a person is asked.
func (f *flow) unsure(c *call) bool {
	called := f.cursor.Called(c.address)
	return called != nil && called.Once && !f.cursor.MayRepeat(c.address)
}

// carryOut does what a call asks for.
func (f *flow) carryOut(c *call) {
	switch c.Kind {
	case engine.CallConnect, engine.CallTask:
		f.launchStep(c)
	case engine.CallFlow:
		f.launchFlow(c)
	case engine.CallSleep:
		f.launchSleep(c)
	case engine.CallNow:
		f.observe(c, &journal.Observed{Time: f.runner.now()})
	case engine.CallSource:
		go f.launchSource(c)
	case engine.CallAsk:
		if f.runner.config.Store == nil {
			f.observe(c, &journal.Observed{Error: &engine.Error{
				Kind: engine.Invalid, Message: "nobody can be asked: nothing of this run is kept",
				Hint: "start it with `weir execution start`; `weir execution answer` then answers it",
			}})
			return
		}
		if f.cursor.Called(c.address) == nil {
			f.changes.event(f.called(c, false))
			f.flush()
		}
	default:
		f.launchSetting(c)
	}
}

// called is the record that a call is under way.
func (f *flow) called(c *call, once bool) *journal.Called {
	return &journal.Called{
		Address: c.address, Identity: c.identity, At: f.runner.now(), Where: c.Where,
		Once: once, Until: c.until, Inputs: c.Inputs,
	}
}

// observe answers a call by what the engine itself knows.
func (f *flow) observe(c *call, e *journal.Observed) {
	if f.calls[c.address] != c || c.answered {
		return
	}
	c.answered = true
	e.Address, e.Identity = c.address, c.identity
	if c.Kind != engine.CallNow { // which says it already
		e.At = f.runner.now()
	}
	f.changes.event(e)
	f.flush()
}

func (f *flow) launchSource(c *call) {
	file, text, err := f.runner.source(f.life, f.tree.owner, c.From, c.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &journal.Observed{File: file}
	if err != nil {
		e.Error = asError(err)
	} else {
		e.Text = journal.Digest(text)
		f.changes.text(e.Text, text)
		f.tree.keep(e.Text, text)
	}
	f.observe(c, e)
	f.advance()
}

func (f *flow) launchSleep(c *call) {
	if c.until.IsZero() {
		c.until = c.Until
		if c.until.IsZero() {
			c.until = f.runner.now().Add(c.Duration)
		}
		if c.until.Sub(f.runner.now()) > shortSleep {
			f.changes.event(f.called(c, false))
			f.flush()
		}
	}
	f.alarms.at(f, c.until, func() { f.wake(c) })
}

// wake ends a sleep whose time has come, unless the flow is paused.
func (f *flow) wake(c *call) {
	if f.calls[c.address] != c || c.answered || f.paused {
		return
	}
	c.answered = true
	f.changes.event(&journal.Woken{Address: c.address, At: f.runner.now()})
	f.flush()
}

// launchStep runs a connect or task call beside the script.
func (f *flow) launchStep(c *call) {
	if c.cancelled {
		f.record(c, f.endOf(c, cancelledError()))
		return
	}
	ctx, cancel := context.WithCancel(f.runner.life)
	c.cancel = cancel
	f.busy++
	go func() {
		defer cancel()
		e, stopped := f.perform(ctx, c)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy--
		c.cancel = nil
		if !stopped && !f.dropped {
			f.record(c, e)
		}
		f.advance()
	}()
}

// perform runs a step to its end. stopped means that the engine did not let it come
// to one.
func (f *flow) perform(ctx context.Context, c *call) (e engine.Execution, stopped bool) {
	release, err := f.runner.slots.acquire(ctx, f.tree.owner)
	if err != nil {
		return f.endOf(c, cancelledError()), f.runner.stopped()
	}
	defer release()
	e = c.execution()
	e.Parent, e.Status, e.Started = f.row.ID, engine.Running, f.runner.now()
	f.tree.emitState(e)
	files, err := f.tree.open()
	if err != nil {
		return f.ending(e, asError(err)), false
	}
	made := 0
	if tried := f.cursor.Tried(c.address); tried != nil {
		made = tried.Try
	}
	slow := f.alarms.slow(f, c)
	out, failure := f.runner.config.Dispatcher.Do(ctx, dispatch.Step{
		Owner: f.tree.owner, Call: c.Call, Scope: f.tree.scope, Files: files, Made: made,
		Begin: func(ctx context.Context, taskType string, once bool) (func(), error) {
			return f.begin(ctx, c, taskType, once)
		},
		Tried: func(try int, next time.Duration, failure *engine.Error) { f.tried(c, try, next, failure) },
		Emit: func(event engine.Event) {
			event.Execution = c.id
			f.emit(event, 0)
		},
	})
	slow.Stop()
	e.Type, e.Tries, e.Uses = out.Type, out.Tries, out.Uses
	if failure != nil {
		return f.ending(e, failure), f.runner.stopped() && ctx.Err() != nil
	}
	if size := treeSize(out.Output); size > MaxOutput {
		return f.ending(e, tooLarge(size)), false
	}
	e.Status, e.Output, e.Ended = engine.Succeeded, out.Output, f.runner.now()
	f.tree.emitState(e)
	return e, false
}

// begin lets a step's operation start: within the limit of its task type, and, if
// it must not run twice, after that it is about to is on disk.
func (f *flow) begin(ctx context.Context, c *call, taskType string, once bool) (end func(), err error) {
	end = func() {}
	if limit := f.runner.types[taskType]; limit != nil {
		if end, err = limit.acquire(ctx, f.tree.owner); err != nil {
			return nil, err
		}
	}
	if !once || f.runner.config.Store == nil {
		return end, nil
	}
	written := make(chan struct{})
	f.mu.Lock()
	f.changes.event(f.called(c, true))
	f.changes.after = append(f.changes.after, func() { close(written) })
	f.flush()
	f.mu.Unlock()
	select {
	case <-written:
		return end, nil
	case <-ctx.Done():
		end()
		return nil, ctx.Err()
	}
}

// tried writes down that a step will be tried again.
func (f *flow) tried(c *call, try int, next time.Duration, failure *engine.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.runner.now()
	f.changes.event(&journal.Tried{Address: c.address, Try: try, At: now, Next: now.Add(next), Error: failure})
	f.flush()
}

// endOf is the end of a step that was not begun.
func (f *flow) endOf(c *call, failure *engine.Error) engine.Execution {
	e := c.execution()
	e.Parent, e.Started = f.row.ID, f.runner.now()
	return f.ending(e, failure)
}

// ending completes a step that has failed.
func (f *flow) ending(e engine.Execution, failure *engine.Error) engine.Execution {
	e.Ended, e.Status = f.runner.now(), engine.Failed
	if failure.Kind == engine.Canceled {
		e.Status = engine.Cancelled
	}
	e.Error = f.tree.scope.Error(failure)
	if e.Error.Execution == "" {
		e.Error.Execution = e.ID
	}
	f.tree.emitState(e)
	return e
}

// record writes down what a step or a child flow came to.
func (f *flow) record(c *call, e engine.Execution) {
	if f.calls[c.address] != c || c.answered {
		return
	}
	c.answered = true
	f.changes.event(&journal.Returned{
		Address: c.address, Identity: c.identity, Where: c.Where, Inputs: c.Inputs,
		Status: e.Status, Type: e.Type, Output: e.Output, Error: e.Error,
		Started: e.Started, Ended: e.Ended, Tries: e.Tries, Uses: e.Uses,
	})
	f.flush()
}

// launchFlow starts a child flow, or takes up the one that was started before.
func (f *flow) launchFlow(c *call) {
	c.try = 1
	if tried := f.cursor.Tried(c.address); tried != nil {
		c.try = tried.Try + 1
	}
	switch {
	case f.cursor.Called(c.address) != nil:
		go f.attach(c)
	case c.cancelled:
		f.record(c, f.endOf(c, cancelledError()))
	default:
		go f.startChild(c)
	}
}

// attach finds out what has become of a child flow that was started before.
func (f *flow) attach(c *call) {
	history, err := f.runner.config.Store.Load(f.runner.life, c.flowID())
	var failure *engine.Error
	if errors.As(err, &failure) && failure.Kind == engine.NotFound {
		f.startChild(c)
		return
	}
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fault(asError(err))
		f.advance()
		return
	}
	if history.Status.Ended() {
		e, err := endedExecution(history)
		if err != nil {
			e = f.endOf(c, asError(err))
		}
		f.childEnded(c.flowID(), e)
		return
	}
	if c.cancelled {
		f.runner.tell(c.flowID(), journal.Order{Verb: journal.VerbCancel})
	}
}

// endedExecution is what an execution came to, as its journal has it.
func endedExecution(h journal.History) (engine.Execution, error) {
	cursor, err := journal.NewCursor(h.Events)
	if err != nil {
		return engine.Execution{}, fmt.Errorf("journal of %s: %w", h.ID, err)
	}
	e := engine.Execution{
		ID: h.ID, Parent: h.Parent, Kind: engine.CallFlow, Name: h.Name, Type: "FLOW", Status: h.Status,
		Started: cursor.Begun.At, Ended: h.Ended, Tries: max(cursor.Begun.Try, 1),
	}
	if cursor.Ended != nil {
		e.Output, e.Error = cursor.Ended.Output, cursor.Ended.Error
	}
	return e, nil
}

// flowID names a child flow: a later try is an execution of its own.
func (c *call) flowID() engine.ID {
	return journal.TryID(c.id, c.try)
}

func (f *flow) startChild(c *call) {
	file, text, err := f.runner.source(f.life, f.tree.owner, c.From, c.Name)
	var program *flows.Program
	if err == nil && f.begun.Depth+1 >= MaxDepth {
		err = &engine.Error{
			Kind: engine.Limit, Where: c.Where, Message: fmt.Sprintf("flows call flows more than %d deep", MaxDepth),
			Hint: "look for a flow that runs itself",
		}
	}
	if err == nil {
		program, err = f.runner.compile(file, text)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dropped {
		return
	}
	if err != nil {
		f.record(c, f.endOf(c, asError(err)))
		f.advance()
		return
	}
	now := f.runner.now()
	begun := &journal.Begun{
		At: now, File: file, Text: journal.Digest(text), Inputs: c.Inputs, Files: f.begun.Files,
		Depth: f.begun.Depth + 1, Try: c.try, Timeout: c.Options.Timeout,
	}
	if c.Options.Timeout > 0 {
		begun.Deadline = now.Add(c.Options.Timeout)
	}
	row := journal.Row{
		ID: c.flowID(), Root: f.row.Root, Parent: f.row.ID, Owner: f.row.Owner, Name: c.execution().Name, Created: now,
		State: journal.State{Status: engine.Pending, Wake: now},
	}
	created := journal.Change{
		ID: row.ID, Create: &row, Events: []journal.Event{begun}, Texts: map[string][]byte{begun.Text: text},
	}
	f.changes.event(f.called(c, false))
	f.changes.created = append(f.changes.created, created)
	f.changes.after = append(f.changes.after, func() {
		if f.runner.crowded() {
			f.runner.poke() // it has its turn like all others
			return
		}
		f.runner.begin(journal.History{Row: row, Events: created.Events}, f.tree, program)
	})
	f.flush()
	f.advance()
}

// childEnded takes in what a child flow came to, and repeats it if its caller
// wants that.
func (f *flow) childEnded(id engine.ID, e engine.Execution) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.order {
		if !c.starts() || c.flowID() != id || c.answered {
			continue
		}
		if e.Error != nil && !c.cancelled && e.Status == engine.Failed {
			if delay, again := dispatch.Again(c.Options.Retry, c.try, e.Error); again {
				f.again(c, e, delay)
				return
			}
		}
		e.ID, e.Tries = c.id, c.try
		f.record(c, e)
	}
	f.advance()
}

// again has a child flow run once more after a while.
func (f *flow) again(c *call, e engine.Execution, delay time.Duration) {
	now := f.runner.now()
	f.changes.event(&journal.Tried{Address: c.address, Try: c.try, At: now, Next: now.Add(delay), Error: e.Error})
	f.flush()
	c.try++
	f.busy++ // it keeps the flow in memory
	f.alarms.at(f, now.Add(delay), func() {
		f.busy--
		if c.cancelled {
			f.record(c, f.endOf(c, cancelledError()))
			return
		}
		go f.startChild(c)
	})
}

func cancelledError() *engine.Error {
	return &engine.Error{Kind: engine.Canceled, Message: "cancelled"}
}

func tooLarge(size int) *engine.Error {
	return &engine.Error{
		Kind:    engine.Limit,
		Message: fmt.Sprintf("the output is %d MiB; at most %d MiB can be recorded", size>>20, MaxOutput>>20),
		Hint:    "have the task write a file, or ask for less at a time",
	}
}

// asError gives an error its kind.
func asError(err error) *engine.Error {
	var failure *engine.Error
	if errors.As(err, &failure) {
		return failure
	}
	return &engine.Error{Kind: engine.Internal, Message: err.Error()}
}
