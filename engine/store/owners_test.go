package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// shelf is one kind of things that owners have by name.
type shelf struct {
	put    func(owner, name, text string) error
	get    func(owner, name string) (text string, err error)
	list   func(owner string) (names []string, err error)
	all    func(owner, name string) (n int, err error) // revisions or versions; nil if there are none
	remove func(owner, name string) error
}

func shelves(tb testing.TB, s *store.Store) map[string]shelf {
	tb.Helper()
	ctx := tb.Context()
	cs, docs, flows := s.Connections(), s.Documents("vault"), s.Flows()
	return map[string]shelf{
		"connection": {
			put: func(owner, name, text string) error {
				_, err := cs.Create(ctx, connections.Connection{Owner: owner, Name: name, Type: "GIT", Text: "ref: " + text + "\n"})
				return err
			},
			get: func(owner, name string) (string, error) {
				c, err := cs.Get(ctx, owner, name)
				if err == nil && c.Owner != owner {
					tb.Errorf("it is of %q", c.Owner)
				}
				return c.Text, err
			},
			list: func(owner string) ([]string, error) { return named(cs.List(ctx, owner)) },
			all: func(owner, name string) (int, error) {
				all, err := cs.Revisions(ctx, owner, name)
				return len(all), err
			},
			remove: func(owner, name string) error { return cs.Delete(ctx, owner, name) },
		},
		"document": {
			put: func(owner, name, text string) error { return docs.Create(ctx, owner, name, text) },
			get: func(owner, name string) (string, error) {
				d, err := docs.Get(ctx, owner, name)
				if err != nil {
					return "", err
				}
				return d.Text(), nil
			},
			list:   func(owner string) ([]string, error) { return named(docs.List(ctx, owner)) },
			remove: func(owner, name string) error { return docs.Delete(ctx, owner, name) },
		},
		"flow": {
			put: func(owner, name, text string) error {
				_, _, err := flows.Apply(ctx, owner, name, []byte("return '"+text+"'"))
				return err
			},
			get: func(owner, name string) (string, error) {
				_, text, err := flows.Get(ctx, owner, name, 0)
				return string(text), err
			},
			list: func(owner string) ([]string, error) { return named(flows.List(ctx, owner)) },
			all: func(owner, name string) (int, error) {
				all, err := flows.Versions(ctx, owner, name)
				return len(all), err
			},
			remove: func(owner, name string) error { return flows.Delete(ctx, owner, name) },
		},
	}
}

func moreShelves(tb testing.TB, s *store.Store) map[string]shelf {
	tb.Helper()
	ctx := tb.Context()
	settings, schedules, hooks := s.Settings(), s.Schedules(), s.Webhooks()
	return map[string]shelf{
		"setting": {
			put: func(owner, name, text string) error { return settings.Set(ctx, owner, name, text) },
			get: func(owner, name string) (string, error) {
				value, err := settings.Get(ctx, owner, name)
				return fmt.Sprint(value), err
			},
			list:   func(owner string) ([]string, error) { return named(settings.List(ctx, owner)) },
			remove: func(owner, name string) error { return settings.Delete(ctx, owner, name) },
		},
		"schedule": {
			put: func(owner, name, text string) error {
				return schedules.Create(ctx, engine.Actor{}, engine.Schedule{Owner: owner, Name: name, Flow: text})
			},
			get: func(owner, name string) (string, error) {
				got, err := schedules.Get(ctx, owner, name)
				return got.Flow, err
			},
			list:   func(owner string) ([]string, error) { return named(schedules.List(ctx, owner)) },
			remove: func(owner, name string) error { return schedules.Delete(ctx, engine.Actor{}, owner, name) },
		},
		"webhook": {
			put: func(owner, name, text string) error {
				_, err := hooks.Create(ctx, engine.Actor{}, engine.Webhook{Owner: owner, Name: name, Flow: text, Auth: engine.WebhookKey}, "")
				return err
			},
			get: func(owner, name string) (string, error) {
				got, err := hooks.Get(ctx, owner, name)
				return got.Flow, err
			},
			list:   func(owner string) ([]string, error) { return named(hooks.List(ctx, owner)) },
			remove: func(owner, name string) error { return hooks.Delete(ctx, engine.Actor{}, owner, name) },
		},
	}
}

func named[T any](things []T, err error) (names []string, _ error) {
	for _, thing := range things {
		switch thing := any(thing).(type) {
		case connections.Connection:
			names = append(names, thing.Name)
		case store.Document:
			names = append(names, thing.Name)
		case store.Flow:
			names = append(names, thing.Name)
		case store.Setting:
			names = append(names, thing.Name)
		case engine.Schedule:
			names = append(names, thing.Name)
		case engine.Webhook:
			names = append(names, thing.Name)
		}
	}
	return names, err
}

// TestOwnersHaveTheirOwn gives three owners things of the same name: each has their
// own, whatever becomes of those of others, and what is another's is answered like
// what is not there.
func TestOwnersHaveTheirOwn(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	all := shelves(t, s)
	maps.Copy(all, moreShelves(t, s))
	for kind, shelf := range all {
		owners := []string{"", "ann", "bob"}
		for _, owner := range owners {
			if err := errors.Join(shelf.put(owner, "same", "of-"+owner), shelf.put(owner, "only-"+owner+"x", "of-"+owner)); err != nil {
				t.Fatalf("%s of %q: %v", kind, owner, err)
			}
		}
		for _, owner := range owners {
			text, err := shelf.get(owner, "same")
			if want := "of-" + owner; err != nil || !contains(text, want) {
				t.Errorf("%s of %q is %q, %v", kind, owner, text, err)
			}
			names, err := shelf.list(owner)
			if want := []string{"only-" + owner + "x", "same"}; err != nil || !slices.Equal(names, want) {
				t.Errorf("%ss of %q are %q, %v", kind, owner, names, err)
			}
			for _, other := range owners {
				if other != owner {
					shelf.hides(t, kind, owner, other)
				}
			}
		}
		if err := shelf.remove("ann", "same"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if text, err := shelf.get("bob", "same"); err != nil || !contains(text, "of-bob") {
			t.Errorf("after ann has removed hers, %s of bob is %q, %v", kind, text, err)
		}
		if names, _ := shelf.list("eve"); len(names) > 0 {
			t.Errorf("eve has %ss %q", kind, names)
		}
	}
}

// hides checks that what another has is to an owner like what is not there.
func (shelf shelf) hides(t *testing.T, kind, owner, other string) {
	t.Helper()
	_, missing := shelf.get(owner, "only-evex")
	name := "only-" + other + "x"
	text, err := shelf.get(owner, name)
	if text != "" && text != "<nil>" || fmt.Sprint(err) != strings.ReplaceAll(fmt.Sprint(missing), "only-evex", name) {
		t.Errorf("%s %s for %q is %q, %v; what is not there: %v", kind, name, owner, text, err, missing)
	}
	if err := shelf.remove(owner, name); err == nil && kind != "setting" {
		t.Errorf("%q removes %s %s", owner, kind, name)
	}
	if shelf.all != nil {
		if n, err := shelf.all(owner, name); n != 0 || err == nil {
			t.Errorf("%q sees %d versions of %s %s", owner, n, kind, name)
		}
	}
	if text, err := shelf.get(other, name); err != nil || !contains(text, "of-"+other) {
		t.Errorf("after that, %s %s of %q is %q, %v", kind, name, other, text, err)
	}
}

func contains(text, part string) bool {
	_, after, ok := strings.Cut(text, part)
	return ok && (after == "" || after[0] == '\n' || after[0] == '\'')
}

func TestOwnersExecutions(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	executions := s.Executions()
	for _, owner := range []string{"", "ann", "bob"} {
		mustCommit(t, s, root(engine.ID("x"+owner+"1"), owner))
	}
	for _, owner := range []string{"", "ann", "bob"} {
		rows, _, err := executions.List(t.Context(), store.Filter{Owner: owner, Children: true})
		if diff := cmp.Diff([]engine.ID{engine.ID("x" + owner + "1")}, ids(rows)); err != nil || diff != "" {
			t.Errorf("%q (-want +got):\n%s%v", owner, diff, err)
		}
		found, err := executions.Find(t.Context(), owner, "x", false, 9)
		if err != nil || len(found) != 1 || found[0] != engine.ID("x"+owner+"1") {
			t.Errorf("%q finds %q, %v", owner, found, err)
		}
		counts, err := executions.Counts(t.Context(), owner)
		if total := counts[engine.Pending]; err != nil || total > 1 {
			t.Errorf("%q counts %v, %v", owner, counts, err)
		}
	}
	if rows, _, err := executions.List(t.Context(), store.Filter{Owner: "eve"}); len(rows) > 0 || err != nil {
		t.Errorf("eve has %d, %v", len(rows), err)
	}
	if gone, err := executions.Prune(t.Context(), now().Add(time.Hour), "ann"); gone != 0 || err != nil {
		t.Errorf("what is at work is pruned: %d, %v", gone, err)
	}
}

// TestOwnersLocks has two owners hold the lock of the same name at the same time.
func TestOwnersLocks(t *testing.T) {
	t.Parallel()
	s := openAt(t, &clock{now()})
	ann, bob := begin(t, s, "a", "ann"), begin(t, s, "b", "bob")
	for _, f := range []*flow{ann, bob} {
		if observed, _ := f.call(journal.SettingLock, "same", nil, 0); observed == nil {
			t.Errorf("%s has to wait for the lock of another", f.owner)
		}
	}
	again := begin(t, s, "c", "ann")
	if observed, _ := again.call(journal.SettingLock, "same", nil, 0); observed != nil {
		t.Error("a second flow of ann's has the lock too")
	}
	ann.call(journal.SettingSet, "same", "ann's", 0)
	if observed, _ := bob.call(journal.SettingGet, "same", nil, 0); observed == nil || observed.Value != nil {
		t.Errorf("bob reads %+v", observed)
	}
}
