package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/weir-engine/weir/engine"
)

const (
	selectKeyset = `SELECT sealed FROM keyset`
	selectMaster = `SELECT sealed, master_id, master_source FROM keyset`
	insertKeyset = `INSERT INTO keyset (id, sealed, master_id, master_source) VALUES (1, ?, ?, ?)`
	updateKeyset = `UPDATE keyset SET sealed = ?, master_id = ?, master_source = ?`
)

// keysetContext is bound to every wrapped keyset.
const keysetContext = "weir store keyset v1"

// keys is the data key, as it was when the keyset was sealed like this.
type keys struct {
	sealed []byte
	handle *keyset.Handle
	aead   tink.AEAD
	// decoys gives what is read in place of a user and a webhook that are not there.
	decoys func() (decoys, error)
}

func newKeys(handle *keyset.Handle, sealed []byte) (*keys, error) {
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("use the data key: %w", err)
	}
	k := &keys{sealed: sealed, handle: handle, aead: primitive}
	k.decoys = sync.OnceValues(func() (decoys, error) { return newDecoys(k) })
	return k, nil
}

// keyring keeps the keys that were last in use. Another process may rotate them
// at any time, so each read fetches the sealed keyset beside the row.
type keyring struct {
	mu       sync.Mutex
	master   *wrappingKey
	expected *wrappingKey // what a rotation is about to commit; or nil
	latest   *keys
}

// unwrap gives the keys of a sealed keyset.
func (r *keyring) unwrap(sealed []byte) (*keys, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.latest != nil && bytes.Equal(r.latest.sealed, sealed) {
		return r.latest, nil
	}
	handle, err := r.master.unwrap(sealed)
	if err != nil && r.expected != nil {
		handle, err = r.expected.unwrap(sealed)
	}
	if err != nil {
		return nil, fail(engine.Denied, "if its master key was changed meanwhile, start again with the new one; else restore the store from a backup",
			"the store's data key cannot be unwrapped with the master key from %s", r.master.source)
	}
	latest, err := newKeys(handle, bytes.Clone(sealed))
	if err != nil {
		return nil, err
	}
	r.latest = latest
	return latest, nil
}

// use sets the master key, after what it wraps is on disk.
func (r *keyring) use(master *wrappingKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.master, r.expected = master, nil
}

// expect has the store read also when the master key changes at the next moment.
func (r *keyring) expect(master *wrappingKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = master
}

func (r *keyring) wrappedBy() *wrappingKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.master
}

// wrap seals the keyset.
func (w *wrappingKey) wrap(handle *keyset.Handle) ([]byte, error) {
	var sealed bytes.Buffer
	err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&sealed), w.aead, []byte(keysetContext))
	if err != nil {
		return nil, fmt.Errorf("wrap the data key: %w", err)
	}
	return sealed.Bytes(), nil
}

func (w *wrappingKey) unwrap(sealed []byte) (*keyset.Handle, error) {
	reader := keyset.NewBinaryReader(bytes.NewReader(sealed))
	return keyset.ReadWithAssociatedData(reader, w.aead, []byte(keysetContext))
}

// openKeys unwraps the store's keyset, or makes one for a new store.
func (s *Store) openKeys(ctx context.Context, key MasterKey) error {
	var sealed []byte
	var id, source string
	err := s.db.QueryRowContext(ctx, selectMaster).Scan(&sealed, &id, &source)
	if errors.Is(err, sql.ErrNoRows) {
		return s.makeKeys(ctx, key)
	}
	if err != nil {
		return err
	}
	master, err := key.load(false)
	if err != nil {
		return err
	}
	if master.id != id {
		return fail(engine.Denied, "give it the master key that it was made with; nothing was changed",
			"it was encrypted with another master key (from %s) than the one from %s", source, master.source)
	}
	s.keys.use(master)
	_, err = s.keys.unwrap(sealed)
	return err
}

// makeKeys makes the keyset of a new store. It does so in a transaction, so that
// of several processes one makes the key file too.
func (s *Store) makeKeys(ctx context.Context, key MasterKey) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	var exists []byte
	if err := tx.QueryRowContext(ctx, selectKeyset).Scan(&exists); err == nil {
		_ = tx.Rollback()
		return s.openKeys(ctx, key)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	master, err := key.load(true)
	if err != nil {
		return err
	}
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return fmt.Errorf("make the data key: %w", err)
	}
	sealed, err := master.wrap(handle)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, insertKeyset, sealed, master.id, master.source); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.keys.use(master)
	_, err = s.keys.unwrap(sealed)
	return err
}

// place names the row and field that a ciphertext belongs to. Each part is
// quoted, so that no two lists of parts have the same place.
func place(parts ...string) []byte {
	b := []byte("v1")
	for _, part := range parts {
		b = strconv.AppendQuote(append(b, '|'), part)
	}
	return b
}

// seal encrypts a text for its place.
func (k *keys) seal(text, place []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(text, place)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed, nil
}

// open decrypts what was sealed for the place. what names it in the error.
func (k *keys) open(sealed, place []byte, what string) ([]byte, error) {
	text, err := k.aead.Decrypt(sealed, place)
	if err != nil {
		return nil, fail(engine.Permanent, "restore it from a backup, or delete it and store it again",
			"%s cannot be decrypted: it was damaged, or moved here from another place in the store", what)
	}
	return text, nil
}
