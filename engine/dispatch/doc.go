// Package dispatch carries out one step: it resolves the connection as the
// execution's owner, lays secret handles into the flow's inputs, opens the
// redaction scope, runs the task's driver, turns its error into an engine.Error,
// and decides on repetition. Every runner shares it.
//
// It promises that whatever leaves a [Scope] is masked, that a driver's panic is
// an error like any other, and that a try is repeated only where the caller asked
// for it or where the operation is idempotent.
//
// It records nothing and knows no script.
package dispatch
