package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// sayNotes passes on what a server says beside its data.
func (a *app) sayNotes(notes []string) {
	for _, line := range notes {
		a.say("%s", line)
	}
}

// onServer does a command with the server that WEIR_ADDR names. done is false if it
// names none, and the local store is meant.
func (a *app) onServer(do func(c *api.Client) error) (done bool, err error) {
	client, err := a.remote()
	if err != nil || client == nil {
		return err != nil, err
	}
	return true, do(client)
}

// localConnection is a connection of a server as lists show it.
func localConnection(c api.Connection) connections.Connection {
	local := connections.Connection{
		Name: c.Name, Type: c.Type, Description: c.Description, Labels: c.Labels, Pinned: c.Pinned, TTL: c.TTL, Revision: c.Revision, Shared: connections.Right(c.Shared),
		Origin: connections.Origin{Source: c.Source, Pos: schema.Pos{File: c.Place}},
	}
	for _, place := range c.Hides {
		local.Origin.Hides = append(local.Origin.Hides, schema.Pos{File: place})
	}
	for _, s := range c.Secrets {
		local.Secrets = append(local.Secrets, connections.AttachedSecret{Path: s.Path, Version: s.Version, Keys: s.Keys, Mount: s.Mount, Vault: s.Vault})
	}
	return local
}

func (a *app) listRemote(ctx context.Context, c *api.Client, verbose bool) error {
	list, err := c.ListConnections(ctx)
	if err != nil {
		return err
	}
	var all []connections.Connection
	data := []any{}
	for _, one := range list.Connections {
		all = append(all, localConnection(one))
		tree, _ := plain(one).(map[string]any)
		tree["hides"] = anyList(one.Hides)
		data = append(data, tree)
	}
	err = a.print(data, func(t *table) { listTable(t, all, verbose) })
	a.sayNotes(list.Notes)
	return err
}

func (a *app) showRemote(ctx context.Context, c *api.Client, name string, revision int64) error {
	shown, err := c.Connection(ctx, name, revision)
	if err != nil {
		return err
	}
	if a.flags.output == "json" {
		tree, _ := plain(shown).(map[string]any)
		delete(tree, "document")
		delete(tree, "masked")
		delete(tree, "hides")
		if shown.Value == nil {
			tree["value"] = nil
		}
		err = a.printJSON(tree)
	} else {
		_, err = a.out.Write([]byte(shown.Document))
	}
	if err == nil {
		a.sayMasked(shown.Name, shown.Masked)
	}
	return err
}

func (a *app) printRevisions(all []api.Revision) error {
	return a.print(plainList(all), func(t *table) {
		t.row("REVISION", "AT", "CHANGED")
		for _, r := range all {
			when := r.At
			if moment, err := time.Parse(time.RFC3339, r.At); err == nil {
				when = moment.Local().Format(time.DateTime)
			}
			t.row(r.Revision, when, strings.Join(r.Changed, ", "))
		}
	})
}

// printRemote reports what became of connections of a server.
func (a *app) printRemote(changes api.Changes) error {
	err := a.print(plainList(changes.Changes), func(t *table) {
		for _, c := range changes.Changes {
			t.row(c.Result, c.Name, fmt.Sprintf("revision %d", c.Revision))
		}
	})
	a.sayNotes(changes.Notes)
	return err
}

func (a *app) createRemote(ctx context.Context, client *api.Client, c connections.Connection, keep bool) error {
	if _, err := a.checkConnection(c); err != nil { // with the places of its files
		return err
	}
	text, err := connections.Format(c)
	if err != nil {
		return err
	}
	changes, err := client.CreateConnection(ctx, api.ConnectionText{Document: string(text), Keep: keep})
	if err != nil {
		return err
	}
	return a.printRemote(changes)
}

// applyRemote stores the connections of files on a server.
func (a *app) applyRemote(ctx context.Context, client *api.Client, files []string, refuse bool) error {
	var all api.Changes
	var faults []error
	for _, file := range files {
		text, err := readAtMost(maxConnectionFile, file, a.in)
		if err == nil {
			var changes api.Changes
			changes, err = client.ApplyConnections(ctx, api.ConnectionText{Document: string(text), File: shownName(file), Refuse: refuse})
			all.Changes, all.Notes = append(all.Changes, changes.Changes...), append(all.Notes, changes.Notes...)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(all.Changes) > 0 || len(faults) == 0 {
		if err := a.printRemote(all); err != nil {
			return err
		}
	}
	return joinFaults(faults)
}

func (a *app) changeSecretRemote(ctx context.Context, c *api.Client, name string, s connections.AttachedSecret, detach bool) error {
	changes, err := c.ChangeSecret(ctx, name, api.SecretChange{
		Secret: api.AttachedSecret{Path: s.Path, Version: s.Version, Keys: s.Keys, Mount: s.Mount, Vault: s.Vault}, Detach: detach,
	})
	if err != nil {
		return err
	}
	return a.printRemote(changes)
}

func (a *app) deleteRemote(ctx context.Context, client *api.Client, name string, yes bool) error {
	c, err := client.Connection(ctx, name, 0)
	if err != nil {
		return err
	}
	if err := a.sure(ctx, yes, fmt.Sprintf("delete connection %q (%s, revision %d)", name, c.Type, c.Revision)); err != nil {
		return err
	}
	deleted, err := client.DeleteConnection(ctx, name)
	if err != nil {
		return err
	}
	return a.print(plain(deleted), func(t *table) { t.row("deleted", deleted.Name) })
}

// remoteOverrides reads the --set flags of a command that tries a connection of a
// server. What is sensitive goes in the body, as text.
func (a *app) remoteOverrides(ctx context.Context, client *api.Client, name string, sets []string) (map[string]any, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	c, err := client.Connection(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	return a.setOverrides(ctx, localConnection(c), sets, func(typed string) any { return typed })
}

func (a *app) explainRemote(ctx context.Context, client *api.Client, name string, sets []string) error {
	inputs, err := a.remoteOverrides(ctx, client, name, sets)
	if err != nil {
		return err
	}
	var tree any
	if err := client.ExplainConnection(ctx, name, api.Overrides{Inputs: inputs}, &tree); err != nil {
		return err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	var explained connections.Explanation
	if err := json.Unmarshal(text, &explained); err != nil {
		return err
	}
	if err := a.print(tree, func(t *table) { explainTable(t, explained) }); err != nil {
		return err
	}
	return a.explainFault(explained)
}

func (a *app) testRemote(ctx context.Context, client *api.Client, name string, sets []string, wait time.Duration) error {
	inputs, err := a.remoteOverrides(ctx, client, name, sets)
	if err != nil {
		return err
	}
	const most = 10 * time.Minute
	if wait == 0 || wait > most {
		wait = most
	}
	tested, err := client.TestConnection(ctx, name, api.Overrides{Inputs: inputs, Seconds: max(int(wait/time.Second), 1)})
	if err != nil {
		return err
	}
	return a.printTested(tested)
}

// printTested reports a test that a server made.
func (a *app) printTested(tested api.Tested) error {
	report := newStages(a)
	for _, s := range tested.Stages {
		var failed error
		if !s.OK {
			failed = &engine.Error{Message: s.Detail}
		}
		report.add(s.Stage, s.Detail, time.Duration(s.Milliseconds)*time.Millisecond, failed)
	}
	a.sayNotes(tested.Notes)
	if err := report.end(); err != nil {
		return err
	}
	if tested.Error != nil {
		return tested.Error
	}
	return nil
}

func (a *app) exportRemote(ctx context.Context, c *api.Client, names []string, revision int64, reveal bool, to string) error {
	if reveal {
		return a.localOnly("--reveal", "a server gives nobody the secrets that it keeps")
	}
	export, err := c.ExportConnections(ctx, names, revision)
	if err != nil {
		return err
	}
	a.sayNotes(export.Notes)
	if to != "" {
		return a.writePrivate(to, []byte(export.Document))
	}
	_, err = a.out.Write([]byte(export.Document))
	return err
}
