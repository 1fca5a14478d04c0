package engine

import "time"

// Overlap says what a schedule does when it is time and its last execution is
// still at work.
type Overlap string

// The ways to deal with an overlap.
const (
	OverlapSkip  Overlap = "skip"  // this run does not take place; the default
	OverlapQueue Overlap = "queue" // it starts when the last one has ended; at most one waits, others are gone
	OverlapAllow Overlap = "allow" // it starts beside the last one
)

// Missed says what a schedule does about runs that were due while no engine was
// there.
type Missed string

// The ways to deal with missed runs.
const (
	MissedSkip Missed = "skip" // they are gone
	MissedOnce Missed = "once" // one run makes up for all of them; the default
	// MissedAll makes up for each, and for the newest hundred if there are more: one
	// after the other, unless the schedule's Overlap is OverlapAllow.
	MissedAll Missed = "all"
)

// Schedule starts a flow at given times, as its owner.
type Schedule struct {
	Owner string
	// Name is unique among its owner's schedules: 1 to 128 of a-z 0-9 . _ -,
	// starting with a letter or digit.
	Name   string
	Flow   string         // the name of a stored flow; its newest version is run
	Inputs map[string]any // a tree of values
	// Cron is an expression of five fields, or one such as "@daily"; TimeZone is the
	// IANA name of the zone it is read in, empty for UTC.
	Cron     string
	TimeZone string
	Overlap  Overlap // empty: OverlapSkip
	Missed   Missed  // empty: MissedOnce
	Enabled  bool
	Changed  time.Time // when people last changed it

	// What follows is the engine's. NextRun is when it is due, zero for never.
	NextRun time.Time
	// LastRun is the time that the last run was due at, and LastExecution the last
	// execution that one became: a run that did not take place leaves it as it is.
	LastRun       time.Time
	LastExecution ID
	// Problem says why the last run that was due did not take place, or what it waits
	// for, and ProblemAt since when; empty once one has taken place.
	Problem   string
	ProblemAt time.Time
	// Waiting tells that the run that is due waits for the end of the last execution.
	Waiting bool
}

// ScheduleRun is what became of a run of a schedule.
type ScheduleRun struct {
	Schedule  Schedule  // as it was read when the run was due
	Execution ID        // empty if it did not take place
	Problem   string    // why it did not, or what it waits for
	At        time.Time // when that was found
	// Waiting tells that it is still due; else Next is when the schedule is due next,
	// zero for never.
	Waiting bool
	Next    time.Time
}
