package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
)

const (
	selectConnection = `SELECT r.revision, r.type, r.changed, r.body, c.name, (SELECT sealed FROM keyset)
		FROM connection c JOIN connection_revision r ON r.connection = c.id AND r.revision = c.revision
		WHERE c.owner = ? AND c.name = ? AND NOT c.deleted`
	listConnections = `SELECT r.revision, r.type, r.changed, r.body, c.name, (SELECT sealed FROM keyset)
		FROM connection c JOIN connection_revision r ON r.connection = c.id AND r.revision = c.revision
		WHERE c.owner = ? AND NOT c.deleted ORDER BY c.name`
	listRevisions = `SELECT r.revision, r.type, r.changed, r.body, c.name, (SELECT sealed FROM keyset)
		FROM connection c JOIN connection_revision r ON r.connection = c.id
		WHERE c.owner = ? AND c.name = ? AND NOT c.deleted ORDER BY r.revision DESC`
	selectRevision   = `SELECT id, revision, deleted FROM connection WHERE owner = ? AND name = ?`
	upsertConnection = `INSERT INTO connection (owner, name, revision) VALUES (?, ?, ?)
		ON CONFLICT (owner, name) DO UPDATE SET revision = excluded.revision, deleted = 0
		RETURNING id`
	insertRevision  = `INSERT INTO connection_revision (connection, revision, type, changed, body) VALUES (?, ?, ?, ?, ?)`
	markDeleted     = `UPDATE connection SET deleted = 1 WHERE id = ?`
	deleteRevisions = `DELETE FROM connection_revision WHERE connection = ?`
	deleteShares    = `DELETE FROM share WHERE connection = ?`
)

// Connections gives the store's connections. A revision number is never used
// again for a name, also not after it was deleted, so that what an execution
// recorded stays true. Deleting removes every revision from the file.
func (s *Store) Connections() connections.Store { return connectionStore{s} }

type connectionStore struct{ s *Store }

// body is what is encrypted of a connection.
type body struct {
	Text        string            `json:"text,omitempty"`
	Secrets     []attached        `json:"secrets,omitempty"`
	Description string            `json:"description,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Pinned      []string          `json:"pinned,omitempty"`
	TTL         int               `json:"ttl,omitempty"`
}

type attached struct {
	Path    string            `json:"path"`
	Mount   string            `json:"mount,omitempty"`
	Version int               `json:"version,omitempty"`
	Keys    map[string]string `json:"keys,omitempty"`
	Vault   string            `json:"vault,omitempty"`
}

// Create implements connections.Store.
func (cs connectionStore) Create(ctx context.Context, c connections.Connection) (connections.Connection, error) {
	return cs.put(ctx, "create", c, func(_ *sql.Tx, _, _ int64, exists bool) error {
		if exists {
			return fmt.Errorf("create connection %q: %w", c.Name, connections.ErrExists)
		}
		return nil
	})
}

// Update implements connections.Store.
func (cs connectionStore) Update(ctx context.Context, c connections.Connection) (connections.Connection, error) {
	return cs.put(ctx, "update", c, func(_ *sql.Tx, _, revision int64, exists bool) error {
		return updatable(c, revision, exists)
	})
}

// updatable tells what is against replacing the newest revision by c.
func updatable(c connections.Connection, revision int64, exists bool) error {
	switch {
	case !exists:
		return &connections.NotFoundError{Name: c.Name}
	case c.Revision != 0 && c.Revision != revision:
		return fmt.Errorf("update connection %q: %w: it has revision %d, not %d", c.Name, connections.ErrConflict, revision, c.Revision)
	}
	return nil
}

// put stores the next revision if allow has nothing against it, which gets the row
// and the newest revision there ever was.
func (cs connectionStore) put(ctx context.Context, verb string, c connections.Connection, allow func(tx *sql.Tx, id, revision int64, exists bool) error) (connections.Connection, error) {
	c, text, err := prepare(c)
	if err != nil {
		return connections.Connection{}, err
	}
	err = cs.s.write(ctx, fmt.Sprintf("%s connection %q", verb, c.Name), func(tx *sql.Tx, keys *keys) error {
		id, revision, exists, err := findConnection(ctx, tx, c.Owner, c.Name)
		if err != nil {
			return err
		}
		if err := allow(tx, id, revision, exists); err != nil {
			return err
		}
		c.Revision, c.Changed = revision+1, cs.s.now().UTC().Truncate(time.Millisecond)
		sealed, err := keys.seal(text, connectionPlace(c.Owner, c.Name, c.Type, c.Revision))
		if err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, upsertConnection, c.Owner, c.Name, c.Revision).Scan(&id); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insertRevision, id, c.Revision, c.Type, c.Changed.UnixMilli(), sealed)
		return err
	})
	if err != nil {
		return connections.Connection{}, err
	}
	return c, nil
}

// prepare checks a connection and gives it as it will be read again, with what
// is to be encrypted of it.
func prepare(c connections.Connection) (connections.Connection, []byte, error) {
	switch {
	case !connections.ValidName(c.Name):
		return c, nil, fail(engine.Invalid, "", "connection %q: a name is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", c.Name)
	case c.Type == "":
		return c, nil, fail(engine.Invalid, "", "connection %q has no type", c.Name)
	case c.Text == "" && len(c.Value.Entries) > 0:
		return c, nil, fail(engine.Internal, "", "connection %q has a value without its text", c.Name)
	}
	b := body{Text: c.Text, Description: c.Description, Labels: c.Labels, Pinned: c.Pinned, TTL: c.TTL}
	for _, a := range c.Secrets {
		b.Secrets = append(b.Secrets, attached{a.Path, a.Mount, a.Version, a.Keys, a.Vault})
	}
	text, err := json.Marshal(b)
	if err != nil {
		return c, nil, fmt.Errorf("store connection %q: %w", c.Name, err)
	}
	c, err = restore(c.Owner, c.Name, c.Type, text)
	return c, text, err
}

// restore gives the connection that was encrypted as text.
func restore(owner, name, typ string, text []byte) (connections.Connection, error) {
	var b body
	if err := json.Unmarshal(text, &b); err != nil {
		return connections.Connection{}, fmt.Errorf("read connection %q: %w", name, err)
	}
	c := connections.Connection{
		Owner: owner, Name: name, Type: typ,
		Description: b.Description, Labels: b.Labels, Pinned: b.Pinned, TTL: b.TTL,
		Origin: connections.Origin{Source: connections.SourceStore},
	}
	c.Origin.Pos.File = "store:" + name
	for _, a := range b.Secrets {
		c.Secrets = append(c.Secrets, connections.AttachedSecret{Path: a.Path, Mount: a.Mount, Version: a.Version, Keys: a.Keys, Vault: a.Vault})
	}
	value, valueText, problems := connections.ParseValue(c.Origin.Pos.File, []byte(b.Text))
	if len(problems) > 0 {
		return connections.Connection{}, &connections.InvalidError{Connection: name, Problems: problems}
	}
	c.Value, c.Text = value, valueText
	return c, nil
}

// Delete implements connections.Store.
func (cs connectionStore) Delete(ctx context.Context, owner, name string) error {
	return cs.s.write(ctx, fmt.Sprintf("delete connection %q", name), func(tx *sql.Tx, _ *keys) error {
		id, _, exists, err := findConnection(ctx, tx, owner, name)
		if err != nil {
			return err
		}
		if !exists {
			return &connections.NotFoundError{Name: name}
		}
		for _, statement := range []string{deleteRevisions, deleteShares} {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, markDeleted, id)
		return err
	})
}

// findConnection gives the row of a name; revision is the newest there ever was.
func findConnection(ctx context.Context, tx *sql.Tx, owner, name string) (id, revision int64, exists bool, err error) {
	var deleted bool
	err = tx.QueryRowContext(ctx, selectRevision, owner, name).Scan(&id, &revision, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, false, nil
	}
	return id, revision, err == nil && !deleted, err
}

// Get implements connections.Source.
func (cs connectionStore) Get(ctx context.Context, owner, name string) (connections.Connection, error) {
	c, err := cs.scan(cs.s.db.QueryRowContext(ctx, selectConnection, owner, name), owner)
	if errors.Is(err, sql.ErrNoRows) {
		return connections.Connection{}, &connections.NotFoundError{Name: name}
	}
	return c, cs.s.explain(fmt.Sprintf("read connection %q", name), err)
}

// List implements connections.Source. Connections that cannot be read are left
// out, and the error tells of each.
func (cs connectionStore) List(ctx context.Context, owner string) ([]connections.Connection, error) {
	return cs.list(ctx, owner, listConnections, owner)
}

// Revisions implements connections.Store.
func (cs connectionStore) Revisions(ctx context.Context, owner, name string) ([]connections.Connection, error) {
	revisions, err := cs.list(ctx, owner, listRevisions, owner, name)
	if err == nil && len(revisions) == 0 {
		return nil, &connections.NotFoundError{Name: name}
	}
	return revisions, err
}

func (cs connectionStore) list(ctx context.Context, owner, query string, args ...any) ([]connections.Connection, error) {
	rows, err := cs.s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, cs.s.explain("list connections", err)
	}
	defer func() { _ = rows.Close() }()
	var found []connections.Connection
	var faults []error
	for rows.Next() {
		c, err := cs.scan(rows, owner)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		found = append(found, c)
	}
	return found, cs.s.explain("list connections", errors.Join(append(faults, rows.Err())...))
}

func (cs connectionStore) scan(row scanner, owner string) (connections.Connection, error) {
	var revision, changed int64
	var typ, name string
	var body, sealed []byte
	if err := row.Scan(&revision, &typ, &changed, &body, &name, &sealed); err != nil {
		return connections.Connection{}, err
	}
	keys, err := cs.s.keys.unwrap(sealed)
	if err != nil {
		return connections.Connection{}, err
	}
	what := fmt.Sprintf("connection %q, revision %d,", name, revision)
	text, err := keys.open(body, connectionPlace(owner, name, typ, revision), what)
	if err != nil {
		return connections.Connection{}, err
	}
	c, err := restore(owner, name, typ, text)
	c.Revision, c.Changed = revision, time.UnixMilli(changed).UTC()
	return c, err
}

func connectionPlace(owner, name, typ string, revision int64) []byte {
	return place("connection", owner, name, typ, strconv.FormatInt(revision, 10))
}

func revisionTable() sealedTable {
	return sealedTable{
		list: `SELECT rowid FROM connection_revision`,
		read: `SELECT r.body, 'connection', c.owner, c.name, r.type, CAST(r.revision AS TEXT)
			FROM connection_revision r JOIN connection c ON c.id = r.connection WHERE r.rowid = ?`,
		parts:  5,
		update: `UPDATE connection_revision SET body = ? WHERE rowid = ?`,
	}
}
