package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
)

var _ httpapi.Webhooks = (*desk)(nil)

// userName is what the user is called in the paths of webhooks. On a store without
// users it is the name of the one that the engine makes.
func (d *desk) userName(ctx context.Context) (string, error) {
	if d.by != "" {
		return d.by, nil
	}
	user, err := d.store.Users().Owner(ctx, d.owner)
	if exitCode(err) == exitNotFound {
		return firstUser, nil
	}
	return user.Name, err
}

func (d *desk) webhookOf(ctx context.Context, w engine.Webhook) (api.Webhook, error) {
	user, err := d.userName(ctx)
	return api.Webhook{
		Name: w.Name, Path: api.WebhookPath(user, w.Name), Flow: w.Flow, Mode: string(cmp.Or(w.Mode, engine.WebhookAsync)), Auth: string(w.Auth),
		Enabled: w.Enabled, Changed: w.Changed.UTC(),
		WebhookLimits: api.WebhookLimits{
			MaxBody: cmp.Or(w.MaxBody, engine.WebhookBody), PerMinute: cmp.Or(w.PerMinute, engine.WebhookPerMinute),
			Timeout:      int(cmp.Or(w.Timeout, engine.WebhookTimeout) / time.Second),
			ReplayWindow: int(cmp.Or(w.ReplayWindow, engine.WebhookWindow) / time.Second),
		},
	}, err
}

// ListWebhooks implements httpapi.Webhooks.
func (d *desk) ListWebhooks(ctx context.Context) (api.Webhooks, error) {
	found, err := d.store.Webhooks().List(ctx, d.owner)
	webhooks := api.Webhooks{Webhooks: []api.Webhook{}}
	for _, w := range found {
		shown, err := d.webhookOf(ctx, w)
		if err != nil {
			return webhooks, err
		}
		webhooks.Webhooks = append(webhooks.Webhooks, shown)
	}
	return webhooks, err
}

// Webhook implements httpapi.Webhooks.
func (d *desk) Webhook(ctx context.Context, name string) (api.Webhook, error) {
	found, err := d.store.Webhooks().Get(ctx, d.owner, name)
	if err != nil {
		return api.Webhook{}, err
	}
	return d.webhookOf(ctx, found)
}

// CreateWebhook implements httpapi.Webhooks. The flow must be there.
func (d *desk) CreateWebhook(ctx context.Context, asked api.NewWebhook) (api.MadeWebhook, error) {
	w := engine.Webhook{
		Owner: d.owner, Name: asked.Name, Flow: asked.Flow, Auth: engine.WebhookAuth(cmp.Or(asked.Auth, string(engine.WebhookKey))),
		Mode: engine.WebhookMode(asked.Mode), Enabled: true,
	}
	limit(&w, asked.WebhookLimits)
	if err := d.checkWebhook(ctx, w); err != nil {
		return api.MadeWebhook{}, err
	}
	secret, err := d.store.Webhooks().Create(ctx, d.actor, w, asked.Secret)
	if err != nil {
		return api.MadeWebhook{}, err
	}
	shown, err := d.Webhook(ctx, w.Name)
	return api.MadeWebhook{Webhook: shown, Secret: secret}, err
}

// ChangeWebhook implements httpapi.Webhooks.
func (d *desk) ChangeWebhook(ctx context.Context, name string, change api.WebhookChange) (api.Webhook, error) {
	w, err := d.store.Webhooks().Get(ctx, d.owner, name)
	if err != nil {
		return api.Webhook{}, err
	}
	set(&w.Flow, change.Flow)
	set((*string)(&w.Mode), change.Mode)
	set(&w.Enabled, change.Enabled)
	set(&w.MaxBody, change.MaxBody)
	set(&w.PerMinute, change.PerMinute)
	seconds(&w.Timeout, change.Timeout)
	seconds(&w.ReplayWindow, change.ReplayWindow)
	if err := d.checkWebhook(ctx, w); err != nil && (change.Enabled == nil || *change.Enabled) { // disabled at once, whatever is wrong with it
		return api.Webhook{}, err
	}
	if err := d.store.Webhooks().Update(ctx, w); err != nil {
		return api.Webhook{}, err
	}
	return d.Webhook(ctx, name)
}

// RotateWebhook implements httpapi.Webhooks.
func (d *desk) RotateWebhook(ctx context.Context, name string, rotation api.WebhookRotation) (api.MadeWebhook, error) {
	secret, err := d.store.Webhooks().Rotate(ctx, d.actor, d.owner, name, rotation.Secret)
	if err != nil {
		return api.MadeWebhook{}, err
	}
	shown, err := d.Webhook(ctx, name)
	return api.MadeWebhook{Webhook: shown, Secret: secret}, err
}

// DeleteWebhook implements httpapi.Webhooks.
func (d *desk) DeleteWebhook(ctx context.Context, name string) (api.Deleted, error) {
	return api.Deleted{Name: name, Result: "deleted"}, d.store.Webhooks().Delete(ctx, d.actor, d.owner, name)
}

// checkWebhook checks what people typed of a webhook, but for its name and secret.
func (d *desk) checkWebhook(ctx context.Context, w engine.Webhook) error {
	outside := func(what string, n, most int64) error {
		if n < 0 || n > most {
			return hintedInvalid("", "webhook %q: %s is from 0 to %d, and 0 stands for what is usual", w.Name, what, most)
		}
		return nil
	}
	for _, err := range []error{
		outside("the size of a body", w.MaxBody, engine.WebhookMaxBody),
		outside("the number of calls in a minute", int64(w.PerMinute), engine.WebhookMaxPerMinute),
		outside("the timeout in seconds", int64(w.Timeout/time.Second), int64(engine.WebhookMaxTimeout/time.Second)),
		outside("the replay window in seconds", int64(w.ReplayWindow/time.Second), int64(engine.WebhookMaxWindow/time.Second)),
	} {
		if err != nil {
			return err
		}
	}
	switch w.Mode {
	case "", engine.WebhookAsync, engine.WebhookSync:
	default:
		return hintedInvalid("", "webhook %q: a mode is async or sync, not %q", w.Name, w.Mode)
	}
	if w.Flow == "" {
		return &usageError{fmt.Errorf("webhook %q: it needs a flow", w.Name)}
	}
	_, _, err := d.flow(ctx, w.Flow, 0)
	return err
}

func limit(w *engine.Webhook, limits api.WebhookLimits) {
	w.MaxBody, w.PerMinute = limits.MaxBody, limits.PerMinute
	seconds(&w.Timeout, &limits.Timeout)
	seconds(&w.ReplayWindow, &limits.ReplayWindow)
}

// set changes what is given.
func set[T any](what *T, to *T) {
	if to != nil {
		*what = *to
	}
}

// seconds changes a time of so many seconds if they are given.
func seconds(what *time.Duration, to *int) {
	if to != nil {
		*what = time.Duration(*to) * time.Second
	}
}
