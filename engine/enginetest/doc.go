// Package enginetest holds what any engine must pass that runs flows durably: the
// conformance suite [Run], the crash sweep [Sweep], which stops an engine after each
// of its writes in turn, and [Random], which does the same to flows made up from a
// seed.
//
// An engine is tested from outside: what it gives, what it has kept, and which
// external calls its tasks have made. Those are counted in files, by the task type
// FAKE, so that they are counted across engines.
//
// [Memory] is a store of executions that is as quick as a test needs it and works
// within testing/synctest. [Mortal] is a store that an engine loses while it works.
package enginetest
