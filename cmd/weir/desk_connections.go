package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/tasks"
)

var (
	_ httpapi.Connections      = (*desk)(nil)
	_ httpapi.ConnectionStore  = (*desk)(nil)
	_ httpapi.ConnectionTrials = (*desk)(nil)
)

// view gives the program as it is for the user, and the lines that it says.
func (d *desk) view() (view *app, notes func() []string) {
	said := &bytes.Buffer{}
	return d.app.as(d.owner, said), func() []string {
		var lines []string
		for line := range strings.Lines(said.String()) {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
		return lines
	}
}

// wireConnection is a connection without its value.
func wireConnection(c connections.Connection) api.Connection {
	shown := api.Connection{
		Name: c.Name, Type: c.Type, Source: c.Origin.Source, Secrets: []api.AttachedSecret{}, Description: c.Description,
		Shared: string(c.Shared), Labels: map[string]string{}, Pinned: []string{}, TTL: c.TTL, Revision: c.Revision, Place: c.Origin.Pos.String(), Hides: hides(c),
	}
	for key, value := range c.Labels {
		shown.Labels[key] = value
	}
	shown.Pinned = append(shown.Pinned, c.Pinned...)
	for _, s := range c.Secrets {
		shown.Secrets = append(shown.Secrets, api.AttachedSecret{Path: s.Path, Version: s.Version, Keys: s.Keys, Mount: s.Mount, Vault: s.Vault})
	}
	return shown
}

// ListConnections implements httpapi.Connections.
func (d *desk) ListConnections(ctx context.Context) (api.Connections, error) {
	view, notes := d.view()
	resolver, err := view.resolver()
	if err != nil {
		return api.Connections{}, err
	}
	all, err := resolver.List(ctx, d.owner)
	list := api.Connections{Connections: []api.Connection{}}
	for _, c := range all {
		list.Connections = append(list.Connections, wireConnection(c))
	}
	view.sayProblems(resolver.Problems(d.owner))
	list.Notes = notes()
	return list, err
}

// Connection implements httpapi.Connections.
func (d *desk) Connection(ctx context.Context, name string, revision int64) (api.Connection, error) {
	view, _ := d.view()
	c, err := view.connectionAt(ctx, name, revision)
	if err != nil {
		return api.Connection{}, err
	}
	value, keys := view.maskedText(c)
	text, err := connections.Format(withValue(c, value))
	if err != nil {
		return api.Connection{}, err
	}
	shown := wireConnection(c)
	shown.Value, shown.Document, shown.Masked = value.node.Plain(), string(text), keys
	return shown, nil
}

// ConnectionRevisions implements httpapi.Connections.
func (d *desk) ConnectionRevisions(ctx context.Context, name string) (api.Revisions, error) {
	view, _ := d.view()
	all, err := view.revisions(ctx, name)
	found := api.Revisions{Revisions: []api.Revision{}}
	for i, c := range all {
		changed := []string{"created"}
		if i+1 < len(all) {
			changed = differences(all[i+1], c)
		}
		found.Revisions = append(found.Revisions, api.Revision{
			Revision: c.Revision, At: c.Changed.Format(time.RFC3339), Changed: append([]string{}, changed...),
		})
	}
	return found, err
}

// ExportConnections implements httpapi.Connections.
func (d *desk) ExportConnections(ctx context.Context, names []string, revision int64) (api.Export, error) {
	view, notes := d.view()
	all, err := view.exported(ctx, names, revision)
	if err != nil {
		return api.Export{}, err
	}
	text, err := view.exportText(all, false)
	return api.Export{Document: string(text), Notes: notes()}, err
}

// changesOf tells what became of connections.
func (a *app) changesOf(ctx context.Context, changes []change, notes func() []string) api.Changes {
	done := api.Changes{Changes: []api.Change{}}
	for _, c := range changes {
		done.Changes = append(done.Changes, api.Change{Name: c.wanted.Name, Type: c.wanted.Type, Result: c.result, Revision: c.wanted.Revision})
	}
	a.sayChanges(ctx, changes)
	done.Notes = notes()
	return done
}

// CreateConnection implements httpapi.ConnectionStore.
func (d *desk) CreateConnection(ctx context.Context, text api.ConnectionText) (api.Changes, error) {
	view, notes := d.view()
	all, err := parsedConnections(sentName(text.File), []byte(text.Document))
	if err != nil {
		return api.Changes{}, err
	}
	if len(all) != 1 {
		return api.Changes{}, hintedInvalid("apply stores several", "there are %d connections where one is to be created", len(all))
	}
	c := all[0]
	c.Owner, c.Revision = d.owner, 0
	done, err := view.created(ctx, c, text.Keep)
	if err != nil {
		return api.Changes{}, err
	}
	return view.changesOf(ctx, []change{done}, notes), nil
}

func sentName(file string) string { return firstOf(file, "the document") }

// ApplyConnections implements httpapi.ConnectionStore.
func (d *desk) ApplyConnections(ctx context.Context, text api.ConnectionText) (api.Changes, error) {
	view, notes := d.view()
	file := sentName(text.File)
	wanted, err := parsedConnections(file, []byte(text.Document))
	if err != nil {
		return api.Changes{}, err
	}
	var refuse func([]change) error
	if text.Refuse {
		refuse = refuseUpdates
	}
	changes, err := view.applyAll(ctx, file, wanted, refuse)
	if err != nil {
		return api.Changes{}, err
	}
	return view.changesOf(ctx, changes, notes), nil
}

// EditConnection implements httpapi.ConnectionStore.
func (d *desk) EditConnection(ctx context.Context, name string, text api.ConnectionText) (api.Changes, error) {
	view, notes := d.view()
	store, c, err := view.stored(ctx, name)
	if err != nil {
		return api.Changes{}, err
	}
	if text.Revision != 0 && text.Revision != c.Revision {
		return api.Changes{}, fmt.Errorf("update connection %q: %w: it has revision %d, not %d", name, connections.ErrConflict, c.Revision, text.Revision)
	}
	session := &editSession{app: view, store: store, stored: c}
	if _, err := session.shown(); err != nil {
		return api.Changes{}, err
	}
	changed, err := session.save(ctx, []byte(text.Document), 0)
	if err != nil {
		return api.Changes{}, err
	}
	return view.changesOf(ctx, []change{changed}, notes), nil
}

// ChangeSecret implements httpapi.ConnectionStore.
func (d *desk) ChangeSecret(ctx context.Context, name string, wanted api.SecretChange) (api.Changes, error) {
	view, notes := d.view()
	attached := connections.AttachedSecret{
		Path: strings.Trim(wanted.Secret.Path, "/"), Version: wanted.Secret.Version, Keys: wanted.Secret.Keys,
		Mount: wanted.Secret.Mount, Vault: wanted.Secret.Vault,
	}
	if attached.Path == "" || strings.ContainsAny(attached.Path, " \t#") || attached.Version < 0 {
		return api.Changes{}, hintedInvalid("a secret is named like secret/data/oracle", "there is no such path of a secret: %q", attached.Path)
	}
	alter := attach(attached)
	if wanted.Detach {
		alter = detach(attached)
	}
	changes, err := view.amended(ctx, name, alter)
	if err != nil {
		return api.Changes{}, err
	}
	return view.changesOf(ctx, changes, notes), nil
}

// DeleteConnection implements httpapi.ConnectionStore.
func (d *desk) DeleteConnection(ctx context.Context, name string) (api.Deleted, error) {
	view, _ := d.view()
	store, _, err := view.stored(ctx, name)
	if err != nil {
		return api.Deleted{}, err
	}
	if err := store.Delete(ctx, d.owner, name); err != nil {
		return api.Deleted{}, fmt.Errorf("delete connection %q: %w", name, err)
	}
	return api.Deleted{Name: name, Result: "deleted"}, nil
}

// inputs are overrides as a task takes them: what is sensitive is a secret.
func (d *desk) inputs(ctx context.Context, view *app, name string, sent map[string]any) (map[string]any, error) {
	resolver, err := view.resolver()
	if err != nil {
		return nil, err
	}
	c, err := resolver.Get(ctx, d.owner, name)
	if err != nil || len(sent) == 0 {
		return nil, err
	}
	sensitive := view.sensitiveNames(c.Type)
	inputs := map[string]any{}
	for key, value := range sent {
		inputs[key] = engineValue(value)
		if text, ok := value.(string); ok && slices.Contains(sensitive, key) {
			inputs[key] = secret.New(text)
		}
	}
	return inputs, nil
}

// ExplainConnection implements httpapi.ConnectionTrials.
func (d *desk) ExplainConnection(ctx context.Context, name string, overrides api.Overrides) (connections.Explanation, error) {
	view, _ := d.view()
	inputs, err := d.inputs(ctx, view, name, overrides.Inputs)
	if err != nil {
		return connections.Explanation{}, err
	}
	resolver, err := view.resolver()
	if err != nil {
		return connections.Explanation{}, err
	}
	return resolver.Explain(ctx, connections.Request{Owner: d.owner, Name: name, Overrides: inputs})
}

// TestConnection implements httpapi.ConnectionTrials. A task has an empty directory of
// its own for the time of the test.
func (d *desk) TestConnection(ctx context.Context, name string, overrides api.Overrides) (tested api.Tested, err error) {
	view, notes := d.view()
	inputs, err := d.inputs(ctx, view, name, overrides.Inputs)
	if err != nil {
		return api.Tested{}, err
	}
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		return api.Tested{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return api.Tested{}, err
	}
	defer root.Close() //nolint:errcheck // nothing is kept of it
	wait := time.Minute
	if overrides.Seconds > 0 {
		wait = time.Duration(overrides.Seconds) * time.Second
	}
	ctx, cancel := dispatch.WithTimeout(ctx, wait)
	defer cancel()
	tested.Stages = []api.Stage{}
	failure, err := view.stagesOf(ctx, engine.Call{Kind: engine.CallConnect, Name: name, Inputs: inputs}, root, func(s tasks.Stage, took time.Duration) {
		stage := api.Stage{Stage: s.Name, OK: s.Err == nil, Detail: s.Detail, Milliseconds: took.Milliseconds()}
		if s.Err != nil {
			stage.Detail = s.Err.Error()
		}
		tested.Stages = append(tested.Stages, stage)
	})
	if err != nil {
		return api.Tested{}, err
	}
	if failure != nil {
		tested.Error = explained(fmt.Errorf("test connection %q: %w", name, failure))
	} else if len(tested.Stages) == 1 {
		view.say(noTest)
	}
	tested.Notes = notes()
	return tested, nil
}
