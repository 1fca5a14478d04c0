package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
)

// What became of a connection that was to be stored.
const (
	resultCreated   = "created"
	resultUpdated   = "updated"
	resultUnchanged = "unchanged"
)

// change is one connection that is to be stored.
type change struct {
	old    connections.Connection // what is stored now, if it exists
	exists bool
	wanted connections.Connection
	open   []string // required inputs that it leaves to secrets and flows
	result string
}

// plan finds out what storing the connections would change, and checks all of them
// before anything is written.
func (a *app) plan(ctx context.Context, store connections.Store, wanted []connections.Connection) ([]change, error) {
	var changes []change
	var faults []error
	for _, c := range wanted {
		open, err := a.checkConnection(c)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		planned := change{wanted: c, open: open, result: resultCreated}
		planned.wanted.Owner, planned.wanted.Revision = a.owner, 0
		old, err := store.Get(ctx, a.owner, c.Name)
		switch {
		case err == nil:
			planned.old, planned.exists, planned.result = old, true, resultUpdated
			if len(differences(old, c)) == 0 {
				planned.result = resultUnchanged
			}
			// Whoever writes meanwhile is not overwritten.
			planned.wanted.Revision = old.Revision
		case !errors.Is(err, connections.ErrNotFound):
			return nil, err
		}
		changes = append(changes, planned)
	}
	return changes, joinFaults(faults)
}

// joinFaults puts several errors into one that shows each one's hint; nil if there
// are none.
func joinFaults(faults []error) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return faults[0]
	}
	lines := make([]string, len(faults))
	for i, err := range faults {
		lines[i] = err.Error()
		if hint := hintOf(err); hint != "" {
			lines[i] += "; " + hint
		}
	}
	return &faultsError{strings.Join(lines, "\n"), faults}
}

// faultsError is several errors of one command.
type faultsError struct {
	text   string
	faults []error
}

func (e *faultsError) Error() string { return e.text }

func (e *faultsError) Unwrap() []error { return e.faults }

// Hint is empty: the text has all hints.
func (e *faultsError) Hint() string { return "" }

// hintOf gives what to do about an error; empty if nothing is said.
func hintOf(err error) string {
	var failure *engine.Error
	if errors.As(err, &failure) {
		return failure.Hint
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// write carries out all changes or none: what was written before a failure is
// taken back.
func write(ctx context.Context, store connections.Store, changes []change) error {
	for i := range changes {
		err := writeOne(ctx, store, &changes[i])
		if err == nil {
			continue
		}
		back := context.WithoutCancel(ctx)
		for _, done := range changes[:i] {
			if undo := takeBack(back, store, done); undo != nil {
				err = errors.Join(err, fmt.Errorf("take back %q: %w", done.wanted.Name, undo))
			}
		}
		return err
	}
	return nil
}

func writeOne(ctx context.Context, store connections.Store, c *change) (err error) {
	switch c.result {
	case resultCreated:
		c.wanted, err = store.Create(ctx, c.wanted)
	case resultUpdated:
		c.wanted, err = store.Update(ctx, c.wanted)
	}
	return err
}

func takeBack(ctx context.Context, store connections.Store, c change) error {
	switch c.result {
	case resultCreated:
		return store.Delete(ctx, c.wanted.Owner, c.wanted.Name)
	case resultUpdated:
		old := c.old
		old.Revision = c.wanted.Revision
		_, err := store.Update(ctx, old)
		return err
	}
	return nil
}

// printChanges reports what became of each connection.
func (a *app) printChanges(ctx context.Context, changes []change) error {
	data := []any{}
	for _, c := range changes {
		data = append(data, map[string]any{"name": c.wanted.Name, "type": c.wanted.Type, "result": c.result, "revision": c.wanted.Revision})
	}
	err := a.print(data, func(t *table) {
		for _, c := range changes {
			t.row(c.result, c.wanted.Name, fmt.Sprintf("revision %d", c.wanted.Revision))
		}
	})
	a.sayChanges(ctx, changes)
	return err
}

// sayChanges tells what people should know of connections that were stored.
func (a *app) sayChanges(ctx context.Context, changes []change) {
	for _, c := range changes {
		a.sayOpen(c.wanted, c.open)
		a.sayShadowed(ctx, c.wanted.Name)
	}
}

// sayShadowed tells that a file hides the stored connection.
func (a *app) sayShadowed(ctx context.Context, name string) {
	resolver, err := a.resolver()
	if err != nil {
		return
	}
	if c, err := resolver.Get(ctx, a.owner, name); err == nil && c.Origin.Source == connections.SourceFile {
		a.say("warning: %s hides the stored connection %q", c.Origin, name)
	}
}
