package local

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
)

// flow is an execution of a flow that is in memory: a script, and the host that
// answers its calls.
//
// It works like this. The script runs on one of its lines at a time, until each of
// them waits for an answer. Only then is the next answer given to it, and the
// script goes on until all lines wait again. Answers come from the journal, in
// their order; when there are no more, what is still outstanding is begun, and
// each answer is on disk before it is given. So the script, run again with the
// same answers, does the same things.
type flow struct {
	runner *Runner
	tree   *tree
	row    journal.Row
	cursor *journal.Cursor
	begun  *journal.Begun

	life context.Context //nolint:containedctx // of the script: ended by its cancellation
	stop context.CancelFunc

	mu       sync.Mutex
	running  bool    // the script runs; else all its lines wait
	ready    []*line // those that may go on
	waiting  []*line // those in the host, in the order in which they came
	live     bool    // the journal has no more answers
	paused   bool
	dropped  bool // nothing more of the script is run
	inbox    []journal.Event
	numbers  map[string]int // calls made, by branch
	calls    map[journal.Address]*call
	order    []*call // outstanding ones, in the order in which they were made
	steps    map[engine.ID]*call
	births   chan struct{}            // one for each child flow that is being written
	given    map[journal.Address]bool // calls that were given up, whose answers come too late
	busy     int                      // what goes on beside the script, such as steps
	doubts   []*call
	changes  outbox
	ended    *engine.Error // of a flow that failed
	output   any
	over     bool      // the script has ended
	done     bool      // the execution has ended, or is about to
	late     bool      // its time was up
	cancelAt time.Time // when it was cancelled; zero if it was not

	cancelling bool            // its cancellation is being written
	launched   bool            // what was outstanding when it turned live has been begun
	orders     []journal.Order // for when it is live and waits
	taken      []int64         // numbers of the orders that were taken
	early      []journal.Event // answers that were written before it was live
	faulty     bool            // the engine cannot go on with it
	alarms     alarms

	fences  map[string]int64 // of the locks of settings that it holds
	ordinal int              // lines of the log that the script has written this time
	said    int              // lines that it had written before

	lingers  bool // it waits in memory for a while
	lingered bool // it has
	leaving  bool // what is to be known while it is not in memory is being written
}

// line is a line of execution of the script: the flow itself or a branch.
type line struct {
	wake  chan struct{}
	reply engine.Reply
	err   error
	call  *call
}

// run runs the script on a goroutine of its own.
func (f *flow) run(program *flows.Program) {
	f.running = true
	f.alarms.deadline(f)
	f.turnLive()
	f.obeyCancel()
	f.interruptSoon()
	f.runner.work.Go(func() {
		output, err := f.script(program)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running = false
		if errors.Is(err, engine.ErrAbandoned) || f.dropped {
			return
		}
		f.over, f.output = true, output
		if err != nil && !errors.As(err, &f.ended) {
			f.ended = &engine.Error{Kind: engine.Internal, Message: err.Error()}
		}
		if f.ended != nil {
			f.cancelChildren()
		}
		f.advance()
	})
}

// script runs the program. A panic of the engine's own is a defect that ends the
// flow, and nothing else.
func (f *flow) script(program *flows.Program) (output any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &engine.Error{Kind: engine.Internal, Message: fmt.Sprintf("defect: %v", cause), Traceback: string(debug.Stack())}
		}
	}()
	return flows.Run(f.life, program, flows.Config{
		Host: f, Input: f.begun.Inputs, Seed: seed(f.row.ID),
		Limits: f.runner.config.Limits, YAML: f.runner.config.YAML,
	})
}

// Parallel implements engine.Host.
func (f *flow) Parallel(parts []func()) {
	f.mu.Lock()
	left := len(parts)
	parent := &line{wake: make(chan struct{})}
	for _, part := range parts {
		l := &line{wake: make(chan struct{})}
		f.ready = append(f.ready, l)
		go func() {
			<-l.wake
			defer func() { // also when the host ends the goroutine
				f.mu.Lock()
				defer f.mu.Unlock()
				f.running = false
				if left--; left == 0 {
					f.ready = append(f.ready, parent)
				}
				f.advance()
			}()
			part()
		}()
	}
	if left == 0 {
		f.mu.Unlock()
		return
	}
	f.running = false
	f.advance()
	f.mu.Unlock()
	<-parent.wake
}

// Call implements engine.Host.
func (f *flow) Call(ctx context.Context, asked engine.Call) (engine.Reply, error) {
	f.mu.Lock()
	if f.dropped {
		f.mu.Unlock()
		return engine.Reply{}, engine.ErrAbandoned
	}
	if err := ctx.Err(); err != nil {
		f.mu.Unlock()
		return engine.Reply{}, err
	}
	c, err := f.enter(ctx, asked)
	if err != nil {
		f.mu.Unlock()
		return engine.Reply{}, err
	}
	if c.line == nil { // it need not wait
		f.mu.Unlock()
		return c.reply, nil
	}
	if asked.Branch == deferredBranch { // its context has a time of its own
		defer context.AfterFunc(ctx, f.look)()
	}
	f.waiting = append(f.waiting, c.line)
	f.running = false
	f.advance()
	f.mu.Unlock()
	if c.step != nil { // the line waits anyway
		c.step()
		f.mu.Lock()
		f.busy--
		f.advance()
		f.mu.Unlock()
	}
	<-c.line.wake
	return c.line.reply, c.line.err
}

// deferredBranch is where deferred functions run.
const deferredBranch = "defer"

// look has the flow go on if it can.
func (f *flow) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.advance()
}

// release has a waiting line go on with an answer.
func (f *flow) release(l *line, reply engine.Reply, err error) {
	for i, w := range f.waiting {
		if w == l {
			f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
			l.reply, l.err = reply, err
			f.ready = append(f.ready, l)
			return
		}
	}
}

// advance does what can be done next while all lines wait. It is called, with the
// lock held, after everything that happens.
func (f *flow) advance() {
	if f.hasNews() {
		f.leaving, f.lingered = false, false
	}
	for !f.running {
		switch {
		case f.dropped:
			f.drop()
			return
		case len(f.ready) > 0:
			next := f.ready[0]
			f.ready = f.ready[1:]
			f.running = true
			f.obeyCancel()
			f.interruptSoon()
			close(next.wake)
			return
		case f.done:
			return
		case f.faulty:
			return
		case f.releaseDead():
		case f.live && len(f.orders) > 0:
			f.obeyNext()
		case f.paused:
			f.rest()
			return
		case len(f.inbox) > 0:
			f.apply()
		case f.replayed():
		case f.over && len(f.order) == 0:
			f.finish()
			return
		default:
			f.rest()
			return
		}
	}
}

// stubborn is how long a script may compute after its cancellation was written
// before it is stopped wherever it is.
const stubborn = 200 * time.Millisecond

// interruptSoon stops a script that is cancelled and does not come back. Where it is
// stopped then is not the same when it is run again.
func (f *flow) interruptSoon() {
	if !f.running || !f.nextCancels() {
		return
	}
	if f.runner.config.Store == nil {
		f.stop()
		return
	}
	f.alarms.at(f, f.runner.now().Add(stubborn), func() {
		if f.running && f.nextCancels() {
			f.stop()
		}
	})
}

// nextCancels tells whether the next answer is the cancellation.
func (f *flow) nextCancels() bool {
	var next journal.Event
	switch {
	case len(f.inbox) > 0:
		next = f.inbox[0]
	case !f.live:
		next, _ = f.cursor.Peek()
	}
	_, cancels := next.(*journal.Cancelled)
	return cancels
}

// releaseDead lets lines go whose call was cancelled, and tells whether there were
// any. One that waits for its own child waits until that has ended.
func (f *flow) releaseDead() (any bool) {
	for _, l := range append([]*line(nil), f.waiting...) {
		err := l.call.ctx.Err()
		if err == nil {
			continue
		}
		if l.call.starts() {
			f.cancelCall(l.call)
			continue
		}
		if l.call.address != (journal.Address{}) {
			f.given[l.call.address] = true
		}
		f.forget(l.call)
		f.release(l, engine.Reply{}, err)
		any = true
	}
	return any
}

// drop has the next waiting line leave the script.
func (f *flow) drop() {
	if len(f.ready) > 0 {
		next := f.ready[0]
		f.ready = f.ready[1:]
		next.err = engine.ErrAbandoned
		f.running = true
		close(next.wake)
		return
	}
	if len(f.waiting) > 0 {
		f.release(f.waiting[0], engine.Reply{}, engine.ErrAbandoned)
		f.drop()
	}
}

// finish writes the end of the execution.
func (f *flow) finish() {
	f.done = true
	e := f.execution(f.runner.now())
	f.changes.event(&journal.Finished{At: e.Ended, Status: e.Status, Output: e.Output, Error: e.Error})
	f.changes.state = &journal.State{Status: e.Status, Ended: e.Ended}
	if e.Error != nil {
		f.changes.state.Kind = e.Error.Kind
	}
	f.changes.unlock = true
	if f.row.Parent != "" {
		f.changes.wake = append(f.changes.wake, f.row.Parent)
		f.runner.ending(f.row.Parent, 1) // until it has been told
	}
	f.changes.after = append(f.changes.after, func() { f.runner.ended(f, e) })
	f.flush()
}

// execution is the flow's execution as it ended. Its error is masked, as all that
// is kept or shown of it.
func (f *flow) execution(now time.Time) engine.Execution {
	e := engine.Execution{
		ID: f.row.ID, Parent: f.row.Parent, Kind: engine.CallFlow, Name: f.row.Name, Type: "FLOW",
		Started: f.begun.At, Ended: now, Tries: max(f.begun.Try, 1),
	}
	failure := f.ended
	if failure == nil {
		if size := treeSize(f.output); size > MaxOutput {
			failure = tooLarge(size)
		}
	}
	switch {
	case failure == nil:
		e.Status, e.Output = engine.Succeeded, f.output
		return e
	case failure.Kind != engine.Canceled:
		e.Status = engine.Failed
	case f.late:
		e.Status = engine.Failed
		failure = &engine.Error{Kind: engine.Timeout, Message: fmt.Sprintf("not done within %s", f.begun.Timeout)}
	default:
		e.Status = engine.Cancelled
	}
	e.Error = f.tree.scope.Error(failure)
	if e.Error.Execution == "" {
		e.Error.Execution = e.ID
	}
	return e
}
