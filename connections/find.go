package connections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// The sources that Origin.Source names.
const (
	SourceFile    = "file"
	SourceStore   = "store"
	SourceDefault = "default"
)

// unreadable is implemented by sources that may be unable to read all they have.
type unreadable interface {
	Problems() []schema.Problem
}

// Get gives the owner's connection of that name from the first source that has
// it. A name that none has is a *NotFoundError with the nearest name. Of a connection
// that is shared for use it gives what may be seen: see [RightUse].
func (r *Resolver) Get(ctx context.Context, owner, name string) (Connection, error) {
	c, err := r.find(ctx, owner, name)
	return c.seen(), err
}

// find gives a connection with all that a task needs.
func (r *Resolver) find(ctx context.Context, owner, name string) (Connection, error) {
	for _, source := range r.sources {
		c, err := source.Get(ctx, owner, name)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Connection{}, fmt.Errorf("find connection %q: %w", name, err)
		}
	}
	missing := &NotFoundError{Name: name, Unread: r.Problems(owner)}
	all, _ := r.List(ctx, owner) // some names are better than none
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	missing.Nearest = schema.Nearest(name, names)
	return Connection{}, missing
}

// List gives all of the owner's connections, sorted by name. Where several
// sources have one of a name, it is the first source's, whose Origin.Hides names
// the others. Beside an error it gives what the other sources have.
func (r *Resolver) List(ctx context.Context, owner string) ([]Connection, error) {
	found := make(map[string]Connection)
	var failed error
	for _, source := range r.sources {
		all, err := source.List(ctx, owner)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("list connections: %w", err))
		}
		for _, c := range all {
			c = c.seen()
			first, taken := found[c.Name]
			if !taken {
				found[c.Name] = c
				continue
			}
			first.Origin.Hides = append(append(first.Origin.Hides, c.Origin.place()), c.Origin.Hides...)
			found[c.Name] = first
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Connection) int {
		return strings.Compare(a.Name, b.Name)
	}), failed
}

// Problems gives what the sources could not read of what is the owner's.
func (r *Resolver) Problems(owner string) []schema.Problem {
	var problems []schema.Problem
	for _, source := range r.sources {
		switch s := source.(type) {
		case unreadable:
			problems = append(problems, s.Problems()...)
		case interface {
			ProblemsFor(owner string) []schema.Problem
		}:
			problems = append(problems, s.ProblemsFor(owner)...)
		}
	}
	return problems
}

// hidden gives the places of later connections of c's name.
func (r *Resolver) hidden(ctx context.Context, c Connection) []schema.Pos {
	hides := slices.Clone(c.Origin.Hides)
	seen := false
	for _, source := range r.sources {
		other, err := source.Get(ctx, c.Owner, c.Name)
		if err != nil {
			continue
		}
		if seen {
			hides = append(append(hides, other.Origin.place()), other.Origin.Hides...)
		}
		seen = true
	}
	return hides
}

// place gives the file and line, or else the source.
func (o Origin) place() schema.Pos {
	if o.Pos == (schema.Pos{}) {
		return schema.Pos{File: o.Source}
	}
	return o.Pos
}

// String gives where a connection was found: "library.yaml:3", "store", "default".
func (o Origin) String() string { return o.place().String() }
