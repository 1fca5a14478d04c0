package oracle

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// The options of an execution.
const (
	optionParse    = 0x1
	optionExecute  = 0x20
	optionFetch    = 0x40
	optionCommit   = 0x100
	optionAllBinds = 0x400 // values of OUT binds come too

	flagCounts   = 0x4000 // counts of an array bind are wanted
	flagRepeated = 0x80   // a bind that has its value from an earlier one
	flagArray    = 0x40

	mostBinds = 1 << 16
	mostRows  = 1 << 20
)

// descriptor says how a client sends or wants a value.
type descriptor struct {
	kind  Type
	flag  byte
	size  int
	array int
	cont  int
	form  byte
}

// cursor is a statement that may be executed again or fetched from.
type cursor struct {
	id      int
	sql     string
	block   bool // PL/SQL
	binds   []descriptor
	inOnly  map[int]bool // binds by position that are sent again
	known   bool         // the directions of the binds are known
	defines []descriptor
	result  *Result
	next    int
	fetches int
}

// request is an execution as the client asks for it.
type request struct {
	options  int
	cursor   int
	prefetch int
	sql      string
	vector   [13]int
	binds    []descriptor
	defines  []descriptor
	rows     [][]any
}

func (s *session) readDescriptor() descriptor {
	d := descriptor{kind: Type(s.in.u8()), flag: s.in.u8()}
	s.in.u8()
	s.in.u8()
	d.size, d.array, d.cont = s.in.ub(), s.in.ub(), s.in.ub()
	s.in.dlc()
	s.in.ub()
	s.in.ub()
	d.form = s.in.u8()
	s.in.ub()
	if s.field >= 8 {
		s.in.ub()
	}
	return d
}

// readExecute reads what follows the head of function 0x5E.
func (s *session) readExecute() request {
	in := &s.in
	r := request{options: in.ub(), cursor: in.ub()}
	in.u8()
	length := in.count(maxValue)
	in.u8()
	in.ub()
	in.u8()
	in.u8()
	in.u8()
	r.prefetch = in.ub()
	in.ub()
	in.u8()
	binds := in.count(mostBinds)
	in.bytes(5)
	in.u8()
	defines := in.count(mostBinds)
	in.ub()
	in.u8()
	in.u8()
	in.u8()
	in.ub()
	in.u8()
	in.ub()
	in.ub()
	if s.field >= 7 {
		in.u8()
		in.ub()
		in.u8()
	}
	if s.field >= 8 {
		in.u8()
		in.ub()
		in.u8()
		in.ub()
		in.u8()
	}
	if s.field >= 9 {
		in.u8()
		in.ub()
	}
	if length > 0 {
		r.sql = strings.TrimRight(s.text(length), "\x00")
	}
	for i := range r.vector {
		r.vector[i] = in.ub()
	}
	for i := 0; i < defines && in.err == nil; i++ {
		r.defines = append(r.defines, s.readDescriptor())
	}
	for i := 0; i < binds && in.err == nil; i++ {
		r.binds = append(r.binds, s.readDescriptor())
	}
	return r
}

// execute answers function 0x5E.
func (s *session) execute() error {
	r := s.readExecute()
	if s.in.err != nil {
		return s.in.err
	}
	c := s.cursors[r.cursor]
	if r.cursor == 0 || r.sql != "" {
		if r.sql == "" {
			return errors.New("an execution without a statement")
		}
		c = s.newCursor(r.sql)
		c.binds = r.binds
	}
	if c == nil {
		return s.failed(&Error{Code: 1001, Text: "invalid cursor"}, false, 0)
	}
	if len(r.defines) > 0 {
		c.defines = r.defines
	}
	if len(r.binds) > 0 {
		c.binds = r.binds
		all := r.options&optionAllBinds != 0
		r.rows = s.readRows(c, r.vector[1], func(i int) bool { return all || !c.returned(i) })
		if s.in.err != nil {
			return s.in.err
		}
	}
	if r.options&optionExecute == 0 || c.sql == "" { // a definition or a fetch, or a cursor that a block opened
		return s.more(c, max(r.prefetch, r.vector[1]))
	}
	wanted := 0
	if r.options&optionFetch != 0 || r.options&optionParse != 0 {
		wanted = max(r.prefetch, 0)
		if r.options&optionFetch != 0 {
			wanted = max(wanted, r.vector[1])
		}
	}
	return s.run(c, r.rows, run{
		wanted: wanted, describe: r.options&optionParse != 0,
		commit: r.options&optionCommit != 0, counts: r.vector[9]&flagCounts != 0,
	})
}

func (s *session) newCursor(sql string) *cursor {
	s.ids++
	c := &cursor{id: s.ids, sql: sql, block: isBlock(sql)}
	s.cursors[c.id] = c
	return c
}

func isBlock(sql string) bool {
	return regexp.MustCompile(`(?is)^(\s|--[^\n]*\n|/\*.*?\*/)*(begin|declare|call)\b`).MatchString(sql)
}

// returned tells whether a bind stands behind the INTO of a RETURNING clause.
func (c *cursor) returned(i int) bool {
	m := regexp.MustCompile(`(?is)\breturn(ing)?\s+.*?\sinto\s`).FindStringIndex(c.sql)
	if m == nil || c.block {
		return false
	}
	before := len(regexp.MustCompile(`:\w+`).FindAllString(c.sql[:m[1]], -1))
	return i >= before
}

// readRows reads the values of binds: one row, or as many as an array bind has.
func (s *session) readRows(c *cursor, iterations int, sent func(int) bool) [][]any {
	if iterations < 1 || c.block {
		iterations = 1
	}
	if iterations > mostRows {
		s.in.fail(fmt.Errorf("an array bind of %d rows", iterations))
	}
	given := false
	for i, d := range c.binds {
		given = given || sent(i) && d.flag&flagRepeated == 0
	}
	if !given {
		return nil
	}
	var rows [][]any
	for i := 0; i < iterations && s.in.err == nil; i++ {
		if kind := s.in.u8(); s.in.err == nil && kind != 7 {
			s.in.fail(fmt.Errorf("a message of type %d instead of binds", kind))
		}
		rows = append(rows, s.readRow(c, sent))
	}
	return rows
}

// readRow reads one row of binds, the long ones last.
func (s *session) readRow(c *cursor, sent func(int) bool) []any {
	row := make([]any, len(c.binds))
	for _, long := range []bool{false, true} {
		for i, d := range c.binds {
			isLong := d.kind.isLong() || !c.block && d.size > 32767 && !d.kind.isLOB()
			if isLong == long && sent(i) && d.flag&flagRepeated == 0 && s.in.err == nil {
				row[i] = s.readBind(d)
			}
		}
	}
	return row
}

func (s *session) readBind(d descriptor) any {
	switch {
	case d.flag&flagArray != 0 && d.array > 0:
		values := []any{}
		for range s.in.count(mostRows) {
			values = append(values, s.decode(d, s.in.clr()))
			if s.in.err != nil {
				break
			}
		}
		return values
	case d.kind == Cursor:
		s.readCursor()
		return nil
	case d.kind.isLOB():
		if s.in.ub() == 0 {
			return nil
		}
		return s.content(s.in.clr())
	}
	return s.decode(d, s.in.clr())
}

// readCursor reads a cursor that is bound: none, a new one, or an open one.
func (s *session) readCursor() {
	if s.in.u8() == 0 {
		return
	}
	if open := s.in.u8(); open != 0 {
		s.in.u8()
		s.in.ub()
	}
}

// decode gives the Go value of a bind: nil, string, []byte, float64, time.Time;
// numbers are texts.
func (s *session) decode(d descriptor, b []byte) any {
	if len(b) == 0 {
		return nil
	}
	var v any
	var err error
	switch d.kind {
	case Varchar2, Char, Long, longVarchar:
		v = string(b)
		if d.form == 2 {
			v = narrow(b)
		}
	case Number, 3:
		v, err = decodeNumber(b)
	case Date, Timestamp, TimestampTZ, TimestampLTZ, 187, 188, 232:
		v, err = decodeTime(b)
	case BinaryDouble, BinaryFloat:
		v, err = decodeFloat(b)
	default:
		v = b
	}
	if err != nil {
		s.in.fail(err)
	}
	return v
}

// executeAgain answers functions 4 and 0x4E.
func (s *session) executeAgain() error {
	id, count := s.in.ub(), s.in.ub()
	s.in.ub()
	flags := s.in.ub()
	if s.in.err != nil {
		return s.in.err
	}
	c := s.cursors[id]
	if c == nil {
		return errors.New("an execution of a cursor that is closed")
	}
	rows := s.readRows(c, count, func(i int) bool { return !c.returned(i) && (!c.known || c.inOnly[i]) })
	if s.in.err != nil {
		return s.in.err
	}
	return s.run(c, rows, run{wanted: count, commit: flags&1 != 0})
}

// run is how an execution is to be answered.
type run struct {
	wanted   int
	describe bool
	commit   bool
	counts   bool
}

// run executes a statement: it does what the script says.
func (s *session) run(c *cursor, rows [][]any, how run) error {
	call := Call{
		Session: s.number, Op: "execute", SQL: c.sql, Binds: rows, Rows: how.wanted,
		Commit: how.commit, User: s.user, Client: s.client,
	}
	s.server.record(call)
	result := s.server.script.find(call)
	c.result, c.next, c.fetches = &result, 0, 0
	s.drop = result.Drop
	if err := s.pause(result.Delay, result.Hang, result.Deaf); err != nil {
		return err
	}
	if result.Err != nil && (result.ErrAfter == 0 || result.Columns == nil) {
		return s.failed(result.Err, result.Markers, 0)
	}
	w := s.writer()
	if result.Warning != nil {
		warning(w, *result.Warning)
	}
	if result.Columns != nil {
		if how.describe {
			w.raw(16)
			w.clr(make([]byte, 16))
			s.describe(w, result.Columns)
		}
		if c.needsDefine() {
			how.wanted = 0
		}
		return s.rows(w, c, how.wanted, true)
	}
	if err := s.outBinds(w, c, rows); err != nil {
		return err
	}
	counts := result.Counts
	if counts == nil && how.counts {
		for i := range rows {
			n := 1
			if _, failed := result.RowErrs[i]; failed {
				n = 0
			}
			counts = append(counts, n)
		}
	}
	s.parameters(w, counts, how.counts)
	o := outcome{cursor: c.id, rows: result.Affected, rowErrs: result.RowErrs, open: !how.commit}
	if len(result.RowErrs) > 0 {
		o.err = &Error{Code: 24381, Text: "error(s) in array DML"}
	}
	s.errorBlock(w, o)
	return s.send(w)
}

// needsDefine tells whether the client has to say first how it wants large values.
func (c *cursor) needsDefine() bool {
	if len(c.defines) > 0 {
		return false
	}
	for _, column := range c.result.Columns {
		if column.Type.isLOB() || column.Type.isLong() {
			return true
		}
	}
	return false
}

// failed answers with an error.
func (s *session) failed(e *Error, announce bool, cursor int) error {
	if announce {
		if err := s.markers(); err != nil {
			return err
		}
	}
	w := s.writer()
	s.errorBlock(w, outcome{err: e, cursor: cursor})
	return s.send(w)
}

// fetch answers function 5.
func (s *session) fetch() error {
	id, rows := s.in.ub(), s.in.ub()
	if s.in.err != nil {
		return s.in.err
	}
	c := s.cursors[id]
	if c == nil {
		return s.failed(&Error{Code: 1001, Text: "invalid cursor"}, false, 0)
	}
	return s.more(c, rows)
}

// more gives the next rows of a cursor.
func (s *session) more(c *cursor, rows int) error {
	if c.result == nil {
		return s.failed(&Error{Code: 1002, Text: "fetch out of sequence"}, false, c.id)
	}
	s.server.record(Call{Session: s.number, Op: "fetch", SQL: c.sql, Rows: rows, User: s.user})
	c.fetches++
	if c.result.FetchHang && c.fetches > 1 {
		if err := s.pause(0, true, c.result.Deaf); err != nil {
			return err
		}
	}
	return s.rows(s.writer(), c, rows, false)
}

// rows writes up to n rows and the end of the answer.
func (s *session) rows(w *writer, c *cursor, n int, first bool) error {
	r := c.result
	end := min(r.total(), c.next+max(n, 0))
	var fails *Error
	if r.Err != nil && end >= r.ErrAfter && (n > 0 || !first) {
		end, fails = r.ErrAfter, r.Err
	}
	if fails != nil && r.Markers {
		return s.failed(fails, true, c.id)
	}
	if c.next < end {
		s.rowHeader(w, len(r.Columns), end-c.next)
	}
	var last []any
	for ; c.next < end; c.next++ {
		row := r.row(c.next)
		if len(row) != len(r.Columns) {
			return fmt.Errorf("a row of %d values for %d columns", len(row), len(r.Columns))
		}
		if err := s.row(w, c, row, last); err != nil {
			return err
		}
		last = row
	}
	s.parameters(w, nil, false)
	o := outcome{cursor: c.id, rows: c.next, err: fails}
	if fails == nil && !r.NoEnd && c.next == r.total() && (n > 0 || !first) && (n == 0 || c.next%n != 0 || last == nil) {
		o.err = &Error{Code: 1403, Text: "no data found"}
	}
	s.errorBlock(w, o)
	return s.send(w)
}

// row writes one row, without what it shares with the last one if the server was
// told so.
func (s *session) row(w *writer, c *cursor, row, last []any) error {
	same := make([]bool, len(row))
	if s.server.config.BitVectors {
		vector := make([]byte, (len(row)+7)/8)
		sent := 0
		for i := range row {
			same[i] = last != nil && c.result.Columns[i].Type != Cursor && reflect.DeepEqual(row[i], last[i])
			if !same[i] {
				vector[i/8] |= 1 << (i % 8)
				sent++
			}
		}
		w.raw(21)
		w.ub(sent)
		w.raw(vector...)
	}
	w.raw(7)
	for i, v := range row {
		if same[i] {
			continue
		}
		var define *descriptor
		if i < len(c.defines) {
			define = &c.defines[i]
		}
		if err := s.value(w, c.result.Columns[i], define, v); err != nil {
			return err
		}
	}
	return nil
}

// outBinds writes the directions of binds and the values that come back.
func (s *session) outBinds(w *writer, c *cursor, rows [][]any) error {
	returning := len(c.binds) > 0 && c.returned(len(c.binds)-1)
	if len(c.binds) == 0 || !c.block && !returning {
		return nil
	}
	s.directions(w, c, rows)
	if len(c.result.Out) == 0 && !returning {
		return nil
	}
	w.raw(7)
	for i, d := range c.binds {
		v, out := c.result.Out[i]
		if !out && !c.returned(i) {
			continue
		}
		if returning {
			if !out {
				w.ub(0)
				continue
			}
			w.ub(1)
		}
		if err := s.outBind(w, d, v); err != nil {
			return err
		}
	}
	return nil
}

// directions says of each bind whether it is IN, OUT or both.
func (s *session) directions(w *writer, c *cursor, rows [][]any) {
	w.raw(11, 0)
	w.ub(len(c.binds)&0xFF, len(c.binds)>>8, 1, 0, 0, 0)
	c.inOnly, c.known = map[int]bool{}, true
	for i := range c.binds {
		_, out := c.result.Out[i]
		given := len(rows) > 0 && rows[0][i] != nil
		switch {
		case out && given:
			w.raw(48)
		case out || c.returned(i):
			w.raw(16)
		default:
			w.raw(32)
		}
		c.inOnly[i] = given || !out
	}
}

func (s *session) outBind(w *writer, d descriptor, v any) error {
	column := Column{Name: "bind", Type: d.kind, National: d.form == 2}
	switch d.kind {
	case longVarchar:
		column.Type = Varchar2
	case longVarRaw, LongRaw:
		column.Type = Raw
	case 187:
		column.Type = Timestamp
	case 188:
		column.Type = TimestampTZ
	}
	values, isArray := v.([]any)
	if isArray || d.flag&flagArray != 0 && d.array > 0 {
		w.ub(len(values))
	} else {
		values = []any{v}
	}
	for _, v := range values {
		if err := s.value(w, column, nil, v); err != nil {
			return err
		}
		w.ub(0)
	}
	return nil
}

// cursorValue writes a cursor that a block or a query opened.
func (s *session) cursorValue(w *writer, v any) error {
	r, ok := v.(Result)
	if !ok {
		return fmt.Errorf("a cursor made of %T", v)
	}
	c := s.newCursor("")
	c.result = &r
	w.raw(1)
	s.describe(w, r.Columns)
	w.ub(c.id)
	return nil
}
