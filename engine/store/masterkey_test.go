package store_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

// openError opens the store in dir, which must fail.
func openError(tb testing.TB, dir string, key store.MasterKey) error {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Config{Dir: dir, Key: key})
	if err == nil {
		tb.Errorf("opens with %s", key)
		_ = s.Close()
	}
	return err
}

// close1 makes a store with one connection and closes it.
func close1(tb testing.TB, dir string, key store.MasterKey) {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Config{Dir: dir, Key: key})
	if err != nil {
		tb.Fatal(err)
	}
	create(tb, s, oracle("host: db1\n"))
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// mustRead checks that the connection of close1 is still there.
func mustRead(tb testing.TB, dir string, key store.MasterKey) {
	tb.Helper()
	if c, err := open(tb, dir, key).Connections().Get(tb.Context(), "", "oracle"); err != nil || c.Text != "host: db1\n" {
		tb.Errorf("the connection is lost: %v", err)
	}
}

func write(tb testing.TB, path, text string, mode os.FileMode) string {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // not changed by the umask
		tb.Fatal(err)
	}
	return path
}

func TestMasterKeyTexts(t *testing.T) {
	t.Parallel()
	raw := strings.Repeat("\xfb\xefk?", 8)
	dir := t.TempDir()
	close1(t, dir, store.KeyText("env", base64.StdEncoding.EncodeToString([]byte(raw))))
	for _, text := range []string{
		raw, base64.RawStdEncoding.EncodeToString([]byte(raw)), base64.URLEncoding.EncodeToString([]byte(raw)),
		hex.EncodeToString([]byte(raw)), strings.ToUpper(hex.EncodeToString([]byte(raw))) + "\n",
	} {
		mustRead(t, dir, store.KeyText("env", text))
	}
	for _, text := range []string{"", "hunter22", raw[1:], strings.Repeat("ab", 31)} {
		err := openError(t, dir, store.KeyText("WEIR_MASTER_KEY", text))
		wantFailure(t, err, engine.Denied, "the master key from WEIR_MASTER_KEY is not 32 bytes in base64 or hex", "openssl rand -base64 32")
		if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	key := store.KeyText("WEIR_MASTER_KEY", "hunter22-canary")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if got := fmt.Sprintf(verb, key); strings.Contains(got, "hunter22") || strings.Contains(got, "68756e74") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func TestMasterKeyWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	close1(t, dir, masterKey("a"))
	wantFailure(t, openError(t, dir, store.KeyText("the vault", base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", 32))))),
		engine.Denied, "encrypted with another master key (from WEIR_MASTER_KEY) than the one from the vault", "nothing was changed")
	file := filepath.Join(dir, "master.key")
	wantFailure(t, openError(t, dir, store.MasterKey{}), engine.Denied, "key file "+file+" is missing", "restore the file from a backup")
	if _, err := os.Stat(file); err == nil {
		t.Error("a new key was made for an old store")
	}
	mustRead(t, dir, masterKey("a"))
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "deep", "weir.key")
	close1(t, filepath.Join(dir, "store"), store.KeyFile(path))
	for path, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	mustRead(t, filepath.Join(dir, "store"), store.KeyFile(link))
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601, 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, link} {
			wantFailure(t, openError(t, filepath.Join(dir, "store"), store.KeyFile(name)),
				engine.Denied, fmt.Sprintf("key file %s may be used by others (its mode is %04o)", name, mode), "chmod 600 "+path)
		}
	}
	wantFailure(t, openError(t, filepath.Join(dir, "store"), store.KeyFile(dir)), engine.Denied, "is no regular file", "")
	// A key that somebody laid there beforehand is used, if it is well kept.
	laid := write(t, filepath.Join(dir, "laid"), strings.Repeat("ab", 32)+"\n", 0o400)
	close1(t, filepath.Join(dir, "other"), store.KeyFile(laid))
	mustRead(t, filepath.Join(dir, "other"), store.KeyText("env", strings.Repeat("ab", 32)))
	wide := write(t, filepath.Join(dir, "wide"), strings.Repeat("ab", 32), 0o644)
	wantFailure(t, openError(t, filepath.Join(dir, "third"), store.KeyFile(wide)), engine.Denied, "may be used by others", "chmod 600 "+wide)
}

func TestKeyCredential(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for mode, good := range map[os.FileMode]bool{0o400: true, 0o440: true, 0o600: true, 0o444: false, 0o460: false} {
		path := write(t, filepath.Join(dir, fmt.Sprintf("key-%o", mode)), strings.Repeat("k", 32), mode)
		to := filepath.Join(dir, fmt.Sprintf("store-%o", mode))
		if good {
			close1(t, to, store.KeyCredential(path))
			mustRead(t, to, store.KeyCredential(path))
			continue
		}
		wantFailure(t, openError(t, to, store.KeyCredential(path)), engine.Denied, "may be used by others", "chmod 400 "+path)
	}
	wantFailure(t, openError(t, filepath.Join(dir, "new"), store.KeyCredential(filepath.Join(dir, "none"))),
		engine.Denied, "systemd credential "+filepath.Join(dir, "none")+" is missing", "LoadCredential")
}

func TestRekey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	close1(t, dir, masterKey("a"))
	s, other := open(t, dir, masterKey("a")), open(t, dir, masterKey("a"))
	if err := s.Rekey(t.Context(), store.KeyFile(filepath.Join(dir, "new.key"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Connections().Get(t.Context(), "", "oracle"); err != nil {
		t.Errorf("read after rekey: %v", err)
	}
	_, err := other.Connections().Get(t.Context(), "", "oracle")
	wantFailure(t, err, engine.Denied, "cannot be unwrapped with the master key from WEIR_MASTER_KEY", "start again with the new one")
	_, err = other.Connections().Create(t.Context(), connections.Connection{Name: "b", Type: "GIT"})
	wantFailure(t, err, engine.Denied, "cannot be unwrapped", "")
	wantFailure(t, openError(t, dir, masterKey("a")), engine.Denied, "another master key (from key file "+dir, "")
	mustRead(t, dir, store.KeyFile(filepath.Join(dir, "new.key")))
	if err := s.RotateKey(t.Context()); err != nil {
		t.Errorf("rotate after rekey: %v", err)
	}
	wantFailure(t, s.Rekey(t.Context(), store.KeyText("env", "short")), engine.Denied, "is not 32 bytes", "")
	mustRead(t, dir, store.KeyFile(filepath.Join(dir, "new.key")))
}
