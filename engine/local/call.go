package local

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// call is a call that the script has made and that has no answer yet.
type call struct {
	engine.Call
	ctx      context.Context //nolint:containedctx // of the script when it called
	address  journal.Address
	identity journal.Identity
	line     *line        // that waits for it; nil if none does
	reply    engine.Reply // of a call that need not wait
	joins    []*call

	// Of steps and child flows.
	id        engine.ID
	after     int // number of the event before which all must be on disk when it begins
	cancelled bool
	cancel    context.CancelFunc // of a step that runs
	entering  bool               // the script is making the call
	step      func()             // to be run by the line that waits for it
	end       engine.Execution
	ended     bool
	// Of child flows.
	try     int           // from 1
	next    time.Time     // of a try that is to begin then; else zero
	created bool          // there is an execution of the try
	later   journal.Order // for when it is created

	until        time.Time // of a sleep; of a wait for a lock, zero for one without end
	retryAt      time.Time // of a wait for a lock
	noted        bool      // that it waits for a lock is in the journal
	waitsForLock bool
	launched     bool // it asks for a lock now
	begun        bool // what it asks for is under way, or a person is asked about it
	answered     bool // its answer is being written
}

// starts tells whether the call starts a step or a child flow.
func (c *call) starts() bool {
	return c.Kind == engine.CallConnect || c.Kind == engine.CallTask || c.Kind == engine.CallFlow
}

// execution is the step's or child's execution as it begins.
func (c *call) execution() engine.Execution {
	e := engine.Execution{ID: c.id, Kind: c.Kind, Name: c.Options.Name, Status: engine.Pending}
	if e.Name == "" {
		e.Name = c.Name
	}
	if c.Kind == engine.CallFlow {
		e.Type = "FLOW"
	}
	return e
}

// enter takes a call of the script in. What it starts begins at once, unless the
// journal may know its answer.
func (f *flow) enter(ctx context.Context, asked engine.Call) (*call, error) {
	c := &call{Call: asked, ctx: ctx, after: f.changes.given}
	c.line = &line{wake: make(chan struct{}), call: c}
	switch asked.Kind {
	case engine.CallWaitAll, engine.CallWaitAny, engine.CallCancel:
		return c, f.join(c)
	case engine.CallConnect, engine.CallTask, engine.CallFlow, engine.CallSleep, engine.CallNow, engine.CallSource,
		engine.CallAsk, engine.CallSettingGet, engine.CallSettingSet, engine.CallSettingLock, engine.CallSettingUnlock:
	default:
		return nil, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("unknown call %q", asked.Kind)}
	}
	if err := f.number(c); err != nil {
		return nil, err
	}
	if c.starts() {
		c.id = journal.ChildID(f.row.ID, c.address)
		f.steps[c.id] = c
		if asked.Options.NoWait {
			e := c.execution()
			e.Status = engine.Running
			c.line, c.reply = nil, engine.Reply{Executions: []engine.Execution{e}}
		}
	}
	f.calls[c.address] = c
	f.order = append(f.order, c)
	if f.live && f.launched {
		c.entering = true
		f.launch(c)
		c.entering = false
	}
	return c, nil
}

// number gives the call its address and identity.
func (f *flow) number(c *call) error {
	f.numbers[c.Branch]++
	c.address = journal.Address{Branch: c.Branch, Number: f.numbers[c.Branch]}
	total := 0
	if c.starts() {
		total = len(f.steps) + 1
	}
	if total > MaxChildren {
		return &engine.Error{
			Kind: engine.Limit, Where: c.Where,
			Message: fmt.Sprintf("a flow may start at most %d executions", MaxChildren),
			Hint:    "split the work into child flows",
		}
	}
	if c.address.Number > MaxCalls {
		return &engine.Error{
			Kind: engine.Limit, Where: c.Where,
			Message: fmt.Sprintf("a flow may make at most %d calls", MaxCalls),
			Hint:    "split the work into child flows",
		}
	}
	c.identity = journal.Identity{Kind: c.Kind, Name: c.Name, Digest: digest(c.Call)}
	return nil
}

// digest is of all that tells a call from another one at the same address.
func digest(c engine.Call) uint64 {
	options := map[string]any{}
	if c.Options != (engine.Options{}) {
		options["name"], options["key"] = c.Options.Name, c.Options.IdempotencyKey
		options["timeout"], options["nowait"] = int64(c.Options.Timeout), c.Options.NoWait
		options["tries"] = int64(c.Options.Retry.MaxTries)
	}
	until := int64(0)
	if !c.Until.IsZero() {
		until = c.Until.UnixMicro()
	}
	hash := fnv.New64a()
	_, _ = hash.Write(journal.EncodeValue([]any{c.Inputs, options, int64(c.Duration), until}))
	return hash.Sum64()
}

// forget takes a call off the list of outstanding ones.
func (f *flow) forget(c *call) {
	delete(f.calls, c.address)
	for i, o := range f.order {
		if o == c {
			f.order = append(f.order[:i], f.order[i+1:]...)
			return
		}
	}
}

// join has a line wait for executions, or cancels them first.
func (f *flow) join(c *call) error {
	for _, id := range c.Executions {
		target, ok := f.steps[id]
		if !ok {
			return &engine.Error{
				Kind: engine.NotFound, Where: c.Where, Message: fmt.Sprintf("%s: this flow has no execution %q", c.Kind, id),
			}
		}
		c.joins = append(c.joins, target)
	}
	if c.Kind == engine.CallWaitAny && len(c.joins) == 0 {
		return &engine.Error{Kind: engine.Invalid, Message: "wait_any: there is nothing to wait for"}
	}
	if c.Kind == engine.CallCancel {
		for _, target := range c.joins {
			f.cancelCall(target)
		}
	}
	if reply, ok := c.joined(); ok { // nothing to wait for
		c.line, c.reply = nil, reply
	}
	return nil
}

// joined gives the reply of a join whose executions have ended.
func (c *call) joined() (reply engine.Reply, ok bool) {
	if c.Kind == engine.CallWaitAny {
		for _, target := range c.joins {
			if target.ended {
				return engine.Reply{Executions: []engine.Execution{target.end}}, true
			}
		}
		return engine.Reply{}, false
	}
	for _, target := range c.joins { // looked at after each end: nothing is built in vain
		if !target.ended {
			return engine.Reply{}, false
		}
	}
	for _, target := range c.joins {
		reply.Executions = append(reply.Executions, target.end)
	}
	return reply, true
}

// rejoin looks which joins are complete after an execution has ended.
func (f *flow) rejoin() {
	for _, l := range append([]*line(nil), f.waiting...) {
		if l.call.joins == nil && l.call.Kind != engine.CallWaitAll {
			continue
		}
		if reply, ok := l.call.joined(); ok {
			f.release(l, reply, nil)
		}
	}
}
