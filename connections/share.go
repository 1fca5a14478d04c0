package connections

import (
	"strings"
	"time"
)

// Right is what somebody may do with a connection of another.
type Right string

// The rights. Who may manage may also use.
const (
	// RightUse is to run tasks with it, and to see nothing of it but its name, type
	// and description.
	RightUse Right = "use"
	// RightManage is to see and edit it too, but for what is secret; a change of where
	// its credentials are sent asks for these again.
	RightManage Right = "manage"
)

// Valid tells whether r is one of the rights.
func (r Right) Valid() bool { return r == RightUse || r == RightManage }

// Share gives somebody a right on a connection of another. It ends when it is
// taken back or the connection is deleted, for what runs already too: it is looked
// up at every step.
type Share struct {
	Owner      string // the connection's
	Connection string // its name with its owner
	With       string // the owner key of whom it is shared with
	Right      Right
	Since      time.Time
}

// SharedName is what whom it is shared with calls a connection: "user/name", where
// user is the name of its owner. Nobody's own connection has a name with a slash.
func SharedName(user, connection string) string { return user + "/" + connection }

// ParseShared splits a name that SharedName gave; ok is false for one of a
// connection of one's own.
func ParseShared(name string) (user, connection string, ok bool) {
	return strings.Cut(name, "/")
}
