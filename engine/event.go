package engine

import "time"

// EventKind tells events apart.
type EventKind string

// The kinds of events.
const (
	EventLog      EventKind = "log"      // Level, Message, Fields, Where
	EventProgress EventKind = "progress" // Done, Total, Message
	EventStatus   EventKind = "status"   // State: the execution changed its state
)

// Level is the severity of a log event.
type Level string

// The levels, in the order of their severity.
const (
	Debug Level = "debug"
	Info  Level = "info"
	Warn  Level = "warn"
	Fault Level = "error"
)

// Event is something that people watch live. What a runner hands on has all
// secrets masked.
type Event struct {
	Time      time.Time
	Execution ID
	Kind      EventKind

	Level   Level
	Message string
	Fields  map[string]any // a tree of values
	Where   string         // "flow.lua:12", may be empty

	Done, Total int64 // Total 0: not known

	// State is the execution after a change of its state, without its output.
	State *Execution
}
