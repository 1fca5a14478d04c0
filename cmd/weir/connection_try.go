package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/tasks"
)

// newConnectionTry is "connection test"; a file name that ends in _test.go is
// taken.
func newConnectionTry(a *app) *cobra.Command {
	var sets []string
	var files string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "test NAME [--set key=value ...]",
		Short: "Try a connection stage by stage, without any effect on the other system",
		Long: `Try a connection the way a run would use it: resolve, reach the other system, authenticate, and
perform one harmless operation. Each stage is reported as it ends; the first that fails ends the test. If that
is a secret that Vault keeps back, Vault is tried stage by stage, too.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.testRemote(cmd.Context(), c, args[0], sets, timeout) }); done {
				return err
			}
			resolver, err := a.resolver()
			if err != nil {
				return err
			}
			overrides, err := a.overrides(cmd.Context(), resolver, args[0], sets)
			if err != nil {
				return err
			}
			ctx, cancel := dispatch.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.tryConnection(ctx, engine.Call{Kind: engine.CallConnect, Name: args[0], Inputs: overrides}, files)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&sets, "set", nil, "an input of the flow, key=value; repeatable; key alone asks for it, not shown")
	flags.StringVar(&files, "files", ".", "directory that the task may read files in")
	flags.DurationVar(&timeout, "timeout", time.Minute, "how long the whole test may take; 0 for no bound")
	return cmd
}

func (a *app) tryConnection(ctx context.Context, call engine.Call, files string) error {
	root, err := os.OpenRoot(files)
	if err != nil {
		return fmt.Errorf("open the files directory: %w", err)
	}
	defer root.Close() //nolint:errcheck // it was only read
	report := newStages(a)
	failure, err := a.stagesOf(ctx, call, root, func(s tasks.Stage, took time.Duration) { report.add(s.Name, s.Detail, took, s.Err) })
	if err != nil {
		return err
	}
	if failure != nil {
		a.tryUnread(ctx, report)
	}
	if err := report.end(); err != nil {
		return err
	}
	if failure != nil {
		return fmt.Errorf("test connection %q: %w", call.Name, failure)
	}
	if len(report.data) == 1 {
		a.say(noTest)
	}
	return nil
}

const noTest = "note: this task type has no test of its own: nothing was contacted"

// stagesOf tries a connection, and tells of each stage as it ends. failure is why the
// test failed, err why there was none.
func (a *app) stagesOf(ctx context.Context, call engine.Call, root *os.Root, tell func(tasks.Stage, time.Duration)) (failure, err error) {
	dispatcher, err := a.dispatcher()
	if err != nil {
		return nil, err
	}
	scope := dispatch.NewScope([32]byte{})
	last := time.Now()
	failed := dispatcher.Test(ctx, dispatch.Step{
		Owner: a.owner, Call: call, Scope: scope, Files: root,
		Emit: func(e engine.Event) {
			if e.Kind == engine.EventLog {
				a.say("warning: %s", scope.Event(e).Message)
			}
		},
	}, func(s tasks.Stage) {
		tell(s, time.Since(last))
		last = time.Now()
	})
	if failed != nil { // else it were an error that is nil
		return failed, nil
	}
	return nil, nil
}

// stages reports the stages of a test, each as it ends; as one document for
// programs.
type stages struct {
	app  *app
	data []any
}

func newStages(a *app) *stages { return &stages{app: a, data: []any{}} }

func (s *stages) add(name, detail string, took time.Duration, err error) {
	state := "ok"
	if err != nil {
		state, detail = "fail", err.Error()
	}
	s.data = append(s.data, map[string]any{
		"stage": name, "ok": err == nil, "detail": detail, "milliseconds": took.Milliseconds(),
	})
	if s.app.flags.output == "table" {
		_, _ = fmt.Fprintf(s.app.out, "%-4s  %-14s %8s  %s\n", state, name, took.Round(time.Millisecond), detail)
	}
}

func (s *stages) end() error {
	if s.app.flags.output == "table" {
		return nil
	}
	a := s.app
	return a.print(s.data, nil)
}
