package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC) }

// open opens the store in dir and closes it at the end of the test.
func open(tb testing.TB, dir string, key ...store.MasterKey) *store.Store {
	tb.Helper()
	config := store.Config{Dir: dir, Now: now}
	if len(key) > 0 {
		config.Key = key[0]
	}
	s, err := store.Open(tb.Context(), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func oracle(text string) connections.Connection {
	return connections.Connection{
		Name: "oracle", Type: "SQLORACLE", Text: text,
		Secrets: []connections.AttachedSecret{
			{Path: "secret/data/oracle", Version: 3, Keys: map[string]string{"password": "pw"}, Vault: "eu"},
			{Path: "other", Mount: "secret"},
		},
		Description: "the books", Labels: map[string]string{"team": "finance"}, Pinned: []string{"host"}, TTL: 60,
	}
}

// create stores a connection that must not fail.
func create(tb testing.TB, s *store.Store, c connections.Connection) connections.Connection {
	tb.Helper()
	stored, err := s.Connections().Create(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return stored
}

func TestConnectionLife(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "with ?odd%20 #name")
	s := open(t, dir)
	cs := s.Connections()
	first := create(t, s, oracle("# the host\nhost: db1 # old\nport: 0123\n"))
	if first.Revision != 1 || !first.Changed.Equal(now()) || first.Origin.Source != "store" {
		t.Errorf("created revision %d at %s from %q", first.Revision, first.Changed, first.Origin.Source)
	}
	want := oracle("# the host\nhost: db1 # old\nport: 0123\n")
	got, err := cs.Get(t.Context(), "", "oracle")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got); diff != "" {
		t.Errorf("what is read is not what was created:\n%s", diff)
	}
	if got.Text != want.Text || cmp.Diff(want.Secrets, got.Secrets) != "" || cmp.Diff(want.Labels, got.Labels) != "" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if plain := got.Value.Plain(); cmp.Diff(any(map[string]any{"host": "db1", "port": "0123"}), plain) != "" {
		t.Errorf("value is %v", plain)
	}

	second := first
	second.Text, second.Type = "host: db2\n", "OTHER"
	if second, err = cs.Update(t.Context(), second); err != nil || second.Revision != 2 {
		t.Fatalf("update gives revision %d, %v", second.Revision, err)
	}
	if _, err := cs.Update(t.Context(), first); !errors.Is(err, connections.ErrConflict) {
		t.Errorf("update of an old revision: %v", err)
	}
	revisions, err := cs.Revisions(t.Context(), "", "oracle")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]connections.Connection{second, first}, revisions); diff != "" {
		t.Errorf("revisions (-want +got):\n%s", diff)
	}
	if _, err := cs.Create(t.Context(), oracle("")); !errors.Is(err, connections.ErrExists) {
		t.Errorf("create again: %v", err)
	}

	if err := cs.Delete(t.Context(), "", "oracle"); err != nil {
		t.Fatal(err)
	}
	for doing, err := range map[string]error{
		"get":       second2(cs.Get(t.Context(), "", "oracle")),
		"revisions": second2(cs.Revisions(t.Context(), "", "oracle")),
		"update":    second2(cs.Update(t.Context(), second)),
		"delete":    cs.Delete(t.Context(), "", "oracle"),
	} {
		if !errors.Is(err, connections.ErrNotFound) {
			t.Errorf("%s after delete: %v", doing, err)
		}
	}
	// A revision number means one thing for ever.
	if again := create(t, s, oracle("")); again.Revision != 3 {
		t.Errorf("created again as revision %d, want 3", again.Revision)
	}
}

func second2[T any](_ T, err error) error { return err }

func TestConnectionOwners(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, owner := range []string{"", "ann", "ann|oracle", `ann"|"x`} {
		for _, name := range []string{"b", "a"} {
			create(t, s, connections.Connection{Owner: owner, Name: name, Type: "GIT", Text: fmt.Sprintf("of: %q\n", owner)})
		}
	}
	for _, owner := range []string{"", "ann", "ann|oracle", `ann"|"x`} {
		list, err := s.Connections().List(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			got = append(got, c.Name, c.Owner, c.Text)
		}
		text := fmt.Sprintf("of: %q\n", owner)
		if diff := cmp.Diff([]string{"a", owner, text, "b", owner, text}, got); diff != "" {
			t.Errorf("of %q (-want +got):\n%s", owner, diff)
		}
	}
	if _, err := s.Connections().Get(t.Context(), "bob", "a"); !errors.Is(err, connections.ErrNotFound) {
		t.Errorf("another's connection: %v", err)
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for want, c := range map[string]connections.Connection{
		`connection "No": a name is`:       {Name: "No", Type: "GIT"},
		`connection "a" has no type`:       {Name: "a"},
		"a value is a mapping":             {Name: "a", Type: "GIT", Text: "- hunter22-canary\n"},
		"a second one starts":              {Name: "a", Type: "GIT", Text: "a: hunter22-canary\n---\nb: 1\n"},
		`"a": 2 problems`:                  {Name: "a", Type: "GIT", Text: "a: hunter22-canary\na: 1\nb: 1\nb: 2\n"},
		"more than 1048576 bytes or so is": {Name: "a", Type: "GIT", Text: "a: " + strings.Repeat("hunter22-canary", 100_000) + "\n"},
	} {
		_, err := s.Connections().Create(t.Context(), c)
		if err == nil {
			t.Errorf("%s: stored", want)
		} else if strings.Contains(err.Error(), "hunter22") || !strings.Contains(err.Error(), want) && !strings.HasPrefix(want, "more") {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if list, err := s.Connections().List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("list: %d, %v", len(list), err)
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	vaults := s.Documents("vault")
	text := "address: https://vault\ntoken: hunter22-canary\n"
	err := errors.Join(vaults.Create(t.Context(), "", "eu", "old"), vaults.Put(t.Context(), "", "eu", text),
		vaults.Put(t.Context(), "", "asia", ""), s.Documents("other").Put(t.Context(), "", "eu", "x"))
	if err != nil {
		t.Fatal(err)
	}
	eu, err := vaults.Get(t.Context(), "", "eu")
	if err != nil || eu.Text() != text || !eu.Changed.Equal(now()) {
		t.Errorf("get gives %q of %s, %v", eu.Text(), eu.Changed, err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if got := fmt.Sprintf(verb, eu); strings.Contains(got, "hunter22") {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	list, err := vaults.List(t.Context(), "")
	if err != nil || len(list) != 2 || list[0].Name != "asia" || list[1].Text() != text {
		t.Errorf("list gives %v, %v", list, err)
	}
	if list, err := vaults.List(t.Context(), "ann"); err != nil || len(list) != 0 {
		t.Errorf("another's list gives %v, %v", list, err)
	}
	wantFailure(t, vaults.Create(t.Context(), "", "eu", "new"), engine.Conflict, `vault "eu" exists already`, "")
	if err := vaults.Delete(t.Context(), "", "eu"); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, vaults.Delete(t.Context(), "", "eu"), engine.NotFound, `no such vault: "eu"`, "")
	wantFailure(t, second2(vaults.Get(t.Context(), "", "eu")), engine.NotFound, `no such vault: "eu"`, "")
}

// wantFailure checks kind, a part of the message and a part of the hint.
func wantFailure(tb testing.TB, err error, kind engine.Kind, message, hint string) {
	tb.Helper()
	var failure *engine.Error
	if !errors.As(err, &failure) {
		tb.Errorf("got %v, want a failure of kind %s with %q", err, kind, message)
		return
	}
	if failure.Kind != kind || !strings.Contains(failure.Message, message) || !strings.Contains(failure.Hint, hint) {
		tb.Errorf("got %s: %q, hint %q; want %s: %q, hint %q", failure.Kind, failure.Message, failure.Hint, kind, message, hint)
	}
}

func TestOpenCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Open(ctx, store.Config{Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestExists(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sub", "dir")
	if store.Exists(dir) {
		t.Error("there is a store before it is opened")
	}
	open(t, dir)
	if !store.Exists(dir) {
		t.Error("there is no store after it is opened")
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "weir.db": 0o600, "weir.db-wal": 0o600, "weir.db-shm": 0o600, "master.key": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %04o, want %04o", name, got, want)
		}
	}
}

// masterKey gives a master key that is the same for the same letter.
func masterKey(letter string) store.MasterKey {
	return store.KeyText("WEIR_MASTER_KEY", base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, 32))))
}
