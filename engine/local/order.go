package local

import (
	"context"
	"errors"
	"slices"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// order carries out what somebody asked for.
func (r *Runner) order(ctx context.Context, o journal.Order) {
	if o.Verb == journal.VerbRetry {
		if err := r.retry(ctx, o); err != nil {
			r.log("cannot retry", o.Execution, err)
			r.tooLate(o.Execution, o)
		}
		return
	}
	r.tell(o.Execution, o)
}

// tell gives an order to an execution, which is loaded if it is not in memory.
func (r *Runner) tell(id engine.ID, o journal.Order) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.resident[id]
	if f == nil && r.config.Store == nil {
		return
	}
	for _, known := range r.told[id] {
		if known.Number == o.Number && o.Number != 0 {
			return
		}
	}
	r.told[id] = append(r.told[id], o)
	r.summon(id)
}

// summon has an execution take its orders. It is called with the lock held.
func (r *Runner) summon(id engine.ID) {
	switch f := r.resident[id]; {
	case f != nil:
		go f.takeAll()
	case len(r.told[id]) > 0 && !r.loading.has(id) && !r.draining.Load():
		r.loading.add(id, id) // its tree is not known here
		r.work.Go(func() { r.load(r.life, id) })
	}
}

// tooLate drops orders for an execution that has ended.
func (r *Runner) tooLate(id engine.ID, orders ...journal.Order) {
	change := journal.Change{ID: id}
	for _, o := range orders {
		if o.Number != 0 {
			change.Done = append(change.Done, o.Number)
		}
	}
	if len(change.Done) > 0 {
		r.config.Store.Commit([]journal.Change{change}, func(error) {})
	}
}

// takeAll takes the orders that were given, in their order. They are carried out
// once all of the journal is played back.
func (f *flow) takeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runner
	r.mu.Lock()
	if f.dropped && !f.done { // it has just left memory
		r.summon(f.row.ID)
		r.mu.Unlock()
		return
	}
	if f.done && !f.dropped { // they wait until its end is on disk, as ended has it
		r.mu.Unlock()
		return
	}
	orders := r.told[f.row.ID]
	delete(r.told, f.row.ID)
	r.mu.Unlock()
	if f.done {
		r.tooLate(f.row.ID, orders...)
		return
	}
	for _, o := range orders {
		f.take(o)
	}
	f.advance()
}

// take takes an order, unless it has it.
func (f *flow) take(o journal.Order) {
	if o.Number != 0 && slices.Contains(f.taken, o.Number) {
		return
	}
	f.taken = append(f.taken, o.Number)
	f.orders = append(f.orders, o)
	if f.running {
		f.obeyCancel()
	}
}

// obeyCancel carries out an order to cancel while the script runs, or is about to: it
// may compute for ever.
func (f *flow) obeyCancel() {
	if !f.live {
		return
	}
	for i, o := range f.orders {
		if o.Verb == journal.VerbCancel {
			f.orders = slices.Delete(f.orders, i, i+1)
			f.obey(o)
			return
		}
	}
}

// obeyNext carries out the order that came first. It is called when all lines of a
// script that is live wait, so that what the order is about is there again.
func (f *flow) obeyNext() {
	if f.paused && !f.launched {
		f.doubt()
	}
	if f.faulty {
		return
	}
	o := f.orders[0]
	f.orders = f.orders[1:]
	f.obey(o)
}

// obey carries out an order, and all that it leads to at once in one piece: else what
// is on disk after a crash could be paused with nobody to resume it.
func (f *flow) obey(o journal.Order) {
	f.leaving = false
	f.changes.held = true
	if o.Number != 0 {
		f.changes.done = append(f.changes.done, o.Number)
	}
	switch o.Verb {
	case journal.VerbCancel:
		f.cancel(false, o.By) // before the answers that it leads to
		f.unpause()
		f.abandonDoubts()
	case journal.VerbPause:
		if !f.paused {
			f.paused = true
			f.mark(journal.Address{}, journal.MarkPaused, o.By)
			f.changes.state = &journal.State{Status: engine.Paused}
			f.tellChildren(journal.VerbPause, o.By)
		}
	case journal.VerbResume:
		if f.paused && len(f.doubts) == 0 {
			f.mark(journal.Address{}, journal.MarkResumed, o.By)
			f.unpause()
		}
		f.tellChildren(journal.VerbResume, o.By)
	case journal.VerbAnswer:
		f.answer(o)
	}
	f.changes.held = false
	f.flush()
}

// abandonDoubts ends the steps of which it is not known whether they took effect.
func (f *flow) abandonDoubts() {
	if f.faulty {
		return
	}
	for _, c := range f.doubts {
		f.record(c, f.endOf(c, unknownEffect()))
	}
	f.doubts = nil
}

// doubt finds the steps again that a paused execution was asked about before it left
// memory.
func (f *flow) doubt() {
	for _, c := range f.order {
		if !c.begun && f.unsure(c) && f.recorded(c) {
			c.begun = true
			f.doubts = append(f.doubts, c)
		}
	}
}

func (f *flow) mark(a journal.Address, mark journal.Mark, by string) {
	f.changes.event(&journal.Marked{Address: a, At: f.runner.now(), Mark: mark, By: by})
}

// unpause lets the flow go on.
func (f *flow) unpause() {
	if !f.paused {
		return
	}
	f.paused = false
	f.changes.state = &journal.State{Status: engine.Running}
	if !f.launched {
		f.launchAll()
		return
	}
	for _, c := range f.order {
		if c.Kind == engine.CallSleep && !c.until.IsZero() && !f.runner.now().Before(c.until) {
			f.wake(c)
		}
		f.retryChild(c)
	}
}

func (f *flow) tellChildren(verb journal.Verb, by string) {
	for _, c := range f.order {
		switch {
		case c.Kind != engine.CallFlow:
		case !c.created:
			c.later = journal.Order{Verb: verb, By: by}
		default:
			f.runner.tell(c.flowID(), journal.Order{Verb: verb, By: by})
		}
	}
}

// cancel cancels the execution. It takes effect when it is on disk.
func (f *flow) cancel(late bool, reason string) {
	if f.done || f.cancelling {
		return
	}
	f.cancelling = true
	f.changes.event(&journal.Cancelled{At: f.runner.now(), Late: late, Reason: reason})
	f.flush()
}

func (f *flow) answer(o journal.Order) {
	for i, c := range f.doubts {
		if o.Step != "" && o.Step != string(c.id) {
			continue
		}
		decision, _ := o.Value.(string)
		switch decision {
		case journal.DecisionRepeat:
			f.mark(c.address, journal.MarkRepeat, o.By)
			f.carryOut(c)
		case journal.DecisionFailed:
			f.record(c, f.endOf(c, unknownEffect()))
		case journal.DecisionDone:
			e := c.execution()
			e.Status, e.Output, e.Started, e.Ended = engine.Succeeded, map[string]any{}, f.runner.now(), f.runner.now()
			f.record(c, e)
		default:
			return
		}
		f.doubts = append(f.doubts[:i:i], f.doubts[i+1:]...)
		if len(f.doubts) == 0 {
			f.unpause()
		}
		return
	}
	for _, c := range f.order {
		if c.Kind == engine.CallAsk && !c.answered && (o.Step == "" || o.Step == c.address.String()) {
			c.answered = true
			f.changes.event(&journal.Answered{Address: c.address, At: f.runner.now(), By: o.By, Value: o.Value})
			return
		}
	}
}

func unknownEffect() *engine.Error {
	return &engine.Error{
		Kind:    engine.Unavailable,
		Message: "the engine ended while it ran; it is not known whether it took effect",
		Hint:    "look at the other system before it is run again",
	}
}

// retry has a failed execution go on from the step that failed it, and so the child
// flows in which that step is.
func (r *Runner) retry(ctx context.Context, o journal.Order) error {
	changes, err := r.retryChanges(ctx, o.Execution, o.By)
	if err != nil {
		return err
	}
	changes[0].Done = []int64{o.Number}
	written := make(chan error, 1)
	r.config.Store.Commit(changes, func(err error) { written <- err })
	err = <-written // or else the same order may be read once more
	r.poke()
	return err
}

// retryChanges are what lets an execution go on, and those of its child flows that
// failed or were cancelled after its failure. A child that failed by itself has no
// step to go on from: it is tried anew.
func (r *Runner) retryChanges(ctx context.Context, id engine.ID, by string) ([]journal.Change, error) {
	history, err := r.config.Store.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	if !history.Status.Ended() {
		return nil, errNotEnded
	}
	cursor, err := journal.NewCursor(history.Events)
	if err != nil {
		return nil, err
	}
	step, _, ok := journal.FailedStep(history.Events, cursor.Ended.Error, id)
	if !ok {
		return nil, NoFailedStep(id)
	}
	now := r.now()
	change := journal.Change{
		ID: id, First: len(history.Events),
		Events: []journal.Event{&journal.Retried{At: now, Step: step, By: by, Ordinal: history.Ordinal}},
		State:  &journal.State{Status: engine.Pending, Wake: now},
	}
	var below []journal.Change
	for _, event := range history.Events[step:] {
		child, ok := event.(*journal.Returned)
		if !ok || child.Kind != engine.CallFlow || child.Status == engine.Succeeded {
			continue
		}
		changes, err := r.retryChanges(ctx, journal.TryID(journal.ChildID(id, child.Address), child.Tries), by)
		var failure *engine.Error
		switch {
		case err == nil:
			below = append(below, changes...)
		case errors.As(err, &failure) && failure.Kind == engine.Invalid:
			change.Events = append(change.Events, &journal.Tried{
				Address: child.Address, Try: child.Tries, At: now, Next: now, Error: child.Error,
			})
		case errors.As(err, &failure) && failure.Kind == engine.NotFound: // it was never started
		default:
			return nil, err
		}
	}
	return append([]journal.Change{change}, below...), nil
}

// NoFailedStep is the error of a retry of an execution that no step has failed.
func NoFailedStep(id engine.ID) *engine.Error {
	return &engine.Error{
		Kind:    engine.Invalid,
		Message: "execution " + string(id) + " did not fail in a step: there is none to retry it from",
		Hint:    "start it again from the beginning",
	}
}
