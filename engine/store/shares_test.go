package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

func grant(tb testing.TB, s *store.Store, owner, name, with string, right connections.Right) {
	tb.Helper()
	err := s.Shares().Grant(tb.Context(), engine.Actor{Owner: owner}, connections.Share{Owner: owner, Connection: name, With: with, Right: right})
	if err != nil {
		tb.Fatal(err)
	}
}

func wantMissing(tb testing.TB, s *store.Store, owner, name string) {
	tb.Helper()
	_, err := s.Shares().Get(tb.Context(), owner, name)
	var missing *connections.NotFoundError
	if !errors.As(err, &missing) || err.Error() != (&connections.NotFoundError{Name: name}).Error() {
		tb.Errorf("%s of %q: got %v", name, owner, err)
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	people(t, s, "root", "ann", "bob", "eve")
	for _, owner := range []string{"", "ann", "bob"} {
		create(t, s, connections.Connection{Owner: owner, Name: "c", Type: "GIT", Text: "ref: of " + owner + "\n"})
	}
	for _, name := range []string{"ann/c", "ann/d", "root/c", "/c", "bob/c", "c", "ann/", "nobody/c", "ann/c/c"} {
		wantMissing(t, s, "bob", name)
	}
	grant(t, s, "ann", "c", "bob", connections.RightUse)
	grant(t, s, "", "c", "bob", connections.RightManage)
	got, err := s.Shares().Get(t.Context(), "bob", "ann/c")
	if err != nil || got.Text != "ref: of ann\n" || got.Owner != "ann" || got.Name != "ann/c" || got.Shared != connections.RightUse || got.Revision != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err = s.Shares().Get(t.Context(), "bob", "root/c"); err != nil || got.Text != "ref: of \n" || got.Owner != "" || got.Shared != connections.RightManage {
		t.Errorf("got %+v, %v", got, err)
	}
	list, err := s.Shares().List(t.Context(), "bob")
	if err != nil || len(list) != 2 || list[0].Name != "ann/c" || list[1].Name != "root/c" {
		t.Errorf("what is shared with bob is %+v, %v", list, err)
	}
	for _, owner := range []string{"ann", "eve", "", "root"} {
		wantMissing(t, s, owner, "ann/c")
		if list, err := s.Shares().List(t.Context(), owner); len(list) > 0 || err != nil {
			t.Errorf("what is shared with %q is %+v, %v", owner, list, err)
		}
	}
}

// TestSharesTakenBack takes shares back in every way.
func TestSharesTakenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	people(t, s, "root", "ann", "bob")
	create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT", Text: "ref: of ann\n"})
	grant(t, s, "ann", "c", "bob", connections.RightUse)
	since := now().Truncate(time.Second)
	shares, err := s.Shares().Of(t.Context(), "ann", "")
	if diff := cmp.Diff([]connections.Share{{Owner: "ann", Connection: "c", With: "bob", Right: connections.RightUse, Since: since}}, shares); err != nil || diff != "" {
		t.Errorf("shares (-want +got):\n%s%v", diff, err)
	}
	grant(t, s, "ann", "c", "bob", connections.RightManage)
	if got, err := s.Shares().Get(t.Context(), "bob", "ann/c"); err != nil || got.Shared != connections.RightManage {
		t.Errorf("granted again, it is %+v, %v", got, err)
	}
	// It is gone at once, also for another process.
	if err := open(t, dir).Shares().Revoke(t.Context(), engine.Actor{Owner: "ann"}, "ann", "c", "bob"); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, s, "bob", "ann/c")
	wantFailure(t, s.Shares().Revoke(t.Context(), engine.Actor{}, "ann", "c", "bob"), engine.NotFound, "is not shared with", "")
	// A share does not outlive its connection.
	grant(t, s, "ann", "c", "bob", connections.RightUse)
	if err := s.Connections().Delete(t.Context(), "ann", "c"); err != nil {
		t.Fatal(err)
	}
	wantMissing(t, s, "bob", "ann/c")
	create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT", Text: "ref: new\n"})
	wantMissing(t, s, "bob", "ann/c")
}

func TestSharesRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	people(t, s, "root", "ann", "bob")
	create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT"})
	for _, test := range []struct {
		share connections.Share
		kind  engine.Kind
		text  string
	}{
		{connections.Share{Owner: "ann", Connection: "c", With: "ann", Right: connections.RightUse}, engine.Invalid, "is theirs already"},
		{connections.Share{Owner: "ann", Connection: "c", With: "bob", Right: "own"}, engine.Invalid, "for use or for manage"},
		{connections.Share{Owner: "ann", Connection: "c", With: "eve", Right: connections.RightUse}, engine.NotFound, `no such user: "eve"`},
	} {
		wantFailure(t, s.Shares().Grant(t.Context(), engine.Actor{}, test.share), test.kind, test.text, "")
	}
	for _, owner := range []string{"bob", ""} {
		err := s.Shares().Grant(t.Context(), engine.Actor{Owner: owner}, connections.Share{Owner: owner, Connection: "c", With: "eve", Right: connections.RightUse})
		if !errors.Is(err, connections.ErrNotFound) {
			t.Errorf("%q shares what is not theirs: %v", owner, err)
		}
	}
}

func TestManageShared(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	people(t, s, "root", "ann", "bob")
	create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT", Text: "ref: a\n"})
	grant(t, s, "ann", "c", "bob", connections.RightUse)
	bob := engine.Actor{Owner: "bob"}
	c, err := s.Shares().Get(t.Context(), "bob", "ann/c")
	if err != nil {
		t.Fatal(err)
	}
	c.Text = "ref: b\n"
	_, err = s.Shares().Update(t.Context(), bob, c)
	wantFailure(t, err, engine.Denied, "shared for use only", "")
	grant(t, s, "ann", "c", "bob", connections.RightManage)
	changed, err := s.Shares().Update(t.Context(), bob, c)
	if err != nil || changed.Revision != 2 || changed.Name != "ann/c" || changed.Owner != "ann" {
		t.Errorf("changed it is %+v, %v", changed, err)
	}
	if got, err := s.Connections().Get(t.Context(), "ann", "c"); err != nil || got.Text != "ref: b\n" || got.Revision != 2 {
		t.Errorf("ann has %+v, %v", got, err)
	}
	if _, err := s.Shares().Update(t.Context(), bob, c); !errors.Is(err, connections.ErrConflict) {
		t.Errorf("an old revision: %v", err)
	}
	if err := s.Shares().Revoke(t.Context(), engine.Actor{}, "ann", "c", "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Shares().Update(t.Context(), bob, changed); !errors.Is(err, connections.ErrNotFound) {
		t.Errorf("taken back: %v", err)
	}
	own := connections.Connection{Owner: "bob", Name: "c", Type: "GIT", Revision: 1}
	_, err = s.Shares().Update(t.Context(), bob, own)
	wantFailure(t, err, engine.Internal, "is no shared one", "")
}

// TestForgedShares changes the file without the key.
func TestForgedShares(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"another's right":      `UPDATE share SET body = (SELECT body FROM share WHERE user = (SELECT id FROM user WHERE name = 'eve')) WHERE user = (SELECT id FROM user WHERE name = 'bob')`,
		"another connection":   `UPDATE share SET connection = (SELECT id FROM connection WHERE name = 'd') WHERE user = (SELECT id FROM user WHERE name = 'bob')`,
		"somebody else":        `UPDATE share SET user = (SELECT id FROM user WHERE name = 'root') WHERE user = (SELECT id FROM user WHERE name = 'bob')`,
		"one that is made up":  `INSERT INTO share (connection, user, body) SELECT (SELECT id FROM connection WHERE name = 'd'), id, x'00' FROM user WHERE name = 'bob'`,
		"another's connection": `UPDATE connection SET owner = 'root' WHERE name = 'c'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			people(t, s, "root", "ann", "bob", "eve")
			create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT", Text: "ref: a\n"})
			create(t, s, connections.Connection{Owner: "ann", Name: "d", Type: "GIT", Text: "ref: a\n"})
			grant(t, s, "ann", "c", "bob", connections.RightUse)
			grant(t, s, "ann", "c", "eve", connections.RightManage)
			edit(t, dir, statement)
			for _, owner := range []string{"bob", ""} {
				for _, name := range []string{"ann/c", "ann/d", "root/c"} {
					if c, err := s.Shares().Get(t.Context(), owner, name); err == nil && (owner != "bob" || name != "ann/c" || c.Shared != connections.RightUse) {
						t.Errorf("%q has %s for %s", owner, name, c.Shared)
					}
				}
			}
		})
	}
}
