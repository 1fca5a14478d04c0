package sqloracle_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/sqloracle"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

// What is in this file runs against any server: against the Oracle database that
// WEIR_TEST_ORACLE names, as user/password@host:port/service, and otherwise against
// the protocol test server with a script of the same statements. The user needs to
// connect and to make a table of its own.

// database gives the inputs with which it is reached.
func database(t *testing.T) map[string]any {
	t.Helper()
	place := os.Getenv("WEIR_TEST_ORACLE")
	if place == "" {
		return to(oracle.New(t, oracle.Config{Script: databaseScript()}))
	}
	m := regexp.MustCompile(`^([^/]+)/(.+)@([^@/]+)/([^/]+)$`).FindStringSubmatch(place)
	if m == nil {
		t.Fatal("WEIR_TEST_ORACLE is not of the form user/password@host:port/service")
	}
	return map[string]any{"user": m[1], "password": m[2], "host": m[3], "service_name": m[4]}
}

// The statements, and what they give.
const (
	sqlTypes = `SELECT CAST(12345678901234567890123456789012345678 AS NUMBER) n, CAST(-0.5 AS NUMBER(12,2)) m, CAST('a' AS CHAR(3)) c, ` +
		`'Grüße' v, HEXTORAW('00ABFF') r, TO_DATE('2026-01-02 03:04:05', 'YYYY-MM-DD HH24:MI:SS') d, ` +
		`TO_TIMESTAMP('2026-01-02 03:04:05.000678', 'YYYY-MM-DD HH24:MI:SS.FF') ts, ` +
		`TO_TIMESTAMP_TZ('2026-01-02 03:04:05.000678 -03:30', 'YYYY-MM-DD HH24:MI:SS.FF TZH:TZM') tz, ` +
		`CAST(NULL AS VARCHAR2(1)) e, TO_CLOB('a clob') l, CAST(1.5 AS BINARY_DOUBLE) b FROM DUAL`
	sqlSum    = "SELECT :a + :b FROM DUAL"
	sqlLevels = "SELECT LEVEL id FROM DUAL CONNECT BY LEVEL <= 1234"
	sqlCopy   = "BEGIN :out := :in || '!'; :n := 2 * :n; END;"
	sqlCursor = "BEGIN OPEN :rows FOR SELECT LEVEL id FROM DUAL CONNECT BY LEVEL <= 3; END;"
	sqlAbsent = "SELECT *\nFROM weir_no_such_table"
	sqlSleep  = "BEGIN DBMS_SESSION.SLEEP(3600); END;"
	sqlDrop   = "DROP TABLE weir_test PURGE"
	sqlCreate = "CREATE TABLE weir_test (id NUMBER PRIMARY KEY, name VARCHAR2(20), doc CLOB, amount NUMBER(20, 2), hired DATE, seen TIMESTAMP WITH TIME ZONE, photo RAW(20))"
	sqlTyped  = "INSERT INTO weir_test (id, amount, hired, seen, photo) VALUES (:id, :amount, :hired, :seen, :photo)"
	sqlTypeds = "SELECT id, amount, hired, seen, photo FROM weir_test WHERE id > 10 ORDER BY id"
	sqlReturn = "INSERT INTO weir_test (id, name) VALUES (:id, 'x') RETURNING id * 2 INTO :twice"
	sqlTables = "DECLARE PROCEDURE copy(a IN DBMS_SQL.NUMBER_TABLE, b OUT DBMS_SQL.NUMBER_TABLE, c IN DBMS_SQL.VARCHAR2_TABLE, d OUT DBMS_SQL.VARCHAR2_TABLE) IS " +
		"BEGIN b := a; d := c; END; BEGIN copy(:a, :b, :c, :d); END;"
	sqlFormat = "SELECT TO_CHAR(DATE '2026-01-02') FROM DUAL"
	sqlInsert = "INSERT INTO weir_test (id, name) VALUES (:id, :name)"
	sqlDoc    = "UPDATE weir_test SET doc = :doc WHERE id = 1"
	sqlAll    = "SELECT id, name, doc FROM weir_test ORDER BY id"
)

func databaseScript() []oracle.Case {
	when := time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.UTC)
	ids := []oracle.Column{{Name: "ID", Type: oracle.Number}}
	number := func(i int) []any { return []any{i + 1} }
	exactly := func(sql string, r oracle.Result) oracle.Case {
		return oracle.Case{Match: "^" + regexp.QuoteMeta(sql) + "$", Result: r}
	}
	rows := exactly(sqlAll, oracle.Result{
		Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "NAME", Type: oracle.Varchar2}, {Name: "DOC", Type: oracle.Clob}},
		Rows:    [][]any{{1, "Ada", strings.Repeat("ä", 50_000)}, {2, nil, nil}},
	})
	typeds := exactly(sqlTypeds, oracle.Result{
		Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "AMOUNT", Type: oracle.Number, Precision: 20, Scale: 2}, {Name: "HIRED", Type: oracle.Date},
			{Name: "SEEN", Type: oracle.TimestampTZ}, {Name: "PHOTO", Type: oracle.Raw, Size: 20}},
		Rows: [][]any{{11, nil, nil, nil, nil}, {12, "123456789012345678.25", when, when.In(time.FixedZone("", 2*3600)), []byte{0, 0xFF}}},
	})
	insert := oracle.Case{Match: "^INSERT INTO weir_test \\(id, name", Func: func(c oracle.Call) oracle.Result {
		r := oracle.Result{Affected: len(c.Binds)}
		if len(c.Binds) > 2 {
			r = oracle.Result{Affected: 2, RowErrs: map[int]oracle.Error{1: {Code: 1, Text: "unique constraint violated"}}}
		}
		return r
	}}
	return []oracle.Case{
		exactly(sqlTypes, oracle.Result{
			Columns: []oracle.Column{
				{Name: "N", Type: oracle.Number}, {Name: "M", Type: oracle.Number, Precision: 12, Scale: 2}, {Name: "C", Type: oracle.Char, Size: 3},
				{Name: "V", Type: oracle.Varchar2}, {Name: "R", Type: oracle.Raw}, {Name: "D", Type: oracle.Date}, {Name: "TS", Type: oracle.Timestamp},
				{Name: "TZ", Type: oracle.TimestampTZ}, {Name: "E", Type: oracle.Varchar2}, {Name: "L", Type: oracle.Clob}, {Name: "B", Type: oracle.BinaryDouble},
			},
			Rows: [][]any{{"12345678901234567890123456789012345678", "-0.5", "a  ", "Grüße", []byte{0, 0xAB, 0xFF}, when, when,
				time.Date(2026, 1, 2, 3, 4, 5, 678_000, time.FixedZone("", -(3*3600+1800))), nil, "a clob", 1.5}},
		}),
		exactly(sqlSum, oracle.Result{Columns: []oracle.Column{{Name: ":A+:B", Type: oracle.Number}}, Rows: [][]any{{"42.5"}}}),
		exactly(sqlLevels, oracle.Result{Columns: ids, Count: 1234, Row: number}),
		exactly(sqlCopy, oracle.Result{Out: map[int]any{0: "hello!", 2: "42"}}),
		exactly(sqlCursor, oracle.Result{Out: map[int]any{0: oracle.Result{Columns: ids, Count: 3, Row: number}}}),
		exactly(sqlAbsent, oracle.Result{Err: &oracle.Error{Code: 942, Text: "table or view does not exist", Pos: 14}, Markers: true}),
		exactly(sqlSleep, oracle.Result{Hang: true}),
		exactly(sqlDrop, oracle.Result{}), exactly(sqlCreate, oracle.Result{}), exactly(sqlDoc, oracle.Result{Affected: 1}),
		insert, rows, typeds,
		exactly(sqlTyped, oracle.Result{Affected: 2}),
		exactly("BEGIN "+sqlReturn+"; END;", oracle.Result{Out: map[int]any{1: "44"}}),
		exactly(sqlTables, oracle.Result{Out: map[int]any{1: []any{"1.5", "-2"}, 3: []any{"a", "ä"}}}),
		exactly(sqlFormat, oracle.Result{Columns: []oracle.Column{{Name: "T", Type: oracle.Varchar2}}, Rows: [][]any{{"2026/01/02"}}}),
		{Match: "^SELECT 1/0", Result: oracle.Result{Err: &oracle.Error{Code: 1476, Text: "divisor is equal to zero"}, Markers: true}},
		{Match: "^DELETE", Result: oracle.Result{Affected: 2}},
		{Match: "^SELECT COUNT", Result: oracle.Result{Columns: ids, Rows: [][]any{{2}}}},
	}
}

// It is not parallel: it uses one table, and the suite counts goroutines.
func TestDatabase(t *testing.T) { inDatabase(t, database(t)) }

// The same by way of WEIR_TEST_ORACLE, so that this way is known to lead somewhere.
func TestDatabaseThatIsNamed(t *testing.T) {
	const password = "p@ss/word:1"
	server := oracle.New(t, oracle.Config{Script: databaseScript(), Accounts: map[string]oracle.Account{"SCOTT": {Password: password}}})
	t.Setenv("WEIR_TEST_ORACLE", "scott/"+password+"@"+server.Addr+"/XEPDB1")
	inDatabase(t, database(t))
	if server.Count("execute") == 0 {
		t.Error("another server was asked")
	}
}

func inDatabase(t *testing.T, reached map[string]any) {
	t.Helper()
	with := func(more map[string]any) map[string]any {
		inputs := map[string]any{}
		for _, m := range []map[string]any{reached, more} {
			for k, v := range m {
				inputs[k] = v
			}
		}
		return inputs
	}
	out := func(as string, more map[string]any) map[string]any {
		m := map[string]any{"out": as}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	t.Run("types", func(t *testing.T) {
		got := must(t, with(map[string]any{"fetchrow": sqlTypes}))["result"]
		want := map[string]any{
			"N": json.Number("12345678901234567890123456789012345678"), "M": json.Number("-0.5"), "C": "a  ", "V": "Grüße", "R": "00ABFF",
			"D": "2026-01-02T03:04:05", "TS": "2026-01-02T03:04:05.000678", "TZ": "2026-01-02T03:04:05.000678-03:30", "E": nil, "L": "a clob", "B": 1.5,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("params and pages", func(t *testing.T) {
		got := must(t, with(map[string]any{"fetchval": sqlSum, "params": map[string]any{"a": 40, "b": json.Number("2.5")}}))["result"]
		if got != json.Number("42.5") {
			t.Errorf("got %v", got)
		}
		if rows := must(t, with(map[string]any{"fetch": sqlLevels, "fetch_size": 100}))["row_count"]; rows != int64(1234) {
			t.Errorf("got %v rows", rows)
		}
	})
	t.Run("blocks", func(t *testing.T) {
		got := must(t, with(map[string]any{"call": sqlCopy, "params": map[string]any{
			"out": out("string", nil), "in": "hello", "n": out("number", map[string]any{"value": 21, "type": "number"})}}))["result"]
		if diff := cmp.Diff(map[string]any{"out": "hello!", "n": json.Number("42")}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		got = must(t, with(map[string]any{"call": sqlCursor, "params": map[string]any{"rows": out("cursor", nil)}}))["result"]
		if rows := got.(map[string]any)["rows"].([]any); len(rows) != 3 {
			t.Errorf("got %v", rows)
		}
	})
	t.Run("tables of PL/SQL", func(t *testing.T) { databaseTables(t, with) })
	t.Run("session parameters", func(t *testing.T) {
		if got := must(t, with(map[string]any{"fetchval": sqlFormat, "session": map[string]any{"NLS_DATE_FORMAT": "YYYY/MM/DD"}}))["result"]; got != "2026/01/02" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a table", func(t *testing.T) {
		_, _ = run(t, with(map[string]any{"execute": sqlDrop}))
		must(t, with(map[string]any{"execute": sqlCreate}))
		defer func() { must(t, with(map[string]any{"execute": sqlDrop})) }()
		batch := must(t, with(map[string]any{"batch": sqlInsert, "on_row_error": "keep", "rows": []any{[]any{1, "Ada"}, []any{1, "again"}, []any{2, nil}}}))
		if batch["rows_affected"] != int64(2) || len(batch["errors"].([]any)) != 1 {
			t.Errorf("got %v", batch)
		}
		must(t, with(map[string]any{"execute": sqlDoc, "params": []any{strings.Repeat("ä", 50_000)}}))
		_, err := run(t, with(map[string]any{"transaction": []any{"DELETE FROM weir_test", "SELECT 1/0 FROM DUAL"}}))
		wantError(t, err, tasks.Permanent, "statement 2: ORA-01476")
		if n := must(t, with(map[string]any{"fetchval": "SELECT COUNT(*) FROM weir_test"}))["result"]; n != json.Number("2") {
			t.Errorf("%v rows are left after a rollback", n)
		}
		got := must(t, with(map[string]any{"fetch": sqlAll}))["result"]
		want := []any{map[string]any{"ID": json.Number("1"), "NAME": "Ada", "DOC": strings.Repeat("ä", 50_000)}, map[string]any{"ID": json.Number("2"), "NAME": nil, "DOC": nil}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%.300s", diff)
		}
		databaseTypes(t, with)
	})
	t.Run("the suite", func(t *testing.T) { databaseSuite(t, with) })
}

// databaseTables hands tables of PL/SQL to and fro.
func databaseTables(t *testing.T, with func(map[string]any) map[string]any) {
	t.Helper()
	numbers, texts := []any{json.Number("1.5"), json.Number("-2")}, []any{"a", "ä"}
	got := must(t, with(map[string]any{"call": sqlTables, "params": map[string]any{
		"a": typed("number", numbers), "b": map[string]any{"out": "number", "array": 5}, "c": typed("string", texts), "d": map[string]any{"out": "string", "array": 5}}}))["result"]
	if diff := cmp.Diff(map[string]any{"b": numbers, "d": texts}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// databaseTypes puts values of all types into the table and takes them back.
func databaseTypes(t *testing.T, with func(map[string]any) map[string]any) {
	t.Helper()
	must(t, with(map[string]any{"batch": sqlTyped, "rows": []any{
		[]any{11, nil, nil, nil, nil},
		[]any{12, json.Number("123456789012345678.25"), typed("date", "2026-01-02T03:04:05"), typed("timestamp_tz", "2026-01-02T05:04:05.000678+02:00"), typed("raw", "00FF")},
	}}))
	want := []any{
		map[string]any{"ID": json.Number("11"), "AMOUNT": nil, "HIRED": nil, "SEEN": nil, "PHOTO": nil},
		map[string]any{"ID": json.Number("12"), "AMOUNT": json.Number("123456789012345678.25"), "HIRED": "2026-01-02T03:04:05", "SEEN": "2026-01-02T05:04:05.000678+02:00", "PHOTO": "00FF"},
	}
	if diff := cmp.Diff(want, must(t, with(map[string]any{"fetch": sqlTypeds}))["result"]); diff != "" {
		t.Errorf("typed values (-want +got):\n%s", diff)
	}
	got := must(t, with(map[string]any{"call": sqlReturn, "params": map[string]any{"id": 22, "twice": map[string]any{"out": "number"}}}))["result"]
	if diff := cmp.Diff(map[string]any{"twice": json.Number("44")}, got); diff != "" {
		t.Errorf("returning (-want +got):\n%s", diff)
	}
}

func databaseSuite(t *testing.T, with func(map[string]any) map[string]any) {
	t.Helper()
	levels := map[string]any{"fetch": sqlLevels}
	absent := map[string]any{"fetch": sqlAbsent}
	taskstest.Run(t, taskstest.Suite{
		Driver: sqloracle.New(sqloracle.Config{MaxIdle: -1}),
		Working: map[string]map[string]any{
			"fetch":    with(levels),
			"fetchval": with(map[string]any{"fetchval": sqlSum, "params": []any{1, 2}}),
			"file":     with(map[string]any{"fetch": sqlLevels, "file_path": "levels.csv"}),
		},
		Failing: map[string]taskstest.Failure{
			"no such table":   {Inputs: with(absent), Kind: tasks.NotFound},
			"wrong password":  {Inputs: with(map[string]any{"password": taskstest.Canary, "fetch": sqlLevels}), Kind: tasks.Denied, Auth: true},
			"unknown service": {Inputs: with(map[string]any{"service_name": "weir_no_such_service", "fetch": sqlLevels}), Kind: tasks.NotFound},
			"nobody listens":  {Inputs: with(map[string]any{"host": "127.0.0.1:1", "fetch": sqlLevels}), Kind: tasks.Unavailable},
			"too late":        {Inputs: with(map[string]any{"execute": sqlSleep, "total_timeout": "500ms"}), Kind: tasks.Timeout},
		},
		Hanging: map[string]map[string]any{"sleep": with(map[string]any{"execute": sqlSleep})},
	})
}
