package engine

import "strings"

// Kind says what sort of failure an Error is; it decides on repetition, exit
// code and HTTP status.
type Kind string

// The kinds. The first seven are the ones a task driver may return.
const (
	Invalid     Kind = "invalid"     // the request is wrong; repeating it is of no use
	Denied      Kind = "denied"      // credentials or rights are wrong
	NotFound    Kind = "notfound"    // what was named does not exist
	Conflict    Kind = "conflict"    // it exists already, or changed meanwhile
	Unavailable Kind = "unavailable" // the other system cannot be reached or is down
	Timeout     Kind = "timeout"     // no answer in time
	Permanent   Kind = "permanent"   // the other system refused for good
	Script      Kind = "script"      // the flow itself raised an error
	Limit       Kind = "limit"       // the flow exceeded a limit of its sandbox
	Canceled    Kind = "cancelled"   // somebody cancelled it
	Internal    Kind = "internal"    // a defect in weir or a driver
)

// Error is the failure of an execution or of a call. It holds no secret once it
// has gone through the execution's redactor, as everything that a runner hands
// out has.
type Error struct {
	Kind    Kind
	Message string // `connect "oracle": ...`, in one or more lines
	Hint    string // what to do, one line; may be empty
	Where   string // "flow.lua:12"; empty when no flow is involved
	// Execution is the one that failed; empty for a call that never became one.
	Execution ID
	// Traceback is the Lua stack, innermost first; may be empty.
	Traceback string
	// Cause is the failure of the child execution that led to this one; may be nil.
	Cause *Error
	// Value is what a script raised with error(), if it was no string; a tree of values.
	Value any
}

// Error gives "where: message", without hint and traceback.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Where != "" {
		b.WriteString(e.Where + ": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Retryable tells whether the same try may succeed later, so that a caller who
// asked for repetition gets it.
func (k Kind) Retryable() bool {
	switch k {
	case Unavailable, Timeout, Conflict, NotFound:
		return true
	}
	return false
}
