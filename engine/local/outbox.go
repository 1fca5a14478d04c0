package local

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// How long lines of the log wait for something else to be written with, and how
// long a change that could not be written waits.
const (
	lineDelay  = 100 * time.Millisecond
	writeDelay = time.Second
)

// outbox is what a flow has to write. One change is being written at a time, so
// that the numbers of events have no gap whatever fails; what comes up meanwhile is
// written together.
//
// The script has its answers as soon as they are about to be written, and goes on
// while they are. What follows from them leaves the engine only when they are on
// disk: it waits until then, or is written after them.
type outbox struct {
	next  int // number of the next event to be written
	given int // number of the next event whose answer the script has not been given
	gates []gate
	batch
	writing bool
	lines   int // number of the last line of the log
	soon    bool
	traced  int  // secrets whose traces are on disk
	failed  bool // the last try to write failed
	held    bool // more is to be written in the same piece
	alone   bool // what was written last was a setting
}

// gate holds back what follows from the events before a number.
type gate struct {
	number int
	open   func() // called when they are on disk
}

// batch is what is written in one piece.
type batch struct {
	events  []journal.Event
	log     []journal.Line
	state   *journal.State
	texts   map[string][]byte
	traces  [][]byte
	created []journal.Change
	wake    []engine.ID
	done    []int64
	unlock  bool
	// settings are carried out one at a time, each in a piece of its own.
	settings []*journal.SettingCall
	first    []func() // called when it is on disk, before anything that was committed later is known to be
	after    []func() // called when it is on disk, each on a goroutine of its own
}

func (o *outbox) event(e journal.Event) { o.events = append(o.events, e) }

func (o *outbox) text(digest string, text []byte) {
	if o.texts == nil {
		o.texts = map[string][]byte{}
	}
	o.texts[digest] = text
}

// setting is the one that is carried out with the batch; nil for none.
func (b *batch) setting() *journal.SettingCall {
	if len(b.settings) == 0 {
		return nil
	}
	return b.settings[0]
}

func (b *batch) empty() bool {
	return len(b.events) == 0 && len(b.log) == 0 && b.state == nil && len(b.created) == 0 && len(b.done) == 0 && len(b.first) == 0 && len(b.after) == 0 && len(b.settings) == 0
}

// take gives what is written next: a setting, or all that there is of the rest. Both
// have their turns, so that neither waits for as long as there is more of the other; but
// answers that the script has been given are written before any that it has not.
func (o *outbox) take() batch {
	rest, settings := o.batch, o.settings
	rest.settings = nil
	if len(settings) > 0 && o.given <= o.next && (rest.empty() || !o.alone) {
		o.alone, o.settings = true, settings[1:]
		return batch{settings: settings[:1:1]}
	}
	o.alone, o.batch = false, batch{settings: settings}
	return rest
}

// flush writes what is to be written.
func (f *flow) flush() {
	o := &f.changes
	if f.done { // who has asked for a setting was given up
		o.settings = nil
	}
	if o.writing || o.held || o.empty() || f.dropped {
		return
	}
	written := o.take()
	if f.runner.config.Store == nil {
		f.give(written.events)
		f.written(written)
		return
	}
	o.writing = true
	f.give(written.events[max(o.given-o.next, 0):])
	o.given = max(o.given, o.next+len(written.events))
	var traced int
	written.traces, traced = f.tree.scope.Traces(o.traced)
	if written.state == nil && len(written.events) > 0 && f.row.State != (journal.State{Status: engine.Running}) && !f.paused {
		written.state = &journal.State{Status: engine.Running}
	}
	if written.state != nil && written.state.Status == engine.Waiting && f.hasChildren() {
		// A child's end wakes a flow that waits; one that comes to wait after that end was
		// written would not hear of it if the engine ended now.
		f.runner.farewell.Lock()
		defer f.runner.farewell.Unlock()
		if f.runner.news[f.row.ID] > 0 {
			written.state, f.leaving = nil, false
		}
	}
	change := journal.Change{
		ID: f.row.ID, First: o.next, Events: written.events, State: written.state, Texts: written.texts,
		Traces: written.traces, Setting: written.setting(), Lines: written.log, Wake: written.wake, Done: written.done, Unlock: written.unlock,
	}
	f.runner.config.Store.Commit(append([]journal.Change{change}, written.created...), func(err error) {
		f.mu.Lock()
		o.writing, o.failed = false, err != nil
		if err != nil {
			f.unwritten(written, err)
			f.mu.Unlock()
			return
		}
		settled := func() {}
		if s := written.setting(); s != nil {
			if s.Done {
				written.events = append(written.events, s.Observed)
				f.give([]journal.Event{s.Observed})
			}
			settled = func() { f.settled(s) }
		}
		o.next += len(written.events)
		o.given = max(o.given, o.next)
		o.traced = max(o.traced, traced)
		if written.state != nil {
			f.row.State = *written.state
		}
		f.written(written)
		settled()
		o.openGates()
		f.flush()
		f.advance()
		f.mu.Unlock()
	})
}

// give gives out answers.
func (f *flow) give(events []journal.Event) {
	for _, e := range events {
		switch e.(type) {
		case *journal.Returned, *journal.Woken, *journal.Answered, *journal.Observed, *journal.Cancelled:
			if f.live {
				f.inbox = append(f.inbox, e)
			} else {
				f.early = append(f.early, e)
			}
		}
	}
	f.interruptSoon()
}

// awaitDisk waits until the events before a number are on disk.
func (f *flow) awaitDisk(ctx context.Context, number int) error {
	open := make(chan struct{})
	f.mu.Lock()
	f.changes.onDisk(number, func() { close(open) })
	f.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// onDisk calls do when the events before a number are on disk.
func (o *outbox) onDisk(number int, do func()) {
	if o.next >= number {
		do()
		return
	}
	o.gates = append(o.gates, gate{number, do})
}

func (o *outbox) openGates() {
	for i := 0; i < len(o.gates); {
		if g := o.gates[i]; g.number <= o.next {
			o.gates = slices.Delete(o.gates, i, i+1)
			g.open()
			continue
		}
		i++
	}
}

// written does what is to be done when a batch is on disk.
func (f *flow) written(b batch) {
	for _, first := range b.first {
		first()
	}
	for _, after := range b.after {
		go after()
	}
}

// unwritten keeps what could not be written for another try. A store that another
// engine writes to is left to that one.
func (f *flow) unwritten(b batch, err error) {
	o := &f.changes
	b.events = append(b.events, o.events...)
	b.log = append(b.log, o.log...)
	b.created = append(b.created, o.created...)
	b.wake = append(b.wake, o.wake...)
	b.done = append(b.done, o.done...)
	b.first = append(b.first, o.first...)
	b.after = append(b.after, o.after...)
	b.settings = append(b.settings, o.settings...)
	b.unlock = b.unlock || o.unlock
	if b.state != nil && b.state.Status == engine.Waiting { // it may have news by then
		b.state, f.leaving = nil, false
	}
	if o.state != nil {
		b.state = o.state
	}
	for digest, text := range o.texts {
		if b.texts == nil {
			b.texts = map[string][]byte{}
		}
		b.texts[digest] = text
	}
	o.batch = b
	var failure *engine.Error
	if errors.As(err, &failure) && failure.Kind == engine.Conflict {
		f.runner.log("another engine works on the execution; it is left to that one", f.row.ID, err)
		f.leave()
		return
	}
	f.runner.log("cannot write to the store; trying again", f.row.ID, err)
	f.alarms.at(f, f.runner.now().Add(writeDelay), f.flush)
}

// hasChildren tells whether there are child flows that have not ended.
func (f *flow) hasChildren() bool {
	return slices.ContainsFunc(f.order, func(c *call) bool { return c.Kind == engine.CallFlow })
}

// Emit implements engine.Host. What the script says while it is played back was
// said before.
func (f *flow) Emit(e engine.Event) {
	e.Execution = f.row.ID
	f.mu.Lock()
	ordinal := 0
	if e.Kind == engine.EventLog {
		f.ordinal++
		ordinal = f.ordinal
	}
	said := f.dropped || (e.Kind == engine.EventLog && ordinal <= f.said) || (e.Kind != engine.EventLog && !f.live)
	f.mu.Unlock()
	if !said {
		f.emit(e, ordinal)
	}
}

// emit masks an event, shows it to who watches, and puts it into the log.
func (f *flow) emit(e engine.Event, ordinal int) {
	e = f.tree.emit(e)
	if e.Kind != engine.EventLog || f.runner.config.Store == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	o := &f.changes
	o.lines++
	o.log = append(o.log, journal.Line{Number: o.lines, Ordinal: ordinal, Event: e})
	if len(o.log) >= maxLines {
		f.flush()
	} else if !o.soon && !o.writing {
		o.soon = true
		f.alarms.at(f, f.runner.now().Add(lineDelay), func() { o.soon = false; f.flush() })
	}
}

// maxLines is how many lines of the log are kept back at most.
const maxLines = 1000

// alarms are the timers of a flow. They end with it.
type alarms struct{ timers []*time.Timer }

// at calls do, with the flow's lock held, at a time.
func (a *alarms) at(f *flow, when time.Time, do func()) {
	var timer *time.Timer
	timer = time.AfterFunc(when.Sub(f.runner.now()), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		a.timers = slices.DeleteFunc(a.timers, func(t *time.Timer) bool { return t == timer })
		if f.dropped {
			return
		}
		do()
		f.advance()
	})
	a.timers = append(a.timers, timer)
}

// deadline ends the flow when its time is up.
func (a *alarms) deadline(f *flow) {
	if f.begun.Deadline.IsZero() {
		return
	}
	a.at(f, f.begun.Deadline, func() { f.cancel(true, "") })
}

// slowStep is how long a step runs before its start is written down for people to see.
const slowStep = 200 * time.Millisecond

// slow has the start of a step written down if it takes long. The timer is to be
// stopped at the step's end.
func (a *alarms) slow(f *flow, c *call) *time.Timer {
	if f.runner.config.Store == nil {
		return time.NewTimer(time.Hour)
	}
	return time.AfterFunc(slowStep, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.calls[c.address] == c && !c.answered && !f.dropped {
			f.changes.event(f.called(c, false))
			f.flush()
		}
	})
}

func (a *alarms) stop() {
	for _, t := range a.timers {
		t.Stop()
	}
	a.timers = nil
}
