package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/flows"
)

func flowOf(f store.Flow) api.Flow {
	return api.Flow{Name: f.Name, Version: f.Version, Digest: f.Digest, Changed: f.Changed.UTC(), Origin: f.Origin}
}

func flowsOf(found []store.Flow) api.Flows {
	all := api.Flows{Flows: []api.Flow{}}
	for _, f := range found {
		all.Flows = append(all.Flows, flowOf(f))
	}
	return all
}

// flow gives a version of a flow of the store; 0 is the newest.
func (d *desk) flow(ctx context.Context, name string, version int) (store.Flow, []byte, error) {
	found, text, err := d.store.Flows().Get(ctx, d.owner, name, version)
	if exitCode(err) == exitNotFound {
		err = d.noFlow(ctx, name, err)
	}
	return found, text, err
}

// noFlow is the error for a flow that the store does not have.
func (d *desk) noFlow(ctx context.Context, name string, missing error) error {
	all, err := d.store.Flows().List(ctx, d.owner)
	if err != nil {
		return err
	}
	var known []string
	for _, f := range all {
		if f.Name == name { // the version is missing
			return &engine.Error{
				Kind: engine.NotFound, Message: missing.Error(), Hint: fmt.Sprintf("see which there are: weir flow versions %s", name),
			}
		}
		known = append(known, f.Name)
	}
	return unknownFlow(name, known)
}

// ApplyFlows implements httpapi.Flows.
func (d *desk) ApplyFlows(ctx context.Context, texts []api.FlowText) (api.Flows, error) {
	var faults []error
	for i, f := range texts {
		faults = append(faults, checkFlow(&texts[i], cmp.Or(f.File, f.Name)))
	}
	if err := joinFaults(present(faults)); err != nil {
		return api.Flows{}, err
	}
	wanted := make([]store.FlowText, 0, len(texts))
	for _, f := range texts {
		wanted = append(wanted, store.FlowText{Name: f.Name, Text: []byte(f.Text)})
	}
	versions, err := d.store.Flows().ApplyAll(ctx, d.owner, wanted...)
	applied := api.Flows{Flows: []api.Flow{}}
	for _, v := range versions {
		stored := flowOf(v.Flow)
		stored.Result = "unchanged"
		if v.New {
			stored.Result = "stored"
		}
		applied.Flows = append(applied.Flows, stored)
	}
	return applied, err
}

// checkFlow checks the name and the text of a flow that is to be stored.
func checkFlow(f *api.FlowText, file string) error {
	name, err := flowName(f.Name)
	if err != nil {
		return err
	}
	if err := showable("name", name); err != nil {
		return err
	}
	f.Name = name
	if len(f.Text) > maxInputs {
		return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("%s: larger than %d bytes (%d MiB)", file, maxInputs, maxInputs>>20)}
	}
	_, err = flows.Compile(file, []byte(f.Text))
	return err
}

// ListFlows implements httpapi.Flows.
func (d *desk) ListFlows(ctx context.Context) (api.Flows, error) {
	found, err := d.store.Flows().List(ctx, d.owner)
	return flowsOf(found), err
}

// Flow implements httpapi.Flows.
func (d *desk) Flow(ctx context.Context, name string, version int) (api.Flow, error) {
	found, text, err := d.flow(ctx, name, version)
	shown := flowOf(found)
	shown.Text = string(text)
	return shown, err
}

// FlowVersions implements httpapi.Flows.
func (d *desk) FlowVersions(ctx context.Context, name string) (api.Flows, error) {
	if _, _, err := d.flow(ctx, name, 0); err != nil {
		return api.Flows{}, err
	}
	found, err := d.store.Flows().Versions(ctx, d.owner, name)
	return flowsOf(found), err
}

// DeleteFlow implements httpapi.Flows.
func (d *desk) DeleteFlow(ctx context.Context, name string) (api.Deleted, error) {
	if _, _, err := d.flow(ctx, name, 0); err != nil {
		return api.Deleted{}, err
	}
	err := d.store.Flows().Delete(ctx, d.owner, name)
	return api.Deleted{Name: name, Result: "deleted"}, err
}

// noFlows is where there is no store: it has no flows, and nothing can be stored.
type noFlows struct{}

var errNoStore = errors.New("there is no store")

// ApplyFlows implements httpapi.Flows.
func (noFlows) ApplyFlows(context.Context, []api.FlowText) (api.Flows, error) {
	return api.Flows{}, errNoStore
}

// ListFlows implements httpapi.Flows.
func (noFlows) ListFlows(context.Context) (api.Flows, error) { return api.Flows{}, nil }

// Flow implements httpapi.Flows.
func (noFlows) Flow(_ context.Context, name string, _ int) (api.Flow, error) {
	return api.Flow{}, unknownFlow(name, nil)
}

// FlowVersions implements httpapi.Flows.
func (noFlows) FlowVersions(_ context.Context, name string) (api.Flows, error) {
	return api.Flows{}, unknownFlow(name, nil)
}

// DeleteFlow implements httpapi.Flows.
func (noFlows) DeleteFlow(_ context.Context, name string) (api.Deleted, error) {
	return api.Deleted{}, unknownFlow(name, nil)
}
