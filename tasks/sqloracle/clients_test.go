//go:build oracleclients

package sqloracle_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

// This suite keeps the protocol test server honest: two clients that Oracle wrote,
// npm's oracledb and Debian's python3-oracledb (both in Thin mode), run the same
// scripted cases as the driver, and all three have to see the same. It needs Node
// with that package on NODE_PATH, and Python with that one; where they are missing,
// it fails. It shows that the server's framing is what Oracle's clients expect, and
// nothing about Oracle Database.

// clientCase is one thing that all clients do.
type clientCase struct {
	Name     string  `json:"name"`
	Kind     string  `json:"kind"` // query, change, block, cursor, batch, typed, table, returning, lob, hang, login
	SQL      string  `json:"sql"`
	Params   []any   `json:"params,omitempty"`
	Rows     [][]any `json:"rows,omitempty"`
	User     string  `json:"user,omitempty"`
	Password string  `json:"password,omitempty"`
	Service  string  `json:"service,omitempty"`
}

// seen is what a client saw.
type seen struct {
	Rows     [][]any  `json:"rows,omitempty"`
	Affected int      `json:"affected,omitempty"`
	Out      any      `json:"out,omitempty"`
	Errors   []failed `json:"errors,omitempty"`
	Error    any      `json:"error,omitempty"`
	Position int      `json:"position,omitempty"`
	Login    bool     `json:"login,omitempty"`
}

type failed struct {
	Row  int `json:"row"`
	Code int `json:"code"`
}

func clientCases() []clientCase {
	return []clientCase{
		{Name: "types", Kind: "query", SQL: "SELECT * FROM types"},
		{Name: "rows", Kind: "query", SQL: "SELECT id, name FROM emp"},
		{Name: "no rows", Kind: "query", SQL: "SELECT id FROM none"},
		{Name: "one row", Kind: "query", SQL: "SELECT id FROM rows1"},
		{Name: "two rows", Kind: "query", SQL: "SELECT id FROM rows2"},
		{Name: "three rows", Kind: "query", SQL: "SELECT id FROM rows3"},
		{Name: "a page", Kind: "query", SQL: "SELECT id FROM rows100"},
		{Name: "a page and a row", Kind: "query", SQL: "SELECT id FROM rows101"},
		{Name: "many rows", Kind: "query", SQL: "SELECT id FROM rows5000"},
		{Name: "LOBs", Kind: "query", SQL: "SELECT * FROM docs"},
		{Name: "change", Kind: "change", SQL: "INSERT INTO emp VALUES (:1, :2)", Params: []any{7, "Ada"}},
		{Name: "block", Kind: "block", SQL: "BEGIN copy(:in, :out); END;"},
		{Name: "cursor", Kind: "cursor", SQL: "BEGIN open_rows(:rows); END;"},
		{Name: "batch", Kind: "batch", SQL: "INSERT INTO some VALUES (:1, :2)", Rows: [][]any{{1, "a"}, {2, "b"}, {3, "c"}}},
		{Name: "typed batch", Kind: "typed", SQL: "INSERT INTO typed VALUES (:1, :2, :3)", Rows: [][]any{{nil, nil, nil}, {1.5, "2026-01-02T03:04:05", "00FF"}, {2, nil, "AB"}}},
		{Name: "tables", Kind: "table", SQL: "BEGIN copy_table(:in, :out); END;", Params: []any{1.5, -2, 300}},
		{Name: "returning", Kind: "returning", SQL: "INSERT INTO ret VALUES (:name) RETURNING id INTO :id", Params: []any{"Ada"}},
		{Name: "temporary LOB", Kind: "lob", SQL: "INSERT INTO lobs VALUES (:1)", Params: []any{"a clob: ä😀"}},
		{Name: "error", Kind: "query", SQL: "SELECT * FROM missing"},
		{Name: "error by markers", Kind: "query", SQL: "SELECT * FROM marked"},
		{Name: "error while fetching", Kind: "query", SQL: "SELECT id FROM old"},
		{Name: "cancel", Kind: "hang", SQL: "SELECT hang FROM x"},
		{Name: "login", Kind: "login", User: "scott", Password: "tiger", Service: "XEPDB1"},
		{Name: "wrong password", Kind: "login", User: "scott", Password: "lion", Service: "XEPDB1"},
		{Name: "unknown user", Kind: "login", User: "nobody", Password: "tiger", Service: "XEPDB1"},
		{Name: "locked", Kind: "login", User: "locked", Password: "tiger", Service: "XEPDB1"},
		{Name: "odd password", Kind: "login", User: "odd", Password: `pä"ss/w@rd`, Service: "XEPDB1"},
		{Name: "unknown service", Kind: "login", User: "scott", Password: "tiger", Service: "other"},
	}
}

func clientConfig() oracle.Config {
	when := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	all := types()
	for i, v := range all.Rows[0] {
		if _, ok := v.(time.Time); ok {
			all.Rows[0][i] = when // JavaScript's dates have milliseconds
		}
	}
	all.Rows[0][9] = when.In(time.FixedZone("", -(3*3600 + 1800)))
	all.Rows[0][12] = 0.5 // a binary float that is the same in all languages
	ids := []oracle.Column{{Name: "ID", Type: oracle.Number}}
	script := []oracle.Case{
		all, emp(),
		{Match: `from none`, Result: oracle.Result{Columns: ids}},
		{Match: `from docs`, Result: oracle.Result{
			Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "C", Type: oracle.Clob}, {Name: "B", Type: oracle.Blob}},
			Rows:    [][]any{{1, strings.Repeat("ä😀", 30_000), bytes.Repeat([]byte{0, 0xFF}, 40_000)}, {2, nil, nil}, {3, "x", []byte("y")}}}},
		{Match: `^begin copy_table`, Func: func(c oracle.Call) oracle.Result { return oracle.Result{Out: map[int]any{1: c.Binds[0][0]}} }},
		{Match: `insert into ret`, Func: func(c oracle.Call) oracle.Result {
			return oracle.Result{Affected: 1, Out: map[int]any{1: map[any]string{"Ada": "99"}[c.Binds[0][0]]}}
		}},
		{Match: `^insert into typed`, Func: func(c oracle.Call) oracle.Result {
			if got := fmt.Sprint(c.Binds); got != "[[<nil> <nil> <nil>] [1.5 2026-01-02 03:04:05 +0000 UTC [0 255]] [2 <nil> [171]]]" {
				return oracle.Result{Err: &oracle.Error{Code: 1722, Text: got}}
			}
			return oracle.Result{Affected: len(c.Binds)}
		}},
		{Match: `^begin copy`, Func: func(c oracle.Call) oracle.Result {
			return oracle.Result{Out: map[int]any{1: fmt.Sprint(c.Binds[0][0], " and out")}}
		}},
		{Match: `^begin open_rows`, Result: oracle.Result{Out: map[int]any{0: oracle.Result{Columns: ids, Count: 130, Row: func(i int) []any { return []any{i} }}}}},
		{Match: `^insert into some`, Result: oracle.Result{Affected: 2, RowErrs: map[int]oracle.Error{1: {Code: 1, Text: "unique constraint violated"}}}},
		{Match: `^insert into lobs`, Func: func(c oracle.Call) oracle.Result {
			return oracle.Result{Affected: len([]rune(fmt.Sprint(c.Binds[0][0])))}
		}},
		{Match: `^insert`, Result: oracle.Result{Affected: 1}},
		{Match: `from missing`, Result: oracle.Result{Err: &oracle.Error{Code: 942, Text: "table or view does not exist", Pos: 14}}},
		{Match: `from marked`, Result: oracle.Result{Err: &oracle.Error{Code: 1031, Text: "insufficient privileges", Pos: 14}, Markers: true}},
		{Match: `from old`, Result: oracle.Result{Columns: ids, Count: 500, Row: func(i int) []any { return []any{i} }, ErrAfter: 250, Err: &oracle.Error{Code: 1555, Text: "snapshot too old"}}},
		{Match: `^select hang`, Result: oracle.Result{Hang: true}},
	}
	for _, n := range []int{1, 2, 3, 100, 101, 5000} {
		script = append(script, oracle.Case{Match: fmt.Sprintf(`from rows%d$`, n), Result: oracle.Result{Columns: ids, Count: n, Row: func(i int) []any { return []any{i} }}})
	}
	return oracle.Config{Script: script, Accounts: map[string]oracle.Account{
		"SCOTT": {Password: "tiger"}, "LOCKED": {Password: "tiger", Err: &oracle.Error{Code: 28000, Text: "the account is locked"}}, "ODD": {Password: `pä"ss/w@rd`},
	}}
}

func TestOracleClients(t *testing.T) {
	t.Parallel()
	python := "python3"
	if name := os.Getenv("WEIR_TEST_PYTHON"); name != "" {
		python = name
	}
	for name, change := range map[string]func(*oracle.Config){
		"plain":        func(*oracle.Config) {},
		"resend":       func(c *oracle.Config) { c.Resend, c.BothMarkers = true, true },
		"negotiation":  func(c *oracle.Config) { c.Negotiate = true },
		"bit vectors":  func(c *oracle.Config) { c.BitVectors = true },
		"version 318":  func(c *oracle.Config) { c.Version, c.FieldVersion = 318, 8 },
		"field 7":      func(c *oracle.Config) { c.FieldVersion = 7 },
		"small packet": func(c *oracle.Config) { c.SDU = 4096 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := clientConfig()
			change(&config)
			server := oracle.New(t, config)
			want := map[string]seen{}
			for _, c := range clientCases() {
				want[c.Name] = weir(t, server, c)
			}
			for client, command := range map[string][]string{
				"node-oracledb": {"node", "testdata/clients/client.js"}, "python-oracledb": {python, "testdata/clients/client.py"},
			} {
				got := ask(t, server, command)
				for _, name := range slices.Sorted(maps.Keys(want)) {
					if _, ok := got[name]; !ok {
						t.Errorf("%s: %s has no result", name, client)
					}
					if diff := cmp.Diff(as(client, want[name]), as(client, got[name])); diff != "" {
						t.Errorf("%s: weir (-) and %s (+) differ:\n%.2000s", name, client, diff)
					}
				}
			}
		})
	}
}

// ask has another client run the cases.
func ask(t *testing.T, server *oracle.Server, command []string) map[string]seen {
	t.Helper()
	in, err := json.Marshal(map[string]any{"connect": server.Addr + "/XEPDB1", "cases": clientCases()})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	var results map[string]seen
	if err == nil {
		err = json.Unmarshal(out, &results)
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		t.Fatalf("%v: %v", command, err)
	}
	return results
}

// weir runs a case with the driver.
func weir(t *testing.T, server *oracle.Server, c clientCase) seen {
	t.Helper()
	out, err := run(t, to(server, inputsOf(c)))
	if err != nil {
		return seenError(c, err)
	}
	return seenOutput(c, out)
}

func inputsOf(c clientCase) map[string]any {
	inputs := map[string]any{}
	switch c.Kind {
	case "query":
		inputs["fetch"], inputs["fetch_size"] = c.SQL, 100
	case "change", "lob":
		inputs["execute"], inputs["params"] = c.SQL, c.Params
		if c.Kind == "lob" {
			inputs["params"] = []any{map[string]any{"type": "clob", "value": c.Params[0]}}
		}
	case "block":
		inputs["call"], inputs["params"] = c.SQL, map[string]any{"in": "in", "out": map[string]any{"out": "string"}}
	case "cursor":
		inputs["call"], inputs["params"] = c.SQL, map[string]any{"rows": map[string]any{"out": "cursor"}}
	case "batch":
		var rows []any
		for _, r := range c.Rows {
			rows = append(rows, r)
		}
		inputs["batch"], inputs["rows"], inputs["on_row_error"] = c.SQL, rows, "keep"
	case "typed":
		var rows []any
		for _, r := range c.Rows {
			rows = append(rows, []any{r[0], typed("date", r[1]), typed("raw", r[2])})
		}
		inputs["batch"], inputs["rows"] = c.SQL, rows
	case "table":
		inputs["call"], inputs["params"] = c.SQL, map[string]any{"in": typed("number", c.Params), "out": map[string]any{"out": "number", "array": 10}}
	case "returning":
		inputs["call"], inputs["params"] = c.SQL, map[string]any{"name": c.Params[0], "id": map[string]any{"out": "number"}}
	case "hang":
		inputs["execute"], inputs["total_timeout"] = c.SQL, "1s"
	case "login":
		inputs["fetchval"], inputs["user"], inputs["password"], inputs["service_name"] = "SELECT 1 FROM DUAL", c.User, c.Password, c.Service
	}
	return inputs
}

func seenOutput(c clientCase, out map[string]any) seen {
	switch c.Kind {
	case "login":
		return seen{Login: true}
	case "query":
		return seen{Rows: asRows(out["result"], out["columns"])}
	case "cursor":
		return seen{Rows: asRows(out["result"].(map[string]any)["rows"], []any{map[string]any{"name": "ID"}})}
	case "block":
		return seen{Out: out["result"].(map[string]any)["out"]}
	case "table":
		return seen{Out: texts(out["result"].(map[string]any)["out"].([]any))}
	case "returning":
		return seen{Out: texts([]any{out["result"].(map[string]any)["id"]})}
	case "batch":
		s := seen{Affected: int(out["rows_affected"].(int64))}
		for _, e := range out["errors"].([]any) {
			m := e.(map[string]any)
			s.Errors = append(s.Errors, failed{Row: int(m["row"].(int64)), Code: int(m["code"].(int64))})
		}
		return s
	}
	return seen{Affected: int(out["rows_affected"].(int64))}
}

// texts writes the values of a list as the other clients do.
func texts(values []any) []any {
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = fmt.Sprint(v)
	}
	return list
}

func seenError(c clientCase, err error) seen {
	var e *tasks.Error
	if !errors.As(err, &e) {
		return seen{Error: err.Error()}
	}
	if c.Kind == "hang" && e.Kind == tasks.Timeout {
		return seen{Error: float64(1013)}
	}
	m := regexp.MustCompile(`ORA-(\d+)`).FindStringSubmatch(e.Message)
	if m == nil {
		return seen{Error: e.Message}
	}
	code, _ := strconv.Atoi(m[1])
	s := seen{Error: float64(code)}
	if m := regexp.MustCompile(`column (\d+)`).FindStringSubmatch(e.Message); m != nil {
		column, _ := strconv.Atoi(m[1])
		s.Position = column - 1
	}
	return s
}

func asRows(result, columns any) [][]any {
	var rows [][]any
	for _, r := range result.([]any) {
		var row []any
		for _, c := range columns.([]any) {
			about := c.(map[string]any)
			v := r.(map[string]any)[about["name"].(string)]
			if text, ok := v.(string); ok && about["encoding"] == "base64" {
				b, _ := base64.StdEncoding.DecodeString(text)
				v = fmt.Sprintf("%X", b)
			}
			if v != nil {
				v = fmt.Sprint(v)
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	return rows
}

// as writes what a client saw in the way that this client can: JavaScript has
// instants, and this Python client drops the zone that a time has.
func as(client string, s seen) seen {
	rows := make([][]any, len(s.Rows))
	for r, row := range s.Rows {
		rows[r] = make([]any, len(row))
		for i, v := range row {
			text, ok := v.(string)
			if !ok {
				continue
			}
			rows[r][i] = value(client, text)
		}
	}
	s.Rows = rows
	return s
}

func value(client, text string) string {
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT`).MatchString(text) {
		return number(text)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05.999999999", text)
	}
	if err != nil {
		return text
	}
	if client == "node-oracledb" {
		t = t.UTC()
	}
	return t.Format("2006-01-02T15:04:05.000")
}

// number writes floats and small fractions alike.
func number(text string) string {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "-.") {
		return strings.Replace(text, ".", "0.", 1)
	}
	return strings.Replace(text, "e+", "e", 1)
}
