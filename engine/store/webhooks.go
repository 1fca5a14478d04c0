package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
)

const (
	webhookColumns = `SELECT id, owner, name, changed, body, (SELECT sealed FROM keyset) FROM webhook`
	selectWebhook  = webhookColumns + ` WHERE owner = ? AND name = ?`
	listWebhooks   = webhookColumns + ` WHERE owner = ? ORDER BY name`
	insertWebhook  = `INSERT INTO webhook (owner, name, changed, body) VALUES (?, ?, ?, ?)`
	updateWebhook  = `UPDATE webhook SET changed = ?, body = ? WHERE id = ?`
	deleteWebhook  = `DELETE FROM webhook WHERE id = ?`
	deleteCalls    = `DELETE FROM webhook_call WHERE webhook = ?`
	forgetCalls    = `DELETE FROM webhook_call WHERE until <= ?`
	insertCall     = `INSERT INTO webhook_call (webhook, mark, until) SELECT id, ?, ? FROM webhook WHERE owner = ? AND name = ?
		ON CONFLICT DO NOTHING`
)

// Webhooks start flows when they are called. It is safe for concurrent use.
type Webhooks struct{ s *Store }

// Webhooks gives the store's webhooks.
func (s *Store) Webhooks() *Webhooks { return &Webhooks{s} }

// webhookBody is what is encrypted of a webhook.
type webhookBody struct {
	Flow         string             `json:"flow"`
	Mode         engine.WebhookMode `json:"mode,omitempty"`
	Auth         engine.WebhookAuth `json:"auth"`
	MaxBody      int64              `json:"max_body,omitempty"`
	PerMinute    int                `json:"per_minute,omitempty"`
	Timeout      time.Duration      `json:"timeout,omitempty"`
	ReplayWindow time.Duration      `json:"replay_window,omitempty"`
	Enabled      bool               `json:"enabled"`
	// Kept is the SHA-256 of a key, or the secret of signatures itself.
	Kept []byte `json:"kept"`
}

// WebhookSecret is what the callers of a webhook are checked with. It prints nothing.
type WebhookSecret struct {
	auth engine.WebhookAuth
	kept *[]byte
}

// Key tells whether text is the key of a webhook that is called with one.
func (w WebhookSecret) Key(text string) bool {
	digest := sha256.Sum256([]byte(text))
	return w.auth == engine.WebhookKey && subtle.ConstantTimeCompare(digest[:], *w.kept) == 1
}

// Signed tells whether sum is the HMAC-SHA-256 of the message, of a webhook whose
// callers sign.
func (w WebhookSecret) Signed(message, sum []byte) bool {
	if w.auth != engine.WebhookHMAC {
		return false
	}
	mac := hmac.New(sha256.New, *w.kept)
	mac.Write(message)
	return hmac.Equal(mac.Sum(nil), sum)
}

// minWebhookSecret bounds a secret that somebody brings, in bytes.
const minWebhookSecret = 16

// Create stores a new webhook. secret is the key or the secret of signatures that
// another system prescribes; empty has one of 256 random bits made. It is told this
// once. The error is of kind conflict if the owner has a webhook of that name.
func (w *Webhooks) Create(ctx context.Context, webhook engine.Webhook, secret string) (text string, err error) {
	text = secret
	switch {
	case !connections.ValidName(webhook.Name):
		return "", fail(engine.Invalid, "", "webhook %q: a name is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", webhook.Name)
	case webhook.Auth != engine.WebhookKey && webhook.Auth != engine.WebhookHMAC:
		return "", fail(engine.Invalid, "", "webhook %q: its callers show a key or sign (hmac)", webhook.Name)
	case text == "":
		var random [32]byte
		_, _ = rand.Read(random[:]) // never fails
		text = base64.RawURLEncoding.EncodeToString(random[:])
	case len(text) < minWebhookSecret:
		return "", fail(engine.Invalid, "", "webhook %q: its secret has at least %d bytes", webhook.Name, minWebhookSecret)
	}
	kept := []byte(text)
	if webhook.Auth == engine.WebhookKey {
		digest := sha256.Sum256(kept)
		kept = digest[:]
	}
	err = w.s.write(ctx, fmt.Sprintf("create webhook %q", webhook.Name), func(tx *sql.Tx, keys *keys) error {
		body, err := sealWebhook(keys, webhook, kept)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insertWebhook, webhook.Owner, webhook.Name, micros(w.s.now()), body)
		if isConstraint(err) {
			err = fail(engine.Conflict, "", "there is a webhook %q already", webhook.Name)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

// Update replaces what people typed of a webhook, but for its Auth and secret, which
// stay. Its error is of kind notfound if its owner has none of that name.
func (w *Webhooks) Update(ctx context.Context, webhook engine.Webhook) error {
	return w.change(ctx, "update", webhook.Owner, webhook.Name, func(tx *sql.Tx, keys *keys, found foundWebhook) error {
		webhook.Auth = found.Auth
		body, err := sealWebhook(keys, webhook, *found.secret.kept)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, updateWebhook, micros(w.s.now()), body, found.id)
		return err
	})
}

// Delete removes a webhook. What it started goes on. Its error is of kind notfound if
// there is none of that name.
func (w *Webhooks) Delete(ctx context.Context, owner, name string) error {
	return w.change(ctx, "delete", owner, name, func(tx *sql.Tx, _ *keys, found foundWebhook) error {
		if _, err := tx.ExecContext(ctx, deleteCalls, found.id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, deleteWebhook, found.id)
		return err
	})
}

func (w *Webhooks) change(ctx context.Context, verb, owner, name string, do func(*sql.Tx, *keys, foundWebhook) error) error {
	return w.s.write(ctx, fmt.Sprintf("%s webhook %q", verb, name), func(tx *sql.Tx, keys *keys) error {
		found, err := w.scan(tx.QueryRowContext(ctx, selectWebhook, owner, name))
		if errors.Is(err, sql.ErrNoRows) {
			return missingWebhook(name)
		}
		if err != nil {
			return err
		}
		return do(tx, keys, found)
	})
}

// Get gives a webhook, and what its callers are checked with. Its error is of kind
// notfound if there is none of that name.
func (w *Webhooks) Get(ctx context.Context, owner, name string) (engine.Webhook, WebhookSecret, error) {
	found, err := w.scan(w.s.db.QueryRowContext(ctx, selectWebhook, owner, name))
	if errors.Is(err, sql.ErrNoRows) {
		return engine.Webhook{}, WebhookSecret{kept: new([]byte)}, missingWebhook(name)
	}
	return found.Webhook, found.secret, w.s.explain(fmt.Sprintf("read webhook %q", name), err)
}

// List gives all of the owner's webhooks, sorted by name. Those that cannot be
// decrypted are left out, and the error tells of each.
func (w *Webhooks) List(ctx context.Context, owner string) ([]engine.Webhook, error) {
	rows, err := w.s.db.QueryContext(ctx, listWebhooks, owner)
	if err != nil {
		return nil, w.s.explain("list webhooks", err)
	}
	defer func() { _ = rows.Close() }()
	var webhooks []engine.Webhook
	var faults []error
	for rows.Next() {
		found, err := w.scan(rows)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		webhooks = append(webhooks, found.Webhook)
	}
	return webhooks, w.s.explain("list webhooks", errors.Join(append(faults, rows.Err())...))
}

// Once lets a call through that has not been seen. mark is what makes two calls the
// same, such as the signature; it is remembered until the time after which the call
// is too old anyway. The error is of kind conflict if it was seen, and of kind
// notfound if the owner has no webhook of that name.
func (w *Webhooks) Once(ctx context.Context, owner, name string, mark []byte, until time.Time) error {
	digest := sha256.Sum256(mark)
	return w.s.write(ctx, fmt.Sprintf("note a call of webhook %q", name), func(tx *sql.Tx, _ *keys) error {
		if _, err := w.scan(tx.QueryRowContext(ctx, selectWebhook, owner, name)); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				return missingWebhook(name)
			}
			return err
		}
		if _, err := tx.ExecContext(ctx, forgetCalls, micros(w.s.now())); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, insertCall, hex.EncodeToString(digest[:]), micros(until), owner, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fail(engine.Conflict, "", "webhook %q has had this call already", name))
		}
		return nil
	})
}

// foundWebhook is a webhook with its row and secret.
type foundWebhook struct {
	engine.Webhook
	id     int64
	secret WebhookSecret
}

func (w *Webhooks) scan(row scanner) (foundWebhook, error) {
	var found foundWebhook
	var changed int64
	var body, sealed []byte
	if err := row.Scan(&found.id, &found.Owner, &found.Name, &changed, &body, &sealed); err != nil {
		return foundWebhook{}, err
	}
	keys, err := w.s.keys.unwrap(sealed)
	if err != nil {
		return foundWebhook{}, err
	}
	text, err := keys.open(body, webhookPlace(found.Owner, found.Name), fmt.Sprintf("webhook %q", found.Name))
	if err != nil {
		return foundWebhook{}, err
	}
	var b webhookBody
	if err := json.Unmarshal(text, &b); err != nil {
		return foundWebhook{}, fmt.Errorf("read webhook %q: %w", found.Name, err)
	}
	found.Webhook = engine.Webhook{
		Owner: found.Owner, Name: found.Name, Flow: b.Flow, Mode: b.Mode, Auth: b.Auth, MaxBody: b.MaxBody, PerMinute: b.PerMinute,
		Timeout: b.Timeout, ReplayWindow: b.ReplayWindow, Enabled: b.Enabled, Changed: time.UnixMicro(changed).UTC(),
	}
	found.secret = WebhookSecret{b.Auth, &b.Kept}
	return found, nil
}

func sealWebhook(keys *keys, w engine.Webhook, kept []byte) ([]byte, error) {
	text, err := json.Marshal(webhookBody{w.Flow, w.Mode, w.Auth, w.MaxBody, w.PerMinute, w.Timeout, w.ReplayWindow, w.Enabled, kept})
	if err != nil {
		return nil, err
	}
	return keys.seal(text, webhookPlace(w.Owner, w.Name))
}

func webhookPlace(owner, name string) []byte { return place("webhook", owner, name) }

func webhookTable() sealedTable {
	return sealedTable{
		list:   `SELECT id FROM webhook`,
		read:   `SELECT body, 'webhook', owner, name FROM webhook WHERE id = ?`,
		parts:  3,
		update: `UPDATE webhook SET body = ? WHERE id = ?`,
	}
}

func missingWebhook(name string) error {
	return fail(engine.NotFound, "", "no such webhook: %q", name)
}
