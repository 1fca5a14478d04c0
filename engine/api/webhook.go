package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Webhook starts a flow of its owner whenever it is called.
type Webhook struct {
	Name    string    `json:"name"`
	Path    string    `json:"path" doc:"Where it is called, on the server" example:"/v1/hooks/ann/push"`
	Flow    string    `json:"flow" doc:"Name of a stored flow; its newest version is run"`
	Mode    string    `json:"mode" enum:"async,sync" doc:"What its caller waits for: async, that the execution is on disk; sync, its end and output"`
	Auth    string    `json:"auth" enum:"key,hmac,github" doc:"How its caller shows that it may call: a key, a signature as Standard Webhooks has it, or one as GitHub sends it"`
	Enabled bool      `json:"enabled"`
	Changed time.Time `json:"changed"`
	WebhookLimits
}

// WebhookLimits bound the calls of a webhook; 0 stands for what is usual.
type WebhookLimits struct {
	MaxBody      int64 `json:"max_body" minimum:"0" maximum:"4194304" required:"false" doc:"Bytes of a body; 1 MiB if 0"`
	PerMinute    int   `json:"per_minute" minimum:"0" maximum:"1000000" required:"false" doc:"Calls in a minute, and at most at once; 60 if 0"`
	Timeout      int   `json:"timeout_seconds" minimum:"0" maximum:"600" required:"false" doc:"How long the caller of a sync webhook waits; 30 if 0"`
	ReplayWindow int   `json:"replay_window_seconds" minimum:"0" maximum:"86400" required:"false" doc:"How far the time of a signature may be from now; 300 if 0"`
}

// Webhooks is a list of webhooks.
type Webhooks struct {
	Webhooks []Webhook `json:"webhooks" nullable:"false"`
}

// NewWebhook asks for a webhook.
type NewWebhook struct {
	Name   string `json:"name" maxLength:"128"`
	Flow   string `json:"flow" maxLength:"128" doc:"Name of a stored flow"`
	Mode   string `json:"mode,omitempty" enum:"async,sync" default:"async"`
	Auth   string `json:"auth,omitempty" enum:"key,hmac,github" default:"key"`
	Secret string `json:"secret,omitempty" maxLength:"512" doc:"The key or the secret of signatures that the sender prescribes, at least 16 bytes; one is made if it is empty"`
	WebhookLimits
}

// WebhookChange changes a webhook; what is null stays.
type WebhookChange struct {
	Flow         *string `json:"flow,omitempty" maxLength:"128"`
	Mode         *string `json:"mode,omitempty" enum:"async,sync"`
	Enabled      *bool   `json:"enabled,omitempty"`
	MaxBody      *int64  `json:"max_body,omitempty" minimum:"0" maximum:"4194304"`
	PerMinute    *int    `json:"per_minute,omitempty" minimum:"0" maximum:"1000000"`
	Timeout      *int    `json:"timeout_seconds,omitempty" minimum:"0" maximum:"600"`
	ReplayWindow *int    `json:"replay_window_seconds,omitempty" minimum:"0" maximum:"86400"`
}

// WebhookRotation asks for a new secret of a webhook.
type WebhookRotation struct {
	Secret string `json:"secret,omitempty" maxLength:"512" doc:"The one that the sender prescribes; one is made if it is empty"`
}

// MadeWebhook is a webhook whose secret was just made, with that secret, which is told
// this once.
type MadeWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"Its key, or the secret of its signatures"`
}

// Delivery is what a call of a webhook has become.
type Delivery struct {
	Execution string `json:"execution" doc:"Its id"`
	Repeated  bool   `json:"repeated" doc:"The same call was here before: it is the execution of that"`
}

// WebhookPath is where a user's webhook is called.
func WebhookPath(user, name string) string {
	return "/v1/hooks/" + url.PathEscape(user) + "/" + url.PathEscape(name)
}

func webhookPath(name, more string) string { return "/v1/webhooks/" + url.PathEscape(name) + more }

// URL gives the address of a path on the server, as this client reaches it.
func (c *Client) URL(path string) string { return c.base + path }

// ListWebhooks gives all webhooks.
func (c *Client) ListWebhooks(ctx context.Context) (Webhooks, error) {
	return get[Webhooks](ctx, c, "/v1/webhooks", nil)
}

// Webhook gives a webhook.
func (c *Client) Webhook(ctx context.Context, name string) (Webhook, error) {
	return get[Webhook](ctx, c, webhookPath(name, ""), nil)
}

// CreateWebhook stores a new webhook.
func (c *Client) CreateWebhook(ctx context.Context, webhook NewWebhook) (MadeWebhook, error) {
	return send[MadeWebhook](ctx, c, http.MethodPost, "/v1/webhooks", webhook)
}

// ChangeWebhook changes a webhook.
func (c *Client) ChangeWebhook(ctx context.Context, name string, change WebhookChange) (Webhook, error) {
	return send[Webhook](ctx, c, http.MethodPatch, webhookPath(name, ""), change)
}

// RotateWebhook replaces the secret of a webhook.
func (c *Client) RotateWebhook(ctx context.Context, name string, rotation WebhookRotation) (MadeWebhook, error) {
	return send[MadeWebhook](ctx, c, http.MethodPost, webhookPath(name, "/rotate"), rotation)
}

// CallWebhook calls a webhook at its path, as its senders do: without a token, and with
// headers that show what it wants. It gives what the server answers.
func (c *Client) CallWebhook(ctx context.Context, path string, header http.Header, body []byte) (output json.RawMessage, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, &Error{Code: "invalid", Kind: "invalid", Message: err.Error()}
	}
	r.Header = header
	response, err := c.answer(r)
	var failure *Error
	if errors.As(err, &failure) && failure.Code == CodeUnauthenticated {
		failure.Hint = "it is disabled, or this is not its key or secret"
	}
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	err = json.NewDecoder(response.Body).Decode(&output)
	return output, err
}

// DeleteWebhook deletes a webhook. What it started goes on.
func (c *Client) DeleteWebhook(ctx context.Context, name string) (Deleted, error) {
	return send[Deleted](ctx, c, http.MethodDelete, webhookPath(name, ""), nil)
}
