package connections

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// NotFoundError says that no source has a connection of a name. It is ErrNotFound.
type NotFoundError struct {
	Name string
	// Nearest is the owner's connection that was probably meant; may be empty.
	Nearest string
	// Unread says which files could not be read, and so may hold it.
	Unread []schema.Problem
}

// Error names the connection.
func (e *NotFoundError) Error() string { return ErrNotFound.Error() + ": " + strconv.Quote(e.Name) }

// Hint gives the nearest name, or else what may hide the connection.
func (e *NotFoundError) Hint() string {
	switch {
	case e.Nearest != "":
		return "did you mean " + strconv.Quote(e.Nearest) + "?"
	}
	for _, p := range e.Unread { // the file that is named like it
		if base := filepath.Base(p.Pos.File); strings.TrimSuffix(base, filepath.Ext(base)) == e.Name {
			return "it may be in a file that cannot be read: " + p.String()
		}
	}
	switch {
	case len(e.Unread) == 1:
		return "it may be in a file that cannot be read: " + e.Unread[0].String()
	case len(e.Unread) > 1:
		return fmt.Sprintf("it may be in one of %d files that cannot be read, such as %s", len(e.Unread), e.Unread[0])
	}
	return ""
}

// Unwrap gives ErrNotFound.
func (e *NotFoundError) Unwrap() error { return ErrNotFound }

// InvalidError tells everything that is wrong with a connection, or with the
// inputs that came out of it. It holds no value that could be secret.
type InvalidError struct {
	Connection string // its name; empty for inputs without a connection
	Problems   []schema.Problem
}

// Error gives the problems, one a line if there are several.
func (e *InvalidError) Error() string {
	subject := "inputs"
	if e.Connection != "" {
		subject = "connection " + strconv.Quote(e.Connection)
	}
	if len(e.Problems) == 1 {
		return subject + ": " + e.Problems[0].String()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %d problems", subject, len(e.Problems))
	for _, p := range e.Problems {
		text.WriteString("\n  " + p.String())
		if p.Hint != "" {
			text.WriteString(" (" + p.Hint + ")")
		}
	}
	return text.String()
}

// Hint gives what to do about a single problem; several have theirs in Error.
func (e *InvalidError) Hint() string {
	if len(e.Problems) == 1 {
		return e.Problems[0].Hint
	}
	return ""
}

// PinnedError says that a flow tried to override inputs that the connection's
// owner has pinned.
type PinnedError struct {
	Connection string
	Inputs     []string // sorted
	shared     bool     // for use
}

// Error names the connection and the inputs.
func (e *PinnedError) Error() string {
	names := make([]string, len(e.Inputs))
	for i, name := range e.Inputs {
		names[i] = strconv.Quote(name)
	}
	return fmt.Sprintf("connection %q: a flow may not override %s: pinned by its owner", e.Connection, strings.Join(names, " and "))
}

// Hint says how the flow may go elsewhere all the same.
func (e *PinnedError) Hint() string {
	if e.shared {
		return "leave it out: the connection is shared for use where its owner sends it"
	}
	return "leave it out, or bring your own credentials for every secret of the connection"
}

// ManagedError says that somebody changed a connection that is shared with them for
// manage in a way that only its owner may.
type ManagedError struct {
	Connection   string
	reason, hint string
}

// Error names the connection and what is against the change.
func (e *ManagedError) Error() string {
	return fmt.Sprintf("connection %q: %s", e.Connection, e.reason)
}

// Hint says how the change could be made.
func (e *ManagedError) Hint() string { return e.hint }
