package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
)

const (
	sharedConnections = `SELECT r.revision, r.type, r.changed, r.body, c.name, c.owner, o.name, w.owner, s.body, (SELECT sealed FROM keyset)
		FROM share s JOIN user w ON w.id = s.user JOIN connection c ON c.id = s.connection AND NOT c.deleted
		JOIN connection_revision r ON r.connection = c.id AND r.revision = c.revision JOIN user o ON o.owner = c.owner
		WHERE w.owner = ?`
	selectShared = sharedConnections + ` AND o.name = ? AND c.name = ?`
	listShared   = sharedConnections + ` ORDER BY o.name, c.name`
	listShares   = `SELECT c.owner, c.name, w.owner, s.body, (SELECT sealed FROM keyset)
		FROM share s JOIN user w ON w.id = s.user JOIN connection c ON c.id = s.connection
		WHERE c.owner = ?1 AND (?2 = '' OR c.name = ?2) ORDER BY c.name, w.name`
	selectShare = `SELECT c.owner, c.name, w.owner, s.body, (SELECT sealed FROM keyset)
		FROM share s JOIN user w ON w.id = s.user JOIN connection c ON c.id = s.connection
		WHERE s.connection = ? AND w.owner = ?`
	upsertShare = `INSERT INTO share (connection, user, body) SELECT ?, id, ? FROM user WHERE owner = ?
		ON CONFLICT (connection, user) DO UPDATE SET body = excluded.body`
	deleteShare = `DELETE FROM share WHERE connection = ? AND user = (SELECT id FROM user WHERE owner = ?)`
)

// Shares are the rights that users have on connections of others. As a
// [connections.Source] it gives what is shared with somebody, under the names of
// [connections.SharedName] and with everything that a task needs: to show no more
// than the right allows is for the caller. What is not shared is not found, like
// what is not there, by the same query.
type Shares struct{ s *Store }

// Shares gives the store's shares.
func (s *Store) Shares() *Shares { return &Shares{s} }

// shareBody is what is encrypted of a share: nobody who can write to the file
// without the key gives themselves a right.
type shareBody struct {
	Right connections.Right `json:"right"`
	Since time.Time         `json:"since"`
}

// Grant gives somebody a right on a connection of another, in place of the one they
// may have. Its error is of kind notfound if there is no such connection in the
// store, or no such user.
func (sh *Shares) Grant(ctx context.Context, by engine.Actor, share connections.Share) error {
	switch {
	case !share.Right.Valid():
		return fail(engine.Invalid, "", "a connection is shared for use or for manage, not for %q", share.Right)
	case share.Owner == share.With:
		return fail(engine.Invalid, "", "connection %q is theirs already", share.Connection)
	}
	share.Since = sh.s.now().UTC().Truncate(time.Second)
	return sh.s.writeAudited(ctx, fmt.Sprintf("share connection %q", share.Connection), func(tx *sql.Tx, keys *keys) error {
		id, user, err := sh.parties(ctx, tx, share.Owner, share.Connection, share.With)
		if err != nil {
			return err
		}
		text, err := json.Marshal(shareBody{share.Right, share.Since})
		if err != nil {
			return err
		}
		body, err := keys.seal(text, sharePlace(share.Owner, share.Connection, share.With))
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, upsertShare, id, body, share.With); err != nil {
			return err
		}
		event := by.Did(engine.AuditConnectionShare, user+" "+string(share.Right))
		event.Connection, event.ConnectionOwner = share.Connection, share.Owner
		return sh.s.audit(ctx, tx, event)
	})
}

// Revoke takes the right on a connection back. The next step that asks for the
// connection does not find it. Its error is of kind notfound if there is no such
// connection or user, or it is not shared with them.
func (sh *Shares) Revoke(ctx context.Context, by engine.Actor, owner, connection, with string) error {
	return sh.s.writeAudited(ctx, fmt.Sprintf("unshare connection %q", connection), func(tx *sql.Tx, _ *keys) error {
		id, user, err := sh.parties(ctx, tx, owner, connection, with)
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, deleteShare, id, with)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fail(engine.NotFound, "", "connection %q is not shared with user %q", connection, user))
		}
		event := by.Did(engine.AuditConnectionUnshare, user)
		event.Connection, event.ConnectionOwner = connection, owner
		return sh.s.audit(ctx, tx, event)
	})
}

// parties gives the row of the connection and the name of the user.
func (sh *Shares) parties(ctx context.Context, tx *sql.Tx, owner, connection, with string) (id int64, user string, err error) {
	id, _, exists, err := findConnection(ctx, tx, owner, connection)
	if err != nil {
		return 0, "", err
	}
	if !exists {
		return 0, "", &connections.NotFoundError{Name: connection}
	}
	_, found, err := sh.s.Users().scan(tx.QueryRowContext(ctx, selectOwner, with))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, "", missingUser(with)
	}
	return id, found.Name, err
}

// Of gives the shares of the owner's connections, or of the one of that name,
// sorted by connection and user.
func (sh *Shares) Of(ctx context.Context, owner, connection string) ([]connections.Share, error) {
	rows, err := sh.s.db.QueryContext(ctx, listShares, owner, connection)
	if err != nil {
		return nil, sh.s.explain("list shares", err)
	}
	defer func() { _ = rows.Close() }()
	var shares []connections.Share
	for rows.Next() {
		share, err := sh.scanShare(rows)
		if err != nil {
			return nil, sh.s.explain("list shares", err)
		}
		shares = append(shares, share)
	}
	return shares, sh.s.explain("list shares", rows.Err())
}

// Update replaces a connection by what somebody who may manage it made of it, whose
// owner key with is. c is as Get gave it, but for the changes; its Revision must be
// the one that they saw. Whether they may change what they changed is for the caller:
// see [connections.CheckManaged].
func (sh *Shares) Update(ctx context.Context, by engine.Actor, c connections.Connection) (connections.Connection, error) {
	given := c.Name
	_, name, ok := connections.ParseShared(given)
	if !ok || c.Revision == 0 {
		return connections.Connection{}, fail(engine.Internal, "", "update connection %q: it is no shared one", given)
	}
	if _, err := sh.s.executions.members.newestKey(ctx); err != nil { // see writeAudited
		return connections.Connection{}, err
	}
	c.Name = name
	changed, err := connectionStore{sh.s}.put(ctx, "update", c, func(tx *sql.Tx, id, revision int64, exists bool) error {
		share, err := sh.scanShare(tx.QueryRowContext(ctx, selectShare, id, by.Owner))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err != nil || !exists {
			return &connections.NotFoundError{Name: given}
		}
		if share.Right != connections.RightManage {
			return notManaged(given)
		}
		if err := updatable(c, revision, exists); err != nil {
			return err
		}
		event := by.Did(engine.AuditConnectionManage, "")
		event.Connection, event.ConnectionOwner = name, c.Owner
		return sh.s.audit(ctx, tx, event)
	})
	changed.Name, changed.Shared = given, connections.RightManage
	return changed, err
}

func notManaged(name string) error {
	return fail(engine.Denied, "its owner can share it for manage", "connection %q is shared for use only", name)
}

// Get implements connections.Source.
func (sh *Shares) Get(ctx context.Context, owner, name string) (connections.Connection, error) {
	user, connection, ok := connections.ParseShared(name)
	if !ok {
		return connections.Connection{}, &connections.NotFoundError{Name: name}
	}
	c, err := sh.scan(sh.s.db.QueryRowContext(ctx, selectShared, owner, user, connection))
	if errors.Is(err, sql.ErrNoRows) {
		return connections.Connection{}, &connections.NotFoundError{Name: name}
	}
	return c, sh.s.explain(fmt.Sprintf("read connection %q", name), err)
}

// List implements connections.Source.
func (sh *Shares) List(ctx context.Context, owner string) ([]connections.Connection, error) {
	rows, err := sh.s.db.QueryContext(ctx, listShared, owner)
	if err != nil {
		return nil, sh.s.explain("list connections", err)
	}
	defer func() { _ = rows.Close() }()
	var found []connections.Connection
	for rows.Next() {
		c, err := sh.scan(rows)
		if err != nil {
			return nil, sh.s.explain("list connections", err)
		}
		found = append(found, c)
	}
	return found, sh.s.explain("list connections", rows.Err())
}

func (sh *Shares) scan(row scanner) (connections.Connection, error) {
	var revision, changed int64
	var typ, name, owner, user, with string
	var body, share, sealed []byte
	if err := row.Scan(&revision, &typ, &changed, &body, &name, &owner, &user, &with, &share, &sealed); err != nil {
		return connections.Connection{}, err
	}
	keys, err := sh.s.keys.unwrap(sealed)
	if err != nil {
		return connections.Connection{}, err
	}
	right, err := openShare(keys, owner, name, with, share)
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
	c.Name, c.Shared = connections.SharedName(user, name), right.Right
	c.Origin.Pos.File = "store:" + c.Name
	return c, err
}

func (sh *Shares) scanShare(row scanner) (share connections.Share, err error) {
	var body, sealed []byte
	if err := row.Scan(&share.Owner, &share.Connection, &share.With, &body, &sealed); err != nil {
		return connections.Share{}, err
	}
	keys, err := sh.s.keys.unwrap(sealed)
	if err != nil {
		return connections.Share{}, err
	}
	b, err := openShare(keys, share.Owner, share.Connection, share.With, body)
	share.Right, share.Since = b.Right, b.Since
	return share, err
}

func openShare(keys *keys, owner, connection, with string, body []byte) (b shareBody, err error) {
	text, err := keys.open(body, sharePlace(owner, connection, with), fmt.Sprintf("the share of connection %q", connection))
	if err != nil {
		return shareBody{}, err
	}
	return b, json.Unmarshal(text, &b)
}

func sharePlace(owner, connection, with string) []byte {
	return place("share", owner, connection, with)
}

func shareTable() sealedTable {
	return sealedTable{
		list: `SELECT id FROM share`,
		read: `SELECT s.body, 'share', c.owner, c.name, w.owner FROM share s
			JOIN connection c ON c.id = s.connection JOIN user w ON w.id = s.user WHERE s.id = ?`,
		parts:  4,
		update: `UPDATE share SET body = ? WHERE id = ?`,
	}
}
