package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newExecutionList(a *app) *cobra.Command {
	var filter api.ExecutionFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List executions, the newest first",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkStatus(filter.Status); err != nil {
				return err
			}
			if filter.Limit < 1 {
				return &usageError{fmt.Errorf("--limit is a number from 1")}
			}
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			page, err := services.Executions.ListExecutions(cmd.Context(), filter)
			if err != nil {
				return err
			}
			if err := a.print(plainList(page.Executions), func(t *table) { executionTable(t, page.Executions, time.Now()) }); err != nil {
				return err
			}
			if page.Next != "" {
				a.say("note: there are more; --limit %d shows as many again", 2*filter.Limit)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Status, "status", "", "only executions in this state")
	flags.StringVar(&filter.Flow, "flow", "", "only executions of the flow of this name")
	flags.IntVar(&filter.Limit, "limit", defaultPage, "how many at most")
	flags.BoolVar(&filter.Children, "children", false, "those that other executions started, too")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statuses(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func executionTable(t *table, executions []api.Execution, now time.Time) {
	t.row("ID", "FLOW", "STATUS", "STARTED", "TOOK")
	for _, e := range executions {
		took := "-"
		switch {
		case e.Ended != nil:
			took = span(e.Ended.Sub(e.Created))
		case e.Status != string(engine.Pending):
			took = span(now.Sub(e.Created))
		}
		t.row(e.ID, e.Name, statusText(e), clock(e.Created), took)
	}
}

func statuses() []string {
	var names []string
	for _, s := range []engine.Status{
		engine.Pending, engine.Running, engine.Waiting, engine.Paused, engine.Succeeded, engine.Failed, engine.Cancelled,
	} {
		names = append(names, string(s))
	}
	return names
}

func checkStatus(text string) error {
	known := statuses()
	if text == "" || slices.Contains(known, text) {
		return nil
	}
	hint := schema.DidYouMean(text, known)
	if hint == "" {
		hint = "the states are " + strings.Join(known, ", ")
	}
	return hinted(hint, "%w", &usageError{fmt.Errorf("--status %q: there is no such state", text)})
}
