package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir-engine/weir/engine"
)

// Outline is an execution as people look at it: what its journal tells, put
// together by step. Inputs and outputs in it are exact, not masked.
type Outline struct {
	Begun    *Begun
	Finished *Finished // nil until the execution has ended
	Steps    []Step    // in the order in which they began
	Notes    []Note    // in the order in which they happened
}

// Step is what a journal tells of one call of a flow. Times that it does not tell
// are zero.
type Step struct {
	Address Address
	ID      engine.ID // see [ChildID]
	Kind    engine.CallKind
	Name    string // of the connection, task type, flow, setting or module; the title of a question
	Type    string // the task type behind a connection; "FLOW" for a flow
	Where   string // "flow.lua:12", may be empty
	// Status is running while the step runs or will run again, waiting while it
	// waits for its time, a lock or an answer, and paused while it is not known
	// whether it took effect.
	Status   engine.Status
	Started  time.Time
	Ended    time.Time
	Until    time.Time // of a sleep: when it is to end
	Failures []Try     // tries that failed and were followed by another
	Next     time.Time // when the next try begins; zero if the step waits for none
	Tries    int       // failures included, and the one that runs or is to run

	Error    *engine.Error
	Inputs   map[string]any
	Output   any
	Uses     engine.Uses
	By       string    // who answered a question; empty on a local store
	Child    engine.ID // the execution of a child flow in its last try; empty for other steps
	Question *Question // what is asked now; nil if nothing is
}

// Try is a try of a step that failed.
type Try struct {
	Ended time.Time
	Error *engine.Error
	Child engine.ID // the execution of a child flow; empty for other steps
}

// Question is what a person is asked.
type Question struct {
	Step  string // what [Order.Step] calls it
	Title string
	Asked time.Time
	// Form describes the fields of the answer, as [engine.CallAsk] has them. It is
	// nil if the question is what is to become of a step of which it is not known
	// whether it took effect; the answer is one of [Decisions] then.
	Form map[string]any
}

// Answers to the question what is to become of a step of which it is not known
// whether it took effect.
const (
	DecisionRepeat = "repeat" // run it again
	DecisionFailed = "failed" // take it as failed, so that the flow can deal with it
	DecisionDone   = "done"   // take it as done, with an empty output
)

// Decisions lists them.
func Decisions() []string { return []string{DecisionRepeat, DecisionFailed, DecisionDone} }

// Note is something that was done to an execution.
type Note struct {
	At   time.Time
	What NoteKind
	Step string // the [Address] of the step that it is about; empty for none
	By   string // who did it; empty on a local store and for the engine
}

// NoteKind says what was done.
type NoteKind string

// The kinds of notes.
const (
	NotePaused    NoteKind = "paused"
	NoteResumed   NoteKind = "resumed"
	NoteRecovered NoteKind = "recovered" // by another engine than had it before
	NoteRepeat    NoteKind = "repeat"    // of the step, which may run again
	NoteRetried   NoteKind = "retried"   // from the step
	NoteCancelled NoteKind = "cancelled"
	NoteTimedOut  NoteKind = "timed out"
)

// NewOutline gives the outline of an execution. A journal that is incomplete gives
// an outline of what is there.
func NewOutline(h History) Outline {
	o := outliner{id: h.ID, steps: map[Address]*step{}}
	for _, event := range h.Events {
		o.read(event)
	}
	slices.SortStableFunc(o.order, func(a, b *step) int { return a.began.Compare(b.began) })
	for _, s := range o.order {
		o.complete(s, h.State)
		o.outline.Steps = append(o.outline.Steps, s.Step)
	}
	return o.outline
}

// TryID names the execution of a child flow: the first try bears the name of its
// step, see [ChildID], and each later one is an execution of its own.
func TryID(step engine.ID, try int) engine.ID {
	if try > 1 {
		return step + engine.ID(fmt.Sprintf("~%d", try))
	}
	return step
}

// outliner reads a journal.
type outliner struct {
	id      engine.ID
	outline Outline
	steps   map[Address]*step
	order   []*step
	now     time.Time // the last moment that an event told of
	events  []*step   // by the number of the event, those that ended a step
}

type step struct {
	Step
	began   time.Time // or about then, for the order
	once    bool      // it must not run twice without asking
	allowed bool      // that it runs again
	current int       // number of the try that runs, from 1
}

func (o *outliner) read(event Event) {
	var ended *step
	switch e := event.(type) {
	case *Begun:
		o.outline.Begun = e
		o.pass(e.At)
	case *Called:
		o.called(e)
	case *Tried:
		o.tried(e)
	case *Returned:
		ended = o.returned(e)
	case *Woken:
		s := o.step(e.Address)
		s.Kind, s.Status, s.Ended = engine.CallSleep, engine.Succeeded, e.At
		o.pass(e.At)
	case *Answered:
		s := o.step(e.Address)
		s.Status, s.Ended, s.Output, s.By = engine.Succeeded, e.At, e.Value, e.By
		o.pass(e.At)
	case *Observed:
		o.observed(e)
	default:
		o.note(event)
	}
	o.events = append(o.events, ended)
}

// pass takes in the moment of an event.
func (o *outliner) pass(at time.Time) {
	if !at.IsZero() {
		o.now = at
	}
}

// step gives the step at an address. One that had ended begins anew.
func (o *outliner) step(a Address) *step {
	s := o.steps[a]
	if s == nil {
		s = &step{Step: Step{Address: a, ID: ChildID(o.id, a), Status: engine.Running}, began: o.now, current: 1}
		o.steps[a] = s
		o.order = append(o.order, s)
	}
	if s.Status.Ended() {
		s.reopen()
	}
	return s
}

// reopen turns the end of a step into a failure that another try follows.
func (s *step) reopen() {
	s.Failures = append(s.Failures, Try{Ended: s.Ended, Error: s.Error, Child: s.child(s.current)})
	s.Status, s.Ended, s.Error, s.Output, s.Uses = engine.Running, time.Time{}, nil, nil, engine.Uses{}
	s.once, s.allowed = false, false
}

// child names the execution of a child flow in one of its tries.
func (s *step) child(try int) engine.ID {
	if s.Kind != engine.CallFlow {
		return ""
	}
	return TryID(s.ID, try)
}

func (o *outliner) called(e *Called) {
	s := o.step(e.Address)
	s.identify(e.Identity)
	s.Where, s.Inputs, s.Until, s.Next = e.Where, e.Inputs, e.Until, time.Time{}
	if e.Once {
		s.once, s.allowed = true, false // what was allowed has been made use of
	}
	if s.Started.IsZero() {
		s.Started, s.began = e.At, e.At
	}
	o.pass(e.At)
}

func (s *step) identify(i Identity) {
	s.Kind, s.Name = i.Kind, i.Name
	if i.Kind == engine.CallFlow {
		s.Type = "FLOW"
	}
}

func (o *outliner) tried(e *Tried) {
	s := o.step(e.Address)
	failure := Try{Ended: e.At, Error: e.Error, Child: s.child(e.Try)}
	last := len(s.Failures) - 1
	if last < 0 || failure.Child == "" || s.Failures[last].Child != failure.Child { // else a retry has said so before
		s.Failures = append(s.Failures, failure)
	}
	s.current, s.Next = e.Try+1, e.Next
	o.pass(e.At)
}

func (o *outliner) returned(e *Returned) *step {
	s := o.step(e.Address)
	s.identify(e.Identity)
	s.Where, s.Type, s.Status, s.Inputs = e.Where, e.Type, e.Status, e.Inputs
	s.Output, s.Error, s.Uses = e.Output, e.Error, e.Uses
	if s.Started.IsZero() || e.Started.Before(s.Started) {
		s.Started, s.began = e.Started, e.Started
	}
	if len(s.Failures) > 0 && s.Failures[0].Ended.Before(s.Started) { // the start of the first try is not recorded
		s.Started, s.began = s.Failures[0].Ended, s.Failures[0].Ended
	}
	s.Ended, s.Next = e.Ended, time.Time{}
	s.Tries = max(len(s.Failures)+1, e.Tries)
	o.pass(e.Ended)
	return s
}

func (o *outliner) observed(e *Observed) {
	s := o.step(e.Address)
	s.identify(e.Identity)
	s.Status, s.Error, s.Output = engine.Succeeded, e.Error, e.Value
	if e.Error != nil {
		s.Status = engine.Failed
	}
	if s.Ended = e.At; e.Kind == engine.CallNow {
		s.Ended = e.Time
	}
	if s.Started.IsZero() {
		s.Started = s.Ended
	}
	o.pass(s.Ended)
}

// note takes in what was done to the execution as a whole.
func (o *outliner) note(event Event) {
	switch e := event.(type) {
	case *Marked:
		n := Note{At: e.At, What: NoteKind(e.Mark), By: e.By}
		if e.Mark == MarkRepeat {
			s := o.step(e.Address)
			s.allowed, n.Step = true, e.String()
		}
		o.add(n)
	case *Cancelled:
		n := Note{At: e.At, What: NoteCancelled, By: e.Reason}
		if e.Late {
			n.What = NoteTimedOut
		}
		o.add(n)
	case *Retried:
		n := Note{At: e.At, What: NoteRetried, By: e.By}
		if e.Step > 0 && e.Step < len(o.events) && o.events[e.Step] != nil {
			s := o.events[e.Step]
			s.reopen()
			n.Step = s.Address.String()
		}
		o.outline.Finished = nil
		o.add(n)
	case *Finished:
		o.outline.Finished = e
		o.pass(e.At)
	}
}

func (o *outliner) add(n Note) {
	o.outline.Notes = append(o.outline.Notes, n)
	o.pass(n.At)
}

// complete says what has become of a step whose end is not in the journal.
func (o *outliner) complete(s *step, state State) {
	s.Child = s.child(s.current)
	if s.Status.Ended() {
		return
	}
	if end := o.outline.Finished; end != nil { // it ended without the step
		s.Status, s.Ended, s.Next = engine.Cancelled, end.At, time.Time{}
		return
	}
	switch s.Kind {
	case engine.CallSleep, engine.CallSettingLock:
		s.Status = engine.Waiting
	case engine.CallAsk:
		s.Status = engine.Waiting
		s.Question = &Question{Step: s.Address.String(), Title: s.Name, Asked: s.Started, Form: s.Inputs}
		if s.Question.Form == nil {
			s.Question.Form = map[string]any{}
		}
	case engine.CallConnect, engine.CallTask:
		s.Tries = len(s.Failures) + 1
		if s.once && !s.allowed && state.Status == engine.Paused && state.Waits == WaitsForDecision {
			s.Status = engine.Paused
			s.Question = &Question{Step: string(s.ID), Title: s.doubt(), Asked: s.Started}
		}
	case engine.CallFlow:
		s.Tries = len(s.Failures) + 1
	}
}

// doubt is the question about a step of which it is not known whether it took effect.
func (s *step) doubt() string {
	return fmt.Sprintf("the engine ended while %s %q ran, and it is not known whether it took effect: what is to become of it?",
		s.Kind, s.Name)
}
