package sqloracle_test

import (
	"bytes"
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

// What the client library is known to do wrong, and what servers do to clients.

// A break that reaches the server when its call is over is answered all the same, and
// the answer meets the next call. It is not the next task's.
func TestLateBreak(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{false, true} {
		var injected *injecting
		server := oracle.New(t, oracle.Config{BothMarkers: both, Script: []oracle.Case{emp()}, Wrap: func(n int, c net.Conn) net.Conn {
			if n > 1 {
				return c
			}
			injected = &injecting{Conn: c, what: []byte{0, 0, 0, 11, 12, 0, 0, 0, 1, 0, 3}}
			return injected
		}})
		d := newDriver(t)
		fetch := to(server, map[string]any{"fetch": "SELECT id FROM emp"})
		for i := range 3 {
			if _, err := taskstest.NewExecution(t).Run(t.Context(), t, d, fetch); err != nil {
				t.Fatalf("task %d, both markers %v: %v", i+1, both, err)
			}
			if i == 0 {
				injected.arm()
			}
		}
		if server.Count("break") != 1 {
			t.Errorf("the server got %d breaks", server.Count("break"))
		}
		if _, ever := server.Connections(); ever != 2 {
			t.Errorf("both markers %v: %d connections, want that the session with the break is not used", both, ever)
		}
	}
}

// injecting puts something before what a client sends next.
type injecting struct {
	net.Conn
	what []byte

	mu    sync.Mutex
	armed bool
	left  []byte
}

func (i *injecting) arm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed = true
}

func (i *injecting) Read(b []byte) (int, error) {
	i.mu.Lock()
	if len(i.left) > 0 {
		n := copy(b, i.left)
		i.left = i.left[n:]
		i.mu.Unlock()
		return n, nil
	}
	i.mu.Unlock()
	n, err := i.Conn.Read(b)
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.armed || n == 0 {
		return n, err
	}
	i.armed = false
	all := append(bytes.Clone(i.what), b[:n]...)
	taken := copy(b, all)
	i.left = all[taken:]
	return taken, err
}

// A task that ends at about the time when its answer comes leaves no ORA-01013 to the
// next one, whichever of the two is first.
func TestTimeoutsAndAnswersRace(t *testing.T) {
	t.Parallel()
	const rounds, longest = 30, 6 * time.Millisecond
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp(), {Match: "^update", Result: oracle.Result{Affected: 1, Delay: longest / 2}}}})
	d := newDriver(t)
	for i := range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), longest*time.Duration(i)/rounds)
		_, err := taskstest.NewExecution(t).Run(ctx, t, d, to(server, map[string]any{"execute": "UPDATE t SET n = 1"}))
		cancel()
		var e *tasks.Error
		if err != nil && (!errors.As(err, &e) || e.Kind != tasks.Timeout) {
			t.Errorf("round %d: got %v", i, err)
		}
		out, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"fetch": "SELECT id FROM emp"}))
		if err != nil || out["row_count"] != int64(3) {
			t.Fatalf("round %d: the next task gave %v, %v", i, out, err)
		}
	}
}

// However short the time, its end is a timeout, and no fault of the network.
func TestShortTimes(t *testing.T) {
	t.Parallel()
	mute := oracle.New(t, oracle.Config{Mute: true})
	for _, limit := range []time.Duration{1, 20 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond} {
		for range 10 {
			_, err := run(t, to(mute, query, map[string]any{"connect_timeout": limit.String()}))
			if e := wantError(t, err, tasks.Timeout, "no connection within"); !e.Unsent {
				t.Error("the error does not say that nothing was sent")
			}
		}
	}
}

// A connection that ends behind an answer does no harm to it, nor to the next task.
func TestDroppedAfterTheAnswer(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^update", Result: oracle.Result{Affected: 2, Drop: oracle.DropAfter}}}})
	d := newDriver(t)
	for range 2 {
		out, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"execute": "UPDATE t SET n = 1"}))
		if err != nil || out["rows_affected"] != int64(2) {
			t.Errorf("got %v, %v", out, err)
		}
	}
	if got := server.Statements(); len(got) != 2 {
		t.Errorf("the server got %q", got)
	}
}

// A server that never says that there are no more rows is taken to have none when it
// sends none; one that sends a packet of control data, to be of no use any more.
func TestWhatTheLibraryDoesNotExpect(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 10, 30, 35} {
		endless := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^select", Result: oracle.Result{
			Columns: []oracle.Column{{Name: "N", Type: oracle.Number}}, Count: rows, Row: func(i int) []any { return []any{i} }, NoEnd: true}}}})
		out := must(t, to(endless, map[string]any{"fetch": "SELECT n FROM t", "fetch_size": 10}))
		if out["row_count"] != int64(rows) {
			t.Errorf("got %v rows of %d", out["row_count"], rows)
		}
	}
	for at := 1; at <= 8; at++ {
		server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp()}, Wrap: func(n int, c net.Conn) net.Conn {
			if n > 1 {
				return c
			}
			return &prefixing{Conn: c, at: at, what: []byte{0, 0, 0, 10, 14, 0, 0, 0, 0, 9}}
		}})
		d := newDriver(t)
		_, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"fetch": "SELECT id FROM emp", "total_timeout": "5s"}))
		var e *tasks.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("a control packet before packet %d: got %v", at, err)
		}
		if _, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"fetch": "SELECT id FROM emp"})); err != nil {
			t.Errorf("after a control packet before packet %d: got %v", at, err)
		}
	}
}

// prefixing sends something before one of the packets of a server.
type prefixing struct {
	net.Conn
	what     []byte
	at, sent int
}

func (p *prefixing) Write(b []byte) (int, error) {
	if p.sent++; p.sent == p.at+1 {
		if _, err := p.Conn.Write(p.what); err != nil {
			return 0, err
		}
	}
	return p.Conn.Write(b)
}

// Rows come as many at a time as was asked for, and are asked for no more than needed.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rows, size, most int
		want             []int
	}{
		{0, 10, 0, []int{10}}, {1, 10, 0, []int{10}}, {10, 10, 0, []int{10, 10}}, {11, 10, 0, []int{10, 10}}, {35, 10, 0, []int{10, 10, 10, 10}}, {1000, 10, 15, []int{10, 10}},
	} {
		server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^select", Result: oracle.Result{
			Columns: []oracle.Column{{Name: "N", Type: oracle.Number}}, Count: c.rows, Row: func(i int) []any { return []any{i} }}}}})
		out := must(t, to(server, map[string]any{"fetch": "SELECT n FROM t", "fetch_size": c.size, "max_rows": c.most}))
		want := int64(c.rows)
		if c.most > 0 {
			want = int64(c.most)
		}
		if out["row_count"] != want {
			t.Errorf("%+v: got %v rows", c, out["row_count"])
		}
		var asked []int
		for _, call := range server.Calls() {
			if call.Op == "fetch" || call.Op == "execute" {
				asked = append(asked, call.Rows)
			}
		}
		if diff := cmp.Diff(c.want, asked); diff != "" {
			t.Errorf("%+v: rows asked for (-want +got):\n%s", c, diff)
		}
	}
}

// What people meet most, each told with its code, its kind and what to do.
func TestTenCommonErrors(t *testing.T) {
	t.Parallel()
	account := func(e oracle.Error) oracle.Config {
		return oracle.Config{Accounts: map[string]oracle.Account{"SCOTT": {Password: "tiger", Err: &e}}}
	}
	statement := func(code int) oracle.Config {
		return oracle.Config{Script: []oracle.Case{{Match: ".", Result: oracle.Result{Err: &oracle.Error{Code: code, Pos: 7}}}}}
	}
	nobody := oracle.New(t, oracle.Config{})
	nobody.Close()
	for code, c := range map[int]struct {
		server *oracle.Server
		kind   tasks.Kind
		hint   string
		auth   bool
	}{
		1017:  {oracle.New(t, oracle.Config{Accounts: map[string]oracle.Account{"SCOTT": {Password: "lion"}}}), tasks.Denied, "check user and password", true},
		12514: {oracle.New(t, oracle.Config{Service: "other"}), tasks.NotFound, "lsnrctl services", false},
		12541: {nobody, tasks.Unavailable, "check host and port", false},
		28000: {oracle.New(t, account(oracle.Error{Code: 28000})), tasks.Denied, "ACCOUNT UNLOCK", false},
		28001: {oracle.New(t, account(oracle.Error{Code: 28001})), tasks.Denied, "has expired", true},
		942:   {oracle.New(t, statement(942)), tasks.NotFound, "may not see it", false},
		1031:  {oracle.New(t, statement(1031)), tasks.Denied, "ask for the grant", false},
		1:     {oracle.New(t, statement(1)), tasks.Conflict, "MERGE", false},
		1555:  {oracle.New(t, statement(1555)), tasks.Unavailable, "UNDO_RETENTION", false},
		3113:  {oracle.New(t, statement(3113)), tasks.Unavailable, "alert log", false},
		// And some more.
		1033:  {oracle.New(t, account(oracle.Error{Code: 1033})), tasks.Unavailable, "starting or shutting down", false},
		12528: {oracle.New(t, oracle.Config{Refuse: 12528}), tasks.Unavailable, "starting or closed", false},
		3120:  {oracle.New(t, statement(3120)), tasks.Permanent, "lob_fetch", false},
		28:    {oracle.New(t, statement(28)), tasks.Unavailable, "", false},
	} {
		_, err := run(t, to(c.server, map[string]any{"execute": "UPDATE t SET n = 1"}))
		e := wantError(t, err, c.kind, fmt.Sprintf("ORA-%05d", code), c.hint)
		if e.Auth != c.auth || strings.Contains(e.Message+e.Hint, "tiger") {
			t.Errorf("%d: got %+v", code, e)
		}
	}
}

// Both orders of the markers that announce an error, and errors without them.
func TestMarkersBeforeErrors(t *testing.T) {
	t.Parallel()
	for _, both := range []bool{false, true} {
		for _, markers := range []bool{false, true} {
			server := oracle.New(t, oracle.Config{BothMarkers: both, Script: []oracle.Case{emp(), {Match: "missing", Result: oracle.Result{
				Err: &oracle.Error{Code: 942, Text: "table or view does not exist", Pos: 14}, Markers: markers}}}})
			d := newDriver(t)
			_, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"fetch": "SELECT * FROM missing"}))
			wantError(t, err, tasks.NotFound, "ORA-00942", "line 1, column 15")
			if _, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, map[string]any{"fetch": "SELECT id FROM emp"})); err != nil {
				t.Errorf("both %v, markers %v: the next task gave %v", both, markers, err)
			}
		}
	}
}

func TestIsolationLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]string{
		"read_committed": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "serializable": "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "read_only": "SET TRANSACTION READ ONLY",
	} {
		for name, inputs := range map[string]map[string]any{
			"execute": {"execute": "SELECT id FROM emp"}, "call": {"call": "p(1)"}, "transaction": {"transaction": []any{"SELECT id FROM emp"}},
			"batch": {"batch": "INSERT INTO t VALUES (:1)", "rows": []any{[]any{1}}},
		} {
			server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp(), {Match: "^(begin|insert)"}}})
			must(t, to(server, inputs, map[string]any{"isolation_level": level}))
			if got := server.Statements(); len(got) != 2 || got[0] != want {
				t.Errorf("%s, %s: the server got %q", name, level, got)
			}
			if server.Count("commit") != 1 {
				t.Errorf("%s, %s: %d commits", name, level, server.Count("commit"))
			}
		}
	}
}

// Each privilege reaches the server as something of its own.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	modes := map[int]string{}
	for _, privilege := range []string{"", "SYSDBA", "SYSOPER", "SYSBACKUP", "SYSDG", "SYSKM", "SYSASM", "SYSRAC"} {
		server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp()}})
		inputs := map[string]any{"privilege": privilege}
		if privilege == "" {
			inputs = nil
		}
		must(t, to(server, query, inputs))
		for _, c := range server.Calls() {
			if c.Op != "login" {
				continue
			}
			if before, there := modes[c.Mode]; there {
				t.Errorf("%q logs in as %q does, with the mode %#x", privilege, before, c.Mode)
			}
			modes[c.Mode] = privilege
		}
	}
}

// Idle sessions end after a while, and no more are kept than was said.
func TestIdleSessionsEnd(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp(), {Match: "^update", Result: oracle.Result{Affected: 1, Delay: 50 * time.Millisecond}}}})
	d := sqloracle.New(sqloracle.Config{IdleTime: time.Millisecond})
	t.Cleanup(d.Close)
	if _, err := taskstest.NewExecution(t).Run(t.Context(), t, d, to(server, query)); err != nil {
		t.Fatal(err)
	}
	server.Await(t, func(c oracle.Call) bool { return c.Op == "logoff" })

	few := sqloracle.New(sqloracle.Config{MaxIdle: 2})
	t.Cleanup(few.Close)
	const atOnce = 5
	var group sync.WaitGroup
	for range atOnce {
		group.Go(func() {
			if _, err := taskstest.NewExecution(t).Run(t.Context(), t, few, to(server, map[string]any{"execute": "UPDATE t SET n = 1"})); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	logins := server.Count("login")
	loggedIn, goneAgain := map[int]bool{}, map[int]bool{}
	server.Await(t, func(c oracle.Call) bool {
		switch c.Op {
		case "login":
			loggedIn[c.Session] = true
		case "logoff":
			goneAgain[c.Session] = true
		}
		return len(loggedIn) == logins && len(loggedIn)-len(goneAgain) <= 2
	})
	few.Close()
	soon(func() bool { return server.Count("login") == server.Count("logoff") })
	if logins, logoffs := server.Count("login"), server.Count("logoff"); logins != logoffs {
		t.Errorf("%d logins and %d goodbyes", logins, logoffs)
	}
}

// An answer without an end is cut off, and its socket closed. (The limit that tasks
// have is too large to be sent by a test.)
func TestFloodIsCutOff(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	packet := append([]byte{0, 100, 0, 0, 6, 0, 0, 0}, make([]byte, 92)...)
	sent := make(chan int)
	go func() {
		n := 0
		for {
			more, err := there.Write(packet)
			if n += more; err != nil {
				sent <- n
				return
			}
		}
	}()
	const most = 10_000
	if read, cut := sqloracle.Flood(here, most); !cut || read > most {
		t.Errorf("%d bytes were read, cut off %v", read, cut)
	}
	if n := <-sent; n > most+len(packet) {
		t.Errorf("%d bytes were taken", n)
	}
}

// What is too much for an output is refused with what to do instead.
func TestTooMuchForAnOutput(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 4000)
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^select", Result: oracle.Result{
		Columns: []oracle.Column{{Name: "T", Type: oracle.Varchar2}}, Count: 9000, Row: func(int) []any { return []any{text} }}}}})
	_, err := run(t, to(server, map[string]any{"fetch": "SELECT t FROM big"}))
	if e := wantError(t, err, tasks.Invalid, "more than 16 MiB", "with `file_path`"); e.Input != "file_path" {
		t.Errorf("got input %q", e.Input)
	}
}
