package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	executionColumns = `id, root, parent, owner, name, status, created, wake, waits, ended, kind`
	selectExecution  = `SELECT ` + executionColumns + `, key FROM execution WHERE id = ?`
	selectEvents     = `SELECT number, body FROM journal WHERE execution = ? ORDER BY number`
	lastLine         = `SELECT coalesce(max(number), 0) FROM log WHERE execution = ?`
	lastOrdinal      = `SELECT ordinal FROM log WHERE execution = ? AND ordinal > 0 ORDER BY number DESC LIMIT 1`
	selectTraces     = `SELECT body FROM trace WHERE root = ?`
	selectText       = `SELECT key, body FROM text WHERE digest = ?`
	// dueOwners goes from owner to owner with a look at the index for each, and
	// gives the earliest wake of each and the earliest after a time.
	dueOwners = `WITH RECURSIVE o (owner) AS (
			SELECT min(owner) FROM execution WHERE wake IS NOT NULL
			UNION ALL
			SELECT (SELECT min(owner) FROM execution WHERE wake IS NOT NULL AND owner > o.owner) FROM o WHERE o.owner IS NOT NULL
		)
		SELECT owner,
			(SELECT min(wake) FROM execution WHERE wake IS NOT NULL AND owner = o.owner),
			(SELECT min(wake) FROM execution WHERE wake IS NOT NULL AND owner = o.owner AND wake > ?)
		FROM o WHERE owner IS NOT NULL`
	dueExecutions = `SELECT ` + executionColumns + ` FROM execution
		WHERE wake IS NOT NULL AND owner = ? AND wake <= ? ORDER BY wake LIMIT ?`
	recoverExecutions = `UPDATE execution SET wake = ? WHERE status = 'running' AND status <> 'succeeded'`
)

// Executions are the executions of flows, with their journals, logs and settings.
// It is safe for concurrent use.
type Executions struct {
	s       *Store
	members *members
	writer  *writer
	queries *queries
	swept   atomic.Bool // there are no remains of executions whose removal was interrupted
}

// Executions gives the store's executions.
func (s *Store) Executions() *Executions { return s.executions }

func newExecutions(s *Store) *Executions {
	e := &Executions{s: s, members: &members{s: s, byID: map[engine.ID]*member{}, roots: map[int64]*rootKey{}}}
	e.queries = &queries{s: s}
	e.writer = &writer{e: e}
	e.writer.more = sync.NewCond(&e.writer.mu)
	return e
}

// Load gives all that is needed to take an execution up. Its error is of kind
// notfound if there is none, and of kind permanent, naming the event, if its
// journal was damaged or tampered with; it is a [journal.ErrNewer] as well if a
// newer weir wrote it.
func (e *Executions) Load(ctx context.Context, id engine.ID) (journal.History, error) {
	h, err := e.load(ctx, id)
	return h, e.s.explain(fmt.Sprintf("read execution %s", id), err)
}

func (e *Executions) load(ctx context.Context, id engine.ID) (h journal.History, err error) {
	if err := e.queries.prepare(ctx); err != nil {
		return h, err
	}
	tx, err := e.s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // all at one moment
	if err != nil {
		return h, err
	}
	defer func() { _ = tx.Rollback() }()
	var key int64
	if h.Row, err = scanRow(e.queries.row(ctx, tx, selectExecution, string(id)), &key); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = missingExecution(id)
		}
		return h, err
	}
	root, err := e.members.rootKey(ctx, tx, key)
	if err != nil {
		return h, err
	}
	h.TraceKey = root.derive("trace", string(h.Root), h.Owner)
	m := newMember(root, key, string(id), string(h.Root), string(h.Parent), h.Owner)
	events, err := e.queries.rows(ctx, tx, selectEvents, string(id))
	if err != nil {
		return h, err
	}
	if h.Events, err = readEvents(events, id, m); err != nil {
		return h, err
	}
	e.members.keep(id, m)
	traces, err := e.queries.rows(ctx, tx, selectTraces, string(h.Root))
	if err != nil {
		return h, err
	}
	if h.Traces, err = readTraces(traces, root, h.Row); err != nil {
		return h, err
	}
	if err = e.queries.row(ctx, tx, lastLine, string(id)).Scan(&h.Lines); err != nil || h.Lines == 0 {
		return h, err
	}
	err = e.queries.row(ctx, tx, lastOrdinal, string(id)).Scan(&h.Ordinal)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return h, err
}

// readEvents reads and closes the rows of selectEvents.
func readEvents(rows *sql.Rows, id engine.ID, m *member) ([]journal.Event, error) {
	defer func() { _ = rows.Close() }()
	var events []journal.Event
	for rows.Next() {
		var number int
		var body sql.RawBytes
		if err := rows.Scan(&number, &body); err != nil {
			return nil, err
		}
		if number != len(events) {
			return nil, damaged("execution %s: event %d is missing; the journal", id, len(events))
		}
		event, err := openEvent(m, id, number, body)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, rows.Err()
}

func openEvent(m *member, id engine.ID, number int, body []byte) (journal.Event, error) {
	text, ok := m.open(body, "journal", number)
	if !ok {
		return nil, damaged("event %d of execution %s", number, id)
	}
	event, err := journal.Decode(text)
	if errors.Is(err, journal.ErrNewer) {
		return nil, &newerError{engine.Error{
			Kind: engine.Permanent, Hint: "use the weir that wrote it, or a newer one",
			Message: fmt.Sprintf("event %d of execution %s was %v", number, id, err),
		}}
	}
	if err != nil {
		return nil, damaged("event %d of execution %s", number, id)
	}
	return event, nil
}

// newerError is an [engine.Error] and a [journal.ErrNewer].
type newerError struct{ failure engine.Error }

func (e *newerError) Error() string   { return e.failure.Error() }
func (e *newerError) Unwrap() []error { return []error{&e.failure, journal.ErrNewer} }

func damaged(format string, args ...any) error {
	return fail(engine.Permanent, "restore the store from a backup",
		"%s cannot be read: it was damaged, or moved here from another place in the store", fmt.Sprintf(format, args...))
}

// readTraces reads and closes the rows of selectTraces.
func readTraces(rows *sql.Rows, root *rootKey, r journal.Row) ([][]byte, error) {
	defer func() { _ = rows.Close() }()
	var traces [][]byte
	tree := root.sealer("tree", string(r.Root), r.Owner)
	for rows.Next() {
		var body sql.RawBytes
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		trace, ok := tree.open(body, "trace", 0)
		if !ok {
			return nil, damaged("execution %s: a trace of its secrets", r.Root)
		}
		traces = append(traces, trace)
	}
	return traces, rows.Err()
}

// TraceKey gives the key for the traces of an execution's tree, also of one whose
// creation is being committed.
func (e *Executions) TraceKey(ctx context.Context, id engine.ID) (key [32]byte, err error) {
	m, err := e.members.get(ctx, id)
	if err != nil {
		return key, e.s.explain(fmt.Sprintf("read execution %s", id), err)
	}
	root, err := e.members.rootKey(ctx, e.s.db, m.key)
	if err != nil {
		return key, e.s.explain(fmt.Sprintf("read execution %s", id), err)
	}
	return root.derive("trace", m.root, m.owner), nil
}

// Text gives the text of a flow or module by its [journal.Digest]. Its error is
// of kind notfound if there is none, and of kind permanent if it was damaged.
func (e *Executions) Text(ctx context.Context, digest string) ([]byte, error) {
	var key int64
	var body []byte
	err := e.s.db.QueryRowContext(ctx, selectText, digest).Scan(&key, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fail(engine.NotFound, "restore the store from a backup", "the text %.12s of a flow is not in the store", digest)
	}
	if err != nil {
		return nil, e.s.explain("read the text of a flow", err)
	}
	root, err := e.members.rootKey(ctx, e.s.db, key)
	if err != nil {
		return nil, e.s.explain("read the text of a flow", err)
	}
	text, ok := root.sealer("text", digest).open(body, "text", 0)
	if !ok || journal.Digest(text) != digest {
		return nil, damaged("the text %.12s of a flow", digest)
	}
	return text, nil
}

// Due gives the executions whose wake is not after now: of each owner the
// earliest, at most perOwner. next is the earliest wake after now; zero if there
// is none.
func (e *Executions) Due(ctx context.Context, now time.Time, perOwner int) (due []journal.Row, next time.Time, err error) {
	owners, err := e.dueOwners(ctx, now)
	if err != nil {
		return nil, time.Time{}, e.s.explain("look for executions that are due", err)
	}
	for _, o := range owners {
		if o.next.Valid && (next.IsZero() || o.next.Int64 < micros(next)) {
			next = time.UnixMicro(o.next.Int64).UTC()
		}
		if o.first > micros(now) {
			continue
		}
		rows, err := e.rows(ctx, dueExecutions, o.owner, micros(now), perOwner)
		if err != nil {
			return nil, time.Time{}, e.s.explain("look for executions that are due", err)
		}
		due = append(due, rows...)
	}
	return due, next, nil
}

type dueOwner struct {
	owner string
	first int64
	next  sql.NullInt64
}

func (e *Executions) dueOwners(ctx context.Context, now time.Time) ([]dueOwner, error) {
	rows, err := e.s.db.QueryContext(ctx, dueOwners, micros(now))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var owners []dueOwner
	for rows.Next() {
		var o dueOwner
		if err := rows.Scan(&o.owner, &o.first, &o.next); err != nil {
			return nil, err
		}
		owners = append(owners, o)
	}
	return owners, rows.Err()
}

// Recover makes all executions due that were running. An engine calls it once,
// after it took the store over from one that ended without a word.
func (e *Executions) Recover(ctx context.Context, now time.Time) error {
	return e.s.write(ctx, "take up running executions", func(tx *sql.Tx, _ *keys) error {
		_, err := tx.ExecContext(ctx, recoverExecutions, micros(now))
		return err
	})
}

// Changed tells whether anything was written since the last call, other than by
// Commit of this store: by another process, or by another method. The first call
// says that something was.
func (e *Executions) Changed(ctx context.Context) (changed bool, err error) {
	err = e.writer.use(ctx, func(s *session) error {
		version, _, err := s.number(`PRAGMA data_version`)
		changed, e.writer.version = version != e.writer.version, version
		return err
	})
	if changed {
		e.members.forgetNewest()
	}
	return changed, e.s.explain("look for changes", err)
}

// rows gives the rows of a query for executionColumns.
func (e *Executions) rows(ctx context.Context, query string, args ...any) ([]journal.Row, error) {
	rows, err := e.s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []journal.Row
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// scanRow reads executionColumns, and more behind them.
func scanRow(row scanner, more ...any) (r journal.Row, err error) {
	var created int64
	var wake, ended sql.NullInt64
	err = row.Scan(append([]any{
		(*string)(&r.ID), (*string)(&r.Root), (*string)(&r.Parent), &r.Owner, &r.Name, (*string)(&r.Status),
		&created, &wake, &r.Waits, &ended, (*string)(&r.Kind),
	}, more...)...)
	r.Created = time.UnixMicro(created).UTC()
	if wake.Valid {
		r.Wake = time.UnixMicro(wake.Int64).UTC()
	}
	if ended.Valid {
		r.Ended = time.UnixMicro(ended.Int64).UTC()
	}
	return r, err
}
