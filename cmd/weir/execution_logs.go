package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
)

func newExecutionLogs(a *app) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Print the log of an execution and all that it started",
		Long: `Print the log of an execution and all that it started, with secrets masked. With -o json, each line is a
JSON object of its own.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeExecutions,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			row, err := services.Executions.Execution(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			show := func(l api.Line) error { return a.printLine(row.ID, l) }
			if !follow {
				return allLines(cmd.Context(), services.Executions, row.ID, show)
			}
			f, err := a.newFollower(cmd.Context(), services, row.ID)
			if err != nil {
				return err
			}
			f.show = show
			if !row.HasEnded() {
				if err := f.sayServed(cmd.Context()); err != nil {
					return err
				}
			}
			return f.follow(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the execution has ended")
	return cmd
}

// allLines shows the log of an execution as it is now.
func allLines(ctx context.Context, executions httpapi.Executions, id string, show func(api.Line) error) error {
	for after, more := int64(0), true; more; {
		page, err := executions.Log(ctx, id, after, linesAtOnce)
		if err != nil {
			return err
		}
		for _, l := range page.Lines {
			if err := show(l); err != nil {
				return err
			}
		}
		after, more = page.Next, page.More
	}
	return nil
}

func (a *app) printLine(top string, l api.Line) error {
	tree := map[string]any{
		"time": instant(l.Time), "level": l.Level, "message": l.Message, "fields": l.Fields, "execution": l.Execution, "where": l.Where,
	}
	switch a.flags.output {
	case "json":
		encoder := json.NewEncoder(a.out)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(tree)
	case "yaml":
		text, err := schema.Encode([]any{tree})
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	}
	_, err := fmt.Fprintln(a.out, lineText(top, l))
	return err
}
