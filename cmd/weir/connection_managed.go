package main

import (
	"context"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

// managed is a store with the one connection of somebody else's that the user may
// manage, for the commands that change what is stored. There it has the name that it
// has with its owner.
type managed struct {
	app  *app
	from *store.Shares
	name string // the one that it has for the user
}

// managed gives the shared connection of that name, if the user may manage it; ok is
// false if there is none.
func (a *app) managed(ctx context.Context, opened *store.Store, name string) (m managed, c connections.Connection, ok bool, err error) {
	if _, _, ok := connections.ParseShared(name); !ok {
		return managed{}, connections.Connection{}, false, nil
	}
	m = managed{a, opened.Shares(), name}
	c, err = m.Get(ctx, a.owner, "")
	if exitCode(err) == exitNotFound || err == nil && c.Shared != connections.RightManage {
		return managed{}, connections.Connection{}, false, nil
	}
	return m, c, err == nil, err
}

// Get implements connections.Source.
func (m managed) Get(ctx context.Context, _, _ string) (connections.Connection, error) {
	c, err := m.from.Get(ctx, m.app.owner, m.name)
	if err == nil {
		_, c.Name, _ = connections.ParseShared(m.name)
	}
	return c, err
}

// List implements connections.Source.
func (m managed) List(ctx context.Context, owner string) ([]connections.Connection, error) {
	c, err := m.Get(ctx, owner, "")
	return []connections.Connection{c}, err
}

// Update implements connections.Store: with what the user may change.
func (m managed) Update(ctx context.Context, wanted connections.Connection) (connections.Connection, error) {
	old, err := m.Get(ctx, "", "")
	if err != nil {
		return connections.Connection{}, err
	}
	spec, err := m.app.taskSpec(wanted.Type)
	if err != nil {
		return connections.Connection{}, err
	}
	// What is secret and as it was, the user has not seen.
	var kept []string
	for _, key := range m.app.hiddenKeys(old) {
		before, _ := old.Value.Get(key)
		if now, ok := wanted.Value.Get(key); ok && sameNodes(before, now) {
			kept = append(kept, key)
		}
	}
	if err := connections.CheckManaged(spec.Inputs, old, wanted, kept); err != nil {
		return connections.Connection{}, err
	}
	wanted.Owner, wanted.Name, wanted.Shared = old.Owner, m.name, old.Shared
	if wanted.Revision == 0 {
		wanted.Revision = old.Revision
	}
	return m.from.Update(ctx, engine.Actor{Owner: m.app.owner}, wanted)
}

// Create implements connections.Store: it is there, or it was taken back.
func (m managed) Create(context.Context, connections.Connection) (connections.Connection, error) {
	return connections.Connection{}, &connections.NotFoundError{Name: m.name}
}

// Delete implements connections.Store: only its owner may.
func (m managed) Delete(context.Context, string, string) error {
	return elsewhere(connections.Connection{Name: m.name, Shared: connections.RightManage})
}

// Revisions implements connections.Store: earlier ones were not shared.
func (m managed) Revisions(context.Context, string, string) ([]connections.Connection, error) {
	return nil, elsewhere(connections.Connection{Name: m.name, Shared: connections.RightManage})
}
