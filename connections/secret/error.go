package secret

import "strconv"

// Reason says why a secret could not be read.
type Reason string

// The reasons. Each one has another remedy, so no two of them share a message.
const (
	NotFound    Reason = "not found"         // no such secret
	Deleted     Reason = "deleted"           // this version was deleted (and may be undeleted)
	Destroyed   Reason = "destroyed"         // this version was destroyed for good
	NoKey       Reason = "no such key"       // the secret has no such key
	Denied      Reason = "permission denied" // the identity may not read the path
	LoginFailed Reason = "login failed"      // the credentials for the source itself are wrong
	Sealed      Reason = "sealed"            // the source is up but sealed
	Unreachable Reason = "unreachable"       // no connection to the source
	TimedOut    Reason = "timed out"         // no answer in time
	Invalid     Reason = "invalid"           // the reference or the configuration makes no sense
)

// ReadError is the error of every failed read of a secret. It never holds a
// value, a token or a secret id.
type ReadError struct {
	Ref    Ref
	Reason Reason
	// Detail says what exactly was wrong, in one line: "version 2 was deleted at 2026-01-02T03:04:05Z".
	Detail string
	// Hint says what to do about it; may be empty.
	Hint string
	// Err is the cause, if there is one that tells more; its text is not part of Error.
	Err error
}

// Error gives `read secret "path": reason: detail`, without the hint.
func (e *ReadError) Error() string {
	s := "read secret " + strconv.Quote(e.Ref.String()) + ": " + string(e.Reason)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap gives the cause.
func (e *ReadError) Unwrap() error { return e.Err }
