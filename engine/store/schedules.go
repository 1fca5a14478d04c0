package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	scheduleColumns = `SELECT owner, name, next, last, last_execution, changed, body, (SELECT sealed FROM keyset) FROM schedule`
	selectSchedule  = scheduleColumns + ` WHERE owner = ? AND name = ?`
	listSchedules   = scheduleColumns + ` WHERE owner = ? ORDER BY name`
	dueSchedules    = scheduleColumns + ` WHERE next <= ? ORDER BY next, owner, name LIMIT ?`
	nextSchedule    = `SELECT min(next) FROM schedule WHERE next > ?`
	insertSchedule  = `INSERT INTO schedule (owner, name, next, last_execution, changed, body) VALUES (?, ?, ?, '', ?, ?)`
	updateSchedule  = `UPDATE schedule SET next = ?, changed = ?, body = ? WHERE owner = ? AND name = ?`
	ranSchedule     = `UPDATE schedule SET next = ?1, last = ?2, last_execution = CASE ?3 WHEN '' THEN last_execution ELSE ?3 END
		WHERE owner = ?4 AND name = ?5 AND next = ?2`
	deleteSchedule = `DELETE FROM schedule WHERE owner = ? AND name = ?`
)

// Schedules start flows at given times. It is safe for concurrent use. What a cron
// expression means is for the caller, who gives the times that it leads to.
type Schedules struct{ s *Store }

// Schedules gives the store's schedules.
func (s *Store) Schedules() *Schedules { return &Schedules{s} }

// scheduleBody is what is encrypted of a schedule.
type scheduleBody struct {
	Flow     string         `json:"flow"`
	Inputs   []byte         `json:"inputs,omitempty"` // see journal.EncodeValue
	Cron     string         `json:"cron"`
	TimeZone string         `json:"time_zone,omitempty"`
	Overlap  engine.Overlap `json:"overlap,omitempty"`
	Missed   engine.Missed  `json:"missed,omitempty"`
	Enabled  bool           `json:"enabled"`
}

// Create stores a new schedule with its NextRun. Its error is of kind conflict if its
// owner has one of that name.
func (sc *Schedules) Create(ctx context.Context, schedule engine.Schedule) error {
	return sc.put(ctx, "create", schedule, func(tx *sql.Tx, next any, changed int64, body []byte) (sql.Result, error) {
		result, err := tx.ExecContext(ctx, insertSchedule, schedule.Owner, schedule.Name, next, changed, body)
		if isConstraint(err) {
			err = fail(engine.Conflict, "", "there is a schedule %q already", schedule.Name)
		}
		return result, err
	})
}

// Update replaces what people typed of a schedule, and its NextRun; when it last ran
// stays. Its error is of kind notfound if its owner has none of that name.
func (sc *Schedules) Update(ctx context.Context, schedule engine.Schedule) error {
	return sc.put(ctx, "update", schedule, func(tx *sql.Tx, next any, changed int64, body []byte) (sql.Result, error) {
		return tx.ExecContext(ctx, updateSchedule, next, changed, body, schedule.Owner, schedule.Name)
	})
}

func (sc *Schedules) put(ctx context.Context, verb string, schedule engine.Schedule, write func(tx *sql.Tx, next any, changed int64, body []byte) (sql.Result, error)) error {
	if !connections.ValidName(schedule.Name) {
		return fail(engine.Invalid, "", "schedule %q: a name is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", schedule.Name)
	}
	b := scheduleBody{
		Flow: schedule.Flow, Cron: schedule.Cron, TimeZone: schedule.TimeZone, Overlap: schedule.Overlap, Missed: schedule.Missed, Enabled: schedule.Enabled,
	}
	if len(schedule.Inputs) > 0 {
		b.Inputs = journal.EncodeValue(schedule.Inputs)
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	next := microsOrNull(schedule.NextRun)
	if !schedule.Enabled {
		next = nil
	}
	return sc.s.write(ctx, fmt.Sprintf("%s schedule %q", verb, schedule.Name), func(tx *sql.Tx, keys *keys) error {
		body, err := keys.seal(text, schedulePlace(schedule.Owner, schedule.Name))
		if err != nil {
			return err
		}
		result, err := write(tx, next, micros(sc.s.now()), body)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, missingSchedule(schedule.Name))
		}
		return nil
	})
}

// Get gives a schedule. Its error is of kind notfound if there is none of that name.
func (sc *Schedules) Get(ctx context.Context, owner, name string) (engine.Schedule, error) {
	found, err := sc.scan(sc.s.db.QueryRowContext(ctx, selectSchedule, owner, name))
	if errors.Is(err, sql.ErrNoRows) {
		return engine.Schedule{}, missingSchedule(name)
	}
	return found, sc.s.explain(fmt.Sprintf("read schedule %q", name), err)
}

// List gives all of the owner's schedules, sorted by name. Those that cannot be
// decrypted are left out, and the error tells of each.
func (sc *Schedules) List(ctx context.Context, owner string) ([]engine.Schedule, error) {
	return sc.list(ctx, listSchedules, owner)
}

// Due gives schedules of all owners that are due at a time, at most so many, the
// one that was due first first; next is when another one is due after that time, zero
// if none is. Those that cannot be decrypted are left out, and the error tells of each.
func (sc *Schedules) Due(ctx context.Context, now time.Time, limit int) (due []engine.Schedule, next time.Time, err error) {
	due, err = sc.list(ctx, dueSchedules, micros(now), limit)
	var at sql.NullInt64
	if failed := sc.s.db.QueryRowContext(ctx, nextSchedule, micros(now)).Scan(&at); failed != nil {
		return due, time.Time{}, errors.Join(err, sc.s.explain("list schedules", failed))
	}
	if at.Valid {
		next = time.UnixMicro(at.Int64).UTC()
	}
	return due, next, err
}

func (sc *Schedules) list(ctx context.Context, query string, args ...any) ([]engine.Schedule, error) {
	rows, err := sc.s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sc.s.explain("list schedules", err)
	}
	defer func() { _ = rows.Close() }()
	var schedules []engine.Schedule
	var faults []error
	for rows.Next() {
		found, err := sc.scan(rows)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		schedules = append(schedules, found)
	}
	return schedules, sc.s.explain("list schedules", errors.Join(append(faults, rows.Err())...))
}

// Ran notes that a schedule ran at the NextRun with which it was read: what it
// became, empty for a run that did not take place, and when it runs next, zero for
// never. Its error is of kind conflict if it has run or was changed meanwhile, and
// then nothing is noted.
func (sc *Schedules) Ran(ctx context.Context, schedule engine.Schedule, execution engine.ID, next time.Time) error {
	return sc.s.write(ctx, fmt.Sprintf("note a run of schedule %q", schedule.Name), func(tx *sql.Tx, _ *keys) error {
		result, err := tx.ExecContext(ctx, ranSchedule, microsOrNull(next), micros(schedule.NextRun), string(execution), schedule.Owner, schedule.Name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fail(engine.Conflict, "", "schedule %q has run or was changed meanwhile", schedule.Name))
		}
		return nil
	})
}

// Delete removes a schedule. What it started goes on. Its error is of kind notfound
// if there is none of that name.
func (sc *Schedules) Delete(ctx context.Context, owner, name string) error {
	return sc.s.write(ctx, fmt.Sprintf("delete schedule %q", name), func(tx *sql.Tx, _ *keys) error {
		result, err := tx.ExecContext(ctx, deleteSchedule, owner, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, missingSchedule(name))
		}
		return nil
	})
}

func (sc *Schedules) scan(row scanner) (found engine.Schedule, err error) {
	var next, last sql.NullInt64
	var changed int64
	var execution string
	var body, sealed []byte
	if err := row.Scan(&found.Owner, &found.Name, &next, &last, &execution, &changed, &body, &sealed); err != nil {
		return engine.Schedule{}, err
	}
	keys, err := sc.s.keys.unwrap(sealed)
	if err != nil {
		return engine.Schedule{}, err
	}
	text, err := keys.open(body, schedulePlace(found.Owner, found.Name), fmt.Sprintf("schedule %q", found.Name))
	if err != nil {
		return engine.Schedule{}, err
	}
	var b scheduleBody
	if err := json.Unmarshal(text, &b); err != nil {
		return engine.Schedule{}, fmt.Errorf("read schedule %q: %w", found.Name, err)
	}
	if len(b.Inputs) > 0 {
		inputs, err := journal.DecodeValue(b.Inputs)
		if err != nil {
			return engine.Schedule{}, fmt.Errorf("read schedule %q: %w", found.Name, err)
		}
		found.Inputs, _ = inputs.(map[string]any)
	}
	found.Flow, found.Cron, found.TimeZone, found.Overlap, found.Missed, found.Enabled = b.Flow, b.Cron, b.TimeZone, b.Overlap, b.Missed, b.Enabled
	found.LastExecution, found.Changed = engine.ID(execution), time.UnixMicro(changed).UTC()
	if next.Valid {
		found.NextRun = time.UnixMicro(next.Int64).UTC()
	}
	if last.Valid {
		found.LastRun = time.UnixMicro(last.Int64).UTC()
	}
	return found, nil
}

func schedulePlace(owner, name string) []byte { return place("schedule", owner, name) }

func scheduleTable() sealedTable {
	return sealedTable{
		list:   `SELECT id FROM schedule`,
		read:   `SELECT body, 'schedule', owner, name FROM schedule WHERE id = ?`,
		parts:  3,
		update: `UPDATE schedule SET body = ? WHERE id = ?`,
	}
}

func missingSchedule(name string) error {
	return fail(engine.NotFound, "", "no such schedule: %q", name)
}
