package journal

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weir-engine/weir/engine"
)

// Cursor plays an execution's journal back: it gives its answers in their order,
// and tells what is known of a call that has none.
type Cursor struct {
	Begun *Begun
	// Ended is the execution's end; nil if it has not come to it, or was retried.
	Ended *Finished

	answers  []answer
	called   map[Address]*Called
	tried    map[Address]*Tried
	repeat   map[Address]bool
	returned map[Address]int // numbers of the answers of steps
	retried  []retried
	next     int
}

type answer struct {
	number int
	event  Event
	// loose means that the flow may not make its call any more: an earlier step
	// was retried and has come to something else.
	loose bool
}

// retried is a [Retried] by its number.
type retried struct{ number, ordinal int }

// NewCursor reads a journal, whose first event must be [Begun]. Its error is
// [ErrDamaged], wrapped.
func NewCursor(events []Event) (*Cursor, error) {
	c := &Cursor{
		called: map[Address]*Called{}, tried: map[Address]*Tried{}, repeat: map[Address]bool{}, returned: map[Address]int{},
		next: len(events),
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("%w: the journal is empty", ErrDamaged)
	}
	var ok bool
	if c.Begun, ok = events[0].(*Begun); !ok {
		return nil, fmt.Errorf("%w: the journal starts with %q", ErrDamaged, Name(events[0]))
	}
	for number, event := range events[1:] {
		if err := c.read(number+1, event); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Cursor) read(number int, event Event) error {
	if _, retried := event.(*Retried); c.Ended != nil && !retried {
		return fmt.Errorf("%w: event %d, %q, follows the end", ErrDamaged, number, Name(event))
	}
	switch e := event.(type) {
	case *Begun:
		return fmt.Errorf("%w: event %d is a second beginning", ErrDamaged, number)
	case *Called:
		if e.Once {
			delete(c.repeat, e.Address) // what was allowed has been made use of
		}
		if before := c.called[e.Address]; before != nil && before.Once {
			e.Once = true // it is said once, and holds
		}
		c.called[e.Address] = e
	case *Tried:
		c.tried[e.Address] = e
	case *Marked:
		if e.Mark == MarkRepeat {
			c.repeat[e.Address] = true
		}
	case *Retried:
		return c.retry(number, e)
	case *Finished:
		c.Ended = e
	case *Returned:
		c.returned[e.Address] = number
		c.answers = append(c.answers, answer{number: number, event: event})
	default:
		c.answers = append(c.answers, answer{number: number, event: event})
	}
	return nil
}

// retry takes back the end of the execution and the answer that failed it.
func (c *Cursor) retry(number int, e *Retried) error {
	at := -1
	for i, a := range c.answers {
		if a.number == e.Step {
			at = i
		}
	}
	if c.Ended == nil || at < 0 {
		return fmt.Errorf("%w: event %d retries event %d, which did not fail the flow", ErrDamaged, number, e.Step)
	}
	c.Ended = nil
	c.retried = append(c.retried, retried{number, e.Ordinal})
	if c.Begun.Timeout > 0 { // its time begins anew
		begun := *c.Begun
		begun.Deadline = e.At.Add(begun.Timeout)
		c.Begun = &begun
	}
	if failed, ok := c.answers[at].event.(*Returned); ok {
		c.forget(failed.Address)
	}
	kept := c.answers[:at]
	for _, a := range c.answers[at+1:] {
		switch event := a.event.(type) {
		case *Cancelled:
			continue // the failure's consequence, or what is being taken back
		case *Returned:
			if event.Status != engine.Succeeded {
				c.forget(event.Address)
				continue
			}
		}
		a.loose = true
		kept = append(kept, a)
	}
	c.answers = kept
	for address, called := range c.called {
		if _, done := c.returned[address]; done && called.Once {
			delete(c.called, address)
		}
	}
	return nil
}

// forget makes a step run anew. A child flow goes on by itself, in its last try.
func (c *Cursor) forget(a Address) {
	delete(c.returned, a)
	if called := c.called[a]; called != nil && called.Kind == engine.CallFlow {
		return
	}
	delete(c.tried, a)
	delete(c.repeat, a)
	delete(c.called, a)
}

// Peek gives the next answer; nil when there are no more. loose means that it
// counts only if the flow waits for it.
func (c *Cursor) Peek() (event Event, loose bool) {
	if len(c.answers) == 0 {
		return nil, false
	}
	return c.answers[0].event, c.answers[0].loose
}

// Pop passes over the answer that Peek gave.
func (c *Cursor) Pop() { c.answers = c.answers[1:] }

// Ordinal is of the last line that the flow had written to its log when it was last
// retried before the next answer: its lines count on from there. 0 if it was not.
func (c *Cursor) Ordinal() int {
	ordinal := 0
	for _, r := range c.retried {
		if len(c.answers) == 0 || r.number < c.answers[0].number {
			ordinal = r.ordinal
		}
	}
	return ordinal
}

// Called gives what was written when the call was made; nil if nothing was.
func (c *Cursor) Called(a Address) *Called { return c.called[a] }

// Children gives the child flows, in their last tries, of which no end is known.
func (c *Cursor) Children(id engine.ID) []engine.ID {
	var children []engine.ID
	for address, called := range c.called {
		if _, ended := c.returned[address]; called.Kind != engine.CallFlow || ended {
			continue
		}
		try := 1
		if tried := c.tried[address]; tried != nil {
			try = tried.Try + 1
		}
		children = append(children, TryID(ChildID(id, address), try))
	}
	slices.Sort(children)
	return children
}

// Tried gives the last failed try of a step after which there was to be another;
// nil if there is none.
func (c *Cursor) Tried(a Address) *Tried { return c.tried[a] }

// MayRepeat tells whether somebody allowed that a step runs again of which it is
// not known whether it took effect.
func (c *Cursor) MayRepeat(a Address) bool { return c.repeat[a] }

// Next is the number of the next event to be appended.
func (c *Cursor) Next() int { return c.next }

// FailedStep gives the number of the answer that the execution's end is the
// consequence of, for [Retried]: the last failure of the step that the error names,
// or the cancellation, of which failed is nil. ok is false if the flow failed by
// itself.
func FailedStep(events []Event, failure *engine.Error, id engine.ID) (number int, failed *Returned, ok bool) {
	if failure == nil {
		return 0, nil, false
	}
	for n := len(events) - 1; n > 0; n-- {
		e, is := events[n].(*Returned)
		if !is || e.Status == engine.Succeeded {
			continue
		}
		for cause := failure; cause != nil; cause = cause.Cause {
			if cause.Execution == ChildID(id, e.Address) {
				return n, e, true
			}
		}
	}
	if failure.Kind != engine.Canceled && failure.Kind != engine.Timeout {
		return 0, nil, false
	}
	for n, event := range events {
		switch event.(type) {
		case *Cancelled:
			number, ok = cmp.Or(number, n), true // it is cancelled once
		case *Retried:
			number, ok = 0, false
		}
	}
	return number, nil, ok
}
