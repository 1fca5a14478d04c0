package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/weir-engine/weir/engine"
)

const checkpoint = `PRAGMA wal_checkpoint(TRUNCATE)`

// RotateKey encrypts everything under a new data key and forgets the old one. It
// is one transaction: it happens as a whole or not at all, and other processes
// read on meanwhile. When it returns nil, nothing encrypted under the old key is
// left in the store's files.
//
// What executions wrote is encrypted under journal keys, which the data key
// encrypts in turn. There is a new journal key for trees of executions, settings
// and texts that come after the rotation; what is there keeps its journal key,
// until it is pruned or written again.
func (s *Store) RotateKey(ctx context.Context) error {
	return s.rotate(ctx, s.keys.wrappedBy())
}

// Rekey does what RotateKey does and wraps the new data key by another master
// key, with which the store must be opened from then on. The old master key is of
// no use any more, but to read backups; its file is left where it is. Other
// processes that have the store open must be started again.
func (s *Store) Rekey(ctx context.Context, key MasterKey) error {
	master, err := key.load(true)
	if err != nil {
		return s.explain("rekey", err)
	}
	return s.rotate(ctx, master)
}

func (s *Store) rotate(ctx context.Context, master *wrappingKey) error {
	err := s.write(ctx, "rotate the key", func(tx *sql.Tx, old *keys) error {
		s.keys.expect(master)
		return s.reencrypt(ctx, tx, old, master)
	})
	if err != nil {
		return err
	}
	s.keys.use(master)
	s.executions.members.forgetNewest()
	var busy, frames, moved int
	if err := s.db.QueryRowContext(ctx, checkpoint).Scan(&busy, &frames, &moved); err != nil {
		return s.explain("truncate the log after rotating the key", err)
	}
	if busy != 0 {
		return fail(engine.Unavailable, "rotate again when no other process uses the store",
			"the key of store %s was rotated, but what was encrypted under the old one is still in its log: another process reads it", s.dir)
	}
	return nil
}

// reencrypt makes a new data key and encrypts every row under it, and makes a new
// journal key.
func (s *Store) reencrypt(ctx context.Context, tx *sql.Tx, old *keys, master *wrappingKey) error {
	handle, err := nextHandle(old.handle)
	if err != nil {
		return err
	}
	sealed, err := master.wrap(handle)
	if err != nil {
		return err
	}
	next, err := newKeys(handle, sealed)
	if err != nil {
		return err
	}
	for _, t := range sealedTables() {
		if err := t.reencrypt(ctx, tx, old, next); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, updateKeyset, sealed, master.id, master.source); err != nil {
		return err
	}
	// What is encrypted under the journal keys stays as it is: the keys are all
	// that the data key encrypts of it.
	_, err = s.addJournalKey(ctx, tx, next)
	return err
}

// nextHandle gives a keyset with one new key, whose id none of the old ones has.
func nextHandle(old *keyset.Handle) (*keyset.Handle, error) {
	manager := keyset.NewManagerFromHandle(old)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("make the data key: %w", err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("make the data key: %w", err)
	}
	for _, info := range old.KeysetInfo().GetKeyInfo() {
		if err := manager.Delete(info.GetKeyId()); err != nil {
			return nil, fmt.Errorf("forget the old data key: %w", err)
		}
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("make the data key: %w", err)
	}
	return handle, nil
}

// sealedTable says how the ciphertexts of a table are found.
type sealedTable struct {
	list   string // gives the row ids
	read   string // gives the body of a row id, and then the parts of its place
	parts  int    // how many these are
	update string // takes the body and the row id
}

// sealedTables gives all tables with ciphertexts under the data key.
func sealedTables() []sealedTable {
	return []sealedTable{
		revisionTable(), documentTable(), journalKeyTable(),
		userTable(), tokenTable(), shareTable(), scheduleTable(), webhookTable(),
	}
}

// row gives a ciphertext and its place.
func (t sealedTable) row(ctx context.Context, tx *sql.Tx, id int64) (body, at []byte, err error) {
	parts := make([]string, t.parts)
	targets := []any{&body}
	for i := range parts {
		targets = append(targets, &parts[i])
	}
	err = tx.QueryRowContext(ctx, t.read, id).Scan(targets...)
	return body, place(parts...), err
}

func (t sealedTable) reencrypt(ctx context.Context, tx *sql.Tx, old, next *keys) error {
	ids, err := rowIDs(ctx, tx, t.list)
	if err != nil {
		return err
	}
	for _, id := range ids {
		body, at, err := t.row(ctx, tx, id)
		if err != nil {
			return err
		}
		text, err := old.open(body, at, string(at))
		if err != nil {
			return err
		}
		sealed, err := next.seal(text, at)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, t.update, sealed, id); err != nil {
			return err
		}
	}
	return nil
}

func rowIDs(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
