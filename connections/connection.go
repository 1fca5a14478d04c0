package connections

import (
	"maps"
	"slices"
	"time"

	"github.com/weir-engine/weir/connections/schema"
)

// Connection is a stored set of inputs for tasks of one type.
type Connection struct {
	// Name is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit.
	Name string
	// Type is the task type, in upper case.
	Type string
	// Value is the mapping of inputs; an empty mapping for none.
	Value schema.Node
	// Text is Value as it was typed, comments and order kept, as a YAML document
	// of its own.
	Text string
	// Secrets are laid over the value in this order.
	Secrets     []AttachedSecret
	Description string
	Labels      map[string]string
	// Pinned names inputs that a flow may not override.
	Pinned []string
	// TTL is for how many seconds temporary credentials made for it may be
	// reused; 0 leaves it to the task type.
	TTL int
	// Owner is the user it belongs to; "" is the only user of a local store.
	Owner string
	// Shared is the right that whoever asked has on a connection of somebody else,
	// whose Name is then the one that SharedName gives; empty for one's own.
	Shared Right
	// Revision counts the changes of a stored connection from 1; 0 if not stored.
	Revision int64
	// Changed is when this revision was stored; zero if not stored.
	Changed time.Time
	// Origin says where it was found.
	Origin Origin
}

// AttachedSecret is a secret that is laid over a connection's value.
type AttachedSecret struct {
	Path string
	// Mount is the path of the secrets engine, if it is given apart; Path is then
	// exactly the secret's name in there.
	Mount string
	// Version pins a version; 0 means the newest at the time of use.
	Version int
	// Keys selects and renames: input name to key of the secret. Nil takes all
	// keys under their own names.
	Keys map[string]string
	// Vault names a Vault configuration; "" means "default".
	Vault string
	Pos   schema.Pos
}

// Origin says which source gave a connection.
type Origin struct {
	Source string     // "file", "store" or "default"
	Pos    schema.Pos // of a file's document
	// Hides lists the places of connections of the same name that this one hides.
	Hides []schema.Pos
}

// Clone gives a copy that shares nothing with c.
func (c Connection) Clone() Connection {
	c.Value = c.Value.Clone()
	c.Secrets = slices.Clone(c.Secrets)
	for i := range c.Secrets {
		c.Secrets[i].Keys = maps.Clone(c.Secrets[i].Keys)
	}
	c.Labels = maps.Clone(c.Labels)
	c.Pinned = slices.Clone(c.Pinned)
	c.Origin.Hides = slices.Clone(c.Origin.Hides)
	return c
}
