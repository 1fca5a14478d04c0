package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

// desk is what one user can reach of a store: the commands work with it, and the API
// does for each of its callers. It gives nothing that is another user's.
type desk struct {
	app   *app
	store *store.Store
	owner string
	by    string // the user's name, for the record; empty on a store without users
	actor engine.Actor
	trace string // the traceparent of what is started; may be empty
	// engine starts executions. It is the one that serves the store, where this
	// process has it.
	engine func(context.Context) (*local.Runner, error)
	// letGo is called when tokens have been revoked or a user disabled; nil if nobody
	// in this process needs to know.
	letGo func()
}

var (
	_ httpapi.Executions = (*desk)(nil)
	_ httpapi.Orders     = (*desk)(nil)
	_ httpapi.Flows      = (*desk)(nil)
	_ httpapi.OwnerLog   = (*desk)(nil)
)

// desk gives the desk of the one who runs a command.
func (a *app) desk(opened *store.Store) *desk {
	return &desk{app: a, store: opened, owner: localOwner, engine: func(ctx context.Context) (*local.Runner, error) {
		return a.engine(ctx, local.Config{})
	}}
}

// services gives what a command works with: the server that WEIR_ADDR names, or the
// local store, which must be there.
func (a *app) services(ctx context.Context) (httpapi.Services, error) {
	client, err := a.remote()
	if err != nil {
		return httpapi.Services{}, err
	}
	if client != nil {
		return httpapi.Services{Executions: client, Orders: client, Flows: client, Webhooks: client, Schedules: client, Settings: client}, nil
	}
	opened, err := a.executionStore(ctx)
	if err != nil {
		return httpapi.Services{}, err
	}
	return a.desk(opened).services(), nil
}

func (d *desk) services() httpapi.Services {
	return httpapi.Services{
		Executions: d, Orders: d, Flows: d, Connections: d, ConnectionStore: d, ConnectionTrials: d,
		Settings: d, TaskTypes: d, Vaults: d, Users: d, Tokens: d, Audit: d, Shares: d, Webhooks: d, Schedules: d,
	}
}

// row gives the execution that an id, or the beginning of one, means.
func (d *desk) row(ctx context.Context, text string) (journal.Row, error) {
	id := engine.ID(strings.ToLower(strings.TrimSpace(text)))
	row, err := d.exactly(ctx, id)
	if err == nil || exitCode(err) != exitNotFound {
		return row, err
	}
	const most = 5
	ids, err := d.beginningWith(ctx, id, most+1)
	if err != nil {
		return journal.Row{}, err
	}
	switch {
	case len(ids) == 1:
		return d.exactly(ctx, ids[0])
	case len(ids) > 1:
		return journal.Row{}, &engine.Error{
			Kind: engine.Invalid, Message: fmt.Sprintf("%q means more than one execution", text), Hint: "there are " + someOf(ids, most),
		}
	}
	return journal.Row{}, d.notFound(ctx, text, id)
}

// beginningWith gives the ids of executions that begin with a text: of children only if
// it has the whole id of their root.
func (d *desk) beginningWith(ctx context.Context, text engine.ID, most int) ([]engine.ID, error) {
	root, _, below := strings.Cut(string(text), ".")
	if root == "" {
		return nil, nil
	}
	if below { // what is below another's is not looked at
		if _, err := d.exactly(ctx, engine.ID(root)); exitCode(err) == exitNotFound {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return d.store.Executions().Find(ctx, d.owner, string(text), below, most)
}

// exactly gives the execution of an id. One of another user is not there.
func (d *desk) exactly(ctx context.Context, id engine.ID) (journal.Row, error) {
	return d.store.Executions().Own(ctx, d.owner, id)
}

// notFound says that there is no such execution; a step's id leads to its flow.
func (d *desk) notFound(ctx context.Context, text string, id engine.ID) error {
	failure := &engine.Error{
		Kind: engine.NotFound, Message: fmt.Sprintf("no such execution: %q", text), Hint: `see "weir execution list"`,
	}
	if flow, _, ok := cutLast(string(id), "."); ok {
		if row, err := d.exactly(ctx, engine.ID(flow)); err == nil {
			failure.Hint = fmt.Sprintf("a step is seen with its flow: weir execution show %s", row.ID)
		}
	}
	return failure
}

// executionOf is what a store keeps of an execution in the clear.
func executionOf(r journal.Row) api.Execution {
	return api.Execution{
		ID: string(r.ID), Root: string(r.Root), Parent: string(r.Parent), Name: r.Name, Status: string(r.Status),
		Created: r.Created.UTC(), Ended: moment(r.Ended), Wake: moment(r.Wake), Waits: r.Waits, ErrorKind: string(r.Kind),
	}
}

func executionsOf(rows []journal.Row) []api.Execution {
	all := []api.Execution{}
	for _, r := range rows {
		all = append(all, executionOf(r))
	}
	return all
}

// moment is a time for programs; nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// at is a moment as a time; zero for none.
func at(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// plain gives what goes over the wire as a tree of plain values, for printing.
func plain(wire any) any {
	text, err := json.Marshal(wire)
	if err != nil {
		return nil // all of it can be encoded
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil
	}
	return tree
}

// plainList gives the items of a list as trees of plain values.
func plainList[T any](items []T) any {
	if items == nil {
		items = []T{}
	}
	return plain(items)
}
