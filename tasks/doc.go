// Package tasks defines what a task type is: a [Driver] that declares one [Spec]
// and opens a [Session] that performs operations on another system.
//
// A driver's contract, which package taskstest checks for every driver:
//
//   - Its Spec is all that the rest of weir knows of it: validation, help, JSON
//     Schema and redaction come from there.
//   - Open and Do obey their context and return within a second of its end; if they
//     have begun something that must not stay, within the few seconds of undoing it.
//   - Every error is an *Error with the kind that the driver itself chose. Its
//     texts hold no sensitive input, no URL with credentials, no DSN.
//   - Results are trees of plain values (see Result); large data is streamed to
//     files under Env.Files, the only part of the file system it may write.
//   - It keeps no goroutine or file after Close, and no connection but a few idle ones
//     that it documents and can be told not to keep.
//   - It never panics on bad input and prints nothing.
package tasks
