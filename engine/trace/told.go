package trace

import (
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// told is what was committed of one execution, without what is not sent.
type told struct {
	id     engine.ID
	first  int // number of the first event
	count  int // of events, also of those that are left out
	row    *journal.Row
	events []numbered
}

type numbered struct {
	number int
	event  journal.Event
}

// tell keeps of a change what spans are made of.
func tell(c *journal.Change) (t told, some bool) {
	t = told{id: c.ID, first: c.First, count: len(c.Events), row: c.Create}
	if c.Setting != nil {
		if !c.Setting.Done { // nothing was written
			return told{}, false
		}
		t.count++
	}
	for i, event := range c.Events {
		if kept := bare(event); kept != nil {
			t.events = append(t.events, numbered{c.First + i, kept})
		}
	}
	return t, t.count > 0
}

// bare is an event without values, texts and the names that a script made up; nil for
// one that nothing is made of.
func bare(event journal.Event) journal.Event {
	switch e := event.(type) {
	case *journal.Begun:
		return &journal.Begun{At: e.At, Trace: e.Trace}
	case *journal.Called:
		if !isExecution(e.Kind) {
			return nil
		}
		return &journal.Called{Address: e.Address, Identity: journal.Identity{Kind: e.Kind}, At: e.At}
	case *journal.Tried:
		return &journal.Tried{Address: e.Address, Try: e.Try, At: e.At, Next: e.Next, Error: kindOnly(e.Error)}
	case *journal.Returned:
		return &journal.Returned{
			Address: e.Address, Identity: journal.Identity{Kind: e.Kind}, Status: e.Status, Type: e.Type, Error: kindOnly(e.Error),
			Started: e.Started, Ended: e.Ended, Tries: e.Tries, Uses: engine.Uses{Connection: e.Uses.Connection},
		}
	case *journal.Retried:
		return &journal.Retried{At: e.At}
	case *journal.Finished:
		return &journal.Finished{At: e.At, Status: e.Status, Error: kindOnly(e.Error)}
	}
	return nil
}

func isExecution(kind engine.CallKind) bool {
	return kind == engine.CallConnect || kind == engine.CallTask || kind == engine.CallFlow
}

func kindOnly(e *engine.Error) *engine.Error {
	if e == nil {
		return nil
	}
	return &engine.Error{Kind: e.Kind}
}

// Request is a request of the API that was answered.
type Request struct {
	ID     string
	Method string
	Route  string // its pattern, which holds no value; empty if there is none
	Status int    // of HTTP
	Began  time.Time
	Ended  time.Time
}
