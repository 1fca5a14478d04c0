package sqloracle_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks/sqloracle"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

var update = flag.Bool("update", false, "write what the client library sends into testdata")

// recorder keeps what a client sends.
type recorder struct {
	net.Conn
	mu   sync.Mutex
	sent bytes.Buffer
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent.Write(b[:n])
	return n, err
}

func (r *recorder) all() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.sent.Bytes())
}

// record gives what the driver sends for some tasks in one session, the connect
// packet first.
func record(tb testing.TB, negotiate bool, tasks ...map[string]any) (login, requests []byte) {
	tb.Helper()
	var r *recorder
	server := oracle.New(tb, oracle.Config{
		Negotiate: negotiate, Security: oracle.Security{Encryption: negotiate, Integrity: negotiate},
		Script: []oracle.Case{
			emp(), {Match: "docs", Result: oracle.Result{Columns: []oracle.Column{{Name: "C", Type: oracle.Clob}}, Rows: [][]any{{"text"}}}},
			{Match: "^begin", Result: oracle.Result{Out: map[int]any{1: "7"}}}, {Match: "^(insert|update)", Result: oracle.Result{Affected: 1}},
		},
		Wrap: func(_ int, c net.Conn) net.Conn { r = &recorder{Conn: c}; return r },
	})
	d := newDriver(tb)
	e := taskstest.NewExecution(tb)
	run := func(inputs map[string]any) {
		tb.Helper()
		if _, err := e.Run(tb.Context(), tb, d, to(server, inputs)); err != nil {
			tb.Fatal(err)
		}
	}
	run(map[string]any{"fetchval": "SELECT 1 FROM DUAL"})
	login = r.all()
	for _, inputs := range tasks {
		run(inputs)
	}
	// The very last packet, which says goodbye, may still be on its way.
	goodbye := []byte{0, 0, 0, 10, 6, 0, 0, 0, 0, 0x40}
	requests, _ = bytes.CutSuffix(r.all()[len(login):], goodbye)
	return login, requests
}

func recorded() []map[string]any {
	return []map[string]any{
		{"fetch": "SELECT id, name FROM emp WHERE id > :1", "params": []any{1}},
		{"fetch": "SELECT c FROM docs"},
		{"execute": "UPDATE emp SET name = :1, hired = :2, photo = :3 WHERE id = :4", "params": []any{
			"Ada", map[string]any{"type": "date", "value": "2026-01-31"}, map[string]any{"type": "raw", "value": "00FF"}, nil}},
		{"execute": "UPDATE emp SET doc = :1", "params": []any{map[string]any{"type": "clob", "value": "text"}}},
		{"batch": "INSERT INTO emp VALUES (:1, :2)", "rows": []any{[]any{1, "a"}, []any{2, nil}}},
		{"call": "BEGIN raise(:1, :2); END;", "params": []any{1, map[string]any{"out": "number"}}},
	}
}

// What the client library sends once it is logged in is written down, so that a
// change of it is noticed.
func TestRequestsAreAsBefore(t *testing.T) {
	t.Parallel()
	_, requests := record(t, false, recorded()...)
	got := hex.Dump(requests)
	file := filepath.Join("testdata", "requests.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got); if it is meant, run: go test ./tasks/sqloracle -run Requests -update\n%s", diff)
	}
}

// script of a client that says what was recorded.
type replayed struct {
	in io.Reader
}

func (r *replayed) Read(b []byte) (int, error)       { return r.in.Read(b) }
func (r *replayed) Write(b []byte) (int, error)      { return len(b), nil }
func (r *replayed) Close() error                     { return nil }
func (r *replayed) LocalAddr() net.Addr              { return nil }
func (r *replayed) RemoteAddr() net.Addr             { return nil }
func (r *replayed) SetDeadline(time.Time) error      { return nil }
func (r *replayed) SetReadDeadline(time.Time) error  { return nil }
func (r *replayed) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer sends garbage to the protocol test server: it ends the connection, and
// neither panics nor hangs nor fills the memory.
func FuzzServer(f *testing.F) {
	login, requests := record(f, false, recorded()...)
	encrypted, _ := record(f, true)
	f.Add(encrypted)
	f.Add(append(bytes.Clone(login), requests...))
	f.Add(login[:len(login)/2])
	f.Add([]byte("\x00\x08\x00\x00\x01\x00\x00\x00"))
	server, err := oracle.Start(oracle.Config{AnyPassword: true, Security: oracle.Security{Encryption: true, Integrity: true}, Script: []oracle.Case{
		{Match: "hang"}, {Match: ".", Result: oracle.Result{Columns: []oracle.Column{{Name: "C", Type: oracle.Clob}}, Rows: [][]any{{"text"}}}},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(server.Close)
	f.Fuzz(func(_ *testing.T, sent []byte) {
		_ = oracle.Serve(server, 1, &replayed{in: bytes.NewReader(sent)})
	})
}

func TestReplayIsUnderstood(t *testing.T) {
	t.Parallel()
	login, requests := record(t, false, recorded()...)
	server := oracle.New(t, oracle.Config{AnyPassword: true, Script: []oracle.Case{
		{Match: "docs", Result: oracle.Result{Columns: []oracle.Column{{Name: "C", Type: oracle.Clob}}, Rows: [][]any{{"text"}}}}, emp(), {Match: "."},
	}})
	if err := oracle.Serve(server, 1, &replayed{in: io.MultiReader(bytes.NewReader(login), bytes.NewReader(requests))}); err != nil {
		// Locators of another session are not known here, and nothing else may be.
		t.Errorf("got %v", err)
	}
	if n := server.Count("execute"); n < len(recorded()) {
		t.Errorf("%d statements were understood", n)
	}
}

// FuzzScan reads statements: comments become blanks, and nothing else changes.
func FuzzScan(f *testing.F) {
	for _, text := range []string{"SELECT :a, ':b', \":c\", q'[:d]' FROM t -- :e\n/* :f */ WHERE x = :\"G\"", "nq'(:x)' :y::z", "/*", "--", "'", "q'", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		blanked, names := sqloracle.Scan(text)
		if len(blanked) != len(text) {
			t.Errorf("%q became %q", text, blanked)
		}
		for _, name := range names {
			if name == "" || !strings.Contains(strings.ToUpper(text), strings.ToUpper(name)) {
				t.Errorf("%q has no placeholder %q", text, name)
			}
		}
		again, same := sqloracle.Scan(blanked)
		if again != blanked || !cmp.Equal(same, names) {
			t.Errorf("%q is read in two ways", text)
		}
	})
}

// FuzzNumber sends numbers and takes them back.
func FuzzNumber(f *testing.F) {
	for _, text := range []string{"0", "-0", "1", "-1.5", "1e5", "0.00012", "99999999999999999999999999999999999999", "1e-120", "100", "+7", "1E3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := sqloracle.Number(text)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(strings.TrimSpace(strings.ToLower(text)))
		back, ok2 := new(big.Rat).SetString(got)
		if !ok || !ok2 || want.Cmp(back) != 0 {
			t.Errorf("%q came back as %q", text, got)
		}
	})
}

func TestFrames(t *testing.T) {
	t.Parallel()
	accepted := append([]byte{0, 12, 0, 0, 2, 0, 0, 0}, 1, 0x3F, 0, 0)
	fine := append(bytes.Clone(accepted), 0, 0, 0, 10, 6, 0, 0, 0, 0, 0)
	huge := append(bytes.Clone(accepted), 0x7F, 0, 0, 10, 6, 0, 0, 0, 0, 0)
	for name, c := range map[string]struct {
		bytes []byte
		wrong bool
	}{"fine": {fine, false}, "huge": {huge, true}, "short": {[]byte{0, 3, 0, 0, 2, 0, 0, 0}, true}, "TLS": {append([]byte{0x16}, huge...), false}} {
		for cut := range len(c.bytes) {
			if err := sqloracle.Follow(c.bytes[:cut], c.bytes[cut:]); (err != nil) != c.wrong {
				t.Errorf("%s, in two pieces of which one has %d bytes: got %v", name, cut, err)
			}
		}
		var each [][]byte
		for i := range c.bytes {
			each = append(each, c.bytes[i:i+1])
		}
		if err := sqloracle.Follow(each...); (err != nil) != c.wrong {
			t.Errorf("%s, byte by byte: got %v", name, err)
		}
	}
}
