package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/weir-engine/weir/engine"
)

// MasterKey says where the master key is read: 32 random bytes, in base64 or hex.
// The zero MasterKey is the file master.key in the store's directory. It prints
// as the place, never as the key.
type MasterKey struct {
	source string
	read   func(create bool) ([]byte, error)
	made   string // the file that the first use makes; empty for others
}

// KeyFile reads the master key from a file that nobody but its owner may read.
// The first use of a new store makes the file.
func KeyFile(path string) MasterKey {
	return MasterKey{made: path, source: "key file " + path, read: func(create bool) ([]byte, error) {
		text, err := readKeyFile(path, 0o077, "chmod 600 ")
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
		if !create {
			return nil, fail(engine.Denied, "restore the file from a backup; without it nobody can read what is stored",
				"key file %s is missing, and the store was encrypted with it", path)
		}
		if err := makeKeyFile(path); err != nil {
			return nil, fmt.Errorf("make key file: %w", err)
		}
		return readKeyFile(path, 0o077, "chmod 600 ")
	}}
}

// KeyText takes the master key from a text that source names, such as the
// environment variable it came from.
func KeyText(source, text string) MasterKey {
	return MasterKey{source: source, read: func(bool) ([]byte, error) { return []byte(text), nil }}
}

// KeyCredential reads the master key from a file that systemd made for the
// service, below $CREDENTIALS_DIRECTORY. Its group may read it.
func KeyCredential(path string) MasterKey {
	return MasterKey{source: "systemd credential " + path, read: func(bool) ([]byte, error) {
		text, err := readKeyFile(path, 0o027, "chmod 400 ")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fail(engine.Denied, "give the service LoadCredentialEncrypted= or LoadCredential= for it",
				"systemd credential %s is missing", path)
		}
		return text, err
	}}
}

// Check tells what is wrong with a key that a new store is to have. A key file that is
// not there yet is made with the store.
func (k MasterKey) Check() error {
	if _, err := os.Stat(k.made); k.read == nil || (k.made != "" && errors.Is(err, fs.ErrNotExist)) {
		return nil
	}
	_, err := k.load(false)
	return err
}

// String says where the key is read.
func (k MasterKey) String() string { return k.source }

// wrappingKey is a master key that was read.
type wrappingKey struct {
	aead   tink.AEAD
	id     string // fingerprint
	source string
}

// load reads the key. create allows to make a new one.
func (k MasterKey) load(create bool) (*wrappingKey, error) {
	text, err := k.read(create)
	if err != nil {
		return nil, err
	}
	key, ok := parseKey(text)
	if !ok {
		return nil, fail(engine.Denied, "make one with: openssl rand -base64 32",
			"the master key from %s is not 32 bytes in base64 or hex", k.source)
	}
	aead, err := subtle.NewAESGCM(key)
	if err != nil {
		return nil, fmt.Errorf("use the master key from %s: %w", k.source, err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("weir master key id"))
	return &wrappingKey{aead, hex.EncodeToString(mac.Sum(nil)[:8]), k.source}, nil
}

const keySize = 32

// parseKey reads a key in base64, hex or as it is.
func parseKey(text []byte) ([]byte, bool) {
	if len(text) == keySize {
		return text, true
	}
	trimmed := string(bytes.TrimRight(bytes.TrimSpace(text), "="))
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.RawStdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if key, err := decode(trimmed); err == nil && len(key) == keySize {
			return key, true
		}
	}
	return nil, false
}

// readKeyFile reads a file on which nobody has any of the forbidden rights.
func readKeyFile(path string, forbidden fs.FileMode, remedy string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // whoever configures the store names the file
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fail(engine.Denied, "", "key file %s is no regular file", path)
	}
	// Windows keeps rights elsewhere; the mode says nothing there.
	if runtime.GOOS != "windows" && info.Mode().Perm()&forbidden != 0 {
		return nil, fail(engine.Denied, remedy+realPath(path),
			"key file %s may be used by others (its mode is %04o)", path, info.Mode().Perm())
	}
	const limit = 4096
	text, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	return text, nil
}

// realPath follows links, so that a remedy is about the file itself.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// makeKeyFile makes a file with a new key, unless there is one. It appears at
// once with all of its text, on disk.
func makeKeyFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".master-key-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	_, err = draft.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // whoever configures the store names the directory
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
