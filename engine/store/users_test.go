package store_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

// hours is a clock that a test moves.
type hours struct {
	mu sync.Mutex
	at time.Time
}

func (h *hours) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hours) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func openWith(tb testing.TB, dir string, clock *hours) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Config{Dir: dir, Now: clock.now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// people makes users: the first is an admin.
func people(tb testing.TB, s *store.Store, names ...string) {
	tb.Helper()
	for i, name := range names {
		role := engine.RoleUser
		if i == 0 {
			role = engine.RoleAdmin
		}
		if _, err := s.Users().Create(tb.Context(), engine.Actor{}, name, role); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	users := s.Users()
	if _, err := users.Owner(t.Context(), ""); err == nil {
		t.Error("a store without users has one")
	}
	if _, err := users.Create(t.Context(), engine.Actor{}, "early", engine.RoleUser); err != nil {
		t.Fatal(err)
	}
	people(t, s, "root", "ann")
	if _, err := users.Create(t.Context(), engine.Actor{}, "second", engine.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	created := now().Truncate(time.Second)
	want := []engine.User{
		{Name: "ann", Owner: "ann", Role: engine.RoleUser, Created: created},
		{Name: "early", Owner: "early", Role: engine.RoleUser, Created: created},
		{Name: "root", Owner: "", Role: engine.RoleAdmin, Created: created},
		{Name: "second", Owner: "second", Role: engine.RoleAdmin, Created: created},
	}
	got, err := open(t, dir).Users().List(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("users (-want +got):\n%s%v", diff, err)
	}
	if first, err := users.Owner(t.Context(), ""); err != nil || first.Name != "root" {
		t.Errorf("the owner of what was made without users is %q, %v", first.Name, err)
	}

	for name, fault := range map[string]string{"ann": "there is or was", "": "a name is", "a/b": "a name is", "-x": "a name is", "A": "a name is", strings.Repeat("x", 65): "a name is"} {
		if _, err := users.Create(t.Context(), engine.Actor{}, name, engine.RoleUser); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("user %q: got %v, want %q", name, err, fault)
		}
	}
	_, err = users.Create(t.Context(), engine.Actor{}, "bob", "owner")
	wantFailure(t, err, engine.Invalid, "a role is admin or user", "")
	_, err = users.Get(t.Context(), "bob")
	wantFailure(t, err, engine.NotFound, `no such user: "bob"`, "weir user list")
}

func TestDisabledUsers(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	people(t, s, "root", "ann")
	users := s.Users()
	wantFailure(t, users.SetDisabled(t.Context(), engine.Actor{}, "root", true), engine.Conflict, "the only admin", "another admin")
	wantFailure(t, users.SetDisabled(t.Context(), engine.Actor{}, "bob", true), engine.NotFound, `no such user: "bob"`, "")
	_, text, err := users.CreateToken(t.Context(), engine.Actor{}, "ann", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if err := users.SetDisabled(t.Context(), engine.Actor{}, "ann", true); err != nil {
		t.Fatal(err)
	}
	_, _, err = users.Login(t.Context(), text)
	wantFailure(t, err, engine.Denied, "the token is not valid", "")
	_, err = users.Create(t.Context(), engine.Actor{}, "ann", engine.RoleUser)
	wantFailure(t, err, engine.Conflict, "there is or was", "")
	if err := users.SetDisabled(t.Context(), engine.Actor{}, "ann", false); err != nil {
		t.Fatal(err)
	}
	if user, _, err := users.Login(t.Context(), text); err != nil || user.Owner != "ann" {
		t.Errorf("ann is enabled again, and is %+v, %v", user, err)
	}
	if _, err := users.Create(t.Context(), engine.Actor{}, "deputy", engine.RoleAdmin); err != nil {
		t.Fatal(err)
	}
	if err := users.SetDisabled(t.Context(), engine.Actor{}, "root", true); err != nil {
		t.Errorf("one of two admins: %v", err)
	}
	wantFailure(t, users.SetDisabled(t.Context(), engine.Actor{}, "deputy", true), engine.Conflict, "the only admin", "")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := &hours{at: now()}
	s := openWith(t, dir, clock)
	people(t, s, "root", "ann")
	users := s.Users()
	token, text, err := users.CreateToken(t.Context(), engine.Actor{}, "ann", "laptop", clock.now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if rest, ok := strings.CutPrefix(text, "weir_"); !ok || len(rest) != 43 {
		t.Errorf("a token is %d characters after its prefix", len(rest))
	}
	user, found, err := users.Login(t.Context(), text)
	if err != nil || user.Name != "ann" || user.Owner != "ann" || user.Role != engine.RoleUser || found.ID != token.ID {
		t.Fatalf("it is of %+v, %+v, %v", user, found, err)
	}
	refused := func(when, text string, known bool) {
		t.Helper()
		user, token, err := users.Login(t.Context(), text)
		wantFailure(t, err, engine.Denied, "the token is not valid", "")
		if user.Name != "" || (token.ID != "") != known {
			t.Errorf("%s: got %+v and %+v", when, user, token)
		}
	}
	for _, wrong := range []string{"", "weir_", text[:len(text)-1], text + "A", strings.ToUpper(text), token.ID} {
		refused(wrong, wrong, false)
	}
	used := func(want time.Time) {
		t.Helper()
		if err := s.Audit().Record(t.Context(), engine.AuditEvent{What: "x"}); err != nil { // it is written after
			t.Fatal(err)
		}
		tokens, err := users.Tokens(t.Context(), "ann")
		if err != nil || len(tokens) != 1 || !tokens[0].LastUsed.Equal(want) {
			t.Errorf("last used is %+v, want %s; %v", tokens, want, err)
		}
	}
	used(now().Truncate(time.Minute))
	clock.pass(20 * time.Second)
	_, _, _ = users.Login(t.Context(), text)
	used(now().Truncate(time.Minute))
	clock.pass(59 * time.Second)
	_, _, _ = users.Login(t.Context(), text)
	used(clock.now().Truncate(time.Minute))
	clock.pass(time.Hour)
	refused("expired", text, true)

	token, text, err = users.CreateToken(t.Context(), engine.Actor{}, "ann", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	wantFailure(t, users.RevokeToken(t.Context(), engine.Actor{}, "root", token.ID), engine.NotFound, "has no token", "")
	other := openWith(t, dir, clock) // another process
	if err := other.Users().RevokeToken(t.Context(), engine.Actor{}, "ann", token.ID); err != nil {
		t.Fatal(err)
	}
	refused("revoked", text, true)
	_, _, err = users.CreateToken(t.Context(), engine.Actor{}, "bob", "", time.Time{})
	wantFailure(t, err, engine.NotFound, `no such user: "bob"`, "")
	_, _, err = users.CreateToken(t.Context(), engine.Actor{}, "ann", "", clock.now())
	wantFailure(t, err, engine.Invalid, "expired already", "")
	_, err = users.Tokens(t.Context(), "bob")
	wantFailure(t, err, engine.NotFound, `no such user: "bob"`, "")
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	_, text, made, err := s.Users().Bootstrap(t.Context(), "admin")
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	if user, _, err := s.Users().Login(t.Context(), text); err != nil || user.Owner != "" || user.Role != engine.RoleAdmin {
		t.Errorf("its token is of %+v, %v", user, err)
	}
	_, text, made, err = s.Users().Bootstrap(t.Context(), "admin")
	if text != "" || made || err != nil {
		t.Errorf("the second time it made %v, %v", made, err)
	}
}

// TestForgedUsers changes the file without the key: nobody gets a right by that.
func TestForgedUsers(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"an admin's role":      `UPDATE user SET body = (SELECT body FROM user WHERE name = 'root') WHERE name = 'ann'`,
		"an admin's owner":     `UPDATE user SET owner = 'x' WHERE name = 'root'; UPDATE user SET owner = '' WHERE name = 'ann'`,
		"an admin's name":      `UPDATE user SET name = 'x' WHERE name = 'root'; UPDATE user SET name = 'root' WHERE name = 'ann'`,
		"a token of another":   `UPDATE token SET user = (SELECT id FROM user WHERE name = 'root')`,
		"a token of one's own": `UPDATE token SET digest = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'`, // of "abc"
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			people(t, s, "root", "ann")
			_, text, err := s.Users().CreateToken(t.Context(), engine.Actor{}, "ann", "", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			edit(t, dir, statement)
			for _, text := range []string{text, "abc"} {
				if user, _, err := s.Users().Login(t.Context(), text); err == nil {
					t.Errorf("it is taken for one of %+v", user)
				}
			}
			if _, faults := check(t, s); len(faults) == 0 {
				t.Error("the check finds nothing")
			}
		})
	}
}

// TestUsersCanary looks in every file for tokens and what people typed, also after a
// rotation of the key, after which all is as it was.
func TestUsersCanary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	people(t, s, "root", "ann", "bob")
	canaries := []string{"canary-of-many-c0ffee-1"}
	canary := func() string {
		canaries = append(canaries, fmt.Sprintf("canary-%d-of-many-c0ffee", len(canaries)))
		return canaries[len(canaries)-1]
	}
	_, text, err := s.Users().CreateToken(t.Context(), engine.Actor{}, "ann", canary(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	canaries = append(canaries, text)
	create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT", Text: "ref: " + canary() + "\n"})
	err = s.Shares().Grant(t.Context(), engine.Actor{Owner: "ann"}, connections.Share{Owner: "ann", Connection: "c", With: "bob", Right: connections.RightUse})
	if err != nil {
		t.Fatal(err)
	}
	schedule := engine.Schedule{Owner: "ann", Name: "nightly", Flow: canary(), Inputs: map[string]any{canary(): canary()}, Cron: canary(), Enabled: true, NextRun: now()}
	if err := s.Schedules().Create(t.Context(), engine.Actor{}, schedule); err != nil {
		t.Fatal(err)
	}
	if stored, err := s.Schedules().Get(t.Context(), "ann", "nightly"); err != nil {
		t.Error(err)
	} else if err := s.Schedules().Ran(t.Context(), engine.ScheduleRun{Schedule: stored, Problem: canary(), Next: now().Add(time.Hour)}); err != nil {
		t.Error(err)
	}
	keys := map[engine.WebhookAuth]string{}
	for _, auth := range []engine.WebhookAuth{engine.WebhookKey, engine.WebhookHMAC} {
		key, err := s.Webhooks().Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: "ann", Name: string(auth), Flow: canary(), Auth: auth, Enabled: true}, "")
		if err != nil {
			t.Fatal(err)
		}
		canaries, keys[auth] = append(canaries, key), key
	}
	event := engine.AuditEvent{What: engine.AuditSecretRead, Owner: "ann", Execution: "e", Connection: canary(), ConnectionOwner: "bob", Path: canary(), Subject: canary(), Remote: canary()}
	if err := s.Audit().Record(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	lookFor(t, dir, canaries, "writing")
	if err := s.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	lookFor(t, dir, canaries, "rotation")
	if err := s.Backup(t.Context(), filepath.Join(dir, "copy.db")); err != nil {
		t.Fatal(err)
	}
	lookFor(t, dir, canaries, "backup")
	s = open(t, dir)
	if user, _, err := s.Users().Login(t.Context(), text); err != nil || user.Name != "ann" {
		t.Errorf("after rotation the token is of %+v, %v", user, err)
	}
	if c, err := s.Shares().Get(t.Context(), "bob", "ann/c"); err != nil || c.Shared != connections.RightUse {
		t.Errorf("after rotation the connection is %+v, %v", c, err)
	}
	got, err := s.Schedules().Get(t.Context(), "ann", "nightly")
	if err != nil || cmp.Diff(schedule.Inputs, got.Inputs) != "" {
		t.Errorf("after rotation the schedule is %+v, %v", got, err)
	}
	takesKey(t, s.Webhooks(), "key", keys[engine.WebhookKey])
	if seen, faults := check(t, s); len(faults) > 0 || seen.Users != 3 || seen.AuditEvents != 9 {
		t.Errorf("the check sees %+v, %q", seen, faults)
	}
}
