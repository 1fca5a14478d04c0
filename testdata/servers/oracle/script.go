package oracle

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Case says how the server answers the statements that match it. The first case
// that matches and is not used up counts.
type Case struct {
	// Match is a regular expression, found anywhere in the statement, in any case.
	Match string
	// Times is how often it may be used; 0 is always.
	Times int
	// Func gives the result of one execution; nil means Result.
	Func func(Call) Result
	Result
}

// Result is what a statement gives. The zero Result is a statement that
// succeeds and changes nothing.
type Result struct {
	// Columns make the statement a query.
	Columns []Column
	Rows    [][]any
	// Count and Row make rows as they are fetched, instead of Rows.
	Count int
	Row   func(i int) []any

	Affected int   // rows that a statement changed
	Counts   []int // rows that each row of an array bind changed; nil means 1 each
	// Out gives the values of OUT binds by their position, from 0: of a block, or of
	// RETURNING INTO. A []any is the value of an array.
	Out map[int]any

	Err *Error
	// ErrAfter is how many rows are given before Err.
	ErrAfter int
	// RowErrs are the errors of rows of an array bind, by their position from 0.
	RowErrs map[int]Error
	// Markers announces Err by markers, as real servers mostly do.
	Markers bool
	// Warning comes before the answer.
	Warning *Error

	// Delay is how long the answer takes; a break ends it. With Deaf it does not.
	Delay time.Duration
	Deaf  bool
	// Hang never answers, until the client breaks (unless Deaf) or leaves.
	Hang bool
	// NoEnd never tells that there are no more rows: fetches get none for ever.
	NoEnd bool
	// FetchHang is Hang from the second fetch of rows on.
	FetchHang bool
	Drop      Drop
}

// Drop is where the server drops the connection.
type Drop int

// The places of a drop. A statement whose connection drops after DropBefore was
// received, and the log of calls has it.
const (
	NoDrop     Drop = iota
	DropBefore      // before the answer
	DropInside      // in the middle of the answer
	DropAfter       // behind the answer
)

// Error is an Oracle error.
type Error struct {
	Code int
	Text string // without the code; may be empty
	Pos  int    // where in the statement, from 0
}

// message is the text as servers send it.
func (e Error) message() string {
	text := e.Text
	if text == "" {
		text = "said by the test server"
	}
	return fmt.Sprintf("ORA-%05d: %s\n", e.Code, text)
}

// Column describes a column of a query.
type Column struct {
	Name             string
	Type             Type
	Size             int // of texts and RAWs; 0 is 4000
	Precision, Scale int // of numbers; 0 and 0 is a plain NUMBER
	NotNull          bool
	National         bool // NVARCHAR2, NCHAR
}

// Type is a type of Oracle's, as its number on the wire.
type Type byte

// The types that the server knows, and the Go values they take beside nil.
const (
	Varchar2     Type = 1   // string
	Number       Type = 2   // string with digits, int, float64
	Long         Type = 8   // string
	Date         Type = 12  // time.Time, of which the zone is left out
	Raw          Type = 23  // []byte
	LongRaw      Type = 24  // []byte
	Char         Type = 96  // string
	BinaryFloat  Type = 100 // float64
	BinaryDouble Type = 101 // float64
	Cursor       Type = 102 // Result
	Clob         Type = 112 // string
	Blob         Type = 113 // []byte
	Timestamp    Type = 180 // time.Time, of which the zone is left out
	TimestampTZ  Type = 181 // time.Time
	TimestampLTZ Type = 231 // time.Time

	longVarchar Type = 94
	longVarRaw  Type = 95
	bfile       Type = 114
)

func (t Type) isLOB() bool { return t == Clob || t == Blob || t == bfile }

func (t Type) isLong() bool {
	return t == Long || t == LongRaw || t == longVarchar || t == longVarRaw
}

// Call is one thing that a client asked for.
type Call struct {
	Session int    // which connection, from 1
	Op      string // "login", "execute", "fetch", "commit", "rollback", "ping", "break", "close cursors", "lob", "logoff"
	SQL     string // of "execute"
	Binds   [][]any
	Rows    int  // how many rows a fetch, or an execution of a query, asks for
	Commit  bool // the statement commits itself
	User    string
	Client  string // the proxy client
	Mode    int    // of "login": what the client asked for, such as SYSDBA
}

// script is the table of cases in use.
type script struct {
	mu    sync.Mutex
	cases []Case
	match []*regexp.Regexp
	used  []int
}

func newScript(cases []Case) (*script, error) {
	s := &script{cases: append(append([]Case{}, cases...), builtin()...)}
	for _, c := range s.cases {
		re, err := regexp.Compile("(?is)" + c.Match)
		if err != nil {
			return nil, fmt.Errorf("case %q: %w", c.Match, err)
		}
		s.match = append(s.match, re)
	}
	s.used = make([]int, len(s.cases))
	return s, nil
}

// builtin is what clients ask for by themselves.
func builtin() []Case {
	return []Case{
		{Match: `^select systimestamp from dual$`, Func: func(Call) Result {
			return Result{Columns: []Column{{Name: "SYSTIMESTAMP", Type: TimestampTZ}}, Rows: [][]any{{time.Now().UTC()}}}
		}},
		{Match: `^select 1 from dual$`, Result: Result{Columns: []Column{{Name: "1", Type: Number}}, Rows: [][]any{{1}}}},
		{Match: `^select dbtimezone`, Result: Result{Columns: []Column{{Name: "DBTIMEZONE", Type: Varchar2, Size: 6}}, Rows: [][]any{{"+00:00"}}}},
		{Match: `^\s*(alter session|set transaction|savepoint)`},
	}
}

// special gives what a case says of a call that is no statement: a case whose
// pattern is "^<call>$", for commit, rollback, ping and logoff.
func (s *script) special(op string) (Result, bool) {
	for _, c := range s.cases {
		if c.Match == "^"+op+"$" {
			return s.find(Call{Op: op, SQL: op}), true
		}
	}
	return Result{}, false
}

// find gives the result of one execution.
func (s *script) find(call Call) Result {
	sql := strings.TrimSpace(call.SQL)
	s.mu.Lock()
	for i, c := range s.cases {
		if !s.match[i].MatchString(sql) || c.Times > 0 && s.used[i] >= c.Times {
			continue
		}
		s.used[i]++
		s.mu.Unlock()
		if c.Func != nil {
			return c.Func(call)
		}
		return c.Result
	}
	s.mu.Unlock()
	return Result{Err: &Error{Code: 900, Text: "no case of the script matches this statement"}}
}

// total is how many rows there are.
func (r *Result) total() int {
	if r.Row != nil {
		return r.Count
	}
	return len(r.Rows)
}

func (r *Result) row(i int) []any {
	if r.Row != nil {
		return r.Row(i)
	}
	return r.Rows[i]
}
