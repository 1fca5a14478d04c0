package sqloracle

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	goora "github.com/sijms/go-ora/v2"

	"github.com/weir-engine/weir/tasks"
)

// localLayout writes dates that have no zone.
const localLayout = "2006-01-02T15:04:05.999999999"

// column is a column of a result.
type column struct {
	name    string // unique in its result
	numeric bool
	zoned   bool // times have a zone
	hex     bool // bytes are shown in hex
	about   map[string]any
}

// columnsOf describes the columns of rows.
func columnsOf(rows *goora.DataSet) []column {
	names := rows.Columns()
	columns := make([]column, len(names))
	used := map[string]bool{}
	for i, name := range names {
		for n := 2; used[name]; n++ {
			name = names[i] + "_" + strconv.Itoa(n)
		}
		used[name] = true
		columns[i] = describe(rows, i, name)
	}
	return columns
}

// oracleType is a type as Oracle calls it, and how its values are given.
type oracleType struct{ name, encoding, zone string }

// typeNamed gives the type that go-ora has this name for.
func typeNamed(name string) oracleType {
	t, ok := map[string]oracleType{
		"NCHAR": {name: "VARCHAR2"}, "CHAR": {name: "CHAR"}, "NUMBER": {name: "NUMBER"}, "LONG": {name: "LONG"},
		"ROWID": {name: "ROWID"}, "UROWID": {name: "UROWID"},
		"DATE": {name: "DATE", zone: "none"}, "TimeStampDTY": {name: "TIMESTAMP", zone: "none"}, "TIMESTAMP": {name: "TIMESTAMP", zone: "none"},
		"TimeStampTZ_DTY": {name: "TIMESTAMP WITH TIME ZONE", zone: "value"}, "TIMESTAMPTZ": {name: "TIMESTAMP WITH TIME ZONE", zone: "value"},
		"TimeStampLTZ_DTY": {name: "TIMESTAMP WITH LOCAL TIME ZONE", zone: "session"}, "TimeStampeLTZ": {name: "TIMESTAMP WITH LOCAL TIME ZONE", zone: "session"},
		"RAW": {name: "RAW", encoding: "hex"}, "LongRaw": {name: "LONG RAW", encoding: "base64"}, "LongVarChar": {name: "CLOB"},
		"OCIClobLocator": {name: "CLOB"}, "OCIBlobLocator": {name: "BLOB", encoding: "base64"},
		"IBFloat": {name: "BINARY_FLOAT"}, "IBDouble": {name: "BINARY_DOUBLE"}, "REFCURSOR": {name: "CURSOR"},
		"IntervalYM_DTY": {name: "INTERVAL YEAR TO MONTH"}, "IntervalDS_DTY": {name: "INTERVAL DAY TO SECOND"},
	}[name]
	if !ok {
		return oracleType{name: name}
	}
	return t
}

func describe(rows *goora.DataSet, i int, name string) column {
	k := typeNamed(rows.ColumnTypeDatabaseTypeName(i))
	nullable, _ := rows.ColumnTypeNullable(i)
	c := column{name: name, about: map[string]any{"name": name, "type": k.name, "nullable": nullable}}
	if k.encoding != "" {
		c.about["encoding"] = k.encoding
	}
	if k.zone != "" {
		c.about["zone"] = k.zone
	}
	c.zoned = k.zone != "" && k.zone != "none"
	c.hex = k.encoding == "hex"
	c.numeric = k.name == "NUMBER"
	if precision, scale, ok := rows.ColumnTypePrecisionScale(i); ok && scale != 255 {
		// 255 is go-ora's way of saying that any number of digits may follow the point.
		c.about["precision"], c.about["scale"] = precision, int64(int8(scale)) //nolint:gosec // a signed byte on the wire
	}
	return c
}

// sink takes rows. A row is its own until the next one comes.
type sink interface {
	add(columns []column, row []any) error
}

// fetched tells what reading rows has come to.
type fetched struct {
	columns   []column
	count     int64
	truncated bool
}

// read gives up to so many rows to a sink; 0 is all. It runs within guard.
func (s *session) read(ctx context.Context, rows *goora.DataSet, most int64, to sink) (fetched, error) {
	const look = 256 // rows between two looks at the context
	f := fetched{columns: columnsOf(rows)}
	raw, row := make([]driver.Value, len(f.columns)), make([]any, len(f.columns))
	for {
		if f.count%look == 0 {
			if err := ctx.Err(); err != nil {
				return f, err
			}
			s.env.Progress(f.count, 0, "rows")
		}
		err := rows.Next(raw)
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return f, err
		}
		if most > 0 && f.count == most {
			f.truncated = true
			return f, nil
		}
		for i, v := range raw {
			if row[i], err = s.plainValue(ctx, f.columns[i], v); err != nil {
				return f, placed(fmt.Sprintf("row %d, column %s", f.count+1, f.columns[i].name), err)
			}
		}
		if err := to.add(f.columns, row); err != nil {
			return f, err
		}
		f.count++
	}
}

// placed says in an error where it happened.
func placed(where string, err error) error {
	var own *tasks.Error
	if !errors.As(err, &own) {
		return fmt.Errorf("%s: %w", where, err)
	}
	e := *own
	e.Message = where + ": " + e.Message
	return &e
}

// plainValue makes a plain value of what go-ora gives.
func (s *session) plainValue(ctx context.Context, c column, v driver.Value) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if c.numeric {
			return exact(v)
		}
		if err := s.fits(len(v)); err != nil {
			return nil, err
		}
		return strings.ToValidUTF8(v, "\uFFFD"), nil
	case []byte:
		if err := s.fits(len(v)); err != nil {
			return nil, err
		}
		if c.hex {
			return bytesOrNil(v, upperHex), nil
		}
		return base64OrNil(v), nil
	case time.Time:
		if c.zoned {
			return v.Format(time.RFC3339Nano), nil
		}
		return v.Format(localLayout), nil
	case float32:
		f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		return float(f), nil
	case float64:
		return float(v), nil
	case bool:
		return v, nil
	case int64:
		return v, nil
	case *goora.DataSet:
		defer v.Close() //nolint:errcheck // its rows were read
		var l inline
		_, err := s.read(ctx, v, s.maxRows(), &l)
		return list(l.rows), err
	}
	return nil, fmt.Errorf("values of this type (%T) are not supported: convert it in the query", v)
}

// fits checks the size of a value.
func (s *session) fits(size int) error {
	if int64(size) > s.largest {
		return &tasks.Error{Kind: tasks.Invalid, Input: "max_lob_size",
			Message: fmt.Sprintf("a value of %d bytes, and max_lob_size is %d", size, s.largest)}
	}
	return nil
}

// float gives what JSON has no number for as a text.
func float(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

// exact gives a NUMBER with all its digits.
func exact(text string) (any, error) {
	switch {
	case text == "":
		return nil, nil
	case strings.HasSuffix(text, "Infinity"):
		return text, nil
	}
	text = strings.TrimSuffix(text, ".")
	if !isDecimal(strings.TrimPrefix(text, "-")) {
		return nil, errors.New("the server sent a number that is none")
	}
	return json.Number(text), nil
}

// isDecimal tells whether a text is digits with at most one point among them.
func isDecimal(text string) bool {
	points := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
		case c == '.' && i > 0 && i < len(text)-1 && points == 0:
			points++
		default:
			return false
		}
	}
	return text != ""
}

// inline collects rows for the output.
type inline struct {
	rows []any
	size int
}

func (l *inline) add(columns []column, row []any) error {
	m := make(map[string]any, len(row))
	for i, v := range row {
		m[columns[i].name] = v
		l.size += len(columns[i].name) + sizeOf(v)
	}
	if l.size > inlineLimit {
		return &tasks.Error{Kind: tasks.Invalid, Input: "file_path",
			Message: fmt.Sprintf("the rows have more than %d MiB, which is too much for an output", inlineLimit>>20),
			Hint:    "write them into a file with `file_path`, or fetch fewer"}
	}
	l.rows = append(l.rows, m)
	return nil
}

func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case json.Number:
		return len(v)
	}
	return 8
}

func list(rows []any) []any {
	if rows == nil {
		return []any{}
	}
	return rows
}

func abouts(columns []column) []any {
	all := make([]any, len(columns))
	for i, c := range columns {
		all[i] = c.about
	}
	return all
}
