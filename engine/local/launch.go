package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
)

// shortSleep is the longest sleep that a flow spends in memory, without a record
// of its end.
const shortSleep = time.Second

// errStopped is why a step ends whose engine is being stopped. Such a step has no
// result: the next engine decides what is to become of it.
var errStopped error = stopped{}

type stopped struct{}

func (stopped) Error() string { return "the engine is being stopped" }

// Again tells drivers that the step is made again.
func (stopped) Again() bool { return true }

// launch begins what a call asks for.
func (f *flow) launch(c *call) {
	if f.dropped || c.begun || f.runner.draining.Load() {
		return // the next engine does
	}
	c.begun = true
	if f.cancelling && c.Branch != deferredBranch { // nothing is started any more
		c.cancelled = true
	}
	switch {
	case !f.recorded(c):
	case f.unsure(c) && c.cancelled: // whatever became of it, nobody waits for it
		f.record(c, f.endOf(c, unknownEffect()))
	case f.unsure(c):
		f.doubts = append(f.doubts, c)
		f.paused = true
	default:
		f.carryOut(c)
	}
}

// recorded takes in what is known of a call that was under way before. It is false,
// and the end of the work on the execution, if that was another call.
func (f *flow) recorded(c *call) bool {
	called := f.cursor.Called(c.address)
	if called == nil {
		return true
	}
	if called.Identity != c.identity {
		f.misfit(c.address, called.Identity, c)
		return false
	}
	c.until = called.Until
	return true
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
		f.beside(func() { f.launchSource(c) })
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
	file, text, err := f.runner.source(f.runner.life, f.tree.owner, c.From, c.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dropped || f.runner.stopped() {
		return
	}
	e := &journal.Observed{File: file}
	if err != nil {
		e.Error = asError(err)
	} else {
		e.Text = journal.Digest(text)
		f.changes.text(e.Text, text)
		f.tree.keep(e.Text, text)
	}
	f.observe(c, e)
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

// launchStep runs a connect or task call beside the script, or on the goroutine of
// the line that waits for it, whose stack has grown already.
func (f *flow) launchStep(c *call) {
	if c.cancelled {
		f.record(c, f.endOf(c, cancelledError()))
		return
	}
	ctx, cancel := context.WithCancel(f.runner.life)
	c.cancel = cancel
	step := func() {
		defer cancel()
		e, stopped := f.perform(ctx, c)
		f.mu.Lock()
		defer f.mu.Unlock()
		c.cancel = nil
		if !stopped && !f.dropped {
			f.record(c, e)
		}
	}
	if c.entering && c.line != nil {
		c.step = step
		f.busy++
		return
	}
	f.beside(step)
}

// beside does something beside the script, which keeps the flow in memory. It is
// called, as all here, with the lock held, which do does not have.
func (f *flow) beside(do func()) {
	f.busy++
	f.runner.work.Go(func() {
		do()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy--
		f.advance()
	})
}

// perform runs a step to its end. stopped means that the engine did not let it come
// to one.
func (f *flow) perform(ctx context.Context, c *call) (e engine.Execution, stopped bool) {
	made, err := f.pause(ctx, c)
	if err != nil {
		return f.endOf(c, cancelledError()), f.runner.stopped()
	}
	// Not only the operation leaves the engine: its secrets are read before it.
	if err := f.awaitDisk(ctx, c.after); err != nil {
		return f.endOf(c, cancelledError()), f.runner.stopped()
	}
	place := &place{slots: f.runner.slots, who: waiter{f.tree.owner, f.row.Root}}
	if err := place.take(ctx); err != nil {
		return f.endOf(c, cancelledError()), f.runner.stopped()
	}
	defer place.leave()
	e = c.execution()
	e.Parent, e.Status, e.Started = f.row.ID, engine.Running, f.runner.now()
	f.tree.emitState(e)
	files, err := f.tree.open()
	if err != nil {
		return f.ending(e, asError(err)), false
	}
	slow := f.alarms.slow(f, c)
	out, failure := f.runner.config.Dispatcher.Do(ctx, dispatch.Step{
		Owner: f.tree.owner, Execution: c.id, Call: c.Call, Scope: f.tree.scope, Files: files, Made: made,
		Begin: func(ctx context.Context, taskType string, once bool) (func(), error) {
			return f.begin(ctx, c, place, taskType, once)
		},
		Tried: func(try int, next time.Duration, failure *engine.Error) {
			place.leave() // others may have it until the next try
			f.tried(c, try, next, failure)
		},
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

// pause waits for the time of a try that an engine had put off which has ended
// meanwhile. It gives the tries that were made.
func (f *flow) pause(ctx context.Context, c *call) (made int, err error) {
	tried := f.cursor.Tried(c.address)
	if tried == nil {
		return 0, nil
	}
	timer := time.NewTimer(tried.Next.Sub(f.runner.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return tried.Try, nil
	case <-ctx.Done():
		return tried.Try, ctx.Err()
	}
}

// begin lets a step's operation start: within the limit of its task type, and, if
// it must not run twice, after that it is about to is on disk.
func (f *flow) begin(ctx context.Context, c *call, place *place, taskType string, once bool) (end func(), err error) {
	end = func() {}
	if limit := f.runner.types[taskType]; limit != nil {
		if end, err = limit.acquireFrom(ctx, place); err != nil {
			return nil, err
		}
	}
	if err := place.take(ctx); err != nil {
		end()
		return nil, err
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
	e.Parent, e.Started, e.Tries = f.row.ID, f.runner.now(), c.try
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
