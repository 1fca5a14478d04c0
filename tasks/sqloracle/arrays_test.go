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

// typed is a value with its type, as a flow writes it.
func typed(as string, value any) map[string]any { return map[string]any{"type": as, "value": value} }

// Each column of a batch keeps its type, with NULLs anywhere, at its start too.
func TestBatchOfTypedValues(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 3000)
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^insert", Result: oracle.Result{Affected: 3}}}})
	must(t, to(server, map[string]any{
		"batch": "INSERT INTO all_types VALUES (:1, :2, :3, :4, :5, :6, :7, :8, :9)",
		"rows": []any{
			[]any{nil, nil, nil, nil, nil, nil, nil, nil, nil},
			[]any{
				json.Number("12345678901234567890123456789012345678"), typed("number", "-0.10"), typed("date", "2026-01-31"), typed("timestamp", "2026-01-31T08:09:10.000005"),
				typed("timestamp_tz", "2026-01-31T08:09:10+02:00"), typed("raw", "00ff"), typed("clob", "a clob"), typed("blob", base64.StdEncoding.EncodeToString([]byte("b"))), "short",
			},
			[]any{1, true, nil, typed("timestamp", nil), nil, nil, "a text among CLOBs", nil, long},
		},
	}))
	want := "[[<nil> <nil> <nil> <nil> <nil> <nil> <nil> <nil> <nil>] " +
		"[12345678901234567890123456789012345678 -0.1 2026-01-31 00:00:00 +0000 UTC 2026-01-31 08:09:10.000005 +0000 UTC 2026-01-31 08:09:10 +0200 +0200 [0 255] a clob [98] short] " +
		"[1 1 <nil> <nil> <nil> <nil> a text among CLOBs <nil> " + long + "]]"
	if got := fmt.Sprint(binds(server)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for text, column := range map[string][]any{
		"row 2, value 1: the column holds numbers and texts":                   {1, "a"},
		"row 2, value 1: the column holds dates and texts":                     {typed("date", "2026-01-31"), "2026-02-01"},
		"row 3, value 1: the column holds RAWs and numbers":                    {typed("raw", "00"), nil, 1},
		"row 1, value 1: a RAW of more than 2000 bytes":                        {typed("raw", strings.Repeat("00", 2001))},
		"row 1, value 1: write a date as":                                      {typed("date", "31.1.2026")},
		"row 1, value 1: it is an OUT parameter":                               {map[string]any{"out": "number"}},
		"row 1, value 1: it is an array":                                       {typed("number", []any{1})},
		"row 2, value 1: the column holds times with a zone and dates":         {typed("timestamp_tz", "2026-01-31T08:09:10+02:00"), typed("date", "2026-01-31")},
		`row 1, value 1: "money" is none of the types number, string, date`:    {typed("money", 1)},
		"row 2, value 1: a number of 39 digits: Oracle keeps 38":               {1, json.Number(strings.Repeat("1", 39))},
		"row 1, value 1: the file \"../secret\" cannot be opened in the files": {map[string]any{"type": "blob", "file": "../secret"}},
	} {
		var rows []any
		for _, v := range column {
			rows = append(rows, []any{v})
		}
		_, err := run(t, to(server, map[string]any{"batch": "INSERT INTO t VALUES (:1)", "rows": rows}))
		if e := wantError(t, err, tasks.Invalid, text); e.Input != "rows" {
			t.Errorf("%s: got input %q", text, e.Input)
		}
	}
}

// Large values of a batch come from files, and are not read beyond the limit.
func TestBatchOfFiles(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^insert", Result: oracle.Result{Affected: 2}}}})
	e := taskstest.NewExecution(t)
	if err := os.WriteFile(filepath.Join(e.Dir, "photo.png"), []byte("\x89PNG and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	inputs := to(server, map[string]any{"batch": "INSERT INTO photos (id, photo) VALUES (:id, :photo)", "rows": []any{
		map[string]any{"id": 1, "photo": map[string]any{"type": "blob", "file": "photo.png"}}, map[string]any{"id": 2, "photo": nil},
	}})
	if _, err := e.Run(t.Context(), t, newDriver(t), inputs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]any{{"1", []byte("\x89PNG and more")}, {"2", nil}}, binds(server)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	inputs["max_lob_size"] = 5
	_, err := e.Run(t.Context(), t, newDriver(t), inputs)
	wantError(t, err, tasks.Invalid, "row 1, value 2", "more than 5 bytes")
}

// Tables of PL/SQL go both ways, with NULLs in them, empty ones too.
func TestTables(t *testing.T) {
	t.Parallel()
	values := map[string][]any{
		"number":       {json.Number("12345678901234567890.5"), nil, json.Number("-1")},
		"string":       {"ä", nil, "c"},
		"raw":          {"00FF", nil, "AB"},
		"date":         {"2026-01-31T00:00:00", nil, "2026-02-01T10:11:12"},
		"timestamp":    {"2026-01-31T00:00:00", nil, "2026-02-01T10:11:12.000005"},
		"timestamp_tz": {"2026-01-31T00:00:00+02:00", nil, "2026-02-01T10:11:12.5-03:30"},
	}
	for as, list := range values {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^begin", Func: func(c oracle.Call) oracle.Result {
				return oracle.Result{Out: map[int]any{1: c.Binds[0][0], 2: c.Binds[0][2], 3: nil}}
			}}}})
			out := func(value any) map[string]any {
				m := map[string]any{"out": as, "array": 10}
				if value != nil {
					m["value"], m["array"] = value, 2
				}
				return m
			}
			got := must(t, to(server, map[string]any{
				"call":   "copy(:given, :got, :both, :none)",
				"params": map[string]any{"given": typed(as, list), "got": out(nil), "both": out(list[:2]), "none": out(nil)},
			}))["result"]
			want := map[string]any{"got": list, "both": list[:2], "none": []any{}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	server := oracle.New(t, oracle.Config{})
	for text, param := range map[string]any{
		"and not \"clob\"":                             map[string]any{"out": "clob", "array": 3},
		"from 1 to 32767":                              map[string]any{"out": "number", "array": 0},
		"a list of 2 elements, and array is 1":         map[string]any{"out": "number", "array": 1, "value": []any{1, 2}},
		"the value of an array is a list":              map[string]any{"out": "number", "array": 1, "value": 2},
		"element 2: write a date as":                   typed("date", []any{"2026-01-31", "soon"}),
		"and not \"\"":                                 map[string]any{"value": []any{1}},
		"a list of 32768 elements: 32767 are the most": typed("number", make([]any, 32768)),
	} {
		_, err := run(t, to(server, map[string]any{"call": "p(:x)", "params": map[string]any{"x": param}}))
		wantError(t, err, tasks.Invalid, text)
	}
	_, err := run(t, to(server, map[string]any{"execute": "UPDATE e SET a = :1", "params": []any{typed("number", []any{1})}}))
	wantError(t, err, tasks.Invalid, "which only a PL/SQL block takes")
	if n := len(server.Calls()); n > 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// Single values of each type go out, and in and out, and NULL of each.
func TestOutOfEachType(t *testing.T) {
	t.Parallel()
	for as, value := range map[string]any{
		"number": json.Number("-12345678901234567890123456789012345678"), "string": "Grüße", "raw": "00FF", "clob": strings.Repeat("ä", 40_000),
		"blob": base64.StdEncoding.EncodeToString([]byte("bytes")), "date": "2026-01-31T08:09:10", "timestamp": "2026-01-31T08:09:10.000005", "timestamp_tz": "2026-01-31T08:09:10.5-03:30",
	} {
		t.Run(as, func(t *testing.T) {
			t.Parallel()
			server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "^begin", Func: func(c oracle.Call) oracle.Result {
				return oracle.Result{Out: map[int]any{1: c.Binds[0][0], 2: c.Binds[0][2], 3: nil, 4: nil}}
			}}}})
			inOut := map[string]any{"out": as, "value": value}
			got := must(t, to(server, map[string]any{
				"call": "copy(:given, :got, :both, :none, :gone)",
				"params": map[string]any{"given": typed(as, value), "got": map[string]any{"out": as}, "both": inOut,
					"none": map[string]any{"out": as}, "gone": inOut},
			}))["result"]
			want := map[string]any{"got": value, "both": value, "none": nil, "gone": nil}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%.600s", diff)
			}
		})
	}
}
