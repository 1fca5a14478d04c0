package connections

import (
	"context"
	"errors"

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

// Forgetter is a SecretReader that may give what it read before. Forget makes its
// next read of a secret ask the source, because what was read turned out to be of no
// use; ref is that of the secret.Data.
type Forgetter interface {
	Forget(ref secret.Ref)
}
