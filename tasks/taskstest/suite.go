package taskstest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// Canary is a secret that must never be seen. The inputs of a Suite use it
// wherever a sensitive input may hold anything.
const Canary = "weir-canary-7f3e9a1c"

// prompt is how soon a driver must obey its context.
const prompt = time.Second

// Suite says how to exercise one driver.
type Suite struct {
	Driver tasks.Driver
	// Working are inputs with which everything works, by the name of the case.
	// There is at least one for each operation that can be tried twice.
	Working map[string]map[string]any
	// Failing are inputs with which the operation fails.
	Failing map[string]Failure
	// Hanging are inputs with which the operation would take forever, by the name
	// of the case: a server that does not answer.
	Hanging map[string]map[string]any
}

// Failure is one failing case.
type Failure struct {
	Inputs map[string]any
	Kind   tasks.Kind
	Auth   bool
}

// Run checks the contract of package tasks. It looks at the whole process for
// goroutines and files that were left behind, so the test that calls it is not
// parallel.
func Run(t *testing.T, s Suite) {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	before := runtime.NumGoroutine()

	t.Run("spec", s.spec)
	t.Run("working", func(t *testing.T) {
		for name, inputs := range s.Working {
			t.Run(name, func(t *testing.T) { s.working(t, inputs) })
		}
	})
	t.Run("failing", func(t *testing.T) {
		for name, f := range s.Failing {
			t.Run(name, func(t *testing.T) { s.failing(t, f) })
		}
	})
	t.Run("hanging", func(t *testing.T) {
		for name, inputs := range s.Hanging {
			t.Run(name, func(t *testing.T) { s.hanging(t, inputs) })
		}
	})
	t.Run("odd inputs", s.odd)

	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("the driver left %v in the directory for temporary files (%v)", left, err)
	}
	noGoroutines(t, before)
}

// noGoroutines waits a moment for the goroutines that are about to end.
func noGoroutines(t *testing.T, before int) {
	t.Helper()
	deadline := time.NewTimer(2 * prompt)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-tick.C:
		case <-deadline.C:
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines were left:\n%s", runtime.NumGoroutine()-before, stacks[:runtime.Stack(stacks, true)])
			return
		}
	}
}

func (s Suite) spec(t *testing.T) {
	spec := s.Driver.Spec()
	if err := spec.Validate(); err != nil {
		t.Errorf("the spec is not valid: %v", err)
	}
	summary, _, _ := strings.Cut(spec.Doc, "\n")
	if !strings.HasSuffix(summary, ".") {
		t.Errorf("the spec's doc does not begin with a sentence: %q", summary)
	}
	for _, o := range spec.Operations {
		if len(o.Output) == 0 {
			t.Errorf("operation %q does not tell its output", o.Name)
		}
	}
	if spec.Inputs.JSONSchema() == nil {
		t.Error("there is no JSON Schema")
	}
}

func (s Suite) working(t *testing.T, inputs map[string]any) {
	e := inSandbox(t)
	in := Decode(t, s.Driver, inputs)
	session, err := s.Driver.Open(t.Context(), in, e.Env())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	result, err := session.Do(t.Context())
	if err != nil {
		t.Errorf("do: %v (%v)", err, errors.Unwrap(err))
	}
	closeTwice(t, session)
	op, _ := s.Driver.Spec().Operation(in)
	checkOutput(t, op, result.Output)
	if _, ok := session.(tasks.Tester); ok {
		s.tested(t, e, inputs)
	}
	checkSandbox(t, e)
	checkTexts(t, e.Said()...)
}

func (s Suite) tested(t *testing.T, e *Execution, inputs map[string]any) {
	t.Helper()
	stages, err := e.Test(t.Context(), t, s.Driver, inputs)
	if err != nil || len(stages) == 0 {
		t.Errorf("test: %v, with %d stages", err, len(stages))
	}
	for _, stage := range stages {
		if stage.Err != nil {
			t.Errorf("test: stage %q failed: %v", stage.Name, stage.Err)
		}
		checkTexts(t, stage.Name, stage.Detail)
	}
}

func (s Suite) failing(t *testing.T, f Failure) {
	e := inSandbox(t)
	in := Decode(t, s.Driver, f.Inputs)
	session, err := s.Driver.Open(t.Context(), in, e.Env())
	if err == nil {
		_, err = session.Do(t.Context())
		if tester, ok := session.(tasks.Tester); ok {
			checkFailedTest(t, tester)
		}
		closeTwice(t, session)
	}
	got := checkError(t, err)
	if got == nil {
		return
	}
	if got.Kind != f.Kind || got.Auth != f.Auth {
		t.Errorf("got kind %s (auth %v), want %s (auth %v): %s (%v)", got.Kind, got.Auth, f.Kind, f.Auth, got.Message, got.Err)
	}
	checkTexts(t, e.Said()...)
	checkSandbox(t, e)
}

// checkFailedTest looks at a test that may fail or not: some failures are of the
// operation only.
func checkFailedTest(t *testing.T, tester tasks.Tester) {
	t.Helper()
	var last tasks.Stage
	err := tester.Test(t.Context(), func(s tasks.Stage) {
		if last.Err != nil {
			t.Errorf("test: stage %q came after the failure of %q", s.Name, last.Name)
		}
		last = s
		checkTexts(t, s.Name, s.Detail)
	})
	if err == nil {
		return
	}
	checkError(t, err)
	if !errors.Is(err, last.Err) && last.Err != nil {
		t.Errorf("test gave %v, and its last stage %v", err, last.Err)
	}
}

func (s Suite) hanging(t *testing.T, inputs map[string]any) {
	const soon = 100 * time.Millisecond
	e := inSandbox(t)
	for name, limit := range map[string]time.Duration{"ends meanwhile": soon, "has ended before": 0} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		start := time.Now()
		session, err := s.Driver.Open(ctx, Decode(t, s.Driver, inputs), e.Env())
		if err == nil {
			_, err = session.Do(ctx)
			closeTwice(t, session)
		}
		if took := time.Since(start) - limit; took > prompt {
			t.Errorf("a context that %s was obeyed after %v", name, took)
		}
		if got := checkError(t, err); got != nil && got.Kind != tasks.Timeout {
			t.Errorf("a context that %s gives kind %s: %s", name, got.Kind, got.Message)
		}
		cancel()
	}
	checkSandbox(t, e)
}

// odd puts odd texts into each text input of a working case. Whatever comes of
// it, it is no panic, and nothing leaks.
func (s Suite) odd(t *testing.T) {
	texts := []string{"", " ", "\x00", "../../../etc/passwd", "%zz", "-rf", "\u2603\n\r\t", strings.Repeat("a", 1<<12), "\xff\xfe"}
	for name, inputs := range s.Working {
		for _, f := range s.Driver.Spec().Inputs.Fields {
			if f.Type != schema.String || f.Enum != nil {
				continue
			}
			for _, text := range texts {
				changed := map[string]any{f.Name: text}
				for k, v := range inputs {
					if k != f.Name {
						changed[k] = v
					}
				}
				s.try(t, name+" with odd "+f.Name, changed)
			}
		}
		return // one case is enough
	}
}

func (s Suite) try(t *testing.T, name string, inputs map[string]any) {
	t.Helper()
	in, problems := decode(s.Driver, inputs)
	if len(problems) > 0 {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: panic: %v", name, p)
		}
	}()
	e := inSandbox(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*prompt)
	defer cancel()
	session, err := s.Driver.Open(ctx, in, e.Env())
	if err == nil {
		_, err = session.Do(ctx)
		closeTwice(t, session)
	}
	if err != nil {
		checkError(t, err)
	}
	checkSandbox(t, e)
}

// inSandbox gives an execution whose files directory is the only thing in its
// parent.
func inSandbox(t *testing.T) *Execution {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return In(t, dir)
}

func checkSandbox(t *testing.T, e *Execution) {
	t.Helper()
	around, err := os.ReadDir(filepath.Dir(e.Dir))
	if err != nil || len(around) != 1 {
		t.Errorf("the driver wrote outside of the files directory: %v (%v)", around, err)
	}
	_ = filepath.WalkDir(e.Dir, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasPrefix(filepath.Base(path), ".weir-") {
			t.Errorf("the driver left the temporary file %s", path)
		}
		return nil
	})
}

func closeTwice(t *testing.T, s tasks.Session) {
	t.Helper()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// checkError gives the driver's error if it is one as it should be.
func checkError(t *testing.T, err error) *tasks.Error {
	t.Helper()
	var e *tasks.Error
	if !errors.As(err, &e) {
		t.Errorf("got %v (%T), want a *tasks.Error", err, err)
		return nil
	}
	switch e.Kind {
	case tasks.Invalid, tasks.Denied, tasks.NotFound, tasks.Conflict, tasks.Unavailable, tasks.Timeout, tasks.Permanent:
	default:
		t.Errorf("the error has the kind %q: %s", e.Kind, e.Message)
	}
	if e.Message == "" || strings.ContainsAny(e.Message, "\n\r") {
		t.Errorf("the message is not one line: %q", e.Message)
	}
	if e.Auth && e.Kind != tasks.Denied {
		t.Errorf("an error of kind %s says that credentials were refused: %s", e.Kind, e.Message)
	}
	checkTexts(t, err.Error(), e.Message, e.Hint)
	return e
}

// checkTexts looks for the canary, in all the forms that the redactor knows.
func checkTexts(t *testing.T, texts ...string) {
	t.Helper()
	r := secret.NewRedactor()
	r.Add(secret.New(Canary))
	for _, text := range texts {
		if masked := r.String(text); masked != text {
			t.Errorf("the canary is seen in %q", masked)
		}
	}
}
