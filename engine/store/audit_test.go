package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

func audited(tb testing.TB, s *store.Store, filter store.AuditFilter) []engine.AuditEvent {
	tb.Helper()
	events, err := s.Audit().List(tb.Context(), filter)
	if err != nil {
		tb.Fatal(err)
	}
	return events
}

// kinds gives what events say in short, the oldest first.
func kinds(events []engine.AuditEvent) (all []string) {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		all = append(all, fmt.Sprintf("%s by %q of %s%s", e.What, e.Owner, e.Connection, e.Subject))
	}
	return all
}

func TestAuditOfChanges(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	people(t, s, "root", "ann", "bob")
	admin := engine.Actor{Remote: "192.0.2.1:99"}
	token, _, err := s.Users().CreateToken(t.Context(), admin, "bob", "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func() error{
		func() error { return s.Users().RevokeToken(t.Context(), admin, "bob", token.ID) },
		func() error { return s.Users().RevokeToken(t.Context(), admin, "bob", token.ID) }, // it was
		func() error { return s.Users().SetDisabled(t.Context(), admin, "bob", true) },
		func() error { return s.Users().SetDisabled(t.Context(), admin, "bob", true) }, // he was
		func() error { return s.Users().SetDisabled(t.Context(), admin, "bob", false) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	create(t, s, connections.Connection{Owner: "ann", Name: "c", Type: "GIT", Text: "ref: a\n"})
	grant(t, s, "ann", "c", "bob", connections.RightManage)
	c, err := s.Shares().Get(t.Context(), "bob", "ann/c")
	if err == nil {
		_, err = s.Shares().Update(t.Context(), engine.Actor{Owner: "bob"}, c)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shares().Revoke(t.Context(), engine.Actor{Owner: "ann"}, "ann", "c", "bob"); err != nil {
		t.Fatal(err)
	}
	_, _ = s.Users().Create(t.Context(), admin, "bob", engine.RoleUser) // what failed leaves nothing
	want := []string{
		`user.create by "" of root`, `user.create by "" of ann`, `user.create by "" of bob`,
		`token.create by "" of bob ` + token.ID, `token.revoke by "" of bob ` + token.ID,
		`user.disable by "" of bob`, `user.enable by "" of bob`,
		`connection.share by "ann" of cbob manage`, `connection.manage by "bob" of c`, `connection.unshare by "ann" of cbob`,
	}
	events := audited(t, s, store.AuditFilter{All: true})
	if diff := cmp.Diff(want, kinds(events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if e := events[len(events)-4]; e.Remote != "192.0.2.1:99" || e.Number != now().UnixMicro()+3 || !e.Time.Equal(now().Truncate(time.Microsecond)) {
		t.Errorf("the fourth is %+v", e)
	}
}

func TestAuditIsSeenByItsOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	read := func(owner, connection, connectionOwner string) engine.AuditEvent {
		return engine.AuditEvent{
			What: engine.AuditSecretRead, Owner: owner, Execution: engine.ID("of-" + owner), Connection: connection,
			ConnectionOwner: connectionOwner, Path: "eu:secret/of-" + connectionOwner, Version: 3, Remote: "192.0.2.9",
		}
	}
	flow := engine.AuditEvent{What: engine.AuditSecretRead, Owner: "bob", Execution: "of-bob", ConnectionOwner: "bob", Path: "secret/mine", Version: 1}
	err := s.Audit().Record(t.Context(), read("ann", "c", "ann"), read("bob", "c", "bob"), read("bob", "shared", "ann"), flow, read("", "c", ""))
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	seen := func(owner string) (all []string) {
		for _, e := range audited(t, s, store.AuditFilter{Owner: owner}) {
			all = append(all, fmt.Sprintf("%d %s %s@%d %s", e.Number-now().UnixMicro()+1, e.Execution, e.Path, e.Version, e.Remote))
		}
		return all
	}
	for owner, want := range map[string][]string{
		"ann": {"3 of-bob eu:secret/of-ann@3 ", "1 of-ann eu:secret/of-ann@3 192.0.2.9"},
		"bob": {"4 of-bob secret/mine@1 ", "3 of-bob @0 192.0.2.9", "2 of-bob eu:secret/of-bob@3 192.0.2.9"},
		"":    {"5 of- eu:secret/of-@3 192.0.2.9"},
		"eve": nil,
	} {
		if diff := cmp.Diff(want, seen(owner)); diff != "" {
			t.Errorf("%q sees (-want +got):\n%s", owner, diff)
		}
	}
	if all := audited(t, s, store.AuditFilter{All: true}); len(all) != 5 {
		t.Errorf("there are %d events", len(all))
	}
	// What is moved to another owner is not read there.
	edit(t, dir, `UPDATE audit SET owner = 'eve' WHERE number = (SELECT min(number) FROM audit)`)
	events, err := s.Audit().List(t.Context(), store.AuditFilter{Owner: "eve"})
	if len(events) > 0 || err == nil {
		t.Errorf("eve has %+v, %v", events, err)
	}
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	clock := &hours{at: now()}
	s := openWith(t, t.TempDir(), clock)
	var group sync.WaitGroup
	for hour := range 5 {
		for i := range 20 {
			group.Go(func() {
				event := engine.AuditEvent{What: engine.AuditSecretRead, Owner: "ann", Path: fmt.Sprint(hour, i)}
				if err := s.Audit().Record(t.Context(), event); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		clock.pass(time.Hour)
	}
	// Of an hour, the first event has the time as its number, and the others follow.
	numbered := func(n int64) int64 { return now().Add(time.Duration((n-1)/20)*time.Hour).UnixMicro() + (n-1)%20 }
	numbers := func(filter store.AuditFilter) (first, last int64, n int) {
		filter.Owner = "ann"
		events := audited(t, s, filter)
		if len(events) == 0 {
			return 0, 0, 0
		}
		for i := range events[1:] {
			if events[i+1].Number >= events[i].Number {
				t.Errorf("event %d comes after %d", events[i+1].Number, events[i].Number)
			}
		}
		return events[0].Number, events[len(events)-1].Number, len(events)
	}
	for _, test := range []struct {
		filter      store.AuditFilter
		first, last int64
		n           int
	}{
		{store.AuditFilter{}, 100, 1, 100},
		{store.AuditFilter{Limit: 30}, 100, 71, 30},
		{store.AuditFilter{Limit: 30, Before: numbered(71)}, 70, 41, 30},
		{store.AuditFilter{Since: now().Add(3 * time.Hour)}, 100, 61, 40},
		{store.AuditFilter{Until: now().Add(2 * time.Hour)}, 40, 1, 40},
		{store.AuditFilter{Since: now().Add(time.Hour), Until: now().Add(2 * time.Hour)}, 40, 21, 20},
		{store.AuditFilter{Since: now().Add(9 * time.Hour)}, 0, 0, 0},
	} {
		if test.n > 0 {
			test.first, test.last = numbered(test.first), numbered(test.last)
		}
		if first, last, n := numbers(test.filter); first != test.first || last != test.last || n != test.n {
			t.Errorf("%+v: got %d to %d, %d; want %d to %d, %d", test.filter, first, last, n, test.first, test.last, test.n)
		}
	}
	if gone, err := s.Audit().Prune(t.Context(), now().Add(2*time.Hour)); gone != 40 || err != nil {
		t.Errorf("%d are gone, %v", gone, err)
	}
	if first, last, n := numbers(store.AuditFilter{}); first != numbered(100) || last != numbered(41) || n != 60 {
		t.Errorf("after pruning there are %d to %d, %d", first, last, n)
	}
}

// BenchmarkAudit has one, and many at once, write an event and wait for the disk.
func BenchmarkAudit(b *testing.B) {
	for _, at := range []int{1, 64} {
		b.Run(fmt.Sprintf("writers=%d", at), func(b *testing.B) {
			s := open(b, b.TempDir())
			var left atomic.Int64
			left.Store(int64(b.N))
			var group sync.WaitGroup
			for range at {
				group.Go(func() {
					for left.Add(-1) >= 0 {
						event := engine.AuditEvent{
							What: engine.AuditSecretRead, Owner: "ann", Execution: "019ab0c1d2e3abcdefghijkl", Connection: "oracle",
							ConnectionOwner: "ann", Path: "secret/data/oracle", Version: 3,
						}
						if err := s.Audit().Record(b.Context(), event); err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
		})
	}
}

// BenchmarkLogin checks a token.
func BenchmarkLogin(b *testing.B) {
	s := open(b, b.TempDir())
	_, text, _, err := s.Users().Bootstrap(b.Context(), "admin")
	for b.Loop() {
		if err == nil {
			_, _, err = s.Users().Login(b.Context(), text)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}
