// Package schedule starts flows at given times: it reads cron expressions in their
// time zones, gives the times that they lead to, and has the [Loop] that starts what
// is due.
//
// A time of a day means what the clocks on the wall of its zone show:
//
//   - A time that does not exist because clocks go forward runs right after the gap.
//     Several times in one gap make one run.
//   - A time that exists twice because clocks go back runs once, the first time.
//   - An expression with every hour of the day ("*/5 * * * *", "30 * * * *") goes on
//     evenly: it runs through the hour that is there twice, and a gap makes a run only
//     if more than an hour would pass without one.
//   - If both days, of the month and of the week, are given, either is enough.
//
// A run has the id of its execution from the schedule and the time that it is due at.
// So whoever comes again, after a crash at any moment or on a clock that was set back,
// starts the same execution, which is there already.
package schedule
