package sqloracle

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"

	"github.com/weir-engine/weir/tasks"
)

// plan reads the operation's inputs and gives what is to be done.
func (s *session) plan() (work, error) {
	switch s.op {
	case opBatch:
		return s.planBatch()
	case opTransaction:
		return s.planTransaction()
	case opCall:
		return s.planCall()
	}
	st, err := parse(s.op, s.in.String(s.op))
	if err != nil {
		return nil, err
	}
	b, err := s.bind(st, s.in.Any("params"))
	if err != nil {
		return nil, err
	}
	if s.op == opExecute {
		if len(b.outs) > 0 {
			return nil, invalid("params", "execute gives no OUT parameters back", "use `call`, for RETURNING ... INTO too")
		}
		return s.planExecute(st, b)
	}
	if err := st.wantQuery(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (map[string]any, error) {
		switch s.op {
		case opFetch:
			return s.rows(ctx, st, b)
		default:
			return s.first(ctx, st, b)
		}
	}, nil
}

// maxRows is how many rows may come into the output; 0 is any number.
func (s *session) maxRows() int64 {
	if s.in.Has("max_rows") {
		return s.in.Int("max_rows")
	}
	if s.in.Has("file_path") {
		return 0
	}
	return defaultMaxRows
}

func (s *session) planExecute(st statement, b binding) (work, error) {
	return func(ctx context.Context) (map[string]any, error) {
		var out map[string]any
		err := s.transact(ctx, func() error {
			var err error
			if st.kind == query {
				out, err = s.rows(ctx, st, b)
				return err
			}
			affected, err := s.change(ctx, st, b)
			out = map[string]any{"rows_affected": affected}
			return err
		})
		return out, err
	}, nil
}

// isolation gives the statement that begins a transaction; "" for none.
func isolation(level string) string {
	switch level {
	case "read_committed":
		return "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
	case "serializable":
		return "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
	case "read_only":
		return "SET TRANSACTION READ ONLY"
	}
	return ""
}

// transact performs a task's statements: each by itself, or all in one transaction.
func (s *session) transact(ctx context.Context, statements func() error) error {
	if s.in.Bool("autocommit") && !s.in.Has("isolation_level") {
		return statements()
	}
	return s.together(ctx, statements)
}

// together performs statements in one transaction.
func (s *session) together(ctx context.Context, statements func() error) error {
	if err := s.conn.begin(ctx); err != nil {
		return err
	}
	if set := isolation(s.in.String("isolation_level")); set != "" {
		if _, err := s.conn.exec(ctx, goora.NewStmt(set, s.conn.ora), nil); err != nil {
			return fmt.Errorf("set the isolation level: %w", err)
		}
	}
	if err := statements(); err != nil {
		s.dirty = true
		if s.conn.worn {
			return err // its connection ends, and so does the transaction
		}
		if failed := s.conn.rollback(context.WithoutCancel(ctx)); failed != nil {
			s.conn.worn = true
		}
		return err
	}
	return s.commit(ctx)
}

// commit makes a transaction last, or says that it is not known whether it does.
func (s *session) commit(ctx context.Context) error {
	err := s.conn.commit(ctx)
	if err == nil {
		return nil
	}
	e := s.classify(ctx, err)
	e.Message = "commit: " + e.Message
	if !answered(err) && s.conn.wire.sent.Load() > 0 {
		e.Message += "; it is not known whether the transaction was committed"
		e.Hint = "look at what is in the database before it is run again"
	}
	return e
}

// fault makes the error of a statement: with its place in there, and with what is
// not known.
func (s *session) fault(ctx context.Context, st statement, err error) error {
	e := s.classify(ctx, err)
	var oracle *network.OracleError
	if errors.As(err, &oracle) && oracle.ErrPos() > 0 {
		if place := st.at(oracle.ErrPos()); place != "" {
			e.Message += " (" + place + ")"
		}
	}
	if e.Input == "" && e.Kind == tasks.Invalid {
		e.Input = st.input
	}
	if st.kind != query {
		doubtful(s.conn, err, e)
	}
	return e
}

// exec executes a statement that is no query.
func (c *conn) exec(ctx context.Context, stmt *goora.Stmt, args []driver.NamedValue) (affected int64, err error) {
	err = c.breakable(ctx, func(ctx context.Context) error {
		result, err := stmt.ExecContext(ctx, args)
		if err != nil {
			return err
		}
		affected, err = result.RowsAffected()
		return err
	})
	if !c.worn && !c.wire.broken() {
		// Cursors are closed by a call of their own, whose failure changes nothing.
		sent := c.wire.sent.Load()
		_ = c.guard(ctx, 0, stmt.Close)
		c.wire.sent.Store(sent)
	}
	return affected, err
}

// change executes a statement and tells how many rows it has changed.
func (s *session) change(ctx context.Context, st statement, b binding) (int64, error) {
	if !st.harmless() {
		s.dirty = true
	}
	affected, err := s.conn.exec(ctx, goora.NewStmt(st.text, s.conn.ora), b.args)
	if err != nil {
		return 0, s.fault(ctx, st, err)
	}
	if st.kind != change {
		affected = 0
	}
	return affected, nil
}

// query runs a query and gives its rows to use.
func (s *session) query(ctx context.Context, st statement, b binding, use func(*goora.DataSet) error) error {
	stmt := goora.NewStmt(st.text, s.conn.ora)
	var rows *goora.DataSet
	err := s.conn.breakable(ctx, func(ctx context.Context) error {
		r, err := stmt.QueryContext(ctx, b.args)
		if err != nil {
			return err
		}
		var ok bool
		if rows, ok = r.(*goora.DataSet); !ok {
			return fmt.Errorf("rows of type %T", r)
		}
		return nil
	})
	if err == nil {
		// The library does not look at a context while it fetches.
		err = s.conn.guard(ctx, 0, func() error { return use(rows) })
	}
	var own *tasks.Error
	if errors.As(err, &own) {
		s.conn.worn = true // rows are left unread
	}
	if !s.conn.worn && !s.conn.wire.broken() {
		_ = s.conn.guard(ctx, 0, stmt.Close)
	}
	if err != nil {
		return s.fault(ctx, st, err)
	}
	return nil
}

// rows performs fetch: its rows go into the output or a file.
func (s *session) rows(ctx context.Context, st statement, b binding) (map[string]any, error) {
	if s.in.Has("file_path") {
		return s.rowsToFile(ctx, st, b)
	}
	var l inline
	var f fetched
	err := s.query(ctx, st, b, func(rows *goora.DataSet) error {
		var err error
		f, err = s.read(ctx, rows, s.maxRows(), &l)
		return err
	})
	if err != nil {
		return nil, err
	}
	if f.truncated && !s.in.Has("max_rows") {
		s.env.Warn(fmt.Sprintf("there are more than %d rows, and the others were left: set max_rows or file_path", f.count))
	}
	return map[string]any{
		"result": list(l.rows), "columns": abouts(f.columns), "row_count": f.count, "truncated": f.truncated,
	}, nil
}

// only keeps one row.
type only struct{ row []any }

func (o *only) add(_ []column, row []any) error {
	o.row = slices.Clone(row)
	return nil
}

// first performs fetchrow and fetchval.
func (s *session) first(ctx context.Context, st statement, b binding) (map[string]any, error) {
	var o only
	var f fetched
	err := s.query(ctx, st, b, func(rows *goora.DataSet) error {
		var err error
		f, err = s.read(ctx, rows, 1, &o)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[string]any{"columns": abouts(f.columns), "result": nil}
	switch {
	case o.row == nil:
	case s.op == opFetchVal:
		out["result"] = o.row[0]
	default:
		row := map[string]any{}
		for i, v := range o.row {
			row[f.columns[i].name] = v
		}
		out["result"] = row
	}
	return out, nil
}

var startsBlock = regexp.MustCompile(`(?i)^\s*(begin|declare)\b`)

// planCall makes a block of a procedure and its arguments.
func (s *session) planCall() (work, error) {
	text := s.in.String(opCall)
	const before = "BEGIN "
	if blanked, _ := scan(text); !startsBlock.MatchString(blanked) {
		text = before + strings.TrimRight(blanked, "; \t\r\n") + "; END;"
	}
	st, err := parse(opCall, text)
	if err != nil {
		return nil, err
	}
	b, err := s.bind(st, s.in.Any("params"))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (map[string]any, error) {
		var out map[string]any
		err := s.transact(ctx, func() error {
			var err error
			out, err = s.call(ctx, st, b)
			return err
		})
		return out, err
	}, nil
}

// call executes a block and collects what comes back.
func (s *session) call(ctx context.Context, st statement, b binding) (map[string]any, error) {
	s.dirty = true // a block can change everything in its session
	affected, err := s.conn.exec(ctx, goora.NewStmt(st.text, s.conn.ora), b.args)
	if err != nil {
		return nil, s.fault(ctx, st, err)
	}
	values := map[string]any{}
	truncated := false
	for _, o := range b.outs {
		v, cut, err := s.outValue(ctx, o)
		if err != nil {
			return nil, placed("parameter "+o.name, err)
		}
		values[o.name], truncated = v, truncated || cut
	}
	out := map[string]any{"result": values, "rows_affected": affected, "truncated": truncated}
	if _, byPosition := s.in.Any("params").([]any); byPosition {
		out["result"] = inOrder(values, b.outs)
	}
	return out, nil
}

func inOrder(values map[string]any, outs []out) []any {
	list := make([]any, len(outs))
	for i, o := range outs {
		list[i] = values[o.name]
	}
	return list
}

// outValue gives what an OUT parameter holds; of a cursor, its rows.
func (s *session) outValue(ctx context.Context, o out) (v any, truncated bool, err error) {
	if o.rows == nil {
		v, err = o.value()
		if text, ok := v.(string); ok && err == nil {
			err = s.fits(len(text))
		}
		return v, false, err
	}
	var l inline
	var f fetched
	err = s.conn.guard(ctx, 0, func() error {
		rows, err := o.rows.Query()
		if err != nil {
			return err
		}
		f, err = s.read(ctx, rows, s.maxRows(), &l)
		return err
	})
	return list(l.rows), f.truncated, err
}

// planTransaction reads the list of statements.
func (s *session) planTransaction() (work, error) {
	type step struct {
		st statement
		b  binding
	}
	var steps []step
	for i, v := range s.in.List(opTransaction) {
		text, params, err := stepOf(v)
		if err != nil {
			return nil, invalid(opTransaction, fmt.Sprintf("statement %d: %v", i+1, err), "")
		}
		st, err := parse(opTransaction, text)
		if err != nil {
			return nil, err
		}
		b, err := s.bind(st, params)
		if err != nil {
			return nil, err
		}
		if len(b.outs) > 0 {
			return nil, invalid(opTransaction, fmt.Sprintf("statement %d: OUT parameters are for `call`", i+1), "")
		}
		steps = append(steps, step{st, b})
	}
	if len(steps) == 0 {
		return nil, invalid(opTransaction, "there are no statements", "")
	}
	return func(ctx context.Context) (map[string]any, error) {
		var results []any
		var total int64
		err := s.together(ctx, func() error {
			for i, step := range steps {
				result, affected, err := s.step(ctx, step.st, step.b)
				if err != nil {
					return placed(fmt.Sprintf("statement %d", i+1), err)
				}
				results = append(results, result)
				total += affected
			}
			return nil
		})
		return map[string]any{"result": list(results), "rows_affected": total}, err
	}, nil
}

func (s *session) step(ctx context.Context, st statement, b binding) (map[string]any, int64, error) {
	if st.kind != query {
		affected, err := s.change(ctx, st, b)
		return map[string]any{"rows_affected": affected}, affected, err
	}
	out, err := s.rows(ctx, st, b)
	return out, 0, err
}

func stepOf(v any) (text string, params any, err error) {
	switch v := v.(type) {
	case string:
		return v, nil, nil
	case map[string]any:
		for key := range v {
			if key != "sql" && key != "params" {
				return "", nil, fmt.Errorf("%q is neither sql nor params", key)
			}
		}
		text, _ = v["sql"].(string)
		return text, v["params"], nil
	}
	return "", nil, errors.New("it is neither a text nor a mapping")
}

// parseSession makes the statements that set a session's parameters.
func parseSession(params map[string]any) ([]string, error) {
	var statements []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := fmt.Sprint(params[name])
		if !regexp.MustCompile(`^\w{1,64}$`).MatchString(name) {
			return nil, invalid("session", fmt.Sprintf("%q is no name of a parameter", oneLine(name)), "")
		}
		if strings.ContainsAny(value, "'\x00") {
			return nil, invalid("session", "the value of "+name+" holds a quote", "")
		}
		if strings.EqualFold(name, "current_schema") || strings.EqualFold(name, "edition") {
			if !harmlessName.MatchString(value) {
				return nil, invalid("session", "the value of "+name+" is no name", "")
			}
			statements = append(statements, "ALTER SESSION SET "+name+" = "+value)
			continue
		}
		if regexp.MustCompile(`^-?\d+$|(?i)^(true|false)$`).MatchString(value) {
			statements = append(statements, "ALTER SESSION SET "+name+" = "+value)
			continue
		}
		statements = append(statements, "ALTER SESSION SET "+name+" = '"+value+"'")
	}
	return statements, nil
}
