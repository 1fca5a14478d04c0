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
	// dueSchedules goes along the index, from behind another schedule.
	dueSchedules = scheduleColumns + ` WHERE next <= ?1 AND (next, id) > (?2, coalesce((SELECT id FROM schedule WHERE owner = ?3 AND name = ?4), 0))
		ORDER BY next, id`
	nextSchedule   = `SELECT min(next) FROM schedule WHERE next > ?`
	aheadSchedules = scheduleColumns + ` WHERE next > ?1 AND (last > ?1 OR changed > ?1) ORDER BY owner, name`
	insertSchedule = `INSERT INTO schedule (owner, name, next, last_execution, changed, body) VALUES (?, ?, ?, '', ?, ?)`
	updateSchedule = `UPDATE schedule SET next = CASE WHEN ?1 THEN next ELSE ?2 END, changed = ?3, body = ?4
		WHERE owner = ?5 AND name = ?6 AND changed = ?7`
	// What the engine writes holds as long as nobody has changed the schedule.
	ranSchedule = `UPDATE schedule SET next = ?1, last = ?2, last_execution = CASE ?3 WHEN '' THEN last_execution ELSE ?3 END, body = coalesce(?4, body)
		WHERE owner = ?5 AND name = ?6 AND next = ?2 AND changed = ?7`
	waitSchedule   = `UPDATE schedule SET body = ?1 WHERE owner = ?2 AND name = ?3 AND next = ?4 AND changed = ?5`
	moveSchedule   = `UPDATE schedule SET next = ?1 WHERE owner = ?2 AND name = ?3 AND next = ?4 AND changed = ?5`
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

	// The engine's.
	Problem   string    `json:"problem,omitempty"`
	ProblemAt time.Time `json:"problem_at,omitzero"`
	Waiting   bool      `json:"waiting,omitempty"`
}

func (b scheduleBody) seal(keys *keys, owner, name string) ([]byte, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return keys.seal(text, schedulePlace(owner, name))
}

func newScheduleBody(s engine.Schedule) scheduleBody {
	b := scheduleBody{Flow: s.Flow, Cron: s.Cron, TimeZone: s.TimeZone, Overlap: s.Overlap, Missed: s.Missed, Enabled: s.Enabled}
	if len(s.Inputs) > 0 {
		b.Inputs = journal.EncodeValue(s.Inputs)
	}
	return b
}

// Create stores a new schedule with its NextRun. Its error is of kind conflict if its
// owner has one of that name.
func (sc *Schedules) Create(ctx context.Context, by engine.Actor, schedule engine.Schedule) error {
	return sc.put(ctx, "create", schedule, func(tx *sql.Tx, body []byte) error {
		_, err := tx.ExecContext(ctx, insertSchedule, schedule.Owner, schedule.Name, nextOf(schedule), micros(sc.s.now()), body)
		if isConstraint(err) {
			return fail(engine.Conflict, "", "there is a schedule %q already", schedule.Name)
		}
		if err != nil {
			return err
		}
		return sc.s.audit(ctx, tx, by.Did(engine.AuditScheduleCreate, schedule.Name))
	})
}

// Update replaces what people typed of a schedule that was read before, and its
// NextRun; if that is zero and the schedule is enabled, it stays as it is. When it last
// ran stays, too. Its error is of kind notfound if its owner has none of that name, and
// of kind conflict if it was changed since it was read.
func (sc *Schedules) Update(ctx context.Context, schedule engine.Schedule) error {
	return sc.put(ctx, "update", schedule, func(tx *sql.Tx, body []byte) error {
		keep := schedule.Enabled && schedule.NextRun.IsZero()
		result, err := tx.ExecContext(ctx, updateSchedule, keep, nextOf(schedule), micros(sc.s.now()), body, schedule.Owner, schedule.Name, micros(schedule.Changed))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		_, err = sc.scan(tx.QueryRowContext(ctx, selectSchedule, schedule.Owner, schedule.Name))
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return missingSchedule(schedule.Name)
		case err != nil:
			return err
		}
		return fail(engine.Conflict, "look at it, and change it again", "somebody else has changed schedule %q meanwhile", schedule.Name)
	})
}

// nextOf gives what is stored of when a schedule is due.
func nextOf(schedule engine.Schedule) any {
	if !schedule.Enabled {
		return nil
	}
	return microsOrNull(schedule.NextRun)
}

func (sc *Schedules) put(ctx context.Context, verb string, schedule engine.Schedule, write func(tx *sql.Tx, body []byte) error) error {
	if !connections.ValidName(schedule.Name) {
		return fail(engine.Invalid, "", "schedule %q: a name is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", schedule.Name)
	}
	return sc.s.writeAudited(ctx, fmt.Sprintf("%s schedule %q", verb, schedule.Name), func(tx *sql.Tx, keys *keys) error {
		body, err := newScheduleBody(schedule).seal(keys, schedule.Owner, schedule.Name)
		if err != nil {
			return err
		}
		return write(tx, body)
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
	return sc.list(ctx, -1, listSchedules, owner)
}

// Due gives schedules of all owners that are due at a time, at most so many, the one
// that was due first first: those that come behind another, which was read before; all
// for the zero one. Those that cannot be decrypted are left out, and the error tells of
// each.
func (sc *Schedules) Due(ctx context.Context, now time.Time, behind engine.Schedule, limit int) ([]engine.Schedule, error) {
	return sc.list(ctx, limit, dueSchedules, micros(now), micros(behind.NextRun), behind.Owner, behind.Name)
}

// NextDue gives when the next schedule is due after a time; zero if none is.
func (sc *Schedules) NextDue(ctx context.Context, after time.Time) (next time.Time, err error) {
	var at sql.NullInt64
	err = sc.s.db.QueryRowContext(ctx, nextSchedule, micros(after)).Scan(&at)
	if at.Valid {
		next = time.UnixMicro(at.Int64).UTC()
	}
	return next, sc.s.explain("look for schedules that are due", err)
}

// Ahead gives schedules of all owners that are due after a time, and were changed or
// ran after it, as happens on a clock that was set back. Those that cannot be decrypted
// are left out, and the error tells of each.
func (sc *Schedules) Ahead(ctx context.Context, than time.Time) ([]engine.Schedule, error) {
	return sc.list(ctx, -1, aheadSchedules, micros(than))
}

// Move has a schedule that was read be due at another time than its NextRun, unless it
// was changed meanwhile.
func (sc *Schedules) Move(ctx context.Context, schedule engine.Schedule, next time.Time) error {
	return sc.s.write(ctx, fmt.Sprintf("move schedule %q", schedule.Name), func(tx *sql.Tx, _ *keys) error {
		_, err := tx.ExecContext(ctx, moveSchedule, micros(next), schedule.Owner, schedule.Name, micros(schedule.NextRun), micros(schedule.Changed))
		return err
	})
}

// list reads schedules, at most so many if limit is not negative.
func (sc *Schedules) list(ctx context.Context, limit int, query string, args ...any) ([]engine.Schedule, error) {
	rows, err := sc.s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, sc.s.explain("list schedules", err)
	}
	defer func() { _ = rows.Close() }()
	var schedules []engine.Schedule
	var faults []error
	for len(schedules) != limit && rows.Next() {
		found, err := sc.scan(rows)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		schedules = append(schedules, found)
	}
	return schedules, sc.s.explain("list schedules", errors.Join(append(faults, rows.Err())...))
}

// Ran notes what became of runs, all in one transaction. One of a schedule that has
// run or was changed since it was read is not noted, and the error is of kind conflict
// then: the others are noted all the same.
func (sc *Schedules) Ran(ctx context.Context, runs ...engine.ScheduleRun) error {
	changed := ""
	err := sc.s.write(ctx, "note runs of schedules", func(tx *sql.Tx, keys *keys) error {
		for _, run := range runs {
			noted, err := sc.ran(ctx, tx, keys, run)
			if err != nil {
				return err
			}
			if !noted {
				changed = run.Schedule.Name
			}
		}
		return nil
	})
	if err == nil && changed != "" {
		err = fail(engine.Conflict, "", "schedule %q has run or was changed meanwhile", changed)
	}
	return err
}

func (sc *Schedules) ran(ctx context.Context, tx *sql.Tx, keys *keys, run engine.ScheduleRun) (noted bool, err error) {
	s := run.Schedule
	var body any // nil: as it is
	if run.Waiting || run.Problem != "" || s.Waiting || s.Problem != "" {
		b := newScheduleBody(s)
		b.Waiting, b.Problem = run.Waiting, run.Problem
		if run.Problem != "" {
			b.ProblemAt = run.At
		}
		if body, err = b.seal(keys, s.Owner, s.Name); err != nil {
			return false, err
		}
	}
	var result sql.Result
	if run.Waiting {
		result, err = tx.ExecContext(ctx, waitSchedule, body, s.Owner, s.Name, micros(s.NextRun), micros(s.Changed))
	} else {
		result, err = tx.ExecContext(ctx, ranSchedule,
			microsOrNull(run.Next), micros(s.NextRun), string(run.Execution), body, s.Owner, s.Name, micros(s.Changed))
	}
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Delete removes a schedule. What it started goes on. Its error is of kind notfound
// if there is none of that name.
func (sc *Schedules) Delete(ctx context.Context, by engine.Actor, owner, name string) error {
	return sc.s.writeAudited(ctx, fmt.Sprintf("delete schedule %q", name), func(tx *sql.Tx, _ *keys) error {
		result, err := tx.ExecContext(ctx, deleteSchedule, owner, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, missingSchedule(name))
		}
		return sc.s.audit(ctx, tx, by.Did(engine.AuditScheduleDelete, name))
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
	found.Problem, found.ProblemAt, found.Waiting = b.Problem, b.ProblemAt, b.Waiting
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
