package sqloracle

import (
	"bufio"
	"context"
	"database/sql/driver"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"strings"

	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"

	"github.com/weir-engine/weir/tasks"
)

// mostRowErrors is how many failed rows are listed.
const mostRowErrors = 1000

// source gives rows in the order of the placeholders, io.EOF at their end.
type source interface {
	next() ([]any, error)
	close()
}

// rowError is the failure of one row.
type rowError struct {
	row     int64 // from 1
	code    int
	message string
}

func (s *session) planBatch() (work, error) {
	st, err := parse(opBatch, s.in.String(opBatch))
	if err != nil {
		return nil, err
	}
	switch {
	case st.kind != change:
		return nil, invalid(opBatch, "batch is for INSERT, UPDATE, DELETE and MERGE", "")
	case len(st.names) == 0:
		return nil, invalid(opBatch, "the statement has no placeholders to put rows into", "")
	case !s.in.Has("rows") && !s.in.Has("rows_path"):
		return nil, invalid("rows", `"rows" or "rows_path" is required`, "")
	}
	return func(ctx context.Context) (map[string]any, error) {
		from, err := s.source(st)
		if err != nil {
			return nil, err
		}
		defer from.close()
		b := batch{session: s, st: st}
		err = s.together(ctx, func() error { return b.run(ctx, from) })
		if err != nil {
			return nil, err
		}
		return b.output(), nil
	}, nil
}

// batch is an array bind under way.
type batch struct {
	*session
	st       statement
	count    int64
	affected int64
	failed   []rowError
	more     int64 // failed rows that are not listed
}

func (b *batch) output() map[string]any {
	errs := make([]any, len(b.failed))
	for i, f := range b.failed {
		errs[i] = map[string]any{"row": f.row, "code": int64(f.code), "message": f.message}
	}
	if b.more > 0 {
		b.env.Warn(fmt.Sprintf("%d rows failed, and the first %d are listed", int64(len(b.failed))+b.more, len(b.failed)))
	}
	return map[string]any{"row_count": b.count, "rows_affected": b.affected, "errors": errs}
}

func (b *batch) run(ctx context.Context, from source) error {
	size := int(b.in.Int("batch_size"))
	for {
		rows, err := take(from, size)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		if err := b.send(ctx, rows); err != nil {
			return err
		}
		b.count += int64(len(rows))
		b.env.Progress(b.count, 0, "rows")
		if len(b.failed) > 0 && b.in.String("on_row_error") == "rollback" {
			return b.rejected()
		}
	}
}

func take(from source, n int) ([][]any, error) {
	var rows [][]any
	for len(rows) < n {
		row, err := from.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// rejected is the error of a batch of which everything was undone.
func (b *batch) rejected() error {
	const shown = 5
	var parts []string
	for _, f := range b.failed[:min(shown, len(b.failed))] {
		parts = append(parts, fmt.Sprintf("row %d: %s", f.row, f.message))
	}
	e := &tasks.Error{Kind: tasks.Permanent, Input: "rows"}
	e.Message = fmt.Sprintf("%d rows failed, and all of them were undone: %s", int64(len(b.failed))+b.more, strings.Join(parts, "; "))
	v, known := verdictOn(b.failed[0].code)
	switch {
	case known:
		e.Kind = v.kind
	case isInvalid(b.failed[0].code):
		e.Kind = tasks.Invalid
	}
	e.Hint = "with `on_row_error` keep, the others are committed and the failed ones listed"
	return e
}

// send executes the statement with some rows.
func (b *batch) send(ctx context.Context, rows [][]any) error {
	args, err := b.columnArgs(rows)
	if err != nil {
		return err
	}
	var failed []rowError
	stmt := goora.NewStmt(b.st.text, b.conn.ora)
	err = b.conn.breakable(ctx, func(ctx context.Context) error {
		result, err := stmt.ExecContext(ctx, args)
		if err != nil {
			failed = rowErrors(b.conn.ora, b.count)
			return err
		}
		affected, err := result.RowsAffected()
		b.affected += affected
		return err
	})
	var oracle *network.OracleError
	switch {
	case err == nil:
	case len(failed) > 0:
		b.affected += summaryRows(b.conn.ora)
	case len(rows) == 1 && answered(err) && errors.As(err, &oracle):
		failed = []rowError{{row: b.count + 1, code: oracle.ErrCode, message: oneLine(position.ReplaceAllString(oracle.Error(), ""))}}
	default:
		return b.fault(ctx, b.st, err)
	}
	for i := range failed {
		failed[i].message = b.secrets.String(failed[i].message)
	}
	room := max(mostRowErrors-len(b.failed), 0)
	b.failed = append(b.failed, failed[:min(room, len(failed))]...)
	b.more += int64(max(len(failed)-room, 0))
	return b.conn.guard(ctx, 0, stmt.Close)
}

// columnArgs turns rows into arrays of columns.
func (b *batch) columnArgs(rows [][]any) ([]driver.NamedValue, error) {
	args := make([]driver.NamedValue, len(rows[0]))
	for c := range args {
		column := make([]any, len(rows))
		sort := "" // of the values, once one has been seen
		for r, row := range rows {
			v, err := b.element(row[c])
			is := sortOf(v)
			if sort == "" || sort == sortText && is == sortCLOB {
				sort = is
			}
			if err == nil && is != "" && is != sort && (is != sortText || sort != sortCLOB) {
				err = fmt.Errorf("the column holds %s and %s: make all of them the same", sort, is)
			}
			if err != nil {
				return nil, invalid("rows", fmt.Sprintf("row %d, value %d: %v", b.count+int64(r)+1, c+1, err), "")
			}
			column[r] = v
		}
		if sort == sortCLOB {
			allCLOBs(column)
		}
		args[c] = driver.NamedValue{Ordinal: c + 1, Value: column}
	}
	return args, nil
}

// element makes what is sent for a value of a row.
func (b *batch) element(v any) (any, error) {
	const (
		mostText = 4000 // bytes that every VARCHAR2 takes
		mostRAW  = 2000
	)
	arg, o, err := b.argument(v)
	switch a := arg.(type) {
	case string:
		if len(a) > mostText {
			arg = goora.Clob{String: a, Valid: true}
		}
	case []byte:
		if len(a) > mostRAW {
			err = fmt.Errorf("a RAW of more than %d bytes: give it the type blob", mostRAW)
		}
	}
	switch {
	case err != nil:
	case o != nil:
		err = errors.New("it is an OUT parameter, and `call` has these")
	case sortOf(arg) == sortTable:
		err = errors.New("it is an array, and `call` has these")
	}
	return arg, err
}

// The sorts of values of a column.
const (
	sortText  = "texts"
	sortCLOB  = "CLOBs"
	sortTable = "arrays"
)

// sortOf tells what sort of value it is; "" of NULL, which goes with all of them.
func sortOf(v any) string {
	switch v.(type) {
	case nil:
		return ""
	case string:
		return sortText
	case goora.Clob:
		return sortCLOB
	case goora.Blob:
		return "BLOBs"
	case *goora.Number:
		return "numbers"
	case []byte:
		return "RAWs"
	case goora.TimeStamp:
		return "dates"
	case goora.TimeStampTZ:
		return "times with a zone"
	case goora.Out:
		return "OUT parameters"
	}
	return sortTable
}

// allCLOBs makes CLOBs of the texts among them.
func allCLOBs(column []any) {
	for i, v := range column {
		if text, ok := v.(string); ok {
			column[i] = goora.Clob{String: text, Valid: true}
		}
	}
}

// rowErrors gives the errors of the rows of an array bind. go-ora keeps them to
// itself; if a later version keeps them elsewhere, there are none here, and the
// first of them is the error of the whole call.
func rowErrors(ora *goora.Connection, before int64) (list []rowError) {
	summary := summaryOf(ora)
	if !summary.IsValid() {
		return nil
	}
	errs := summary.FieldByName("bindErrors")
	if !errs.IsValid() || errs.Kind() != reflect.Slice {
		return nil
	}
	for i := range errs.Len() {
		e := errs.Index(i)
		code, row, text := e.FieldByName("errorCode"), e.FieldByName("rowOffset"), e.FieldByName("errorMsg")
		if !code.IsValid() || !row.IsValid() || !text.IsValid() {
			return nil
		}
		list = append(list, rowError{row: before + row.Int() + 1, code: int(code.Int()), message: oneLine(string(text.Bytes()))})
	}
	return list
}

// summaryRows gives how many rows a call has changed in which others failed.
func summaryRows(ora *goora.Connection) int64 {
	if summary := summaryOf(ora); summary.IsValid() {
		return summary.FieldByName("CurRowNumber").Int()
	}
	return 0
}

func summaryOf(ora *goora.Connection) reflect.Value {
	session := reflect.ValueOf(ora).Elem().FieldByName("session")
	if !session.IsValid() || session.IsNil() {
		return reflect.Value{}
	}
	summary := session.Elem().FieldByName("Summary")
	if !summary.IsValid() || summary.IsNil() {
		return reflect.Value{}
	}
	return summary.Elem()
}

// source opens what a batch reads.
func (s *session) source(st statement) (source, error) {
	if s.in.Has("rows") {
		return &listSource{session: s, st: st, rows: s.in.List("rows")}, nil
	}
	name := s.in.String("rows_path")
	f, err := s.env.Files.Open(name)
	if err != nil {
		return nil, &tasks.Error{Kind: tasks.Invalid, Input: "rows_path", Err: err,
			Message: fmt.Sprintf("open %q in the files directory: %s", oneLine(name), reasonOfPath(err))}
	}
	file := fileSource{session: s, st: st, name: name, closer: f}
	if !strings.EqualFold(path.Ext(name), ".csv") {
		dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
		dec.UseNumber()
		return &jsonSource{fileSource: file, dec: dec}, nil
	}
	c := &csvSource{fileSource: file, in: csv.NewReader(bufio.NewReaderSize(f, 1<<16))}
	c.in.ReuseRecord = true
	if err := c.head(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// listSource is the input `rows`.
type listSource struct {
	*session
	st   statement
	rows []any
	at   int
}

func (l *listSource) close() {}

func (l *listSource) next() ([]any, error) {
	if l.at == len(l.rows) {
		return nil, io.EOF
	}
	l.at++
	values, _, err := l.arrange(l.st, l.rows[l.at-1])
	if err != nil {
		return nil, rowFault("rows", "", l.at, err)
	}
	return values, nil
}

// rowFault says which row does not fit.
func rowFault(input, file string, row int, err error) error {
	text := err.Error()
	var e *tasks.Error
	if errors.As(err, &e) {
		text = strings.ReplaceAll(e.Message, "params", "it")
	}
	where := fmt.Sprintf("row %d", row)
	if file != "" {
		where = fmt.Sprintf("%q, row %d", oneLine(file), row)
	}
	return invalid(input, where+": "+oneLine(text), "")
}

type fileSource struct {
	*session
	st     statement
	name   string
	closer io.Closer
	row    int
}

func (f *fileSource) close() { _ = f.closer.Close() }

// jsonSource is a file with one object or array a line.
type jsonSource struct {
	fileSource
	dec *json.Decoder
}

func (j *jsonSource) next() ([]any, error) {
	var v any
	if err := j.dec.Decode(&v); errors.Is(err, io.EOF) {
		return nil, io.EOF
	} else if err != nil {
		return nil, rowFault("rows_path", j.name, j.row+1, err)
	}
	j.row++
	values, _, err := j.arrange(j.st, v)
	if err != nil {
		return nil, rowFault("rows_path", j.name, j.row, err)
	}
	return values, nil
}

// csvSource is a CSV file. Its values are texts, and empty ones NULL, as Oracle has
// it.
type csvSource struct {
	fileSource
	in    *csv.Reader
	order []int // placeholder to field
}

func (c *csvSource) head() error {
	names, err := c.in.Read()
	if err != nil {
		return rowFault("rows_path", c.name, 1, fmt.Errorf("its first line has to name the placeholders: %w", err))
	}
	at := map[string]int{}
	for i, name := range names {
		at[strings.ToUpper(strings.TrimSpace(strings.TrimPrefix(name, "\uFEFF")))] = i
	}
	for _, name := range c.st.names {
		i, ok := at[strings.ToUpper(name)]
		if !ok {
			return rowFault("rows_path", c.name, 1, fmt.Errorf("no column is named %q, as the placeholder is", name))
		}
		c.order = append(c.order, i)
	}
	c.row = 1
	return nil
}

func (c *csvSource) next() ([]any, error) {
	fields, err := c.in.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	c.row++
	if err != nil {
		return nil, rowFault("rows_path", c.name, c.row, err)
	}
	values := make([]any, len(c.order))
	for i, at := range c.order {
		if fields[at] != "" {
			values[i] = strings.Clone(fields[at])
		}
	}
	return values, nil
}
