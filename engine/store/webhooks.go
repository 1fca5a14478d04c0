package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	// calledWebhook gives one row, whatever there is of a user's webhook.
	calledWebhook = `SELECT k.sealed, u.name, u.owner, u.body, w.changed, w.body FROM keyset k
		LEFT JOIN user u ON u.name = ? LEFT JOIN webhook w ON w.owner = u.owner AND w.name = ?`
	deleteCalls = `DELETE FROM webhook_call WHERE webhook = ?`
	forgetCalls = `DELETE FROM webhook_call WHERE until <= ?`
	insertCall  = `INSERT INTO webhook_call (webhook, mark, until, execution)
		SELECT id, ?, ?, ? FROM webhook WHERE owner = ? AND name = ? ON CONFLICT DO NOTHING`
	selectCall = `SELECT execution FROM webhook_call
		WHERE mark = ? AND until > ? AND webhook = (SELECT id FROM webhook WHERE owner = ? AND name = ?)`
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
	// Kept is the SHA-256 of a key, or the key of signatures itself.
	Kept []byte `json:"kept"`
}

// WebhookSecret is what the callers of a webhook are checked with. It prints nothing.
type WebhookSecret struct {
	auth engine.WebhookAuth
	kept *[]byte
}

// Proves tells whether a call shows what it must. How long that takes depends on the
// call alone: it is the same for every webhook, also for one that is not there.
func (w WebhookSecret) Proves(proof engine.WebhookProof) bool {
	digest := sha256.Sum256([]byte(proof.Key))
	right := subtle.ConstantTimeCompare(digest[:], *w.kept) == 1
	if proof.Auth != engine.WebhookKey {
		mac := hmac.New(sha256.New, *w.kept)
		for _, part := range proof.Message {
			mac.Write(part)
		}
		sum := mac.Sum(nil)
		right = false
		for _, given := range proof.Sums {
			right = hmac.Equal(sum, given) || right
		}
	}
	return right && proof.Auth == w.auth
}

// minWebhookSecret bounds a secret that somebody brings, in bytes.
const minWebhookSecret = 16

// Create stores a new webhook. secret is the key or the secret of signatures that
// another system prescribes; empty has one of 256 random bits made. text is told this
// once. The error is of kind conflict if the owner has a webhook of that name.
func (w *Webhooks) Create(ctx context.Context, by engine.Actor, webhook engine.Webhook, secret string) (text string, err error) {
	if !connections.ValidName(webhook.Name) {
		return "", fail(engine.Invalid, "", "webhook %q: a name is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", webhook.Name)
	}
	text, kept, err := webhookSecret(webhook.Name, webhook.Auth, secret)
	if err != nil {
		return "", err
	}
	err = w.s.writeAudited(ctx, fmt.Sprintf("create webhook %q", webhook.Name), func(tx *sql.Tx, keys *keys) error {
		body, err := sealWebhook(keys, webhook, kept)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insertWebhook, webhook.Owner, webhook.Name, micros(w.s.now()), body)
		if isConstraint(err) {
			return fail(engine.Conflict, "", "there is a webhook %q already", webhook.Name)
		}
		if err != nil {
			return err
		}
		return w.s.audit(ctx, tx, by.Did(engine.AuditWebhookCreate, webhook.Name))
	})
	if err != nil {
		return "", err
	}
	return text, nil
}

// signingPrefix is what a secret of signatures may begin with. The rest is the key in
// base64, as the Standard Webhooks specification has it.
const signingPrefix = "whsec_"

// webhookSecret gives the text of a secret, one that is new if there is none, and what
// is kept of it: the digest of a key, and the key of signatures.
func webhookSecret(name string, auth engine.WebhookAuth, given string) (text string, kept []byte, err error) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	switch {
	case auth != engine.WebhookKey && auth != engine.WebhookHMAC && auth != engine.WebhookGitHub:
		return "", nil, fail(engine.Invalid, "", "webhook %q: its callers show a key, or sign (hmac, or github)", name)
	case given != "":
		text = given
	case auth == engine.WebhookHMAC:
		text = signingPrefix + base64.StdEncoding.EncodeToString(random[:])
	default:
		text = base64.RawURLEncoding.EncodeToString(random[:])
	}
	kept = []byte(text)
	if auth == engine.WebhookHMAC {
		if kept, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(text, signingPrefix)); err != nil {
			return "", nil, fail(engine.Invalid, "senders that follow Standard Webhooks call it "+signingPrefix+"...", "webhook %q: its secret is no base64", name)
		}
	}
	if len(kept) < minWebhookSecret {
		return "", nil, fail(engine.Invalid, "", "webhook %q: its secret has at least %d bytes", name, minWebhookSecret)
	}
	if auth == engine.WebhookKey {
		digest := sha256.Sum256(kept)
		kept = digest[:]
	}
	return text, kept, nil
}

// Rotate replaces the secret of a webhook: by the one that is given, or one that is
// made. What shows the old one is refused from then on. Its error is of kind notfound
// if its owner has none of that name.
func (w *Webhooks) Rotate(ctx context.Context, by engine.Actor, owner, name, secret string) (text string, err error) {
	err = w.change(ctx, "rotate the secret of", owner, name, func(tx *sql.Tx, keys *keys, found foundWebhook) error {
		var kept []byte
		if text, kept, err = webhookSecret(name, found.Auth, secret); err != nil {
			return err
		}
		body, err := sealWebhook(keys, found.Webhook, kept)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, updateWebhook, micros(w.s.now()), body, found.id); err != nil {
			return err
		}
		return w.s.audit(ctx, tx, by.Did(engine.AuditWebhookRotate, name))
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
func (w *Webhooks) Delete(ctx context.Context, by engine.Actor, owner, name string) error {
	return w.change(ctx, "delete", owner, name, func(tx *sql.Tx, _ *keys, found foundWebhook) error {
		for _, statement := range []string{deleteCalls, deleteWebhook} {
			if _, err := tx.ExecContext(ctx, statement, found.id); err != nil {
				return err
			}
		}
		return w.s.audit(ctx, tx, by.Did(engine.AuditWebhookDelete, name))
	})
}

func (w *Webhooks) change(ctx context.Context, verb, owner, name string, do func(*sql.Tx, *keys, foundWebhook) error) error {
	return w.s.writeAudited(ctx, fmt.Sprintf("%s webhook %q", verb, name), func(tx *sql.Tx, keys *keys) error {
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

// Get gives a webhook. Its error is of kind notfound if there is none of that name.
func (w *Webhooks) Get(ctx context.Context, owner, name string) (engine.Webhook, error) {
	found, err := w.scan(w.s.db.QueryRowContext(ctx, selectWebhook, owner, name))
	if errors.Is(err, sql.ErrNoRows) {
		return engine.Webhook{}, missingWebhook(name)
	}
	return found.Webhook, w.s.explain(fmt.Sprintf("read webhook %q", name), err)
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

// Called gives the webhook that a user is called at, with the user, and what its callers
// are checked with. If there is none, known is false and the secret is one that nothing
// proves; the same is read, decrypted and decoded then, so that nobody learns of it from
// how long it takes.
func (w *Webhooks) Called(ctx context.Context, user, name string) (u engine.User, hook engine.Webhook, secret WebhookSecret, known bool, err error) {
	secret.kept = new([]byte)
	doing := "look a webhook up"
	var sealed, userBody, body []byte
	var userName, owner sql.NullString
	var changed sql.NullInt64
	row := w.s.db.QueryRowContext(ctx, calledWebhook, user, name)
	if err := row.Scan(&sealed, &userName, &owner, &userBody, &changed, &body); err != nil {
		return u, hook, secret, false, w.s.explain(doing, err)
	}
	keys, err := w.s.keys.unwrap(sealed)
	if err != nil {
		return u, hook, secret, false, err
	}
	hook = engine.Webhook{Owner: owner.String, Name: name}
	decoys, err := keys.decoys()
	if err != nil {
		return u, hook, secret, false, err
	}
	if known = body != nil; !known {
		userName.String, owner.String, userBody = decoy, decoy, decoys.user
		hook.Owner, hook.Name, body = decoy, decoy, decoys.webhook
	}
	if u, err = openUser(keys, userName.String, owner.String, userBody); err != nil {
		return u, hook, secret, false, err
	}
	if secret, err = openWebhook(keys, &hook, changed.Int64, body); err != nil {
		return u, hook, secret, false, err
	}
	if !known {
		u, hook, secret = engine.User{}, engine.Webhook{}, WebhookSecret{kept: secret.kept}
	}
	return u, hook, secret, known, nil
}

// decoy is what a user and a webhook are called that stand for those that are not there.
const decoy = "-"

// decoys are what would have been read of them, encrypted.
type decoys struct{ user, webhook []byte }

func newDecoys(keys *keys) (d decoys, err error) {
	if d.user, err = sealUser(keys, engine.User{Name: decoy, Owner: decoy, Role: engine.RoleUser}); err != nil {
		return d, err
	}
	var random [sha256.Size]byte
	_, _ = rand.Read(random[:]) // never fails
	d.webhook, err = sealWebhook(keys, engine.Webhook{Owner: decoy, Name: decoy, Flow: decoy, Auth: decoy, Enabled: true}, random[:])
	return d, err
}

// Note notes that a call becomes an execution, and gives the one that it has become if
// it was there before. mark is what makes two calls the same; it is remembered until a
// time. It returns when that is on disk; what is noted while others write is written
// together with it. The error is of kind notfound if the owner has no webhook of that
// name.
func (w *Webhooks) Note(ctx context.Context, owner, name string, mark []byte, id engine.ID, until time.Time) (engine.ID, error) {
	digest := sha256.Sum256(mark)
	text, now := hex.EncodeToString(digest[:]), micros(w.s.now())
	doing := fmt.Sprintf("note a call of webhook %q", name)
	var known engine.ID
	err := w.s.db.QueryRowContext(ctx, selectCall, text, now, owner, name).Scan((*string)(&known))
	if !errors.Is(err, sql.ErrNoRows) {
		return known, w.s.explain(doing, err)
	}
	gone, done := false, make(chan error, 1)
	w.s.executions.also(func(s *session) error {
		known, gone = "", false
		if _, err := s.exec(forgetCalls, now); err != nil {
			return err
		}
		n, err := s.exec(insertCall, text, micros(until), string(id), owner, name)
		if err != nil || n == 1 {
			known = id
			return err
		}
		err = s.query(selectCall, 1, func(row []driver.Value) error {
			found, _ := row[0].(string)
			known = engine.ID(found)
			return nil
		}, text, now, owner, name)
		gone = known == ""
		return err
	}, func(err error) { done <- err })
	select {
	case err := <-done:
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", doing, err)
		case gone:
			return "", missingWebhook(name)
		}
		return known, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
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
	found.secret, err = openWebhook(keys, &found.Webhook, changed, body)
	return found, err
}

// openWebhook fills in a webhook of which owner and name are known.
func openWebhook(keys *keys, hook *engine.Webhook, changed int64, body []byte) (WebhookSecret, error) {
	text, err := keys.open(body, webhookPlace(hook.Owner, hook.Name), fmt.Sprintf("webhook %q", hook.Name))
	if err != nil {
		return WebhookSecret{kept: new([]byte)}, err
	}
	var b webhookBody
	if err := json.Unmarshal(text, &b); err != nil {
		return WebhookSecret{kept: new([]byte)}, fmt.Errorf("read webhook %q: %w", hook.Name, err)
	}
	*hook = engine.Webhook{
		Owner: hook.Owner, Name: hook.Name, Flow: b.Flow, Mode: b.Mode, Auth: b.Auth, MaxBody: b.MaxBody, PerMinute: b.PerMinute,
		Timeout: b.Timeout, ReplayWindow: b.ReplayWindow, Enabled: b.Enabled, Changed: time.UnixMicro(changed).UTC(),
	}
	return WebhookSecret{b.Auth, &b.Kept}, nil
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
