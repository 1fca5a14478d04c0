// Package local runs flows on this machine, in the foreground of the process.
//
// A [Runner] gives a flow its engine.Host: it numbers the flow's calls, runs tasks
// through dispatch and child flows beside it, and sends the events of the whole
// tree, masked, to one watcher. An execution ends when all its children have
// ended: a flow that succeeds waits for those it did not wait for itself, and one
// that fails or is cancelled cancels them.
//
// Nothing is kept after the process ends.
package local
