package engine

import (
	"regexp"
	"time"
)

// Role says what a user may do beyond what is theirs.
type Role string

// The roles. An admin manages users and tokens, and sees that things of others
// exist; their values, inputs and outputs an admin does not see.
const (
	RoleAdmin Role = "admin"
	RoleUser  Role = "user"
)

// User is somebody who uses a store. Users are disabled, never deleted, and a name
// is never used again, so that what an audit event says stays true.
type User struct {
	// Name is one that ValidUserName accepts.
	Name string
	// Owner is the key under which the user's things are stored: "" for the first
	// admin, to whom belongs what was made on the store without a user, and the name
	// for everybody else.
	Owner string
	Role  Role
	// Disabled users are let in with no token; what is theirs stays, and what is at
	// work goes on.
	Disabled bool
	Created  time.Time
}

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// ValidUserName tells whether a name may be a user's: 1 to 64 of a-z 0-9 . _ -,
// starting with a letter or digit.
func ValidUserName(name string) bool { return userName.MatchString(name) }

// Token lets whoever presents its text act as its user. The text is told once,
// when it is made; what is kept cannot be turned back into it.
type Token struct {
	// ID names it for people; it gives no access.
	ID   string
	User string // the name of its user
	Name string // what it is for, in its user's words; may be empty
	// Created, and until when it is good; zero Expires is for ever.
	Created time.Time
	Expires time.Time
	// LastUsed is exact to a minute; zero if it never was.
	LastUsed time.Time
	// Revoked is when it was taken back; zero if it was not.
	Revoked time.Time
}

// Valid tells whether the token itself lets anybody in at that time; its user may
// be disabled all the same.
func (t Token) Valid(now time.Time) bool {
	return t.Revoked.IsZero() && (t.Expires.IsZero() || now.Before(t.Expires))
}
