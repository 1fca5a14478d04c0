package tasks

// Kind is what sort of failure an error is.
type Kind string

// The kinds of a driver's errors.
const (
	Invalid     Kind = "invalid"     // the inputs are wrong
	Denied      Kind = "denied"      // credentials or rights are wrong
	NotFound    Kind = "notfound"    // what was named does not exist
	Conflict    Kind = "conflict"    // it exists already, or changed meanwhile
	Unavailable Kind = "unavailable" // the system cannot be reached or is down
	Timeout     Kind = "timeout"     // no answer in time
	Permanent   Kind = "permanent"   // the system refused for good
)

// Error is the error of every driver.
type Error struct {
	Kind    Kind
	Message string // lower case, what was being done first; one line
	Hint    string // what to do; may be empty
	Input   string // the input at fault; may be empty
	// Auth marks a denied request whose credentials were refused, so that they are
	// read afresh once.
	Auth bool
	// Unsent says that nothing had been asked of the system yet that could have had
	// an effect, so that any operation may be tried again: the login was refused,
	// or there was no connection at all.
	Unsent bool
	// Err is the cause; its text is not shown, and it may hold anything.
	Err error
}

// Error gives Message.
func (e *Error) Error() string { return e.Message }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
