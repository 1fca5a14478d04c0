package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
)

const (
	upsertDocument = `INSERT INTO document (owner, kind, name, changed, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (owner, kind, name) DO UPDATE SET changed = excluded.changed, body = excluded.body`
	insertDocument = `INSERT INTO document (owner, kind, name, changed, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO NOTHING`
	selectDocument = `SELECT name, changed, body, (SELECT sealed FROM keyset) FROM document
		WHERE owner = ? AND kind = ? AND name = ?`
	listDocuments = `SELECT name, changed, body, (SELECT sealed FROM keyset) FROM document
		WHERE owner = ? AND kind = ? ORDER BY name`
	selectBody     = `SELECT body FROM document WHERE owner = ? AND kind = ? AND name = ?`
	deleteDocument = `DELETE FROM document WHERE owner = ? AND kind = ? AND name = ?`
)

// Documents are named texts of one kind, such as Vault configurations. It is
// safe for concurrent use.
type Documents struct {
	s    *Store
	kind string
}

// Documents gives the documents of a kind, which is one word for people.
func (s *Store) Documents(kind string) *Documents { return &Documents{s, kind} }

// Document is a named text that may hold secrets. It does not print its text.
type Document struct {
	Name    string
	Changed time.Time
	Stamp   string // another whenever the document is written, see [Documents.Stamp]
	text    *string
}

// Text gives the text as it was stored.
func (d Document) Text() string { return *d.text }

// Create stores a new document. Its error is of kind conflict if there is one of
// that name.
func (d *Documents) Create(ctx context.Context, owner, name, text string) error {
	return d.put(ctx, insertDocument, owner, name, text)
}

// Put stores a document in place of one of the same name, if there is one.
func (d *Documents) Put(ctx context.Context, owner, name, text string) error {
	return d.put(ctx, upsertDocument, owner, name, text)
}

func (d *Documents) put(ctx context.Context, query, owner, name, text string) error {
	return d.s.write(ctx, "store "+d.what(name), func(tx *sql.Tx, keys *keys) error {
		body, err := keys.seal([]byte(text), documentPlace(owner, d.kind, name))
		if err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, query, owner, d.kind, name, d.s.now().UnixMilli(), body)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fail(engine.Conflict, "", "%s exists already", d.what(name)))
		}
		return nil
	})
}

// Get gives a document. Its error is of kind notfound if there is none of that name.
func (d *Documents) Get(ctx context.Context, owner, name string) (Document, error) {
	row := d.s.db.QueryRowContext(ctx, selectDocument, owner, d.kind, name)
	document, err := d.scan(row, owner)
	if errors.Is(err, sql.ErrNoRows) {
		return Document{}, d.missing(name)
	}
	return document, d.s.explain("read "+d.what(name), err)
}

// Stamp tells, without reading the text, whether a document is the one that was read:
// it is another whenever one of that name is written, and empty if there is none.
func (d *Documents) Stamp(ctx context.Context, owner, name string) (string, error) {
	var body []byte
	err := d.s.db.QueryRowContext(ctx, selectBody, owner, d.kind, name).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return stampOf(body), d.s.explain("read "+d.what(name), err)
}

// stampOf is of what was encrypted, which never gives the same twice.
func stampOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// List gives all of the owner's documents, sorted by name. Those that cannot be
// decrypted are left out, and the error tells of each.
func (d *Documents) List(ctx context.Context, owner string) ([]Document, error) {
	rows, err := d.s.db.QueryContext(ctx, listDocuments, owner, d.kind)
	if err != nil {
		return nil, d.s.explain("list", err)
	}
	defer func() { _ = rows.Close() }()
	var documents []Document
	var faults []error
	for rows.Next() {
		document, err := d.scan(rows, owner)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		documents = append(documents, document)
	}
	return documents, d.s.explain("list", errors.Join(append(faults, rows.Err())...))
}

// Delete removes a document. Its error is of kind notfound if there is none of
// that name.
func (d *Documents) Delete(ctx context.Context, owner, name string) error {
	return d.s.write(ctx, "delete "+d.what(name), func(tx *sql.Tx, _ *keys) error {
		result, err := tx.ExecContext(ctx, deleteDocument, owner, d.kind, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, d.missing(name))
		}
		return nil
	})
}

// scanner is a row, or the rows at which a query stands.
type scanner interface{ Scan(...any) error }

func (d *Documents) scan(row scanner, owner string) (Document, error) {
	var document Document
	var changed int64
	var body, sealed []byte
	if err := row.Scan(&document.Name, &changed, &body, &sealed); err != nil {
		return Document{}, err
	}
	keys, err := d.s.keys.unwrap(sealed)
	if err != nil {
		return Document{}, err
	}
	text, err := keys.open(body, documentPlace(owner, d.kind, document.Name), d.what(document.Name))
	if err != nil {
		return Document{}, err
	}
	plain := string(text)
	document.text, document.Changed, document.Stamp = &plain, time.UnixMilli(changed).UTC(), stampOf(body)
	return document, nil
}

func (d *Documents) what(name string) string { return fmt.Sprintf("%s %q", d.kind, name) }

func (d *Documents) missing(name string) error {
	return fail(engine.NotFound, "", "no such %s: %q", d.kind, name)
}

func documentPlace(owner, kind, name string) []byte { return place("document", owner, kind, name) }

func documentTable() sealedTable {
	return sealedTable{
		list:   `SELECT id FROM document`,
		read:   `SELECT body, 'document', owner, kind, name FROM document WHERE id = ?`,
		parts:  4,
		update: `UPDATE document SET body = ? WHERE id = ?`,
	}
}
