package sqloracle_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/sqloracle"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	statements := map[string]map[string]any{
		"query":       {"fetch": "SELECT next FROM seq"},
		"change":      {"execute": "UPDATE acc SET n = n + 1"},
		"block":       {"call": "pay(1)"},
		"batch":       {"batch": "INSERT INTO acc VALUES (:1)", "rows": []any{[]any{1}, []any{2}}},
		"transaction": {"transaction": []any{"UPDATE acc SET n = 1"}},
	}
	for where, drop := range map[string]oracle.Drop{"before": oracle.DropBefore, "inside": oracle.DropInside} {
		for name, inputs := range statements {
			t.Run(name+" dropped "+where+" the answer", func(t *testing.T) {
				t.Parallel()
				server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: ".", Result: oracle.Result{
					Columns: columnsIf(name == "query"), Rows: rowsIf(name == "query"), Affected: 1, Drop: drop}}}})
				_, err := run(t, to(server, inputs))
				e := wantError(t, err, tasks.Unavailable, "broke off")
				if doubt := strings.Contains(e.Message, "it is not known whether"); doubt != (name != "query") {
					t.Errorf("got %q", e.Message)
				}
				if got := server.Statements(); len(got) != 1 {
					t.Errorf("the server got %q", got)
				}
			})
		}
	}
}

func columnsIf(yes bool) []oracle.Column {
	if !yes {
		return nil
	}
	return []oracle.Column{{Name: "N", Type: oracle.Number}}
}

func rowsIf(yes bool) [][]any {
	if !yes {
		return nil
	}
	return [][]any{{1}}
}

func TestLostCommit(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]oracle.Result{
		"dropped": {Drop: oracle.DropBefore}, "no answer": {Hang: true, Deaf: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^commit$", Result: drop}, {Match: "^update", Result: oracle.Result{Affected: 1}}}})
			_, err := run(t, to(server, map[string]any{"execute": "UPDATE acc SET n = 1", "autocommit": false, "total_timeout": "5s"}))
			var e *tasks.Error
			if !errors.As(err, &e) || !strings.Contains(e.Message, "it is not known whether the transaction was committed") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A connection that was cut off anywhere gives an error of the right kind.
func TestCutOffAtEachByte(t *testing.T) {
	t.Parallel()
	eachByte(t, 1, true, func(at int, err error) {
		var e *tasks.Error
		if !errors.As(err, &e) || e.Kind != tasks.Unavailable {
			t.Errorf("cut off after %d bytes: got %v", at, err)
		}
	})
}

// Whatever a changed bit does to the answers, there is an error or not, in time,
// and no panic.
func TestGarbage(t *testing.T) {
	t.Parallel()
	const stride = 7
	eachByte(t, stride, false, func(at int, err error) {
		var e *tasks.Error
		if err != nil && (!errors.As(err, &e) || strings.Contains(e.Message, "\n")) {
			t.Errorf("garbage at %d: got %v", at, err)
		}
	})
}

// eachByte runs a query for each byte that the server sends, or for each so-manyth
// of them, and spoils the answers there. Most of them are one long list of types, of
// which a few will do.
func eachByte(t *testing.T, stride int, cut bool, check func(at int, err error)) {
	t.Helper()
	const workers = 4
	script := []oracle.Case{emp()}
	var places []int
	for at, size := 0, answerSize(t, script); at < size; at += stride {
		if list := at > 400 && at < size-500; !list || at%(16*stride) == 0 {
			places = append(places, at)
		}
	}
	if testing.Short() {
		places = places[:100]
	}
	limit := "30s"
	if !cut {
		limit = "100ms"
	}
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			driver := sqloracle.New(sqloracle.Config{MaxIdle: -1})
			server := oracle.New(t, oracle.Config{Script: script, Wrap: func(n int, c net.Conn) net.Conn {
				return &faulty{Conn: c, at: places[(n-1)*workers+w], cut: cut}
			}})
			e := taskstest.NewExecution(t)
			for i := w; i < len(places); i += workers {
				_, err := e.Run(t.Context(), t, driver, to(server, map[string]any{"fetch": "SELECT id FROM emp", "total_timeout": limit}))
				check(places[i], err)
			}
		})
	}
	group.Wait()
}

// answerSize is how many bytes a server sends for one query.
func answerSize(t *testing.T, script []oracle.Case) int {
	t.Helper()
	var f *faulty
	server := oracle.New(t, oracle.Config{Script: script, Wrap: func(_ int, c net.Conn) net.Conn {
		f = &faulty{Conn: c, at: -1}
		return f
	}})
	var seen int
	d := sqloracle.New(sqloracle.Config{MaxIdle: 1})
	t.Cleanup(d.Close)
	if _, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"fetch": "SELECT id FROM emp"})); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	seen = f.sent
	// The last call closed the cursor, and nobody minds how that ends.
	const status = 10 + 3
	return seen - status
}

// faulty changes or cuts off what a server sends at one place.
type faulty struct {
	net.Conn
	at  int
	cut bool

	mu   sync.Mutex
	sent int
}

func (f *faulty) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	start := f.sent
	f.sent += len(b)
	if f.at < start || f.at >= f.sent {
		return f.Conn.Write(b)
	}
	if f.cut {
		_, _ = f.Conn.Write(b[:f.at-start])
		_ = f.Close()
		return 0, net.ErrClosed
	}
	changed := append([]byte{}, b...)
	changed[f.at-start] ^= 1
	return f.Conn.Write(changed)
}

// The client library panics on this answer.
func TestPanicOfTheLibrary(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Wrap: func(_ int, c net.Conn) net.Conn {
		return &faulty{Conn: c, at: 19} // how many bytes follow the accept packet's head
	}})
	_, err := run(t, to(server, map[string]any{"fetch": "SELECT id FROM emp"}))
	wantError(t, err, tasks.Permanent, "could not be understood")
}

// A server that announces a packet of 4 GiB does not get the memory for it.
func TestHugePacketIsRefused(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Wrap: func(_ int, c net.Conn) net.Conn { return &announcing{Conn: c} }})
	_, err := run(t, to(server, map[string]any{"fetch": "SELECT id FROM emp"}))
	wantError(t, err, tasks.Permanent, "could not be understood: a packet of 4278190090 bytes")
}

// announcing sends its second packet with another length.
type announcing struct {
	net.Conn
	writes int
}

func (a *announcing) Write(b []byte) (int, error) {
	if a.writes++; a.writes == 2 {
		b = append([]byte{0xFF, 0, 0, 10}, b[4:]...)
	}
	return a.Conn.Write(b)
}

// After a task that was ended in the middle, the next one on the same connection
// works, and gets no error of the one before.
func TestAfterACancelledTask(t *testing.T) {
	t.Parallel()
	for _, deaf := range []bool{false, true} {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprintf("deaf %v, both markers %v", deaf, both), func(t *testing.T) {
				t.Parallel()
				server := oracle.New(t, oracle.Config{BothMarkers: both, Script: []oracle.Case{
					emp(), {Match: "^update hang", Result: oracle.Result{Hang: true, Deaf: deaf}},
				}})
				driver := newDriver(t)
				e := cancelled(t, driver, server, 0)
				for tries := 1; !deaf && strings.Contains(e.Message, "it is not known whether") && tries < 5; tries++ {
					e = cancelled(t, driver, server, tries) // this machine took longer than the grace
				}
				if doubt := strings.Contains(e.Message, "it is not known whether"); doubt != deaf {
					t.Errorf("deaf %v: got %q", deaf, e.Message)
				}
				_, before := server.Connections()
				for range 2 {
					if _, err := taskstest.NewExecution(t).Run(t.Context(), t, driver, to(server, map[string]any{"fetch": "SELECT id FROM emp"})); err != nil {
						t.Fatal(err)
					}
				}
				if _, ever := server.Connections(); ever != before+1 {
					t.Errorf("got %d connections after %d, want one that is new, and used again", ever, before)
				}
			})
		}
	}
}

// cancelled gives the error of a task that is cancelled once its statement, which is
// another one for each n, runs.
func cancelled(t *testing.T, driver *sqloracle.Driver, server *oracle.Server, n int) *tasks.Error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sql := fmt.Sprintf("UPDATE hang SET n = %d", n)
	go func() {
		server.Await(t, func(c oracle.Call) bool { return c.SQL == sql })
		cancel()
	}()
	_, err := taskstest.NewExecution(t).Run(ctx, t, driver, to(server, map[string]any{"execute": sql}))
	return wantError(t, err, tasks.Timeout)
}

func TestTotalTimeout(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^select slow", Result: oracle.Result{Delay: time.Hour}}}})
	_, err := run(t, to(server, map[string]any{"fetch": "SELECT slow FROM x", "total_timeout": "3s"}))
	e := wantError(t, err, tasks.Timeout, "it was not done within 3s", "raise `total_timeout`")
	if e.Input != "total_timeout" {
		t.Errorf("got input %q", e.Input)
	}
	if got := server.Count("break"); got != 1 {
		t.Errorf("the server was asked %d times to break off", got)
	}
}

func TestErrorsInTheMiddleOfFetching(t *testing.T) {
	t.Parallel()
	for _, markers := range []bool{false, true} {
		server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^select", Result: oracle.Result{
			Columns: []oracle.Column{{Name: "N", Type: oracle.Number}}, Count: 100, Row: func(i int) []any { return []any{i} },
			Err: &oracle.Error{Code: 1555, Text: "snapshot too old"}, ErrAfter: 55, Markers: markers,
		}}}})
		e := taskstest.NewExecution(t)
		_, err := e.Run(t.Context(), t, newDriver(t), to(server, map[string]any{"fetch": "SELECT n FROM old", "fetch_size": 20, "file_path": "n.csv"}))
		wantError(t, err, tasks.Unavailable, "ORA-01555: snapshot too old", "UNDO_RETENTION")
	}
}

func TestErrorsHaveCodesPlacesAndHints(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]struct {
		kind tasks.Kind
		hint string
	}{
		942: {tasks.NotFound, "schema"}, 1031: {tasks.Denied, "grant"}, 1: {tasks.Conflict, "MERGE"}, 1555: {tasks.Unavailable, "UNDO"},
		3113: {tasks.Unavailable, "alert log"}, 904: {tasks.Invalid, ""}, 6550: {tasks.Invalid, ""}, 60: {tasks.Conflict, "try again"}, 20001: {tasks.Permanent, ""},
		1722: {tasks.Invalid, ""}, 54: {tasks.Conflict, "locked"}, 1012: {tasks.Unavailable, ""},
	} {
		for _, markers := range []bool{false, true} {
			server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: ".", Result: oracle.Result{
				Err: &oracle.Error{Code: code, Text: "said the server", Pos: 24}, Markers: markers}}}})
			_, err := run(t, to(server, map[string]any{"execute": "SELECT name -- why\nFROM \"Émp\""}))
			e := wantError(t, err, want.kind, fmt.Sprintf("execute: ORA-%05d: said the server", code), want.hint)
			if ends := code == 3113 || code == 1012; !ends && !strings.Contains(e.Message, "(line 2, column 6: SELECT name -- why FROM ▸\"Émp\")") {
				t.Errorf("got %q without its place", e.Message)
			}
		}
	}
	for code, want := range map[int]struct {
		kind tasks.Kind
		hint string
	}{12514: {tasks.NotFound, "lsnrctl"}, 12541: {tasks.Unavailable, "listen"}, 12528: {tasks.Unavailable, "starting"}, 12520: {tasks.Unavailable, "later"}} {
		server := oracle.New(t, oracle.Config{Refuse: code})
		_, err := run(t, to(server, map[string]any{"execute": "SELECT 1 FROM DUAL"}))
		e := wantError(t, err, want.kind, fmt.Sprintf("ORA-%05d", code), want.hint, "connect to "+server.Addr)
		if !e.Unsent {
			t.Errorf("%d: the error does not say that nothing was sent", code)
		}
	}
	for code, auth := range map[int]bool{28000: false, 28001: true, 1045: false} {
		server := oracle.New(t, oracle.Config{Accounts: map[string]oracle.Account{"SCOTT": {Password: "tiger", Err: &oracle.Error{Code: code}}}})
		_, err := run(t, to(server, map[string]any{"execute": "SELECT 1 FROM DUAL"}))
		if e := wantError(t, err, tasks.Denied, fmt.Sprintf("ORA-%05d", code)); e.Auth != auth || e.Hint == "" || !e.Unsent {
			t.Errorf("%d: got %+v", code, e)
		}
	}
}

// soon waits for some seconds until something is so. The test says what it is if it is not.
func soon(so func() bool) {
	for deadline := time.Now().Add(10 * time.Second); !so() && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
}

func TestIdleSessions(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp(), {Match: "^begin", Result: oracle.Result{}}}})
	driver := newDriver(t)
	fetch := func(more map[string]any) {
		t.Helper()
		if _, err := taskstest.NewExecution(t).Run(t.Context(), t, driver, to(server, map[string]any{"fetch": "SELECT id FROM emp"}, more)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, open, ever int) {
		t.Helper()
		soon(func() bool { // the server hears of an end a little later
			gotOpen, _ := server.Connections()
			return gotOpen <= open
		})
		if gotOpen, gotEver := server.Connections(); gotEver != ever || gotOpen > open {
			t.Errorf("%s: got %d connections, %d open; want %d, %d open", what, gotEver, gotOpen, ever, open)
		}
	}
	for range 3 {
		fetch(nil)
	}
	check("the same connection", 1, 1)
	if server.Count("ping") < 2 {
		t.Error("an idle session was not tested before it was used")
	}
	server.DropAll()
	fetch(nil)
	check("a dropped session", 1, 2)

	fetch(map[string]any{"fetch_size": 7})
	check("a changed connection", 1, 3)
	server.SetAccount("scott", oracle.Account{Password: "lion"})
	fetch(map[string]any{"password": "lion"})
	check("a changed secret", 1, 4)

	if _, err := taskstest.NewExecution(t).Run(t.Context(), t, driver, to(server, map[string]any{"password": "lion", "call": "dbms_session.set_role('x')"})); err != nil {
		t.Fatal(err)
	}
	check("a block uses the idle session", 1, 4)
	fetch(map[string]any{"password": "lion"})
	check("a block wears its session", 1, 5)
	driver.Close()
	soon(func() bool { return server.Count("logoff") == 4 })
	if diff := cmp.Diff(5, server.Count("logoff")+1); diff != "" { // one was dropped
		t.Errorf("goodbyes (-want +got):\n%s", diff)
	}
}
