package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/store"
)

var (
	_ httpapi.Users     = (*desk)(nil)
	_ httpapi.Tokens    = (*desk)(nil)
	_ httpapi.Audit     = (*desk)(nil)
	_ httpapi.Settings  = (*desk)(nil)
	_ httpapi.TaskTypes = (*desk)(nil)
	_ httpapi.Vaults    = (*desk)(nil)
)

// ListUsers implements httpapi.Users.
func (d *desk) ListUsers(ctx context.Context) (api.Users, error) {
	found, err := d.store.Users().List(ctx)
	users := api.Users{Users: []api.User{}}
	for _, u := range found {
		users.Users = append(users.Users, httpapi.WireUser(u))
	}
	return users, err
}

// CreateUser implements httpapi.Users.
func (d *desk) CreateUser(ctx context.Context, user api.NewUser) (api.User, error) {
	made, err := d.store.Users().Create(ctx, d.actor, user.Name, engine.Role(firstOf(user.Role, string(engine.RoleUser))))
	return httpapi.WireUser(made), err
}

// SetUserDisabled implements httpapi.Users.
func (d *desk) SetUserDisabled(ctx context.Context, name string, disabled bool) (api.Done, error) {
	result := "enabled"
	if disabled {
		result = "disabled"
	}
	err := d.store.Users().SetDisabled(ctx, d.actor, name, disabled)
	d.tokensChanged()
	return api.Done{Name: name, Result: result}, err
}

// ListTokens implements httpapi.Tokens.
func (d *desk) ListTokens(ctx context.Context, user string) (api.Tokens, error) {
	found, err := d.store.Users().Tokens(ctx, user)
	tokens := api.Tokens{Tokens: []api.Token{}}
	for _, t := range found {
		tokens.Tokens = append(tokens.Tokens, httpapi.WireToken(t))
	}
	return tokens, err
}

// CreateToken implements httpapi.Tokens.
func (d *desk) CreateToken(ctx context.Context, user string, token api.NewToken) (api.MadeToken, error) {
	expires := time.Now().Add(tokenLife)
	switch {
	case token.Never:
		expires = time.Time{}
	case token.Expires != nil:
		expires = *token.Expires
	}
	if err := showable("name", token.Name); err != nil {
		return api.MadeToken{}, err
	}
	made, text, err := d.store.Users().CreateToken(ctx, d.actor, user, token.Name, expires)
	return api.MadeToken{Token: httpapi.WireToken(made), Text: text}, err
}

// RevokeToken implements httpapi.Tokens.
func (d *desk) RevokeToken(ctx context.Context, user, id string) (api.Done, error) {
	err := d.store.Users().RevokeToken(ctx, d.actor, user, id)
	d.tokensChanged()
	return api.Done{Name: id, Result: "revoked"}, err
}

// tokensChanged has the streams of those end who are not let in any more.
func (d *desk) tokensChanged() {
	if d.letGo != nil {
		d.letGo()
	}
}

// ListAudit implements httpapi.Audit.
func (d *desk) ListAudit(ctx context.Context, f api.AuditFilter) (api.Audit, error) {
	owner := d.owner
	if f.User != "" {
		var err error
		if owner, err = ownerOf(ctx, d.store, f.User); err != nil {
			return api.Audit{}, err
		}
	}
	filter := store.AuditFilter{Owner: owner, All: f.All && f.User == "", Since: f.Since, Until: f.Until, Before: f.After, Limit: f.Limit}
	found, err := d.store.Audit().List(ctx, filter)
	if err != nil {
		return api.Audit{}, err
	}
	names, err := d.app.ownerNames(ctx)
	page := api.Audit{Events: []api.AuditEvent{}}
	for _, e := range found {
		page.Events = append(page.Events, api.AuditEvent{
			Number: e.Number, Time: e.Time.UTC(), User: names[e.Owner], What: string(e.What), Execution: string(e.Execution),
			Connection: auditedConnection(e, names), Path: e.Path, Version: e.Version, Subject: e.Subject, Remote: e.Remote,
		})
	}
	if len(found) == f.Limit && f.Limit > 0 {
		page.Next = found[len(found)-1].Number
	}
	return page, err
}

// ListSettings implements httpapi.Settings.
func (d *desk) ListSettings(ctx context.Context) (api.Settings, error) {
	found, err := d.store.Settings().List(ctx, d.owner)
	settings := api.Settings{Settings: []api.Setting{}}
	for _, s := range found {
		settings.Settings = append(settings.Settings, api.Setting{
			Name: s.Name, Changed: moment(s.Changed), Holder: string(s.Holder), Expires: moment(s.Expires),
		})
	}
	return settings, err
}

// Setting implements httpapi.Settings.
func (d *desk) Setting(ctx context.Context, name string) (api.SettingValue, error) {
	value, err := d.store.Settings().Get(ctx, d.owner, name)
	if err != nil {
		return api.SettingValue{}, err
	}
	text, err := json.Marshal(value)
	return api.SettingValue{Value: text}, err
}

// SetSetting implements httpapi.Settings.
func (d *desk) SetSetting(ctx context.Context, name string, value api.SettingValue) (api.Done, error) {
	wrapped, err := sentObject("value", json.RawMessage(`{"value":`+string(value.Value)+`}`))
	if err != nil || len(value.Value) == 0 {
		return api.Done{}, &engine.Error{Kind: engine.Invalid, Message: "value: this must be a JSON value"}
	}
	if err := showable("name", name); err != nil {
		return api.Done{}, err
	}
	return api.Done{Name: name, Result: "stored"}, d.store.Settings().Set(ctx, d.owner, name, wrapped["value"])
}

// DeleteSetting implements httpapi.Settings.
func (d *desk) DeleteSetting(ctx context.Context, name string) (api.Deleted, error) {
	return api.Deleted{Name: name, Result: "deleted"}, d.store.Settings().Delete(ctx, d.owner, name)
}

// ListTaskTypes implements httpapi.TaskTypes.
func (d *desk) ListTaskTypes(context.Context) (api.TaskTypes, error) {
	registry, err := d.app.tasks()
	if err != nil {
		return api.TaskTypes{}, err
	}
	types := api.TaskTypes{Types: []api.TaskType{}}
	for _, name := range registry.Types() {
		spec, _ := registry.Spec(name)
		shown := api.TaskType{Type: name, Description: firstSentence(spec.Doc), Operations: []string{}}
		for _, o := range spec.Operations {
			shown.Operations = append(shown.Operations, o.Name)
		}
		types.Types = append(types.Types, shown)
	}
	return types, nil
}

// TaskType implements httpapi.TaskTypes.
func (d *desk) TaskType(_ context.Context, name string) (map[string]any, error) {
	spec, err := d.app.taskSpec(name)
	if err != nil {
		return nil, err
	}
	return taskTree(spec), nil
}

// ListVaults implements httpapi.Vaults.
func (d *desk) ListVaults(ctx context.Context) (api.Vaults, error) {
	view, _ := d.view()
	sources, err := view.secretSources(ctx, d.owner)
	vaults := api.Vaults{Vaults: []map[string]any{}}
	for _, s := range sources {
		vaults.Vaults = append(vaults.Vaults, s.wire())
	}
	return vaults, err
}

// wire is a configuration with where it comes from, its secrets masked.
func (s *secretSource) wire() map[string]any {
	tree := s.tree()
	tree["from"] = s.origin
	return tree
}

// Vault implements httpapi.Vaults.
func (d *desk) Vault(ctx context.Context, name string) (map[string]any, error) {
	view, _ := d.view()
	source, err := view.secretSource(ctx, name)
	if err != nil {
		return nil, err
	}
	return source.wire(), nil
}

// PutVault implements httpapi.Vaults. Files of the server are for those who can write
// to its disk.
func (d *desk) PutVault(ctx context.Context, name string, config api.VaultConfiguration) (api.Done, error) {
	if !connections.ValidName(name) {
		return api.Done{}, hintedInvalid("", "name %q: it is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", name)
	}
	tree, _ := engineValue(config.Configuration).(map[string]any)
	if tree == nil {
		tree = map[string]any{}
	}
	tree["name"] = name
	node, err := schema.NodeOf(tree)
	if err != nil {
		return api.Done{}, hintedInvalid("", "the configuration is no mapping of plain values")
	}
	source, err := decodeSecretSource(node, "store")
	if err != nil {
		return api.Done{}, err
	}
	if err := source.ofMachine(); err != nil {
		return api.Done{}, err
	}
	view, _ := d.view()
	if err := view.addVault(ctx, name, vaultConfig{tree: tree}, config.Replace); err != nil {
		return api.Done{}, err
	}
	d.app.forgetSource(d.owner, name)
	return api.Done{Name: name, Result: "stored"}, nil
}

// RemoveVault implements httpapi.Vaults.
func (d *desk) RemoveVault(ctx context.Context, name string) (api.Done, error) {
	view, _ := d.view()
	documents := d.store.Documents(vaultDocuments)
	if _, err := documents.Get(ctx, d.owner, name); exitCode(err) == exitNotFound {
		return api.Done{}, view.notStored(ctx, name)
	}
	err := documents.Delete(ctx, d.owner, name)
	d.app.forgetSource(d.owner, name)
	return api.Done{Name: name, Result: "removed"}, err
}

// TestVault implements httpapi.Vaults.
func (d *desk) TestVault(ctx context.Context, name string, trial api.VaultTrial) (api.Tested, error) {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	view, notes := d.view()
	source, err := view.secretSource(ctx, name)
	if err == nil && d.owner != localOwner {
		err = source.ofMachine()
	}
	if err == nil {
		err = d.app.tried(ctx, d.owner, name, trial.Path)
	}
	if err != nil {
		return api.Tested{}, err
	}
	tested := api.Tested{Stages: []api.Stage{}}
	err = source.try(ctx, trial.Path, func(stage, detail string, took time.Duration, failed error) {
		s := api.Stage{Stage: stage, OK: failed == nil, Detail: detail, Milliseconds: took.Milliseconds()}
		if failed != nil {
			s.Detail = failed.Error()
		}
		tested.Stages = append(tested.Stages, s)
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		tested.Error = explained(err)
	}
	tested.Notes = notes()
	return tested, nil
}
