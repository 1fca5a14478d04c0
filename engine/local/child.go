package local

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
)

// launchFlow starts a child flow, or takes up the one that was started before.
func (f *flow) launchFlow(c *call) {
	c.try = 1
	if tried := f.cursor.Tried(c.address); tried != nil {
		c.try, c.next = tried.Try+1, tried.Next
	}
	if f.cursor.Called(c.address) == nil {
		f.tryChild(c)
		return
	}
	id, next := c.flowID(), c.next
	c.next = time.Time{} // it may have begun
	f.beside(func() { f.attach(c, id, next) })
}

// tryChild starts a child flow when the time of its try has come.
func (f *flow) tryChild(c *call) {
	switch {
	case c.cancelled:
		f.record(c, f.endOf(c, cancelledError()))
	case f.runner.now().Before(c.next):
		f.alarms.at(f, c.next, func() { f.retryChild(c) })
	default:
		c.next = time.Time{}
		f.beside(func() { f.startChild(c) })
	}
}

// retryChild starts the next try of a child flow, unless the flow is paused.
func (f *flow) retryChild(c *call) {
	if f.calls[c.address] == c && !c.answered && !c.next.IsZero() && !f.paused {
		f.tryChild(c)
	}
}

// attach finds out what has become of a try of a child flow that was started before, or
// was to begin at a time.
func (f *flow) attach(c *call, id engine.ID, next time.Time) {
	history, err := f.runner.config.Store.Load(f.runner.life, id)
	if err == nil && !history.Status.Ended() {
		f.childCreated(c, id)
		return
	}
	var e engine.Execution
	if err == nil {
		e, err = endedExecution(history)
	}
	if err == nil {
		f.childEnded(id, e)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var failure *engine.Error
	switch {
	case f.dropped || f.runner.stopped() || c.answered || c.flowID() != id:
	case errors.As(err, &failure) && failure.Kind == engine.NotFound:
		c.next = next
		f.tryChild(c)
	case passing(err):
		f.alarms.at(f, f.runner.now().Add(writeDelay), func() { f.beside(func() { f.attach(c, id, next) }) })
	default:
		f.fault(asError(err))
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

// maxBirths is how many child flows of a flow are written in one piece: others that
// write do not wait for all of its thousands.
const maxBirths = 100

func (f *flow) startChild(c *call) {
	file, text, err := f.runner.source(f.runner.life, f.tree.owner, c.From, c.Name)
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
	birth := func() {}
	select {
	case f.births <- struct{}{}:
		birth = sync.OnceFunc(func() { <-f.births })
	case <-f.life.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.dropped || f.runner.stopped():
		return
	case c.cancelled:
		err = cancelledError()
	}
	if err != nil {
		birth()
		f.record(c, f.endOf(c, asError(err)))
		return
	}
	created := f.newChild(c, file, text)
	f.changes.event(f.called(c, false))
	f.changes.created = append(f.changes.created, created)
	admitted := false
	f.changes.first = append(f.changes.first, func() { // who finds it on disk before cannot have ended it yet
		birth()
		admitted = !f.runner.full(f.row.Root) && f.runner.admit(created.ID, f.row.Root, false)
	})
	f.changes.after = append(f.changes.after, func() {
		if admitted {
			f.runner.begin(journal.History{Row: *created.Create, Events: created.Events}, f.tree, program)
		} else {
			f.runner.poke() // it has its turn like all others
		}
		f.childCreated(c, created.ID)
	})
	f.flush()
}

// newChild is the change by which a child flow comes to be.
func (f *flow) newChild(c *call, file string, text []byte) journal.Change {
	now := f.runner.now()
	begun := &journal.Begun{
		At: now, File: file, Text: journal.Digest(text), Inputs: c.Inputs, Files: f.begun.Files,
		Depth: f.begun.Depth + 1, Try: c.try, Timeout: c.Options.Timeout, Trace: f.begun.Trace,
	}
	if c.Options.Timeout > 0 {
		begun.Deadline = now.Add(c.Options.Timeout)
	}
	id := c.flowID()
	return journal.Change{
		ID: id,
		Create: &journal.Row{
			ID: id, Root: f.row.Root, Parent: f.row.ID, Owner: f.row.Owner, Created: now,
			Name:  f.tree.mask(c.execution().Name), // a store has it in the clear
			State: journal.State{Status: engine.Pending, Wake: now},
		},
		Events: []journal.Event{begun}, Texts: map[string][]byte{begun.Text: text},
	}
}

// childCreated says that there is a try of a child flow to which orders may be given,
// and gives it those that came before.
func (f *flow) childCreated(c *call, id engine.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.flowID() != id { // it has failed, and another one follows
		return
	}
	c.created = true
	if c.later.Verb != "" {
		f.runner.tell(id, c.later)
	}
	if c.cancelled {
		f.runner.tell(id, journal.Order{Verb: journal.VerbCancel})
	}
}

// childEnded takes in what a child flow came to, and repeats it if its caller
// wants that.
func (f *flow) childEnded(id engine.ID, e engine.Execution) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.advance()
	for _, c := range f.order {
		if c.Kind != engine.CallFlow || c.try == 0 || c.flowID() != id || c.answered {
			continue // one that was not begun yet will look itself
		}
		if e.Error != nil && !c.cancelled && e.Status == engine.Failed {
			if delay, again := dispatch.Again(c.Options.Retry, c.try, e.Error); again {
				f.again(c, e, delay)
				return
			}
		}
		e.ID, e.Tries = c.id, c.try
		f.record(c, e)
		return
	}
}

// again has a child flow run once more after a while.
func (f *flow) again(c *call, e engine.Execution, delay time.Duration) {
	now := f.runner.now()
	c.next = now.Add(delay)
	f.changes.event(&journal.Tried{Address: c.address, Try: c.try, At: now, Next: c.next, Error: e.Error})
	c.try++
	c.created, c.later = false, journal.Order{}
	f.flush()
	f.tryChild(c)
}
