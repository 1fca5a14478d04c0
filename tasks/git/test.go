package git

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/tasks"
)

// reporter tells of one stage of a test.
type reporter func(name, detail string, err error)

// Test implements [tasks.Tester].
func (s *session) Test(ctx context.Context, report func(tasks.Stage)) error {
	var failed error
	err := s.repo.test(ctx, func(name, detail string, err error) {
		stage := tasks.Stage{Name: name, Detail: detail}
		if err != nil {
			failed = s.fault(ctx, err)
			stage.Err = failed
		}
		report(stage)
	})
	if err != nil && failed == nil {
		failed = s.fault(ctx, err)
	}
	return failed
}

// summary tells what was found, for tests.
func (t refTable) summary() string {
	if t.names == nil {
		return ""
	}
	at := "HEAD is detached"
	if t.head != "" {
		at = "HEAD is " + t.head.Short()
	}
	return fmt.Sprintf("%s, %d references", at, len(t.names()))
}
