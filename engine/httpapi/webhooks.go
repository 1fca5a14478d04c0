package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/engine/api"
)

// Webhooks are a caller's webhooks.
type Webhooks interface {
	ListWebhooks(ctx context.Context) (api.Webhooks, error)
	Webhook(ctx context.Context, name string) (api.Webhook, error)
	CreateWebhook(ctx context.Context, webhook api.NewWebhook) (api.MadeWebhook, error)
	ChangeWebhook(ctx context.Context, name string, change api.WebhookChange) (api.Webhook, error)
	// RotateWebhook replaces the secret, and DeleteWebhook the webhook; what the old
	// one let in goes on.
	RotateWebhook(ctx context.Context, name string, rotation api.WebhookRotation) (api.MadeWebhook, error)
	DeleteWebhook(ctx context.Context, name string) (api.Deleted, error)
}

type newWebhook struct{ Body api.NewWebhook }

type changeWebhook struct {
	Name string `path:"name" maxLength:"128"`
	Body api.WebhookChange
}

type rotateWebhook struct {
	Name string `path:"name" maxLength:"128"`
	Body api.WebhookRotation
}

func (s *Server) webhookRoutes() {
	handle(s, http.MethodGet, "/v1/webhooks", "list-webhooks", "List webhooks",
		func(ctx context.Context, c call[struct{}]) (api.Webhooks, error) { return c.Webhooks.ListWebhooks(ctx) })
	handle(s, http.MethodPost, "/v1/webhooks", "create-webhook", "Store a webhook; its secret is told this once",
		func(ctx context.Context, c call[newWebhook]) (api.MadeWebhook, error) {
			return c.Webhooks.CreateWebhook(ctx, c.in.Body)
		})
	handle(s, http.MethodGet, "/v1/webhooks/{name}", "get-webhook", "A webhook, without its secret",
		func(ctx context.Context, c call[named]) (api.Webhook, error) {
			return c.Webhooks.Webhook(ctx, c.in.Name)
		})
	handle(s, http.MethodPatch, "/v1/webhooks/{name}", "change-webhook", "Change a webhook, enable or disable it",
		func(ctx context.Context, c call[changeWebhook]) (api.Webhook, error) {
			return c.Webhooks.ChangeWebhook(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodPost, "/v1/webhooks/{name}/rotate", "rotate-webhook", "Replace the secret of a webhook; it is told this once",
		func(ctx context.Context, c call[rotateWebhook]) (api.MadeWebhook, error) {
			return c.Webhooks.RotateWebhook(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/webhooks/{name}", "delete-webhook", "Delete a webhook; what it started goes on",
		func(ctx context.Context, c call[named]) (api.Deleted, error) {
			return c.Webhooks.DeleteWebhook(ctx, c.in.Name)
		})
}
