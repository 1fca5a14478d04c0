package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/weir-engine/weir/engine"
)

const (
	selectJournalKey = `SELECT sealed, (SELECT sealed FROM keyset) FROM journal_key WHERE id = ?`
	newestJournalKey = `SELECT coalesce(max(id), 0) FROM journal_key`
	insertJournalKey = `INSERT INTO journal_key (id, made, sealed) VALUES (?, ?, ?)`
	selectTreeKey    = `SELECT root, parent, owner, key FROM execution WHERE id = ?`
)

// rootKey is a journal key: what the keys of executions, texts and settings are
// derived from. AES-GCM bears only so many messages under one key, and a busy
// engine writes that many in days; so the data key encrypts journal keys only.
type rootKey [32]byte

// derive gives the key that is for what the parts name.
func (k *rootKey) derive(parts ...string) (key [32]byte) {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(place(parts...))
	mac.Sum(key[:0])
	return key
}

// sealer encrypts for one execution, text or setting.
type sealer struct{ aead cipher.AEAD }

// sealer gives the one whose key is for what the parts name.
func (k *rootKey) sealer(parts ...string) sealer {
	key := k.derive(parts...)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has the right size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the right block size
	}
	return sealer{aead}
}

// seal encrypts a text for its place: a table and a number in it.
func (s sealer) seal(text []byte, table string, number int) []byte {
	return s.aead.Seal(make([]byte, 0, len(text)+s.aead.Overhead()), nil, text, numbered(table, number)) //nolint:gosec // it makes a random nonce itself
}

// open decrypts what was sealed for the place. The caller says what was not to be
// read.
func (s sealer) open(sealed []byte, table string, number int) (text []byte, ok bool) {
	text, err := s.aead.Open(nil, nil, sealed, numbered(table, number))
	return text, err == nil
}

func numbered(table string, number int) []byte {
	b := append(make([]byte, 0, 32), "v1|"...)
	b = append(append(b, table...), '|')
	return strconv.AppendInt(b, int64(number), 10)
}

// member is what the store keeps in memory of an execution at work.
type member struct {
	sealer
	root, owner string
	key         int64 // of the tree

	pins int // commits under way; guarded by the mutex of members
	// next is the number of the next event on disk; negative if not known. It
	// belongs to the goroutine that writes.
	next int
}

// maxMembers bounds how many executions are kept in memory, but for those with
// commits under way.
const maxMembers = 4096

// members finds what is needed to encrypt and decrypt for an execution.
type members struct {
	s *Store

	mu     sync.Mutex
	byID   map[engine.ID]*member
	roots  map[int64]*rootKey
	newest int64 // journal key; 0 if not known
}

func newMember(root *rootKey, key int64, id, tree, parent, owner string) *member {
	return &member{sealer: root.sealer("execution", id, tree, parent, owner), root: tree, owner: owner, key: key, next: -1}
}

// pin gives an execution's member and keeps it in memory until unpin.
func (m *members) pin(ctx context.Context, id engine.ID) (*member, error) {
	m.mu.Lock()
	found := m.byID[id]
	if found != nil {
		found.pins++
	}
	m.mu.Unlock()
	if found != nil {
		return found, nil
	}
	made, err := m.read(ctx, id)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if found = m.byID[id]; found == nil {
		found = made
		m.put(id, made)
	}
	found.pins++
	return found, nil
}

// get gives an execution's member for reading.
func (m *members) get(ctx context.Context, id engine.ID) (*member, error) {
	m.mu.Lock()
	found := m.byID[id]
	m.mu.Unlock()
	if found != nil {
		return found, nil
	}
	return m.read(ctx, id)
}

// read gives the member of an execution on disk.
func (m *members) read(ctx context.Context, id engine.ID) (*member, error) {
	var tree, parent, owner string
	var key int64
	err := m.s.db.QueryRowContext(ctx, selectTreeKey, string(id)).Scan(&tree, &parent, &owner, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, missingExecution(id)
	}
	if err != nil {
		return nil, err
	}
	root, err := m.rootKey(ctx, m.s.db, key)
	if err != nil {
		return nil, err
	}
	return newMember(root, key, string(id), tree, parent, owner), nil
}

// create gives the pinned member of an execution that is to be written. It has
// the journal key of its tree.
func (m *members) create(ctx context.Context, id, tree engine.ID, parent engine.ID, owner string) (*member, error) {
	key, err := m.treeKey(ctx, id, tree)
	if err != nil {
		return nil, err
	}
	root, err := m.rootKey(ctx, m.s.db, key)
	if err != nil {
		return nil, err
	}
	made := newMember(root, key, string(id), string(tree), string(parent), owner)
	made.next, made.pins = 0, 1
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		m.put(id, made)
	}
	return made, nil
}

func (m *members) treeKey(ctx context.Context, id, tree engine.ID) (int64, error) {
	if id == tree {
		return m.newestKey(ctx)
	}
	root, err := m.get(ctx, tree)
	if err != nil {
		return 0, err
	}
	return root.key, nil
}

// keep keeps the member of an execution that was read: what is taken up will be
// written.
func (m *members) keep(id engine.ID, read *member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[id] == nil {
		m.put(id, read)
	}
}

// put needs the mutex. It makes room for the member by forgetting any others.
func (m *members) put(id engine.ID, made *member) {
	for other, old := range m.byID {
		if len(m.byID) < maxMembers {
			break
		}
		if old.pins == 0 {
			delete(m.byID, other)
		}
	}
	m.byID[id] = made
}

// unpin lets an execution's member go after a commit; forget says that it is of
// no more use.
func (m *members) unpin(id engine.ID, pinned *member, forget bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	pinned.pins--
	if forget && pinned.pins == 0 && m.byID[id] == pinned {
		delete(m.byID, id)
	}
}

// asker is the store's file, or a transaction on it. Who has a transaction must
// ask that: all connections may be taken by others that do the same.
type asker interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// rootKey gives a journal key.
func (m *members) rootKey(ctx context.Context, from asker, id int64) (*rootKey, error) {
	m.mu.Lock()
	found := m.roots[id]
	m.mu.Unlock()
	if found != nil {
		return found, nil
	}
	var sealed, keyset []byte
	if err := from.QueryRowContext(ctx, selectJournalKey, id).Scan(&sealed, &keyset); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fail(engine.Permanent, "restore the store from a backup", "journal key %d is missing", id)
		}
		return nil, err
	}
	keys, err := m.s.keys.unwrap(keyset)
	if err != nil {
		return nil, err
	}
	text, err := keys.open(sealed, journalKeyPlace(id), fmt.Sprintf("journal key %d", id))
	if err != nil {
		return nil, err
	}
	root := new(rootKey)
	copy(root[:], text)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.roots[id] = root
	return root, nil
}

// newestKey gives the number of the journal key for what is new, and makes the
// store's first.
func (m *members) newestKey(ctx context.Context) (id int64, err error) {
	m.mu.Lock()
	id = m.newest
	m.mu.Unlock()
	if id != 0 {
		return id, nil
	}
	if err := m.s.db.QueryRowContext(ctx, newestJournalKey).Scan(&id); err != nil {
		return 0, err
	}
	if id == 0 {
		err = m.s.write(ctx, "make a journal key", func(tx *sql.Tx, keys *keys) error {
			if err := tx.QueryRowContext(ctx, newestJournalKey).Scan(&id); err != nil || id != 0 {
				return err
			}
			id, err = m.s.addJournalKey(ctx, tx, keys)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newest = id
	return id, nil
}

// forgetNewest has the newest journal key read again: it may have been rotated.
func (m *members) forgetNewest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newest = 0
}

// addJournalKey makes a journal key, from then on the newest.
func (s *Store) addJournalKey(ctx context.Context, tx *sql.Tx, keys *keys) (id int64, err error) {
	if err := tx.QueryRowContext(ctx, newestJournalKey).Scan(&id); err != nil {
		return 0, err
	}
	id++
	var key rootKey
	_, _ = rand.Read(key[:]) // never fails
	sealed, err := keys.seal(key[:], journalKeyPlace(id))
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, insertJournalKey, id, s.now().UnixMicro(), sealed)
	return id, err
}

func journalKeyPlace(id int64) []byte { return place("journal_key", strconv.FormatInt(id, 10)) }

func journalKeyTable() sealedTable {
	return sealedTable{
		list:   `SELECT id FROM journal_key`,
		read:   `SELECT sealed, 'journal_key', CAST(id AS TEXT) FROM journal_key WHERE id = ?`,
		parts:  2,
		update: `UPDATE journal_key SET sealed = ? WHERE id = ?`,
	}
}

func missingExecution(id engine.ID) error {
	return fail(engine.NotFound, "", "no such execution: %q", string(id))
}
