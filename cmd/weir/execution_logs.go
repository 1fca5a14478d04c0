package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
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
			opened, err := a.executionStore(cmd.Context())
			if err != nil {
				return err
			}
			row, err := find(cmd.Context(), opened.Executions(), args[0])
			if err != nil {
				return err
			}
			f := &follower{app: a, store: opened, id: row.ID, show: func(l store.LogLine) error { return a.printLine(row.ID, l) }}
			if !follow {
				_, err := f.look(cmd.Context())
				return err
			}
			if !row.Status.Ended() {
				if f.served, err = a.served(cmd.Context(), opened, "the execution waits for one"); err != nil {
					return err
				}
			}
			_, err = f.follow(cmd.Context())
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the execution has ended")
	return cmd
}

func (a *app) printLine(top engine.ID, l store.LogLine) error {
	tree := map[string]any{
		"time": instant(l.Event.Time), "level": string(l.Event.Level), "message": l.Event.Message,
		"fields": l.Event.Fields, "execution": string(l.Event.Execution), "where": l.Event.Where,
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
