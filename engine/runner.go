package engine

import "context"

// Request asks a runner to run a flow.
type Request struct {
	// ID is the execution's, see local.NewID; one is made up if it is empty. It is an
	// error of kind conflict if there is an execution of that id.
	ID    ID
	Owner string // "" is the only user of a local store
	// File is the flow's name as errors show it; other flows that it names are
	// looked for beside it. Text is its source.
	File   string
	Text   []byte
	Name   string         // shown instead of the file's name; may be empty
	Inputs map[string]any // a tree of values
	Again  ID             // the execution that this one repeats from its start; may be empty
	// Trace is the W3C traceparent of what asked for the execution, to whose trace it
	// belongs then; it may be empty.
	Trace string
	// Files is the path of the execution's files directory, the only one that
	// tasks read and write.
	Files string
	// Watch receives the events of the whole tree, masked, one at a time and in
	// order; nil drops them. It must not block for long.
	Watch func(Event)
}

// Runner runs flows.
type Runner interface {
	// Run runs a flow to its end. A flow that failed or was cancelled is no error
	// of Run: the execution says so, with all texts masked. Its Output is exact;
	// Mask masks it for display. The error is for a flow that could not be run at
	// all.
	Run(ctx context.Context, request Request) (Finished, error)
}

// Finished is an execution that has ended.
type Finished struct {
	Execution Execution
	// Mask gives a copy of a tree of values, or of a text, in which every secret
	// that the execution used is masked.
	Mask func(tree any) any
}
