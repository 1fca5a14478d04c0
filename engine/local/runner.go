package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/flows"
)

// Limits of one tree of executions.
const (
	// MaxDepth is how deep flows may call flows.
	MaxDepth = 32
	// MaxChildren is how many executions one flow may start.
	MaxChildren = 10_000
	// MaxParallel is how many tasks of a tree run at the same time; others wait.
	MaxParallel = 64
)

// Config says what a Runner works with.
type Config struct {
	Dispatcher *dispatch.Dispatcher // required
	// FlowDirs are searched for flows and modules, after the directory of the one
	// that names them.
	FlowDirs []string
	// Limits of each flow; the zero value means the defaults of package flows.
	Limits flows.Limits
	// YAML is what the yaml module of flows works with; required.
	YAML flows.YAML
}

// Runner runs flows. It is safe for concurrent use.
type Runner struct {
	config Config
}

var _ engine.Runner = (*Runner)(nil)

// New makes a Runner.
func New(config Config) (*Runner, error) {
	if config.Dispatcher == nil || config.YAML == nil {
		return nil, errors.New("local: dispatcher and yaml are required")
	}
	return &Runner{config: config}, nil
}

// Run runs a flow to its end; see [engine.Runner].
func (r *Runner) Run(ctx context.Context, request engine.Request) (engine.Finished, error) {
	program, err := flows.Compile(request.File, request.Text)
	if err != nil {
		return engine.Finished{}, err
	}
	files, err := os.OpenRoot(request.Files)
	if err != nil {
		return engine.Finished{}, &engine.Error{Kind: engine.Invalid, Message: "files directory: " + err.Error(), Hint: "it is the directory that tasks read and write files in"}
	}
	defer files.Close() //nolint:errcheck // a directory
	scope := dispatch.NewScope(files)
	t := &tree{
		config: r.config,
		owner:  request.Owner,
		scope:  scope,
		watch:  request.Watch,
		slots:  make(chan struct{}, MaxParallel),
	}
	root := engine.Execution{ID: newID(), Kind: engine.CallFlow, Name: flowName(request.File), Type: "FLOW"}
	root = t.runFlow(ctx, root, program, request.Inputs, 0)
	root.Error = scope.Error(root.Error)
	return engine.Finished{Execution: root, Mask: scope.Mask}, nil
}

// newID makes an id that sorts by the time of its making.
func newID() engine.ID {
	return engine.ID(fmt.Sprintf("%011x", time.Now().UnixMilli()) + strings.ToLower(rand.Text()[:12]))
}

// tree is what all executions below one root share.
type tree struct {
	config Config
	owner  string
	scope  *dispatch.Scope
	slots  chan struct{} // one for each task that runs

	mu    sync.Mutex // held while an event is watched, so that they come one at a time
	watch func(engine.Event)
}

// emit masks an event and hands it to the watcher.
func (t *tree) emit(e engine.Event) {
	if t.watch == nil {
		return
	}
	e.Time = time.Now()
	e = t.scope.Event(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watch(e)
}

func (t *tree) emitState(e engine.Execution) {
	e.Output = nil
	t.emit(engine.Event{Kind: engine.EventStatus, Execution: e.ID, State: &e})
}

// runFlow runs a flow and everything that it starts, and gives the execution as it ended.
func (t *tree) runFlow(ctx context.Context, e engine.Execution, program *flows.Program, inputs map[string]any, depth int) engine.Execution {
	e.Status, e.Started, e.Tries = engine.Running, time.Now(), e.Tries+1
	t.emitState(e)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h := newHost(ctx, t, e.ID, depth)
	output, err := flows.Run(ctx, program, flows.Config{
		Host:   h,
		Input:  inputs,
		Seed:   seed(e.ID),
		Limits: t.config.Limits,
		YAML:   t.config.YAML,
	})
	if err != nil {
		cancel()
	}
	h.wait()
	return t.end(e, output, err)
}

// end completes an execution that has come to its end and tells the watcher.
func (t *tree) end(e engine.Execution, output any, err error) engine.Execution {
	e.Ended = time.Now()
	var failure *engine.Error
	switch {
	case err == nil:
		e.Status, e.Output = engine.Succeeded, output
	case errors.As(err, &failure) && failure.Kind != engine.Canceled:
		e.Status, e.Error = engine.Failed, failure
	default:
		if failure == nil {
			failure = &engine.Error{Kind: engine.Canceled, Message: "cancelled"}
		}
		e.Status, e.Error = engine.Cancelled, failure
	}
	if e.Error != nil && e.Error.Execution == "" {
		e.Error.Execution = e.ID
	}
	t.emitState(e)
	return e
}
