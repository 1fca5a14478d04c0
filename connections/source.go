package connections

import (
	"context"
	"errors"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Errors that callers branch on; test with errors.Is. An error about somebody
// else's connection is ErrNotFound too.
var (
	ErrNotFound = errors.New("no such connection")
	ErrExists   = errors.New("connection exists already")
	ErrConflict = errors.New("connection was changed meanwhile")
	ErrReadOnly = errors.New("connection is not in the store")
)

// Source gives connections.
type Source interface {
	// Get gives the owner's connection of that name, or ErrNotFound.
	Get(ctx context.Context, owner, name string) (Connection, error)
	// List gives all of the owner's connections, sorted by name.
	List(ctx context.Context, owner string) ([]Connection, error)
}

// Store is a source that can be written. Values are encrypted at rest.
type Store interface {
	Source
	// Create stores a new connection and gives it back with its revision, or ErrExists.
	Create(ctx context.Context, c Connection) (Connection, error)
	// Update replaces a connection. If c.Revision is not 0 and is not the stored
	// one, nothing changes and the error is ErrConflict.
	Update(ctx context.Context, c Connection) (Connection, error)
	// Delete removes a connection and hides its revisions.
	Delete(ctx context.Context, owner, name string) error
	// Revisions gives every kept revision of a connection, newest first.
	Revisions(ctx context.Context, owner, name string) ([]Connection, error)
}

// SecretReader reads secrets. Its errors are *secret.ReadError or the context's.
type SecretReader interface {
	ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error)
}

// Reading says what secrets are read for.
type Reading struct {
	// User is the owner key of whoever asked, or whose execution it is.
	User string
	// Owner is the owner of the connection, whose Vault configurations count and who
	// answers for what they give; User for a secret that a flow names itself.
	Owner string
	// Connection is its name with its owner; empty for a secret that a flow names.
	Connection string
	// Execution is the one that it is for; empty for a test, an explanation and the like.
	Execution string
}

// Custodian is a SecretReader that reads differently for different users, or keeps
// account of what is read. For gives the reader to use; every reading through it
// counts, also of what is in a cache.
type Custodian interface {
	For(reading Reading) SecretReader
}

// ReaderFor gives the reader to use for a reading: of a Custodian, or the one given.
func ReaderFor(reader SecretReader, reading Reading) SecretReader {
	if custodian, ok := reader.(Custodian); ok {
		return custodian.For(reading)
	}
	return reader
}

// OnlyFor gives a source that has for one owner what the given one has, and nothing
// for anybody else.
func OnlyFor(owner string, source Source) Source { return onlyFor{owner, source} }

type onlyFor struct {
	owner  string
	source Source
}

func (o onlyFor) Get(ctx context.Context, owner, name string) (Connection, error) {
	if owner != o.owner {
		return Connection{}, ErrNotFound
	}
	return o.source.Get(ctx, owner, name)
}

func (o onlyFor) List(ctx context.Context, owner string) ([]Connection, error) {
	if owner != o.owner {
		return nil, nil
	}
	return o.source.List(ctx, owner)
}

// ProblemsFor gives what the source could not read, if it is for that owner.
func (o onlyFor) ProblemsFor(owner string) []schema.Problem {
	if u, ok := o.source.(unreadable); ok && owner == o.owner {
		return u.Problems()
	}
	return nil
}

// Forgetter is a SecretReader that may give what it read before. Forget makes its
// next read of a secret ask the source, because what was read turned out to be of no
// use; ref is that of the secret.Data.
type Forgetter interface {
	Forget(ref secret.Ref)
}
