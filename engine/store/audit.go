package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/weir-engine/weir/engine"
)

const (
	// insertAudit gives an event its time for a number, or the next one if that is taken:
	// so numbers tell nobody how much others do.
	insertAudit = `INSERT INTO audit (number, time, owner, connection_owner, key, body)
		VALUES (max(?1, (SELECT coalesce(max(number), 0) + 1 FROM audit)), ?1, ?, ?, ?, ?)`
	// auditOfAll and auditOf take a number, the bounds of the time, how many, and an owner.
	auditColumns = `SELECT number, time, owner, connection_owner, key, body FROM audit
		WHERE number < ?1 AND number >= (SELECT min(number) FROM audit WHERE time >= ?2) AND time >= ?2 AND time < ?3`
	auditOfAll = auditColumns + ` ORDER BY number DESC LIMIT ?4`
	auditOf    = `SELECT * FROM (` + auditColumns + ` AND owner = ?5 ORDER BY number DESC LIMIT ?4)
		UNION ALL SELECT * FROM (` + auditColumns + ` AND connection_owner = ?5 ORDER BY number DESC LIMIT ?4)
		ORDER BY 1 DESC LIMIT ?4`
	countAudit  = `SELECT count(*) FROM audit`
	pruneAudit  = `DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE time < ? ORDER BY number LIMIT ?)`
	pruneOldest = `DELETE FROM audit WHERE number IN (SELECT number FROM audit ORDER BY number LIMIT ?)`
)

const (
	// AuditRetention is how long audit events are kept unless somebody says otherwise.
	AuditRetention = 400 * 24 * time.Hour
	// AuditMax is how many audit events are kept at most; the oldest go first.
	AuditMax = 5_000_000
	// auditPage is how many events List gives unless it is told otherwise.
	auditPage = 1000
)

// Audit keeps what people must be able to look up afterwards. It is safe for
// concurrent use.
type Audit struct{ s *Store }

// Audit gives the store's audit events.
func (s *Store) Audit() *Audit { return &Audit{s} }

// AuditFilter says which events are wanted.
type AuditFilter struct {
	// Owner is whose events are wanted: what they and their executions did, and what
	// others did with their connections. All gives those of everybody.
	Owner string
	All   bool
	// Since and Until bound the time: from Since on, before Until; zero for no bound.
	Since, Until time.Time
	// Before bounds the number, to go on where an earlier list ended; 0 for no bound.
	Before int64
	// Limit is how many are given at most; 0 means 1000.
	Limit int
}

// auditBody is what is encrypted of an event.
type auditBody struct {
	What       engine.AuditKind `json:"what"`
	Execution  engine.ID        `json:"execution,omitempty"`
	Connection string           `json:"connection,omitempty"`
	Owner      string           `json:"connection_owner,omitempty"`
	Path       string           `json:"path,omitempty"`
	Version    int              `json:"version,omitempty"`
	Subject    string           `json:"subject,omitempty"`
	Remote     string           `json:"remote,omitempty"`
}

// Record writes events, all of them or none, and returns when they are on disk. What
// is recorded while others write is written together with it. Its errors are those
// of [Executions.Commit], or the context's, after which the events may be written
// all the same.
func (a *Audit) Record(ctx context.Context, events ...engine.AuditEvent) error {
	if len(events) == 0 {
		return nil
	}
	key, err := a.s.executions.members.newestKey(ctx)
	if err != nil {
		return a.s.explain("write an audit event", err)
	}
	sealed := make([]sealedAudit, len(events))
	for i, event := range events {
		if sealed[i], err = a.s.sealAudit(ctx, a.s.db, key, event); err != nil {
			return a.s.explain("write an audit event", err)
		}
	}
	done := make(chan error, 1)
	a.s.executions.also(func(s *session) error {
		for i := range sealed {
			if _, err := s.exec(insertAudit, sealed[i].args()...); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("write an audit event: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// also has something written in one transaction with the commits that come at the
// same time. do may be called more than once, after what it wrote was taken back.
func (e *Executions) also(do func(*session) error, done func(error)) {
	e.writer.add(&commit{also: do, done: done})
}

// audit writes an event within a transaction of writeAudited.
func (s *Store) audit(ctx context.Context, tx *sql.Tx, event engine.AuditEvent) error {
	var key int64
	if err := tx.QueryRowContext(ctx, newestJournalKey).Scan(&key); err != nil {
		return err
	}
	sealed, err := s.sealAudit(ctx, tx, key, event)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, insertAudit, sealed.args()...)
	return err
}

// sealedAudit is an event as it is written.
type sealedAudit struct {
	time, key int64
	owner     string
	other     any // the owner of the connection if that is somebody else, or nil
	body      []byte
}

func (a sealedAudit) args() []any { return []any{a.time, a.owner, a.other, a.key, a.body} }

func (s *Store) sealAudit(ctx context.Context, from asker, key int64, event engine.AuditEvent) (sealedAudit, error) {
	if event.Time.IsZero() {
		event.Time = s.now()
	}
	root, err := s.executions.members.rootKey(ctx, from, key)
	if err != nil {
		return sealedAudit{}, err
	}
	text, err := json.Marshal(auditBody{
		event.What, event.Execution, event.Connection, event.ConnectionOwner, event.Path, event.Version, event.Subject, event.Remote,
	})
	if err != nil {
		return sealedAudit{}, err
	}
	sealed := sealedAudit{time: micros(event.Time), key: key, owner: event.Owner}
	if event.Connection != "" && event.ConnectionOwner != event.Owner {
		sealed.other = event.ConnectionOwner
	}
	sealed.body = sealed.sealer(root).seal(text, "audit", 0)
	return sealed, nil
}

// writeAudited is write for changes that leave audit events. Their journal key must
// be on disk before: one that a failed change has made would be remembered.
func (s *Store) writeAudited(ctx context.Context, doing string, change func(*sql.Tx, *keys) error) error {
	if _, err := s.executions.members.newestKey(ctx); err != nil {
		return s.explain(doing, err)
	}
	return s.write(ctx, doing, change)
}

// sealer gives the one for an event, whose key no other event has.
func (a sealedAudit) sealer(root *rootKey) sealer {
	other, _ := a.other.(string)
	return root.sealer("audit", strconv.FormatInt(a.time, 10), a.owner, strconv.FormatBool(a.other != nil), other)
}

// List gives events, the newest first. What a flow read with a connection of
// somebody else is listed for its owner without the secret's path and version, which
// the connection's owner sees. Events that cannot be decrypted are left out, and the
// error tells of them.
func (a *Audit) List(ctx context.Context, filter AuditFilter) ([]engine.AuditEvent, error) {
	before, until, limit := int64(1<<62), int64(1<<62), auditPage
	if filter.Before > 0 {
		before = filter.Before
	}
	if !filter.Until.IsZero() {
		until = micros(filter.Until)
	}
	if filter.Limit > 0 {
		limit = filter.Limit
	}
	since := int64(-1 << 62)
	if !filter.Since.IsZero() {
		since = micros(filter.Since)
	}
	query, args := auditOf, []any{before, since, until, limit, filter.Owner}
	if filter.All {
		query, args = auditOfAll, args[:4]
	}
	sealed, numbers, err := a.read(ctx, query, args)
	if err != nil {
		return nil, a.s.explain("list audit events", err)
	}
	events := make([]engine.AuditEvent, 0, len(sealed))
	var faults []error
	for i := range sealed {
		event, err := a.open(ctx, sealed[i], numbers[i])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if !filter.All {
			event = seenBy(event, filter.Owner)
		}
		events = append(events, event)
	}
	return events, a.s.explain("list audit events", errors.Join(faults...))
}

// seenBy leaves out what is not for that owner's eyes.
func seenBy(event engine.AuditEvent, owner string) engine.AuditEvent {
	if event.Connection == "" || event.ConnectionOwner == event.Owner {
		return event
	}
	if event.ConnectionOwner == owner {
		event.Remote = ""
	} else {
		event.Path, event.Version = "", 0
	}
	return event
}

func (a *Audit) read(ctx context.Context, query string, args []any) (sealed []sealedAudit, numbers []int64, err error) {
	rows, err := a.s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		one, number, err := scanAudit(rows)
		if err != nil {
			return nil, nil, err
		}
		sealed, numbers = append(sealed, one), append(numbers, number)
	}
	return sealed, numbers, rows.Err()
}

func scanAudit(row scanner) (sealed sealedAudit, number int64, err error) {
	var other sql.NullString
	err = row.Scan(&number, &sealed.time, &sealed.owner, &other, &sealed.key, &sealed.body)
	if other.Valid {
		sealed.other = other.String
	}
	return sealed, number, err
}

func (a *Audit) open(ctx context.Context, sealed sealedAudit, number int64) (engine.AuditEvent, error) {
	root, err := a.s.executions.members.rootKey(ctx, a.s.db, sealed.key)
	if err != nil {
		return engine.AuditEvent{}, err
	}
	return openAudit(root, sealed, number)
}

func openAudit(root *rootKey, sealed sealedAudit, number int64) (engine.AuditEvent, error) {
	text, ok := sealed.sealer(root).open(sealed.body, "audit", 0)
	var b auditBody
	if !ok || json.Unmarshal(text, &b) != nil {
		return engine.AuditEvent{}, damaged("audit event %d", number)
	}
	return engine.AuditEvent{
		Number: number, Time: time.UnixMicro(sealed.time).UTC(), What: b.What, Owner: sealed.owner,
		Execution: b.Execution, Connection: b.Connection, ConnectionOwner: b.Owner,
		Path: b.Path, Version: b.Version, Subject: b.Subject, Remote: b.Remote,
	}, nil
}

// Prune removes events from before a time, and the oldest of those that are more
// than [AuditMax], in small transactions. It gives how many are gone, also with an
// error.
func (a *Audit) Prune(ctx context.Context, before time.Time) (gone int, err error) {
	for more := true; more; {
		n, err := a.prune(ctx, pruneAudit, micros(before), pruneRows)
		gone += n
		if err != nil {
			return gone, err
		}
		more = n == pruneRows
	}
	var count int
	if err := a.s.db.QueryRowContext(ctx, countAudit).Scan(&count); err != nil {
		return gone, a.s.explain("count audit events", err)
	}
	for surplus := count - AuditMax; surplus > 0; {
		n, err := a.prune(ctx, pruneOldest, min(surplus, pruneRows))
		gone += n
		if err != nil || n == 0 {
			return gone, err
		}
		surplus -= n
	}
	return gone, nil
}

func (a *Audit) prune(ctx context.Context, query string, args ...any) (gone int, err error) {
	err = a.s.write(ctx, "prune audit events", func(tx *sql.Tx, _ *keys) error {
		result, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		gone = int(changed)
		return err
	})
	return gone, err
}
