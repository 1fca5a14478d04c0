package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// shown is a tree of executions that is to be shown. Every text and value of it that
// a flow, a task or a person gave is masked.
type shown struct {
	executions *store.Executions
	scope      *dispatch.Scope
	top        journal.History
	steps      int // that may be shown yet
	bytes      int // of inputs and outputs of steps that may be shown yet, about
}

// maxTimeline is how large the inputs and outputs of a page of steps may be in sum,
// about, in bytes. The last step of a page may go beyond it.
const maxTimeline = 32 << 20

func newShown(ctx context.Context, executions *store.Executions, id engine.ID) (s *shown, err error) {
	s = &shown{executions: executions, steps: math.MaxInt, bytes: math.MaxInt}
	s.top, s.scope, err = loadMasked(ctx, executions, id)
	return s, err
}

// text masks a text.
func (s *shown) text(text string) string {
	masked, _ := s.scope.Mask(text).(string)
	return masked
}

// object masks an object, and gives an empty one for none.
func (s *shown) object(tree map[string]any) map[string]any {
	masked, _ := s.scope.Mask(tree).(map[string]any)
	if masked == nil {
		return map[string]any{}
	}
	return masked
}

// detail is an execution with all that is known of it, and its steps from after that one
// on, as long as there is room for them.
func (s *shown) detail(ctx context.Context, id engine.ID, after string) (*api.Detail, error) {
	h := s.top
	if id != h.ID {
		var err error
		if h, err = s.executions.Load(ctx, id); err != nil {
			return nil, err
		}
	}
	o := journal.NewOutline(h)
	d := &api.Detail{
		Execution: executionOf(h.Row), Inputs: map[string]any{}, Steps: []api.Step{}, Notes: []api.Note{}, Questions: []api.Question{},
	}
	d.Name = s.text(d.Name)
	if b := o.Begun; b != nil {
		d.File, d.Files, d.Inputs = s.text(b.File), s.text(b.Files), s.object(b.Inputs)
		d.Again, d.Deadline = string(b.Again), moment(b.Deadline)
	}
	if end := o.Finished; end != nil {
		d.Output, d.Error, d.Ended = s.scope.Mask(end.Output), s.failure(end.Error), moment(end.At)
	}
	steps, err := stepsAfter(o.Steps, after)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		if d.More = s.steps <= 0 || s.bytes <= 0; d.More {
			break
		}
		s.steps--
		shown := s.step(step)
		s.bytes -= sizeOf(shown.Inputs) + sizeOf(shown.Output)
		if step.Child != "" {
			if shown.Flow, err = s.detail(ctx, step.Child, ""); err != nil && exitCode(err) != exitNotFound {
				return nil, err
			}
		}
		d.Steps = append(d.Steps, shown)
		if step.Question != nil && !h.Status.Ended() {
			d.Questions = append(d.Questions, s.question(id, *step.Question))
		}
	}
	for _, n := range o.Notes {
		d.Notes = append(d.Notes, api.Note{Time: moment(n.At), What: string(n.What), Step: n.Step, By: n.By})
	}
	return d, nil
}

// stepsAfter leaves out the steps up to the one of that address.
func stepsAfter(steps []journal.Step, after string) ([]journal.Step, error) {
	if after == "" {
		return steps, nil
	}
	at := slices.IndexFunc(steps, func(s journal.Step) bool { return s.Address.String() == after })
	if at < 0 {
		return nil, &engine.Error{
			Kind: engine.Invalid, Message: fmt.Sprintf("the execution has no step %q", after), Hint: "it is the step of the last one of the page before",
		}
	}
	return steps[at+1:], nil
}

// sizeOf is about how many bytes a tree of values takes.
func sizeOf(tree any) int {
	const each = 16
	n := each
	switch node := tree.(type) {
	case string:
		n += len(node)
	case []any:
		for _, child := range node {
			n += sizeOf(child)
		}
	case map[string]any:
		for key, child := range node {
			n += len(key) + sizeOf(child)
		}
	}
	return n
}

func (s *shown) step(step journal.Step) api.Step {
	shown := api.Step{
		Step: step.Address.String(), ID: string(step.ID), Kind: string(step.Kind), Name: s.text(step.Name), Type: step.Type,
		Where: s.text(step.Where), Status: string(step.Status), Started: moment(step.Started), Ended: moment(step.Ended),
		Until: moment(step.Until), Tries: step.Tries, Failures: []api.Try{}, NextTry: moment(step.Next), Error: s.failure(step.Error),
		Inputs: s.object(step.Inputs), Output: s.scope.Mask(step.Output), By: step.By, Execution: string(step.Child),
		Uses: api.Uses{Connection: s.text(step.Uses.Connection), Revision: step.Uses.Revision, Secrets: []api.SecretUse{}},
	}
	for _, f := range step.Failures {
		shown.Failures = append(shown.Failures, api.Try{Ended: moment(f.Ended), Error: s.failure(f.Error), Execution: string(f.Child)})
	}
	for _, used := range step.Uses.Secrets {
		metadata := map[string]string{}
		for key, value := range used.Metadata {
			metadata[s.text(key)] = s.text(value)
		}
		shown.Uses.Secrets = append(shown.Uses.Secrets, api.SecretUse{
			Path: s.text(used.Path), Version: used.Version, Created: moment(used.Created), Metadata: metadata,
		})
	}
	return shown
}

func (s *shown) question(id engine.ID, q journal.Question) api.Question {
	shown := api.Question{Execution: string(id), Step: q.Step, Title: s.text(q.Title), Asked: moment(q.Asked)}
	if q.Form == nil {
		shown.Answers = journal.Decisions()
		return shown
	}
	shown.Form = s.object(q.Form)
	return shown
}

// failure masks an error.
func (s *shown) failure(e *engine.Error) *api.Failure { return failureOf(s.scope.Error(e)) }

func failureOf(e *engine.Error) *api.Failure {
	if e == nil {
		return nil
	}
	return &api.Failure{
		Kind: string(e.Kind), Message: e.Message, Hint: e.Hint, Where: e.Where, Execution: string(e.Execution),
		Traceback: e.Traceback, Cause: failureOf(e.Cause), Value: e.Value,
	}
}

// errorOf is a failure as the engine has it.
func errorOf(f *api.Failure) *engine.Error {
	if f == nil {
		return nil
	}
	return &engine.Error{
		Kind: engine.Kind(f.Kind), Message: f.Message, Hint: f.Hint, Where: f.Where, Execution: engine.ID(f.Execution),
		Traceback: f.Traceback, Cause: errorOf(f.Cause), Value: f.Value,
	}
}
