package taskstest

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// Execution stands in for an execution: a files directory, and a record of what
// the driver told its user on the way. It is safe for concurrent use.
type Execution struct {
	// Dir is the files directory.
	Dir string

	root *os.Root
	mu   sync.Mutex
	said []string

	masked []secret.Value
}

// NewExecution makes an execution with an empty files directory, which ends with
// the test.
func NewExecution(tb testing.TB) *Execution {
	tb.Helper()
	return In(tb, tb.TempDir())
}

// In makes an execution whose files directory is dir.
func In(tb testing.TB, dir string) *Execution {
	tb.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = root.Close() })
	return &Execution{Dir: dir, root: root}
}

// Env is what the execution lends to a driver.
func (e *Execution) Env() tasks.Env {
	return tasks.Env{
		Machine:  true,
		Files:    e.root,
		Progress: func(_, _ int64, message string) { e.say(message) },
		Warn:     func(message string) { e.say(message) },
		Mask: func(found ...secret.Value) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.masked = append(e.masked, found...)
		},
	}
}

// say records a text once.
func (e *Execution) say(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Contains(e.said, text) {
		e.said = append(e.said, text)
	}
}

// Said gives the different warnings and progress messages so far.
func (e *Execution) Said() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.said)
}

// Masked tells whether the driver had this text masked.
func (e *Execution) Masked(text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.masked, secret.New(text).Equal)
}

// Run opens a session, performs its operation and closes it.
func (e *Execution) Run(ctx context.Context, tb testing.TB, d tasks.Driver, inputs map[string]any) (map[string]any, error) {
	tb.Helper()
	s, err := d.Open(ctx, Decode(tb, d, inputs), e.Env())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	}()
	result, err := s.Do(ctx)
	return result.Output, err
}

// Test opens a session and tests it. It gives the stages beside Test's error.
func (e *Execution) Test(ctx context.Context, tb testing.TB, d tasks.Driver, inputs map[string]any) ([]tasks.Stage, error) {
	tb.Helper()
	s, err := d.Open(ctx, Decode(tb, d, inputs), e.Env())
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // the suite closes
	tester, ok := s.(tasks.Tester)
	if !ok {
		tb.Fatalf("the sessions of %s are no tasks.Tester", d.Spec().Type)
	}
	var stages []tasks.Stage
	err = tester.Test(ctx, func(s tasks.Stage) { stages = append(stages, s) })
	return stages, err
}

// Decode turns plain values into a driver's inputs, and fails the test if they
// are not valid. Sensitive inputs may be plain strings.
func Decode(tb testing.TB, d tasks.Driver, inputs map[string]any) schema.Inputs {
	tb.Helper()
	in, problems := decode(d, inputs)
	if len(problems) > 0 {
		tb.Fatalf("inputs: %v", problems)
	}
	return in
}

func decode(d tasks.Driver, inputs map[string]any) (schema.Inputs, []schema.Problem) {
	object := d.Spec().Inputs
	given := map[string]schema.Input{}
	for name, v := range inputs {
		if f, ok := object.Field(name); ok && f.Sensitive {
			v = secret.Of(v)
		}
		given[name] = schema.Input{Value: v, Origin: schema.Origin{Layer: schema.LayerFlow}}
	}
	return object.Decode(given)
}
