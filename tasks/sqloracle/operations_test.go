package sqloracle_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

// binds gives what the last execution was sent, one row after the other.
func binds(s *oracle.Server) [][]any {
	var last [][]any
	for _, c := range s.Calls() {
		if c.Op == "execute" {
			last = c.Binds
		}
	}
	return last
}

func TestParams(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 40_000)
	for name, c := range map[string]struct {
		sql    string
		params any
		want   []any
	}{
		"list":           {"UPDATE e SET a = :1, b = :x, c = :c", []any{json.Number("1.50"), "two", nil}, []any{"1.5", "two", nil}},
		"names":          {"UPDATE e SET a = :A, b = :b, c = :a", map[string]any{"a": 1, ":b": true}, []any{"1", "1", "1"}},
		"exact":          {"UPDATE e SET a = :1, b = :2", []any{json.Number("-12345678901234567890123456789012345678"), json.Number("1e-100")}, []any{"-12345678901234567890123456789012345678", "0." + strings.Repeat("0", 99) + "1"}},
		"texts, quotes":  {"UPDATE e SET a = ':no', \":nor\" = 1, b = q'[it's :not]', c /* :x */ = :1 -- :y", []any{"yes"}, []any{"yes"}},
		"long":           {"UPDATE e SET a = :1", []any{long}, []any{long}},
		"clob":           {"UPDATE e SET a = :1", []any{map[string]any{"type": "clob", "value": "text"}}, []any{"text"}},
		"blob":           {"UPDATE e SET a = :1", []any{map[string]any{"type": "blob", "value": base64.StdEncoding.EncodeToString([]byte("bytes"))}}, []any{[]byte("bytes")}},
		"raw":            {"UPDATE e SET a = :1", []any{map[string]any{"type": "raw", "value": "00ff"}}, []any{[]byte{0, 255}}},
		"number as text": {"UPDATE e SET a = :1", []any{map[string]any{"type": "number", "value": "0010.50"}}, []any{"10.5"}},
		"empty":          {"UPDATE e SET a = :1, b = :2", []any{"", map[string]any{"type": "clob", "value": ""}}, []any{nil, nil}},
		"quoted name":    {`UPDATE e SET a = :"Odd Name"`, map[string]any{"Odd Name": 1}, []any{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^update", Result: oracle.Result{Affected: 1}}}})
			out := must(t, to(server, map[string]any{"execute": c.sql, "params": c.params}))
			if diff := cmp.Diff(map[string]any{"rows_affected": int64(1)}, out); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([][]any{c.want}, binds(server)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDatesAsParams(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^update"}}})
	must(t, to(server, map[string]any{"execute": "UPDATE e SET a = :1, b = :2, c = :3", "params": []any{
		map[string]any{"type": "date", "value": "2026-01-31"}, map[string]any{"type": "timestamp", "value": "2026-01-31T08:09:10.5"},
		map[string]any{"type": "timestamp_tz", "value": "2026-01-31T08:09:10+02:00"},
	}}))
	if got, want := fmt.Sprint(binds(server)), "[[2026-01-31 00:00:00 +0000 UTC 2026-01-31 08:09:10.5 +0000 UTC 2026-01-31 08:09:10 +0200 +0200]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWrongParams(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{})
	for _, c := range []struct {
		sql    string
		params any
		text   string
	}{
		{"UPDATE e SET a = :a", nil, "the placeholder :A, and there are no params"},
		{"UPDATE e SET a = :a", map[string]any{"b": 1}, "no value for the placeholder :A"},
		{"UPDATE e SET a = :a", map[string]any{"a": 1, "b": 1}, `params has "b"`},
		{"UPDATE e SET a = :1", []any{1, 2}, "1 placeholders, and params has 2 values"},
		{"UPDATE e SET a = :1", []any{[]any{1}}, "cannot be sent"},
		{"UPDATE e SET a = :1", []any{json.Number("1e400")}, "out of the range"},
		{"UPDATE e SET a = :1", []any{json.Number(strings.Repeat("1", 39))}, "Oracle keeps 38"},
		{"UPDATE e SET a = :1", []any{map[string]any{"typ": "clob"}}, `"typ" is none of`},
		{"UPDATE e SET a = :1", []any{map[string]any{"type": "money", "value": 1}}, `"money" is none of the types`},
		{"UPDATE e SET a = :1", []any{map[string]any{"type": "date", "value": "31.1.2026"}}, "write a date as"},
		{"SELECT a FROM e WHERE a = :1", []any{map[string]any{"out": "number"}}, "gives none back"},
		{"-- nothing", nil, "there is no statement"},
	} {
		_, err := run(t, to(server, map[string]any{"execute": c.sql, "params": c.params}))
		wantError(t, err, tasks.Invalid, c.text)
	}
	if n := len(server.Calls()); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	rows := oracle.Result{Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}}, Count: 60, Row: func(i int) []any { return []any{i} }}
	few := oracle.Result{Columns: []oracle.Column{{Name: "NAME", Type: oracle.Varchar2}, {Name: "NOTE", Type: oracle.Clob}}, Rows: [][]any{{"Ada", "clob"}, {"Bob", nil}}}
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{
		{Match: `^begin everything`, Result: oracle.Result{Out: map[int]any{
			0: "12345678901234567890.5", 1: "in and out", 2: nil, 3: []byte{0xAB}, 4: "a clob", 5: []byte("a blob"), 6: rows, 7: few}}},
		{Match: `^declare`, Result: oracle.Result{Out: map[int]any{0: "7"}}},
	}})
	out := func(as string, more ...any) map[string]any {
		m := map[string]any{"out": as}
		if len(more) > 0 {
			m["value"] = more[0]
		}
		return m
	}
	got := must(t, to(server, map[string]any{
		"call": "everything(:n, :s, :nothing, :r, :c, :b, :rows, :few);",
		"params": map[string]any{"n": out("number"), "s": out("string", "in"), "nothing": out("number"), "r": out("raw"),
			"c": out("clob"), "b": out("blob"), "rows": out("cursor"), "few": out("cursor")},
	}))
	result := got["result"].(map[string]any)
	list := result["rows"].([]any)
	if len(list) != 60 || fmt.Sprint(list[59]) != "map[ID:59]" {
		t.Errorf("the first cursor gave %d rows, the last %v", len(list), list[len(list)-1])
	}
	delete(result, "rows")
	want := map[string]any{
		"n": json.Number("12345678901234567890.5"), "s": "in and out", "nothing": nil, "r": "AB", "c": "a clob",
		"b":   base64.StdEncoding.EncodeToString([]byte("a blob")),
		"few": []any{map[string]any{"NAME": "Ada", "NOTE": "clob"}, map[string]any{"NAME": "Bob", "NOTE": nil}},
	}
	if diff := cmp.Diff(want, result); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := binds(server)[0][1]; got != "in" {
		t.Errorf("the IN OUT parameter was sent as %v", got)
	}

	got = must(t, to(server, map[string]any{"call": "DECLARE x NUMBER; BEGIN :1 := :2; END;", "params": []any{out("number"), 3}}))
	if diff := cmp.Diff([]any{json.Number("7")}, got["result"]); diff != "" {
		t.Errorf("by position (-want +got):\n%s", diff)
	}
}

func TestReturning(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^begin", Result: oracle.Result{Out: map[int]any{1: "99"}}}}})
	got := must(t, to(server, map[string]any{
		"call":   "BEGIN INSERT INTO emp (name) VALUES (:name)\nRETURNING id INTO :id; END;",
		"params": map[string]any{"name": "Ada", "id": map[string]any{"out": "number"}},
	}))
	if diff := cmp.Diff(map[string]any{"id": json.Number("99")}, got["result"]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLOBs(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("Größe 😀 ", 9000)
	bytes := []byte(strings.Repeat("\x00\xFF", 50_000))
	script := []oracle.Case{{Match: "^select", Result: oracle.Result{
		Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "C", Type: oracle.Clob}, {Name: "B", Type: oracle.Blob}},
		Rows:    [][]any{{1, text, bytes}, {2, nil, nil}, {3, "", []byte{}}, {4, "x", []byte("y")}},
	}}}
	for name, config := range map[string]oracle.Config{"plain": {}, "small packets": {SDU: 512}, "bit vectors": {BitVectors: true}} {
		for _, how := range []string{"inline", "stream"} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				config.Script = script
				server := oracle.New(t, config)
				got := must(t, to(server, map[string]any{"fetch": "SELECT * FROM docs", "lob_fetch": how, "fetch_size": 2}))
				want := []any{
					map[string]any{"ID": json.Number("1"), "C": text, "B": base64.StdEncoding.EncodeToString(bytes)},
					map[string]any{"ID": json.Number("2"), "C": nil, "B": nil},
					map[string]any{"ID": json.Number("3"), "C": nil, "B": nil},
					map[string]any{"ID": json.Number("4"), "C": "x", "B": "eQ=="},
				}
				for _, row := range got["result"].([]any) {
					if m := row.(map[string]any); m["C"] == "" { // an empty CLOB is not NULL, if it is read by its locator
						m["C"] = nil
					}
				}
				if diff := cmp.Diff(want, got["result"]); diff != "" {
					t.Errorf("(-want +got):\n%.600s", diff)
				}
			})
		}
	}
	server := oracle.New(t, oracle.Config{Script: script})
	_, err := run(t, to(server, map[string]any{"fetch": "SELECT * FROM docs", "max_lob_size": 1000}))
	wantError(t, err, tasks.Invalid, "row 1, column C", "max_lob_size is 1000")
}

func TestLargeResults(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^select", Result: oracle.Result{
		Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "TEXT", Type: oracle.Varchar2}},
		Count:   rows, Row: func(i int) []any { return []any{i, fmt.Sprintf("line %d, \"quoted\"", i)} },
	}}}})
	big := map[string]any{"fetch": "SELECT id, text FROM big"}

	e := taskstest.NewExecution(t)
	out, err := e.Run(t.Context(), t, newDriver(t), to(server, big))
	if err != nil || out["row_count"] != int64(10_000) || out["truncated"] != true || !strings.Contains(fmt.Sprint(e.Said()), "more than 10000 rows") {
		t.Errorf("without a limit: got %v rows, truncated %v, %v, said %q", out["row_count"], out["truncated"], err, e.Said())
	}
	out = must(t, to(server, big, map[string]any{"max_rows": 7}))
	if out["row_count"] != int64(7) || out["truncated"] != true {
		t.Errorf("with max_rows: got %v rows, truncated %v", out["row_count"], out["truncated"])
	}
	_, err = run(t, to(server, map[string]any{"fetch": "SELECT x", "max_rows": 0, "fetch_size": 10, "execute": nil}))
	if err != nil {
		t.Errorf("all of them: %v", err)
	}

	for file, last := range map[string]string{
		"deep/er/big.csv": "24999,\"line 24999, \"\"quoted\"\"\"\n",
		"big.ndjson":      `{"ID":24999,"TEXT":"line 24999, \"quoted\""}` + "\n",
	} {
		e := taskstest.NewExecution(t)
		out, err := e.Run(t.Context(), t, newDriver(t), to(server, big, map[string]any{"file_path": file}))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(e.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(text), last) || out["size"] != int64(len(text)) || out["row_count"] != int64(rows) || out["file"] != file || out["result"] != nil {
			t.Errorf("%s: got %v, ending in %q", file, out, text[len(text)-50:])
		}
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^insert", Func: func(c oracle.Call) oracle.Result {
		return oracle.Result{Affected: len(c.Binds)}
	}}}})
	inserts := func() (sizes []int) {
		for _, c := range server.Calls() {
			if c.Op == "execute" && strings.HasPrefix(c.SQL, "INSERT") {
				sizes = append(sizes, len(c.Binds))
			}
		}
		return sizes
	}
	var rows []any
	for i := range 25 {
		rows = append(rows, map[string]any{"id": i, "name": fmt.Sprint("n", i)})
	}
	rows[3].(map[string]any)["name"] = nil
	out := must(t, to(server, map[string]any{"batch": "INSERT INTO emp (id, name) VALUES (:id, :name)", "rows": rows, "batch_size": 10}))
	if diff := cmp.Diff(map[string]any{"row_count": int64(25), "rows_affected": int64(25), "errors": []any{}}, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{10, 10, 5}, inserts()); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if server.Count("commit") != 1 {
		t.Errorf("%d commits", server.Count("commit"))
	}
	if got := fmt.Sprint(server.Calls()[1].Binds[:4]); got != "[[0 n0] [1 n1] [2 n2] [3 <nil>]]" {
		t.Errorf("got %s", got)
	}
}

func TestBatchFromFiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"emp.csv":    "\uFEFFNAME,extra,id\n\"Ada, A.\",x,1\n,y,2\n",
		"emp.ndjson": `{"id":"1","name":"Ada, A."}` + "\n" + `["2", null]`,
	} {
		server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^insert", Result: oracle.Result{Affected: 2}}}})
		e := taskstest.NewExecution(t)
		if err := os.WriteFile(filepath.Join(e.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Run(t.Context(), t, newDriver(t), to(server, map[string]any{"batch": "INSERT INTO emp (id, name) VALUES (:id, :name)", "rows_path": name})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([][]any{{"1", "Ada, A."}, {"2", nil}}, binds(server)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestBatchWithFailingRows(t *testing.T) {
	t.Parallel()
	failing := oracle.Case{Match: "^insert", Result: oracle.Result{Affected: 3, RowErrs: map[int]oracle.Error{
		1: {Code: 1, Text: "unique constraint violated"}, 4: {Code: 1400, Text: "cannot insert NULL"},
	}}}
	inputs := map[string]any{"batch": "INSERT INTO emp VALUES (:1)", "rows": []any{[]any{1}, []any{1}, []any{2}, []any{3}, []any{nil}}}

	server := oracle.New(t, oracle.Config{Script: []oracle.Case{failing}})
	_, err := run(t, to(server, inputs))
	wantError(t, err, tasks.Conflict, "2 rows failed, and all of them were undone", "row 2: ORA-00001: unique constraint violated; row 5: ORA-01400: cannot insert NULL")
	if server.Count("rollback") != 1 || server.Count("commit") != 0 {
		t.Errorf("%d rollbacks, %d commits", server.Count("rollback"), server.Count("commit"))
	}

	server = oracle.New(t, oracle.Config{Script: []oracle.Case{failing}})
	out := must(t, to(server, inputs, map[string]any{"on_row_error": "keep"}))
	want := map[string]any{"row_count": int64(5), "rows_affected": int64(3), "errors": []any{
		map[string]any{"row": int64(2), "code": int64(1), "message": "ORA-00001: unique constraint violated"},
		map[string]any{"row": int64(5), "code": int64(1400), "message": "ORA-01400: cannot insert NULL"},
	}}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if server.Count("commit") != 1 {
		t.Errorf("%d commits", server.Count("commit"))
	}

	for name, rows := range map[string][]any{
		"numbers and texts": {[]any{1}, []any{"a"}}, "too many": {[]any{1, 2}}, "no row": {"text"},
	} {
		_, err := run(t, to(server, inputs, map[string]any{"rows": rows}))
		if e := wantError(t, err, tasks.Invalid, "row "); e.Input != "rows" {
			t.Errorf("%s: got input %q", name, e.Input)
		}
	}
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	script := []oracle.Case{
		emp(), {Match: "^update bad", Result: oracle.Result{Err: &oracle.Error{Code: 1722, Text: "invalid number"}}},
		{Match: "^update", Result: oracle.Result{Affected: 2}},
	}
	server := oracle.New(t, oracle.Config{Script: script})
	out := must(t, to(server, map[string]any{"isolation_level": "serializable", "transaction": []any{
		map[string]any{"sql": "UPDATE acc SET n = n - :1", "params": []any{5}}, "SELECT id FROM emp", "UPDATE acc SET n = n + 5",
	}}))
	result := out["result"].([]any)
	if len(result) != 3 || out["rows_affected"] != int64(4) || len(result[1].(map[string]any)["result"].([]any)) != 3 {
		t.Errorf("got %v", out)
	}
	var ops []string
	for _, c := range server.Calls() {
		switch c.Op {
		case "execute":
			ops = append(ops, c.SQL)
			if c.Commit {
				t.Errorf("%s commits itself", c.SQL)
			}
		case "commit", "rollback":
			ops = append(ops, c.Op)
		}
	}
	want := []string{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "UPDATE acc SET n = n - :1", "SELECT id FROM emp", "UPDATE acc SET n = n + 5", "commit"}
	if diff := cmp.Diff(want, ops); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	server = oracle.New(t, oracle.Config{Script: script})
	_, err := run(t, to(server, map[string]any{"transaction": []any{"UPDATE acc SET n = 1", "UPDATE bad SET n = 'x'"}}))
	wantError(t, err, tasks.Invalid, "statement 2: ORA-01722")
	if server.Count("rollback") != 1 || server.Count("commit") != 0 {
		t.Errorf("%d rollbacks, %d commits", server.Count("rollback"), server.Count("commit"))
	}
}

func TestAutocommit(t *testing.T) {
	t.Parallel()
	for _, auto := range []bool{true, false} {
		server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^update", Result: oracle.Result{Affected: 1}}}})
		must(t, to(server, map[string]any{"execute": "UPDATE acc SET n = 1", "autocommit": auto}))
		for _, c := range server.Calls() {
			if c.Op == "execute" && c.Commit != auto {
				t.Errorf("autocommit %v: the statement commits itself: %v", auto, c.Commit)
			}
		}
		if got := server.Count("commit") == 1; got == auto {
			t.Errorf("autocommit %v: committed by a call: %v", auto, got)
		}
	}
}

// Types that one meets seldom: LONG columns, and cursors in rows.
func TestLongsAndCursorsInRows(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 20_000)
	inner := func(n int) oracle.Result {
		return oracle.Result{Columns: []oracle.Column{{Name: "X", Type: oracle.Number}}, Count: n, Row: func(i int) []any { return []any{i} }}
	}
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{
		{Match: "longs", Result: oracle.Result{
			Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "L", Type: oracle.Long}},
			Rows:    [][]any{{1, long}, {2, nil}, {3, "x"}}}},
		{Match: "raws", Result: oracle.Result{
			Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "L", Type: oracle.LongRaw}},
			Rows:    [][]any{{1, []byte{0, 0xFF}}, {2, nil}}}},
		{Match: "cursors", Result: oracle.Result{
			Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "C", Type: oracle.Cursor}},
			Rows:    [][]any{{1, inner(2)}, {2, inner(0)}}}},
	}})
	id := func(n string, name string, v any) map[string]any {
		return map[string]any{"ID": json.Number(n), name: v}
	}
	for sql, want := range map[string][]any{
		"SELECT * FROM longs": {id("1", "L", long), id("2", "L", nil), id("3", "L", "x")},
		"SELECT * FROM raws":  {id("1", "L", "AP8="), id("2", "L", nil)},
		"SELECT * FROM cursors": {
			id("1", "C", []any{map[string]any{"X": json.Number("0")}, map[string]any{"X": json.Number("1")}}), id("2", "C", []any{})},
	} {
		got := must(t, to(server, map[string]any{"fetch": sql}))
		if diff := cmp.Diff(want, got["result"]); diff != "" {
			t.Errorf("%s (-want +got):\n%.500s", sql, diff)
		}
	}
}
