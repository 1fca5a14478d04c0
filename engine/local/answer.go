package local

import (
	"fmt"
	"slices"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// replayed takes the next answer from the journal. It is false once the flow is
// live.
func (f *flow) replayed() bool {
	if f.live {
		return false
	}
	event, loose := f.cursor.Peek()
	f.ordinal = max(f.ordinal, f.cursor.Ordinal())
	f.cursor.Pop()
	if !loose || f.awaits(event) {
		f.inbox = append(f.inbox, event)
		return true
	}
	f.turnLive()
	return true
}

// awaits tells whether the script waits for just this answer.
func (f *flow) awaits(event journal.Event) bool {
	address, identity := addressOf(event)
	return fits(f.calls[address], identity)
}

// fits tells whether a call is the recorded one, of which only the kind may be known.
func fits(c *call, recorded journal.Identity) bool {
	return c != nil && (recorded == c.identity || recorded == journal.Identity{Kind: c.Kind})
}

func addressOf(event journal.Event) (journal.Address, journal.Identity) {
	switch e := event.(type) {
	case *journal.Returned:
		return e.Address, e.Identity
	case *journal.Observed:
		return e.Address, e.Identity
	case *journal.Woken:
		return e.Address, journal.Identity{Kind: engine.CallSleep}
	case *journal.Answered:
		return e.Address, journal.Identity{Kind: engine.CallAsk}
	}
	return journal.Address{}, journal.Identity{}
}

// apply gives the next answer to the script.
func (f *flow) apply() {
	event := f.inbox[0]
	f.inbox = f.inbox[1:]
	if f.live {
		f.ordinal = max(f.ordinal, f.cursor.Ordinal())
	}
	defer f.turnLive()
	if e, ok := event.(*journal.Cancelled); ok {
		f.cancelled(e)
		return
	}
	address, recorded := addressOf(event)
	c := f.calls[address]
	if c == nil && (f.given[address] || !f.cancelAt.IsZero() && address.Branch != deferredBranch) {
		return // where a script that computes is stopped is not the same in every run
	}
	if !fits(c, recorded) {
		f.misfit(address, recorded, c)
		return
	}
	if e, ok := event.(*journal.Returned); ok {
		f.returned(c, e)
		return
	}
	f.forget(c)
	reply, err := engine.Reply{}, error(nil)
	switch e := event.(type) {
	case *journal.Answered:
		reply.Value = e.Value
	case *journal.Observed:
		f.remember(c, e)
		reply = engine.Reply{Time: e.Time, File: e.File, Value: e.Value, Fence: e.Fence}
		if e.Error != nil {
			err = e.Error
			break
		}
		if e.Text != "" {
			text, failed := f.runner.text(f.runner.life, f.tree, e.Text)
			if failed != nil {
				f.unread(failed)
				return
			}
			reply.Text = text
		}
	}
	if c.line != nil {
		f.release(c.line, reply, err)
	}
}

// returned gives the script what a step or a child flow came to.
func (f *flow) returned(c *call, e *journal.Returned) {
	f.forget(c)
	c.ended = true
	c.end = c.execution()
	c.end.Parent, c.end.Type = f.row.ID, e.Type
	c.end.Status, c.end.Output, c.end.Error = e.Status, e.Output, e.Error
	c.end.Started, c.end.Ended, c.end.Tries, c.end.Uses = e.Started, e.Ended, e.Tries, e.Uses
	if c.line != nil {
		reply := engine.Reply{Executions: []engine.Execution{c.end}}
		if err := c.ctx.Err(); err != nil {
			f.release(c.line, engine.Reply{}, err)
		} else {
			f.release(c.line, reply, nil)
		}
	}
	f.rejoin()
}

// misfit ends the work on an execution whose journal and script do not agree. It
// can be taken up again by an engine under which they do.
func (f *flow) misfit(address journal.Address, recorded journal.Identity, c *call) {
	now := "makes no such call"
	if c != nil {
		now = "makes " + describe(c.identity) + " at " + c.Where
	}
	f.fault(&engine.Error{
		Kind: engine.Internal,
		Message: fmt.Sprintf("the journal does not fit the flow: call %s was %s, and the flow now %s",
			address, describe(recorded), now),
		Hint: "run it with the weir that wrote the journal, or start it again from the beginning",
	})
}

func describe(i journal.Identity) string {
	if i.Name == "" {
		return string(i.Kind)
	}
	return fmt.Sprintf("%s %q (inputs %016x)", i.Kind, i.Name, i.Digest)
}

// turnLive begins what is still outstanding when the last answer of the journal was
// given. From there on calls are carried out.
func (f *flow) turnLive() {
	if next, _ := f.cursor.Peek(); f.live || next != nil || len(f.inbox) > 0 {
		return
	}
	f.live = true
	f.inbox, f.early = append(f.inbox, f.early...), nil
	if f.row.Status == engine.Paused {
		f.paused = true
	} else {
		f.launchAll()
	}
}

func (f *flow) launchAll() {
	f.launched = true
	for _, c := range slices.Clone(f.order) {
		f.launch(c)
	}
	for _, l := range f.waiting {
		if l.call.Kind == engine.CallCancel {
			for _, target := range l.call.joins {
				f.cancelCall(target)
			}
		}
	}
	if f.ended != nil {
		f.cancelChildren()
	}
}

// cancelled ends the script's context and cancels all that it has started. What
// has been cancelled once is not cancelled for another reason.
func (f *flow) cancelled(e *journal.Cancelled) {
	if f.cancelAt.IsZero() {
		f.cancelAt, f.late = e.At, e.Late
	}
	f.cancelling = true
	if f.over && f.ended == nil { // it had only its children to wait for
		f.ended, f.output = cancelledError(), nil
	}
	f.stop()
	for _, c := range f.order {
		if c.starts() && c.ctx.Err() != nil { // not what a deferred function has started since
			f.cancelCall(c)
		}
	}
}

func (f *flow) cancelChildren() {
	for _, c := range f.order {
		if c.starts() {
			f.cancelCall(c)
		}
	}
}

// cancelCall cancels a step or a child flow, if it has not ended.
func (f *flow) cancelCall(c *call) {
	if c.ended || c.cancelled {
		return
	}
	c.cancelled = true
	if !f.live || !f.launched {
		return // launch will see it
	}
	f.changes.onDisk(f.changes.given, func() {
		if c.cancel != nil {
			c.cancel()
		}
		switch {
		case c.ended:
		case c.created:
			f.runner.tell(c.flowID(), journal.Order{Verb: journal.VerbCancel})
		case !c.next.IsZero(): // it is between two tries
			f.tryChild(c)
		}
	})
}
