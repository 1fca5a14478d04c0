package dispatch

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/tasks"
)

// Test tries a connection without any effect on the other system and reports each
// stage, masked, as it ends: "resolve" first, then the driver's own. It gives the
// failure of the stage that failed, whose texts are masked, or nil.
func (d *Dispatcher) Test(ctx context.Context, step Step, report func(tasks.Stage)) *engine.Error {
	var out Outcome
	resolved, failure := d.resolve(ctx, step, &out)
	if failure != nil {
		failure = step.Scope.Error(failure)
		report(tasks.Stage{Name: "resolve", Err: failure})
		return failure
	}
	report(tasks.Stage{Name: "resolve", Detail: "inputs are complete"})
	driver, ok := d.tasks.Driver(resolved.Connection.Type)
	if !ok {
		return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("unknown task type %q", resolved.Connection.Type)}
	}
	err := withSession(ctx, driver, resolved.Resolved, step, func(session tasks.Session) error {
		tester, ok := session.(tasks.Tester)
		if !ok {
			return nil
		}
		return tester.Test(ctx, func(stage tasks.Stage) { report(step.Scope.stage(ctx, stage)) })
	})
	if err == nil {
		return nil
	}
	return step.Scope.Error(fromError(ctx, err))
}

// stage gives the stage with its texts masked.
func (s *Scope) stage(ctx context.Context, stage tasks.Stage) tasks.Stage {
	stage.Detail = s.redactor.String(stage.Detail)
	if stage.Err != nil {
		stage.Err = s.Error(fromError(ctx, stage.Err))
	}
	return stage
}
