package sqloracle_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/sqloracle"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

// to gives the inputs with which a server is reached, and some more. On a machine that
// has much else to do, a login takes its time.
func to(s *oracle.Server, more ...map[string]any) map[string]any {
	inputs := map[string]any{
		"host": s.Host, "port": s.Port, "service_name": "xepdb1", "user": "scott", "password": "tiger",
		"connect_timeout": "1m", "total_timeout": "2m",
	}
	for _, m := range more {
		for k, v := range m {
			inputs[k] = v
		}
	}
	return inputs
}

// newDriver gives a driver that keeps no session past its test.
func newDriver(t testing.TB) *sqloracle.Driver {
	t.Helper()
	d := sqloracle.New(sqloracle.Config{})
	t.Cleanup(d.Close)
	return d
}

func run(t testing.TB, inputs map[string]any) (map[string]any, error) {
	t.Helper()
	return taskstest.NewExecution(t).Run(t.Context(), t, newDriver(t), inputs)
}

func must(t testing.TB, inputs map[string]any) map[string]any {
	t.Helper()
	out, err := run(t, inputs)
	if err != nil {
		t.Fatalf("%v (%v)", err, errors.Unwrap(err))
	}
	return out
}

// wantError checks kind and texts of an error.
func wantError(t testing.TB, err error, kind tasks.Kind, parts ...string) *tasks.Error {
	t.Helper()
	var e *tasks.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Errorf("got kind %s, want %s: %s (%v)", e.Kind, kind, e.Message, e.Err)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message+"\n"+e.Hint, part) {
			t.Errorf("got %q with hint %q, want %q in there", e.Message, e.Hint, part)
		}
	}
	return e
}

// versions is what the script says to the statement of every Oracle tutorial.
func versions() oracle.Case {
	return oracle.Case{Match: `^select \* from v\$version`, Result: oracle.Result{
		Columns: []oracle.Column{{Name: "BANNER", Type: oracle.Varchar2, Size: 80}},
		Rows:    [][]any{{"Oracle Database 19c (said by the protocol test server)"}},
	}}
}

func emp() oracle.Case {
	return oracle.Case{Match: `^select .* from emp\b`, Result: oracle.Result{
		Columns: []oracle.Column{{Name: "ID", Type: oracle.Number, Precision: 9, NotNull: true}, {Name: "NAME", Type: oracle.Varchar2, Size: 30}},
		Rows:    [][]any{{1, "Ada"}, {2, "Bob"}, {3, nil}},
	}}
}

// It is not parallel: the suite counts goroutines.
func TestConformance(t *testing.T) {
	server := oracle.New(t, oracle.Config{
		Accounts: map[string]oracle.Account{
			"SCOTT": {Password: taskstest.Canary}, "LOCKED": {Password: taskstest.Canary, Err: &oracle.Error{Code: 28000, Text: "the account is locked"}},
		},
		Script: []oracle.Case{
			versions(), emp(),
			{Match: `^begin`, Result: oracle.Result{Out: map[int]any{1: "2100"}}},
			{Match: `^insert into dup`, Result: oracle.Result{Err: &oracle.Error{Code: 1, Text: "unique constraint (SCOTT.PK) violated"}}},
			{Match: `^(insert|update)`, Result: oracle.Result{Affected: 1}},
			{Match: `^select hang`, Result: oracle.Result{Hang: true}},
			{Match: `^select deaf`, Result: oracle.Result{Hang: true, Deaf: true}},
			{Match: `^select slow fetch`, Result: oracle.Result{
				Columns: []oracle.Column{{Name: "N", Type: oracle.Number}}, Count: 1000, Row: func(i int) []any { return []any{i} }, FetchHang: true, Deaf: true}},
			{Match: `missing`, Result: oracle.Result{Err: &oracle.Error{Code: 942, Text: "table or view does not exist", Pos: 14}}},
			{Match: `forbidden`, Result: oracle.Result{Err: &oracle.Error{Code: 1031, Text: "insufficient privileges"}}},
		},
	})
	mute := oracle.New(t, oracle.Config{Mute: true})
	closing := oracle.New(t, oracle.Config{Refuse: 12528})
	nobody := oracle.New(t, oracle.Config{})
	nobody.Close()
	with := func(s *oracle.Server, more map[string]any) map[string]any {
		return to(s, map[string]any{"password": taskstest.Canary}, more)
	}
	query := map[string]any{"fetch": "SELECT id, name FROM emp"}
	failure := func(inputs map[string]any, kind tasks.Kind) taskstest.Failure {
		return taskstest.Failure{Inputs: inputs, Kind: kind}
	}
	taskstest.Run(t, taskstest.Suite{
		Driver: sqloracle.New(sqloracle.Config{MaxIdle: -1}),
		Working: map[string]map[string]any{
			"execute":      with(server, map[string]any{"execute": "SELECT * FROM v$version"}),
			"execute, DML": with(server, map[string]any{"execute": "UPDATE emp SET name = :1", "params": []any{"x"}}),
			"fetch":        with(server, query),
			"fetch, file":  with(server, map[string]any{"fetch": "SELECT id, name FROM emp", "file_path": "out/emp.csv"}),
			"fetchrow":     with(server, map[string]any{"fetchrow": "SELECT id, name FROM emp"}),
			"fetchval":     with(server, map[string]any{"fetchval": "SELECT id, name FROM emp"}),
			"call":         with(server, map[string]any{"call": "raise(:emp, :new)", "params": map[string]any{"emp": 1, "new": map[string]any{"out": "number"}}}),
			"batch":        with(server, map[string]any{"batch": "INSERT INTO emp VALUES (:1, :2)", "rows": []any{[]any{1, "a"}, []any{2, nil}}}),
			"transaction":  with(server, map[string]any{"transaction": []any{"UPDATE emp SET name = NULL", map[string]any{"sql": "SELECT id FROM emp"}}}),
		},
		Failing: map[string]taskstest.Failure{
			"wrong password":    {Inputs: to(server, map[string]any{"password": taskstest.Canary + "x"}, query), Kind: tasks.Denied, Auth: true},
			"unknown user":      {Inputs: with(server, map[string]any{"user": "nobody", "fetchval": "SELECT 1 FROM DUAL"}), Kind: tasks.Denied, Auth: true},
			"locked":            failure(with(server, map[string]any{"user": "locked", "fetchval": "SELECT 1 FROM DUAL"}), tasks.Denied),
			"no operation":      failure(with(server, nil), tasks.Invalid),
			"no service":        failure(map[string]any{"host": "h", "user": "u", "password": "p", "fetch": "SELECT 1 FROM DUAL"}, tasks.Invalid),
			"no host":           failure(map[string]any{"sid": "h", "user": "u", "password": "p", "fetch": "SELECT 1 FROM DUAL"}, tasks.Invalid),
			"no password":       failure(map[string]any{"host": "h", "sid": "h", "user": "u", "fetch": "SELECT 1 FROM DUAL"}, tasks.Invalid),
			"other service":     failure(with(server, map[string]any{"service_name": "other", "fetch": "SELECT 1 FROM DUAL"}), tasks.NotFound),
			"starting":          failure(with(closing, query), tasks.Unavailable),
			"nobody there":      failure(with(nobody, query), tasks.Unavailable),
			"no such host":      failure(with(server, map[string]any{"host": "nowhere.invalid", "fetch": "SELECT 1 FROM DUAL"}), tasks.Unavailable),
			"no such table":     failure(with(server, map[string]any{"fetch": "SELECT * FROM missing"}), tasks.NotFound),
			"not allowed":       failure(with(server, map[string]any{"execute": "DROP TABLE forbidden"}), tasks.Denied),
			"twice":             failure(with(server, map[string]any{"execute": "INSERT INTO dup VALUES (1)"}), tasks.Conflict),
			"fetch of a change": failure(with(server, map[string]any{"fetch": "DELETE FROM emp"}), tasks.Invalid),
			"file abroad":       failure(with(server, map[string]any{"fetch": "SELECT id FROM emp", "file_path": "../emp.csv"}), tasks.Invalid),
			"too few params":    failure(with(server, map[string]any{"execute": "UPDATE emp SET id = :1, name = :2", "params": []any{1}}), tasks.Invalid),
			"no answer in time": failure(with(server, map[string]any{"fetch": "SELECT hang FROM x", "total_timeout": "500ms"}), tasks.Timeout),
			"no connection":     failure(with(mute, map[string]any{"fetch": "SELECT 1 FROM DUAL", "connect_timeout": "500ms"}), tasks.Timeout),
		},
		Hanging: map[string]map[string]any{
			"connect":     with(mute, query),
			"execute":     with(server, map[string]any{"execute": "SELECT hang FROM x"}),
			"deaf":        with(server, map[string]any{"execute": "SELECT deaf FROM x"}),
			"later fetch": with(server, map[string]any{"fetch": "SELECT slow fetch", "fetch_size": 10}),
		},
	})
}

func TestFetch(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp()}})
	got := must(t, to(server, map[string]any{"fetch": "SELECT id, name FROM emp;\n"}))
	want := map[string]any{
		"result": []any{
			map[string]any{"ID": json.Number("1"), "NAME": "Ada"},
			map[string]any{"ID": json.Number("2"), "NAME": "Bob"},
			map[string]any{"ID": json.Number("3"), "NAME": nil},
		},
		"columns": []any{
			map[string]any{"name": "ID", "type": "NUMBER", "nullable": false, "precision": int64(9), "scale": int64(0)},
			map[string]any{"name": "NAME", "type": "VARCHAR2", "nullable": true},
		},
		"row_count": int64(3), "truncated": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"SELECT id, name FROM emp"}, server.Statements()); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
}

func TestOneRowAndOneValue(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{
		emp(), {Match: "none", Result: oracle.Result{Columns: []oracle.Column{{Name: "A", Type: oracle.Number}}}},
	}})
	for _, c := range []struct {
		inputs map[string]any
		want   any
	}{
		{map[string]any{"fetchrow": "SELECT id, name FROM emp"}, map[string]any{"ID": json.Number("1"), "NAME": "Ada"}},
		{map[string]any{"fetchval": "SELECT id, name FROM emp"}, json.Number("1")},
		{map[string]any{"fetchrow": "SELECT a FROM none"}, nil},
		{map[string]any{"fetchval": "SELECT a FROM none"}, nil},
	} {
		if diff := cmp.Diff(c.want, must(t, to(server, c.inputs))["result"]); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.inputs, diff)
		}
	}
}

// types is one row of everything.
func types() oracle.Case {
	when := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	return oracle.Case{Match: `^select .* from types`, Result: oracle.Result{
		Columns: []oracle.Column{
			{Name: "N38", Type: oracle.Number}, {Name: "MONEY", Type: oracle.Number, Precision: 12, Scale: 2}, {Name: "TINY", Type: oracle.Number},
			{Name: "HUGE", Type: oracle.Number}, {Name: "V", Type: oracle.Varchar2}, {Name: "NV", Type: oracle.Varchar2, National: true}, {Name: "C", Type: oracle.Char, Size: 3},
			{Name: "D", Type: oracle.Date}, {Name: "TS", Type: oracle.Timestamp}, {Name: "TZ", Type: oracle.TimestampTZ}, {Name: "LTZ", Type: oracle.TimestampLTZ},
			{Name: "R", Type: oracle.Raw}, {Name: "BF", Type: oracle.BinaryFloat}, {Name: "BD", Type: oracle.BinaryDouble}, {Name: "EMPTY", Type: oracle.Varchar2},
			{Name: "V", Type: oracle.Number},
		},
		Rows: [][]any{{
			"12345678901234567890123456789012345678", "-1234567890.12", "0.00000000000000000000000000000000000000000001",
			"-1e125", "Grüße, 世界", "世界 😀", "a  ", when, when, when.In(time.FixedZone("", -(3*3600 + 1800))), when,
			[]byte{0, 0xAB, 0xFF}, 0.1, 1e300, "", 7,
		}},
	}}
}

func TestTypesAreExact(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]oracle.Config{
		"plain": {}, "small packets": {SDU: 512}, "bit vectors": {BitVectors: true}, "negotiation": {Negotiate: true, Resend: true}, "old version": {Version: 312, FieldVersion: 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.Script = []oracle.Case{types()}
			server := oracle.New(t, config)
			got := must(t, to(server, map[string]any{"fetchrow": "SELECT * FROM types"}))["result"]
			want := map[string]any{
				"N38": json.Number("12345678901234567890123456789012345678"), "MONEY": json.Number("-1234567890.12"),
				"TINY": json.Number("0.00000000000000000000000000000000000000000001"), "HUGE": json.Number("-1" + strings.Repeat("0", 125)),
				"V": "Grüße, 世界", "NV": "世界 😀", "C": "a  ", "D": "2026-01-02T03:04:05", "TS": "2026-01-02T03:04:05.000678",
				"TZ": "2026-01-01T23:34:05.000678-03:30", "LTZ": "2026-01-02T03:04:05.000678Z", "R": "00ABFF", "BF": 0.1, "BD": 1e300, "EMPTY": nil,
				"V_2": json.Number("7"),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
