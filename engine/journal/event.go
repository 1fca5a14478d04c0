package journal

import (
	"fmt"
	"strings"

	"github.com/weir-engine/weir/engine"
)

// Event is one thing that happened to an execution of a flow. An execution's
// events are numbered from 0; [Begun] is the first, [Finished] the last unless
// [Retried] follows it.
//
// Some events are answers: they reach the flow, one at a time and in the order of
// the journal. They are [Returned], [Woken], [Answered], [Observed] and
// [Cancelled]. The others tell what is under way, or are there for people.
type Event interface {
	// code is the event's type in the encoding. It never changes.
	code() byte
	encode(*encoder)
	decode(field byte, d *decoder)
}

// Address says which call of a flow an event belongs to: the branch, and the
// number of the call in it, from 1.
type Address struct {
	Branch string
	Number int
}

// String gives "3", or "2.1/3" within a branch.
func (a Address) String() string {
	if a.Branch == "" {
		return fmt.Sprint(a.Number)
	}
	return fmt.Sprintf("%s/%d", a.Branch, a.Number)
}

// Identity is what makes a call the same call when the flow is run again.
type Identity struct {
	Kind engine.CallKind
	Name string
	// Digest is of the call's inputs, options and all else but its place.
	Digest uint64
}

// Marks of events in the encoding. Never reuse one.
const (
	codeBegun byte = iota + 1
	codeCalled
	codeTried
	codeReturned
	codeWoken
	codeAnswered
	codeObserved
	codeCancelled
	codeMarked
	codeRetried
	codeFinished
)

func newEvent(code byte) Event {
	switch code {
	case codeBegun:
		return &Begun{}
	case codeCalled:
		return &Called{}
	case codeTried:
		return &Tried{}
	case codeReturned:
		return &Returned{}
	case codeWoken:
		return &Woken{}
	case codeAnswered:
		return &Answered{}
	case codeObserved:
		return &Observed{}
	case codeCancelled:
		return &Cancelled{}
	case codeMarked:
		return &Marked{}
	case codeRetried:
		return &Retried{}
	case codeFinished:
		return &Finished{}
	}
	return nil
}

// Name is what people call an event: "returned".
func Name(event Event) string {
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", event), "*journal."))
}

// ChildID names the step or child flow of a call: "ID.3", within a branch
// "ID.2-1-3".
func ChildID(parent engine.ID, a Address) engine.ID {
	number := fmt.Sprint(a.Number)
	if a.Branch != "" {
		number = strings.ReplaceAll(a.Branch, ".", "-") + "-" + number
	}
	return parent + engine.ID("."+number)
}
