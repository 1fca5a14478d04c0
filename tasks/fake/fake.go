// Package fake is the task type FAKE: a driver whose own inputs script it. It
// serves as an example of a connection without another system, and it is how
// tests of the engine make a task slow, failing, blocking, panicking or leaking.
//
// It keeps no state: tries are counted in a file of the execution's files
// directory, so that they are counted across retries, restarts and processes.
package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// maxSize is the largest text that `size` may ask for.
const maxSize = 1 << 30

// New gives the driver.
func New() tasks.Driver { return driver{spec()} }

type driver struct{ spec tasks.Spec }

func (d driver) Spec() tasks.Spec { return d.spec }

func (d driver) Open(_ context.Context, in schema.Inputs, env tasks.Env) (tasks.Session, error) {
	op, err := d.spec.Check(in)
	if err != nil {
		return nil, err
	}
	if in.Int("fail_times") > 0 && !in.Has("counter") {
		return nil, &tasks.Error{
			Kind: tasks.Invalid, Input: "fail_times",
			Message: "fail_times counts tries with a counter, and there is none",
			Hint:    "give `counter` the name of a file",
		}
	}
	if n := in.Int("size"); n < 0 || n > maxSize {
		return nil, &tasks.Error{Kind: tasks.Invalid, Input: "size", Message: fmt.Sprintf("size %d is not between 0 and %d", n, maxSize)}
	}
	return &session{in: in, env: env, op: op, fields: d.spec.Inputs.Fields}, nil
}

type session struct {
	in     schema.Inputs
	env    tasks.Env
	op     tasks.Operation
	fields []schema.Field
}

func (s *session) Close() error { return nil }

// Do works through the script in a fixed order: count, warn, progress, delay,
// block, panic, fail, answer.
func (s *session) Do(ctx context.Context) (tasks.Result, error) {
	count, err := s.count()
	if err != nil {
		return tasks.Result{}, err
	}
	if s.leaks(leakWarning) {
		s.env.Warn("the password is " + s.in.Secret("password").Reveal())
	}
	if err := s.work(ctx); err != nil {
		return tasks.Result{}, err
	}
	if s.leaks(leakPanic) {
		panic("the password is " + s.in.Secret("password").Reveal())
	}
	if s.in.Bool("panic") {
		panic("the fake driver was told to panic")
	}
	if n := s.in.Int("fail_times"); n < 0 || count <= n && n > 0 {
		return tasks.Result{}, s.failure(count)
	}
	if s.leaks(leakError) {
		text := "log in with password " + s.in.Secret("password").Reveal()
		return tasks.Result{}, &tasks.Error{Kind: tasks.Permanent, Message: text, Hint: text, Err: errors.New(text)}
	}
	return tasks.Result{Output: s.output(count)}, nil
}

// Test has the stages of a driver with a network. A failure that was asked for
// happens at "authenticate".
func (s *session) Test(ctx context.Context, report func(tasks.Stage)) error {
	host, port := s.in.String("host"), s.in.Int("port")
	report(tasks.Stage{Name: "dns", Detail: host})
	report(tasks.Stage{Name: "tcp", Detail: fmt.Sprintf("%s:%d", host, port)})
	err := s.work(ctx)
	if err == nil && s.in.Int("fail_times") != 0 {
		err = s.failure(1)
	}
	report(tasks.Stage{Name: "authenticate", Detail: s.in.String("user"), Err: err})
	if err != nil {
		return err
	}
	report(tasks.Stage{Name: opEcho})
	return nil
}

func (s *session) leaks(where string) bool { return s.in.String("leak") == where }

// count adds this try to the counter's file and gives how many there are.
func (s *session) count() (int64, error) {
	if !s.in.Has("counter") {
		return 0, nil
	}
	name := s.in.String("counter")
	f, err := s.env.Files.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, &tasks.Error{
			Kind: tasks.Invalid, Input: "counter", Err: err,
			Message: fmt.Sprintf("open counter %q in the files directory: it is no path of a file in there", name),
		}
	}
	defer f.Close() //nolint:errcheck // what matters has been written
	// A write in append mode leaves the offset behind its own byte, so that two
	// tries at the same time get two numbers.
	if _, err := f.WriteString("."); err != nil {
		return 0, &tasks.Error{Kind: tasks.Permanent, Input: "counter", Err: err, Message: fmt.Sprintf("write counter %q", name)}
	}
	n, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, &tasks.Error{Kind: tasks.Permanent, Input: "counter", Err: err, Message: fmt.Sprintf("read counter %q", name)}
	}
	return n, nil
}

// work reports progress and takes its time.
func (s *session) work(ctx context.Context) error {
	message := "working"
	if s.leaks(leakProgress) {
		message = "logging in with " + s.in.Secret("password").Reveal()
	}
	steps := max(s.in.Int("steps"), 1)
	pause := s.in.Duration("delay") / time.Duration(steps)
	for i := range steps {
		if s.in.Int("steps") > 0 || s.leaks(leakProgress) {
			s.env.Progress(i+1, steps, message)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	if s.in.Bool("block") {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func ended(ctx context.Context) error {
	return &tasks.Error{Kind: tasks.Timeout, Message: "work: it was ended before it was done", Err: ctx.Err()}
}

func (s *session) failure(count int64) error {
	kind := tasks.Kind(s.in.String("fail_kind"))
	message := fmt.Sprintf("%s %s: told to fail with kind %s", spec().Type, s.op.Name, kind)
	if count > 0 {
		message += fmt.Sprintf(" (try %d)", count)
	}
	return &tasks.Error{
		Kind: kind, Message: message, Auth: s.in.Bool("fail_auth"),
		Hint: "set fail_times to 0",
	}
}

func (s *session) output(count int64) map[string]any {
	out := map[string]any{"inputs": s.echo()}
	if s.in.Has("counter") {
		out["count"] = count
	}
	if n := s.in.Int("size"); n > 0 {
		out["data"] = strings.Repeat("x", int(n))
	}
	if s.leaks(leakOutput) {
		out["leaked"] = s.in.Secret("password").Reveal()
	}
	return out
}

func (s *session) echo() map[string]any {
	inputs := map[string]any{}
	for _, f := range s.fields {
		if f.Sensitive || !s.in.Has(f.Name) {
			continue
		}
		v := s.in.Any(f.Name)
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		inputs[f.Name] = v
	}
	return inputs
}
