package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	selectFlow    = `SELECT id, version, deleted FROM flow WHERE owner = ? AND name = ?`
	selectVersion = `SELECT f.name, v.version, t.digest, v.changed, v.origin
		FROM flow f JOIN flow_version v ON v.flow = f.id JOIN text t ON t.id = v.text
		WHERE f.owner = ?1 AND f.name = ?2 AND NOT f.deleted AND v.version = CASE ?3 WHEN 0 THEN f.version ELSE ?3 END`
	listFlows = `SELECT f.name, v.version, t.digest, v.changed, v.origin
		FROM flow f JOIN flow_version v ON v.flow = f.id AND v.version = f.version JOIN text t ON t.id = v.text
		WHERE f.owner = ? AND NOT f.deleted ORDER BY f.name`
	listVersions = `SELECT f.name, v.version, t.digest, v.changed, v.origin
		FROM flow f JOIN flow_version v ON v.flow = f.id JOIN text t ON t.id = v.text
		WHERE f.owner = ? AND f.name = ? AND NOT f.deleted ORDER BY v.version DESC`
	listOrigins = `SELECT f.name, v.version, t.digest, v.changed, v.origin
		FROM flow f JOIN flow_version v ON v.flow = f.id JOIN text t ON t.id = v.text
		WHERE f.owner = ? AND NOT f.deleted
			AND v.version = (SELECT max(o.version) FROM flow_version o WHERE o.flow = f.id AND o.origin <> '')
		ORDER BY f.name`
	newestDigest = `SELECT t.digest FROM flow_version v JOIN text t ON t.id = v.text WHERE v.flow = ? AND v.version = ?`
	upsertFlow   = `INSERT INTO flow (owner, name, version) VALUES (?, ?, ?)
		ON CONFLICT (owner, name) DO UPDATE SET version = excluded.version, deleted = 0
		RETURNING id`
	insertVersion  = `INSERT INTO flow_version (flow, version, text, changed, origin) SELECT ?, ?, id, ?, ? FROM text WHERE digest = ?`
	textsOfFlow    = `SELECT text FROM flow_version WHERE flow = ?`
	deleteVersions = `DELETE FROM flow_version WHERE flow = ?`
	markFlow       = `UPDATE flow SET deleted = 1 WHERE id = ?`
	deleteText     = `DELETE FROM text WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM text_use WHERE text = ?1)
		AND NOT EXISTS (SELECT 1 FROM flow_version WHERE text = ?1)`
)

// Flows are texts of flows by name, in versions. It is safe for concurrent use.
type Flows struct{ s *Store }

// Flows gives the store's flows.
func (s *Store) Flows() *Flows { return &Flows{s} }

// Flow is one version of a flow, without its text.
type Flow struct {
	Name    string
	Version int    // from 1; a number is never used again, also not after a deletion
	Digest  string // of the text, see [journal.Digest]
	Changed time.Time
	Origin  string // the file of a watched directory that it comes from; empty if somebody applied it
}

// FlowText is a text that is to be stored; see [Flow.Origin].
type FlowText struct {
	Name, Origin string
	Text         []byte
}

// Applied is what became of a text: the newest version, and whether it is a new one.
type Applied struct {
	Flow
	New bool
}

// Apply stores a text as the newest version of a flow. If it is that already,
// nothing is written. changed tells whether there is a new version.
func (f *Flows) Apply(ctx context.Context, owner, name string, text []byte) (version Flow, changed bool, err error) {
	applied, err := f.ApplyAll(ctx, owner, FlowText{Name: name, Text: text})
	if err != nil {
		return Flow{}, false, err
	}
	return applied[0].Flow, applied[0].New, nil
}

// ApplyAll does it with texts of several flows: with all of them, or none.
func (f *Flows) ApplyAll(ctx context.Context, owner string, texts ...FlowText) ([]Applied, error) {
	e := f.s.executions
	doing := "store flows"
	if len(texts) == 1 {
		doing = fmt.Sprintf("store flow %q", texts[0].Name)
	}
	key, err := e.members.newestKey(ctx)
	if err != nil {
		return nil, f.s.explain(doing, err)
	}
	applied, sealed := make([]Applied, len(texts)), make([]sealedText, len(texts))
	for i, t := range texts {
		if t.Name == "" {
			return nil, fail(engine.Invalid, "", "a flow needs a name")
		}
		applied[i].Flow = Flow{Name: t.Name, Origin: t.Origin, Digest: journal.Digest(t.Text), Changed: f.s.now().UTC().Truncate(time.Microsecond)}
		if sealed[i], err = e.sealText(ctx, key, applied[i].Digest, t.Text); err != nil {
			return nil, f.s.explain(doing, err)
		}
	}
	err = f.s.write(ctx, doing, func(tx *sql.Tx, _ *keys) error {
		for i := range applied {
			changed, err := applyFlow(ctx, tx, owner, &applied[i].Flow, sealed[i])
			if err != nil {
				return err
			}
			applied[i].New = changed
		}
		return nil
	})
	for i := range applied {
		if err == nil && !applied[i].New {
			applied[i].Flow, err = f.version(ctx, owner, applied[i].Name, applied[i].Version)
		}
	}
	return applied, err
}

func applyFlow(ctx context.Context, tx *sql.Tx, owner string, version *Flow, sealed sealedText) (changed bool, err error) {
	id, newest, exists, err := findFlow(ctx, tx, owner, version.Name)
	if err != nil {
		return false, err
	}
	if exists {
		var digest string
		if err := tx.QueryRowContext(ctx, newestDigest, id, newest).Scan(&digest); err != nil {
			return false, err
		}
		if digest == version.Digest {
			version.Version = newest
			return false, nil
		}
	}
	version.Version = newest + 1
	if _, err := tx.ExecContext(ctx, insertText, sealed.digest, sealed.key, sealed.body); err != nil {
		return false, err
	}
	if err := tx.QueryRowContext(ctx, upsertFlow, owner, version.Name, version.Version).Scan(&id); err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, insertVersion, id, version.Version, micros(version.Changed), version.Origin, version.Digest)
	return true, err
}

// findFlow gives the row of a name; newest is the newest version there ever was.
func findFlow(ctx context.Context, tx *sql.Tx, owner, name string) (id int64, newest int, exists bool, err error) {
	var deleted bool
	err = tx.QueryRowContext(ctx, selectFlow, owner, name).Scan(&id, &newest, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, false, nil
	}
	return id, newest, err == nil && !deleted, err
}

// Get gives a version of a flow and its text; 0 is the newest. Its error is of
// kind notfound if there is none.
func (f *Flows) Get(ctx context.Context, owner, name string, version int) (Flow, []byte, error) {
	found, err := f.version(ctx, owner, name, version)
	if err != nil {
		return Flow{}, nil, err
	}
	text, err := f.s.executions.Text(ctx, found.Digest)
	return found, text, err
}

func (f *Flows) version(ctx context.Context, owner, name string, version int) (Flow, error) {
	found, err := scanFlow(f.s.db.QueryRowContext(ctx, selectVersion, owner, name, version))
	if errors.Is(err, sql.ErrNoRows) {
		if version != 0 {
			name = fmt.Sprintf("%s, version %d", name, version)
		}
		return Flow{}, fail(engine.NotFound, "", "no such flow: %q", name)
	}
	return found, f.s.explain(fmt.Sprintf("read flow %q", name), err)
}

// List gives the newest version of each of the owner's flows, sorted by name.
func (f *Flows) List(ctx context.Context, owner string) ([]Flow, error) {
	return f.list(ctx, listFlows, owner)
}

// Origins gives the newest version that comes from a file, of each of the owner's flows
// that has one. Somebody may have applied another since.
func (f *Flows) Origins(ctx context.Context, owner string) ([]Flow, error) {
	return f.list(ctx, listOrigins, owner)
}

// Versions gives all versions of a flow, the newest first. Its error is of kind
// notfound if there is no such flow.
func (f *Flows) Versions(ctx context.Context, owner, name string) ([]Flow, error) {
	versions, err := f.list(ctx, listVersions, owner, name)
	if err == nil && len(versions) == 0 {
		err = fail(engine.NotFound, "", "no such flow: %q", name)
	}
	return versions, err
}

func (f *Flows) list(ctx context.Context, query string, args ...any) ([]Flow, error) {
	rows, err := f.s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, f.s.explain("list flows", err)
	}
	defer func() { _ = rows.Close() }()
	var found []Flow
	for rows.Next() {
		flow, err := scanFlow(rows)
		if err != nil {
			return nil, f.s.explain("list flows", err)
		}
		found = append(found, flow)
	}
	return found, f.s.explain("list flows", rows.Err())
}

func scanFlow(row scanner) (f Flow, err error) {
	var changed int64
	err = row.Scan(&f.Name, &f.Version, &f.Digest, &changed, &f.Origin)
	f.Changed = time.UnixMicro(changed).UTC()
	return f, err
}

// Delete removes all versions of a flow. Executions keep the texts that they were
// started with. Its error is of kind notfound if there is no such flow.
func (f *Flows) Delete(ctx context.Context, owner, name string) error {
	return f.s.write(ctx, fmt.Sprintf("delete flow %q", name), func(tx *sql.Tx, _ *keys) error {
		id, _, exists, err := findFlow(ctx, tx, owner, name)
		if err != nil {
			return err
		}
		if !exists {
			return fail(engine.NotFound, "", "no such flow: %q", name)
		}
		texts, err := rowIDs(ctx, tx, textsOfFlow, id)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, deleteVersions, id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, markFlow, id); err != nil {
			return err
		}
		return deleteTexts(ctx, tx, texts)
	})
}

// deleteTexts removes those of the texts that nothing refers to any more.
func deleteTexts(ctx context.Context, tx *sql.Tx, ids []int64) error {
	for _, id := range ids {
		if _, err := tx.ExecContext(ctx, deleteText, id); err != nil {
			return err
		}
	}
	return nil
}
