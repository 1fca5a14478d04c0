package schedule

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
)

const (
	// interval is how often the loop looks, whatever the next time is: another process
	// may have changed a schedule, the clock may have been set, the machine may have slept.
	interval = time.Second
	// waitInterval is how often it looks while a run waits for the end of another.
	waitInterval = interval / 2
	// lateness is how late a run may be that is not missed; see [Loop.absent].
	lateness = time.Minute
	// setBack is how far a clock must have been set back for it to count as put right:
	// by less, what has run already does not come again.
	setBack = 3 * time.Hour
	// page is how many schedules are read at once, and starters how many executions are
	// started at the same time.
	page     = 256
	starters = 64
	// maxCrons bounds how many expressions are kept as they were parsed.
	maxCrons = 10_000
)

// Store keeps schedules. Those of package store do.
type Store interface {
	// Due gives schedules that are due, behind another in their order.
	Due(ctx context.Context, now time.Time, behind engine.Schedule, limit int) ([]engine.Schedule, error)
	// NextDue gives when the next one is due; zero if none is.
	NextDue(ctx context.Context, after time.Time) (time.Time, error)
	// Ran notes what became of runs. Its error is of kind conflict if one was not noted,
	// because its schedule was changed meanwhile.
	Ran(ctx context.Context, runs ...engine.ScheduleRun) error
	// Ahead gives schedules that are due after a time, and were changed or ran after it.
	Ahead(ctx context.Context, than time.Time) ([]engine.Schedule, error)
	// Move has a schedule be due at another time.
	Move(ctx context.Context, schedule engine.Schedule, next time.Time) error
}

// Starter starts the executions of schedules.
type Starter interface {
	// Start starts the execution of that id, as the schedule's owner. Its error is of
	// kind conflict if there is one, and of kind unavailable if it may be tried again.
	Start(ctx context.Context, schedule engine.Schedule, id engine.ID) error
	// Status gives the state of an execution. Its error is of kind notfound if there is
	// none.
	Status(ctx context.Context, id engine.ID) (engine.Status, error)
	// Disabled tells whether an owner's schedules do not run.
	Disabled(ctx context.Context, owner string) (bool, error)
}

// Config says what a Loop works with.
type Config struct {
	Store   Store   // required
	Starter Starter // required
	// Log receives what people who run the engine should know; nil drops it.
	Log *slog.Logger
	// Now is the clock; nil means the machine's.
	Now func() time.Time
}

// Loop starts what is due. One process at a time runs one on a store.
type Loop struct {
	config Config

	// Of the one goroutine that looks.
	ended   time.Time // when it looked last, by the clock; zero if it has not
	present time.Time // since when it has looked all the time
	ahead   bool      // it is to be looked for schedules of a clock that was set back
	said    string    // the last error that was logged

	mu      sync.Mutex
	crons   map[[2]string]*Cron
	retries map[[2]string]retry // starts that failed, by owner and name
	stats   Stats
}

// retry is when a start is tried again, by the machine's own clock.
type retry struct {
	at   time.Time
	wait time.Duration
}

// Stats counts what became of runs.
type Stats struct {
	Runs map[Result]int64
	// Late is how long after its time the last run was started, and LateSum that of all.
	Late, LateSum time.Duration
}

// Result is what became of a run.
type Result string

// The results.
const (
	Started  Result = "started"
	Skipped  Result = "skipped"  // the last execution was at work
	Missed   Result = "missed"   // no engine was there
	Disabled Result = "disabled" // its owner is disabled
	Failed   Result = "failed"   // it could not be started
)

// Results gives all results.
func Results() []Result { return []Result{Started, Skipped, Missed, Disabled, Failed} }

// NewLoop makes a Loop.
func NewLoop(config Config) (*Loop, error) {
	if config.Store == nil || config.Starter == nil {
		return nil, errors.New("schedule: store and starter are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Loop{
		config: config, ahead: true, crons: map[[2]string]*Cron{}, retries: map[[2]string]retry{},
		stats: Stats{Runs: map[Result]int64{}},
	}, nil
}

// RunID is the id of the execution that a schedule's run at a time becomes.
func RunID(owner, name string, due time.Time) engine.ID {
	sum := sha256.Sum256(fmt.Appendf(nil, "schedule %q %q %d", owner, name, due.UnixMicro()))
	return engine.ID(fmt.Sprintf("%011x", due.UnixMilli()) + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:12]))
}

// Stats gives what became of runs since the loop was made.
func (l *Loop) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.Runs = map[Result]int64{}
	for _, r := range Results() {
		stats.Runs[r] = l.stats.Runs[r]
	}
	return stats
}

// Run starts what is due until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		next, err := l.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		l.say(err)
		wait := interval
		if !next.IsZero() {
			wait = min(max(next.Sub(l.now()), time.Millisecond), interval)
		}
		timer.Reset(wait)
	}
}

// say logs an error, once for as long as it stays the same.
func (l *Loop) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != l.said {
		l.config.Log.Error("schedules cannot run; trying again", "error", err)
	}
	l.said = text
}

// now is what the clock shows: how it compares with what it has shown counts, not how
// much time has passed.
func (l *Loop) now() time.Time { return l.config.Now().Round(0) }

// Look starts what is due, and gives when to look next; zero for no special time.
func (l *Loop) Look(ctx context.Context) (next time.Time, err error) {
	began, now := time.Now(), l.now()
	l.absent(now)
	faults := []error{l.putRight(ctx, now)}
	defer func() {
		l.ended = l.now()
		if l.ended.Sub(now)-time.Since(began) > lateness { // the clock was set meanwhile
			l.ended = now
		}
	}()
	again, waits := false, false
	for behind := (engine.Schedule{}); ; {
		due, err := l.config.Store.Due(ctx, now, behind, page)
		faults = append(faults, err)
		turns := l.turns(ctx, due, now)
		runs := make([]engine.ScheduleRun, 0, len(turns))
		for _, t := range turns {
			waits = waits || t.later
			if t.noted {
				runs = append(runs, t.run)
				again = again || !t.run.Waiting && !t.run.Next.IsZero() && !t.run.Next.After(now)
			}
		}
		if err := l.note(ctx, runs); err != nil {
			return time.Time{}, err
		}
		l.count(turns, l.now())
		if len(due) < page || ctx.Err() != nil {
			break
		}
		behind = due[len(due)-1]
	}
	if err = errors.Join(faults...); again {
		return now, err
	}
	next, failed := l.config.Store.NextDue(ctx, now)
	if waits && (next.IsZero() || next.After(now.Add(waitInterval))) {
		next = now.Add(waitInterval)
	}
	return next, errors.Join(err, failed)
}

// absent notes since when the loop has looked all the time. What was due a while before
// that is missed. It was not there while the process did not run or was stopped, while
// the machine slept, and for times over which the clock was set.
func (l *Loop) absent(now time.Time) {
	if l.ended.IsZero() || now.Sub(l.ended) > lateness || now.Before(l.ended) {
		l.present = now
	}
	if now.Before(l.ended) {
		l.ahead = true
	}
}

// putRight has schedules that are due in a future which the clock has left again be due
// when it says. A run of that future is not repeated: its execution is there.
func (l *Loop) putRight(ctx context.Context, now time.Time) error {
	if !l.ahead {
		return nil
	}
	ahead, failed := l.config.Store.Ahead(ctx, now.Add(setBack)) // some may be readable
	for _, s := range ahead {
		cron, err := l.cron(s)
		if err != nil {
			continue // it says so when it is due
		}
		next := cron.Next(now)
		if !next.Before(s.NextRun) {
			continue
		}
		if err := l.config.Store.Move(ctx, s, next); err != nil {
			return err
		}
		l.config.Log.Warn("the clock was set back; a schedule is due earlier", "owner", s.Owner, "schedule", s.Name, "was", s.NextRun, "next", next)
	}
	l.ahead = failed != nil
	return failed
}

func (l *Loop) note(ctx context.Context, runs []engine.ScheduleRun) error {
	if len(runs) == 0 {
		return nil
	}
	err := l.config.Store.Ran(ctx, runs...)
	if kindOf(err) == engine.Conflict {
		return nil // what was changed is looked at again
	}
	return err
}

// count counts what became of runs.
func (l *Loop) count(turns []turn, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range turns {
		if !t.noted || t.run.Waiting {
			continue
		}
		l.stats.Runs[t.result]++
		if t.result == Started {
			l.stats.Late = max(now.Sub(t.run.Schedule.NextRun), 0)
			l.stats.LateSum += l.stats.Late
		}
	}
}

// turns decides on schedules that are due, some at the same time.
func (l *Loop) turns(ctx context.Context, due []engine.Schedule, now time.Time) []turn {
	turns := make([]turn, len(due))
	places := make(chan struct{}, starters)
	var work sync.WaitGroup
	for i, s := range due {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			turns[i] = l.turn(ctx, s, now)
		})
	}
	work.Wait()
	return turns
}

// cron gives a schedule's times.
func (l *Loop) cron(s engine.Schedule) (*Cron, error) {
	key := [2]string{s.Cron, s.TimeZone}
	l.mu.Lock()
	known := l.crons[key]
	l.mu.Unlock()
	if known != nil {
		return known, nil
	}
	parsed, err := Parse(s.Cron, s.TimeZone)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.crons) >= maxCrons {
		clear(l.crons)
	}
	l.crons[key] = parsed
	return parsed, nil
}

func kindOf(err error) engine.Kind {
	var failure *engine.Error
	if errors.As(err, &failure) {
		return failure.Kind
	}
	return ""
}
