// Package taskstest is the conformance suite that every driver runs, and what
// their own tests share: the files directory of an execution, decoded inputs, and
// a benchmark that knows how much memory was used.
//
// It imports testing, so no package of the product imports it.
package taskstest
