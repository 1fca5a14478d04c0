package main

import (
	"context"
	"errors"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/store"
)

// User implements httpapi.Users. What is in files and defaults is nobody's.
func (d *desk) User(ctx context.Context, name string) (api.UserDetail, error) {
	found, err := d.store.Users().Get(ctx, name)
	if err != nil {
		return api.UserDetail{}, err
	}
	owner := found.Owner
	var faults []error
	note := func(names []string, err error) []string {
		faults = append(faults, err)
		return names
	}
	detail := api.UserDetail{
		User:        httpapi.WireUser(found),
		Connections: note(namesOf(d.store.Connections().List, func(c connections.Connection) string { return c.Name })(ctx, owner)),
		Vaults:      note(namesOf(d.store.Documents(vaultDocuments).List, func(v store.Document) string { return v.Name })(ctx, owner)),
		Flows:       note(namesOf(d.store.Flows().List, func(f store.Flow) string { return f.Name })(ctx, owner)),
		Schedules:   note(namesOf(d.store.Schedules().List, func(s engine.Schedule) string { return s.Name })(ctx, owner)),
		Webhooks:    note(namesOf(d.store.Webhooks().List, func(w engine.Webhook) string { return w.Name })(ctx, owner)),
		Settings:    note(namesOf(d.store.Settings().List, func(s store.Setting) string { return s.Name })(ctx, owner)),
		Executions:  map[string]int{},
	}
	counts, err := d.store.Executions().Counts(ctx, owner)
	for status, n := range counts {
		if n > 0 {
			detail.Executions[string(status)] = n
		}
	}
	return detail, errors.Join(append(faults, err)...)
}

// namesOf gives the names of what a list has; an empty list for none.
func namesOf[T any](list func(context.Context, string) ([]T, error), name func(T) string) func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, owner string) ([]string, error) {
		all, err := list(ctx, owner)
		names := make([]string, 0, len(all))
		for _, one := range all {
			names = append(names, name(one))
		}
		return names, err
	}
}
