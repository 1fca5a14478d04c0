package local

import (
	"slices"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// linger is how long a flow that waits for something of unknown length stays in
// memory, unless others need the room.
const linger = time.Second

// rest is where a flow comes to that can do nothing now. If it may take a while it
// leaves memory.
func (f *flow) rest() {
	if f.runner.config.Store == nil || f.changes.writing || !f.live || f.leaving || f.faulty || f.runner.draining.Load() {
		return
	}
	if f.overdue(); f.changes.writing {
		return
	}
	if f.paused && !f.launched { // it was taken up for no reason: it still waits for what it had waited for
		f.doubt()
	}
	state, soon := f.restingState()
	if f.isBusy() || soon && !f.runner.crowded(f.row.Root) {
		f.stay()
		return
	}
	f.changes.state = &state
	f.leaving = true
	f.changes.after = append(f.changes.after, f.retire)
	f.flush()
}

// overdue begins what should have begun already: the clock was set, which timers do not
// notice.
func (f *flow) overdue() {
	var late []*call
	now := f.runner.now()
	for _, c := range f.order {
		switch {
		case c.Kind == engine.CallSleep && !c.until.IsZero() && !now.Before(c.until),
			!c.next.IsZero() && !now.Before(c.next), c.waitsForLock && !c.retryAt.IsZero() && !now.Before(c.retryAt):
			late = append(late, c)
		}
	}
	for _, c := range late {
		switch c.Kind {
		case engine.CallSleep:
			f.wake(c)
		case engine.CallFlow:
			f.retryChild(c)
		default:
			f.tryLock(c.Name)
		}
	}
	if end := f.begun.Deadline; !end.IsZero() && !now.Before(end) {
		f.cancel(true, "")
	}
}

// isBusy tells whether the flow must stay in memory: while something goes on beside
// it, while it is about to hear of a child's end, and until a child that it cancels has
// ended, which nothing on disk tells of.
func (f *flow) isBusy() bool {
	return f.busy > 0 || f.runner.expects(f.row.ID) || slices.ContainsFunc(f.order, func(c *call) bool { return c.Kind == engine.CallFlow && c.cancelled && !f.paused })
}

// stay keeps a flow in memory that may soon go on.
func (f *flow) stay() {
	if !f.lingers && !f.isBusy() {
		f.lingers = true
		f.alarms.at(f, f.runner.now().Add(linger), func() { f.lingers, f.lingered = false, true })
	}
	if !f.row.Wake.IsZero() && !f.paused { // it is not due
		f.changes.state = &journal.State{Status: engine.Running}
		f.flush()
	}
}

// restingState is what the store is to know of the flow while it is not in memory.
// soon means that it may well go on at once.
func (f *flow) restingState() (state journal.State, soon bool) {
	if f.paused {
		state.Status = engine.Paused
		if len(f.doubts) > 0 {
			state.Waits = journal.WaitsForDecision
		}
		return state, false
	}
	state = journal.State{Status: engine.Waiting, Wake: f.begun.Deadline}
	sleeps := false
	for _, c := range f.order {
		switch {
		case c.Kind == engine.CallSleep:
			sleeps = true
			if state.Wake.IsZero() || c.until.Before(state.Wake) {
				state.Wake = c.until
			}
		case c.Kind == engine.CallAsk:
			sleeps = true
			state.Waits = journal.WaitsForAnswer
		case c.waitsForLock:
			state.Waits = journal.WaitsForLock(c.Name)
			if !c.retryAt.IsZero() && (state.Wake.IsZero() || c.retryAt.Before(state.Wake)) {
				state.Wake = c.retryAt
			}
		case !c.next.IsZero():
			sleeps = true
			if state.Wake.IsZero() || c.next.Before(state.Wake) {
				state.Wake = c.next
			}
		case c.Kind != engine.CallFlow:
			return state, true // an answer is under way
		}
	}
	if !state.Wake.IsZero() && state.Wake.Sub(f.runner.now()) <= shortSleep {
		return state, true
	}
	return state, !sleeps && !f.lingered
}

// retire lets a flow go that has come to rest, if nothing has happened since.
func (f *flow) retire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	state, soon := f.restingState()
	if f.running || f.dropped || !f.leaving || f.isBusy() || f.changes.writing || !f.changes.empty() || f.hasNews() ||
		(soon && !f.runner.crowded(f.row.Root)) || state != f.row.State {
		f.leaving = false
		f.advance()
		return
	}
	f.leave()
}

// hasNews tells whether there is something for the flow to do. Answers to one that is
// paused wait on disk.
func (f *flow) hasNews() bool {
	return len(f.ready)+len(f.orders) > 0 || len(f.inbox) > 0 && !f.paused
}

// leave drops the flow from memory.
func (f *flow) leave() {
	f.dropped = true
	if f.done && f.row.Parent != "" { // its parent will not hear of it
		f.runner.ending(f.row.Parent, -1)
	}
	f.stopSteps()
	f.alarms.stop()
	f.runner.left(f)
	for _, o := range f.orders { // they have it taken up again
		f.runner.tell(f.row.ID, o)
	}
	f.advance()
}

func (f *flow) stopSteps() {
	for _, c := range f.order {
		if c.cancel != nil {
			c.cancel()
		}
	}
}

// unread lets a flow go that needs something that could not be read. If that may
// pass it is taken up again soon.
func (f *flow) unread(err error) {
	if !passing(err) {
		f.fault(asError(err))
		return
	}
	f.runner.log("cannot read the store; trying again", f.row.ID, err)
	f.leave()
	if f.runner.reserve(f.row.ID, f.row.Root) {
		f.runner.loadLater(f.row.ID)
	}
}

// fault lets a flow go that the engine cannot go on with. It is kept as paused,
// with the reason in its log, and a resume order takes it up again.
func (f *flow) fault(failure *engine.Error) {
	if f.dropped {
		return
	}
	if f.runner.config.Store == nil {
		f.ended, f.over, f.paused = failure, true, false
		f.stop()
		f.cancelChildren()
		return
	}
	o := &f.changes
	o.lines++
	o.log = append(o.log, journal.Line{Number: o.lines, Event: f.tree.emit(engine.Event{
		Kind: engine.EventLog, Level: engine.Fault, Execution: f.row.ID, Message: failure.Error() + hint(failure),
	})})
	f.paused, f.live, f.faulty = true, true, true
	if f.obeyFaulty() {
		return
	}
	o.state = &journal.State{Status: engine.Paused, Waits: journal.WaitsForResume, Kind: failure.Kind}
	o.after = append(o.after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.leave()
	})
	f.flush()
}

// obeyFaulty carries out the orders for a flow that the engine cannot go on with, and
// tells whether it is cancelled. To resume it was to try again.
func (f *flow) obeyFaulty() (cancelled bool) {
	cancelled = f.cancelling
	for _, o := range f.orders {
		if o.Number != 0 {
			f.changes.done = append(f.changes.done, o.Number)
		}
		cancelled = cancelled || o.Verb == journal.VerbCancel
	}
	f.orders = nil
	if !cancelled {
		return false
	}
	for _, id := range f.cursor.Children(f.row.ID) {
		f.runner.tell(id, journal.Order{Verb: journal.VerbCancel})
	}
	f.ended, f.output = cancelledError(), nil
	f.finish()
	return true
}

func hint(e *engine.Error) string {
	if e.Hint == "" {
		return ""
	}
	return " (" + e.Hint + ")"
}
