package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"runtime"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weir-engine/weir/engine"
)

// maxBatch bounds how many commits go into one transaction.
const maxBatch = 4096

// writer writes commits: one goroutine, which the first commit starts, on one
// connection.
type writer struct {
	e *Executions

	mu     sync.Mutex
	more   *sync.Cond // the queue has got longer, or it was closed
	queue  []*commit
	ended  chan struct{} // closed when the goroutine has ended; nil before it starts
	closed bool

	// connection guards what follows.
	connection sync.Mutex
	conn       *sql.Conn
	session    session
	version    int64 // of the data when another process was last seen to have changed it
}

// session holds the prepared statements of a connection. The driver is spoken to
// without database/sql in between, which costs as much as an insert.
type session struct {
	conn       driver.ConnPrepareContext
	statements map[string]driver.Stmt
	args       []driver.NamedValue
}

// add queues a commit.
func (w *writer) add(c *commit) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		c.err = fail(engine.Unavailable, "", "the store is closed")
		go w.finish(c) // the caller may hold what done waits for
		return
	}
	w.queue = append(w.queue, c)
	if w.ended == nil {
		w.ended = make(chan struct{})
		go w.run()
	}
	w.mu.Unlock()
	w.more.Signal()
}

// run writes what is queued until the writer is closed and nothing is left.
func (w *writer) run() {
	defer close(w.ended)
	var batch []*commit
	for {
		w.await()
		n := min(len(w.queue), maxBatch)
		if n == 0 {
			w.mu.Unlock()
			return
		}
		batch = append(batch[:0], w.queue[:n]...)
		rest := copy(w.queue, w.queue[n:])
		clear(w.queue[rest:])
		w.queue = w.queue[:rest]
		w.mu.Unlock()
		w.writeAll(batch)
		clear(batch)
	}
}

// patience is how often others are let run before the writer sleeps: some tens of
// microseconds on an idle machine. To be woken takes longer, and the next step of a
// flow is often there before.
const patience = 300

// await waits until something is queued or the writer is closed, and takes the lock.
func (w *writer) await() {
	w.mu.Lock()
	for range patience {
		if len(w.queue) > 0 || w.closed {
			break
		}
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	for len(w.queue) == 0 && !w.closed {
		w.more.Wait()
	}
	if !w.closed { // those that are about to add theirs do so
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
}

// close writes what is queued and lets the connection go.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	ended := w.ended
	w.mu.Unlock()
	w.more.Signal()
	if ended != nil {
		<-ended
	}
	w.connection.Lock()
	defer w.connection.Unlock()
	return w.disconnect()
}

// disconnect needs the connection. It is taken anew at the next use.
func (w *writer) disconnect() error {
	if w.conn == nil {
		return nil
	}
	var errs []error
	_ = w.conn.Raw(func(any) error {
		for _, statement := range w.session.statements {
			errs = append(errs, statement.Close())
		}
		return nil
	})
	errs = append(errs, w.conn.Close())
	w.conn, w.session = nil, session{}
	return errors.Join(errs...)
}

// use runs do on the writer's connection.
func (w *writer) use(ctx context.Context, do func(*session) error) error {
	w.connection.Lock()
	defer w.connection.Unlock()
	if w.conn == nil {
		conn, err := w.e.s.db.Conn(ctx)
		if err != nil {
			return err
		}
		w.conn = conn
	}
	err := w.conn.Raw(func(c any) error {
		if w.session.conn == nil {
			prepare, ok := c.(driver.ConnPrepareContext)
			if !ok {
				return errors.New("the driver prepares no statements")
			}
			w.session = session{conn: prepare, statements: map[string]driver.Stmt{}}
		}
		return do(&w.session)
	})
	if err != nil && isFault(err) {
		err = errors.Join(err, w.disconnect())
	}
	return err
}

// transact writes commits in one transaction.
func (w *writer) transact(batch []*commit) error {
	w.e.s.writer <- struct{}{}
	defer func() { <-w.e.s.writer }()
	return w.use(context.Background(), func(s *session) error {
		if _, err := s.exec(`BEGIN IMMEDIATE`); err != nil {
			return err
		}
		err := w.e.apply(s, batch)
		if err == nil {
			_, err = s.exec(`COMMIT`)
		}
		if err != nil {
			_, _ = s.exec(`ROLLBACK`) // fails if SQLite has done so itself
			for _, c := range batch {
				forgetNext(c)
			}
		}
		return err
	})
}

func (e *Executions) apply(s *session, batch []*commit) error {
	for _, c := range batch {
		for i := range c.changes {
			if err := e.applyChange(s, &c.changes[i]); err != nil {
				return err
			}
		}
		if c.also != nil {
			if err := c.also(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func forgetNext(c *commit) {
	for i := range c.changes {
		if member := c.changes[i].member; member != nil {
			member.next = -1
		}
	}
}

// statement gives a prepared statement and the arguments in the driver's form.
func (s *session) statement(query string, args []any) (driver.Stmt, []driver.NamedValue, error) {
	statement := s.statements[query]
	if statement == nil {
		var err error
		if statement, err = s.conn.PrepareContext(context.Background(), query); err != nil {
			return nil, nil, err
		}
		s.statements[query] = statement
	}
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return statement, s.args, nil
}

// exec runs a statement and gives how many rows it changed. Arguments are int64,
// string, []byte or nil.
func (s *session) exec(query string, args ...any) (changed int64, err error) {
	statement, values, err := s.statement(query, args)
	if err != nil {
		return 0, err
	}
	exec, ok := statement.(driver.StmtExecContext)
	if !ok {
		return 0, errors.New("the driver executes no statements")
	}
	result, err := exec.ExecContext(context.Background(), values)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs each for every row, whose values are good until it returns.
func (s *session) query(query string, columns int, each func(row []driver.Value) error, args ...any) (err error) {
	statement, values, err := s.statement(query, args)
	if err != nil {
		return err
	}
	ask, ok := statement.(driver.StmtQueryContext)
	if !ok {
		return errors.New("the driver queries no statements")
	}
	rows, err := ask.QueryContext(context.Background(), values)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, columns)
	for {
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// number gives the first column of the first row; ok is false if there is none.
func (s *session) number(query string, args ...any) (n int64, ok bool, err error) {
	err = s.query(query, 1, func(row []driver.Value) error {
		n, ok = row[0].(int64)
		return nil
	}, args...)
	return n, ok, err
}

// isBusy tells whether another process was in the way.
func isBusy(err error) bool {
	var fault *sqlite.Error
	return errors.As(err, &fault) && fault.Code()&0xff == sqlite3.SQLITE_BUSY
}

// isFault tells whether the connection may be at fault, and not what was asked of it.
func isFault(err error) bool {
	var fault *sqlite.Error
	if !errors.As(err, &fault) {
		return errors.Is(err, driver.ErrBadConn)
	}
	code := fault.Code() & 0xff
	return code != sqlite3.SQLITE_CONSTRAINT && code != sqlite3.SQLITE_BUSY
}
