package engine

import "time"

// Overlap says what a schedule does when it is time and its last execution is
// still at work.
type Overlap string

// The ways to deal with an overlap.
const (
	OverlapSkip  Overlap = "skip"  // this run does not take place; the default
	OverlapQueue Overlap = "queue" // it starts when the last one has ended; at most one waits
	OverlapAllow Overlap = "allow" // it starts beside the last one
)

// Missed says what a schedule does about runs that were due while no engine was
// there.
type Missed string

// The ways to deal with missed runs.
const (
	MissedSkip Missed = "skip" // they are gone
	MissedOnce Missed = "once" // one run makes up for all of them; the default
	MissedAll  Missed = "all"  // each is made up for
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
	// LastRun is the time that the last run was due at, LastExecution what it became;
	// empty if it was skipped.
	LastRun       time.Time
	LastExecution ID
}
