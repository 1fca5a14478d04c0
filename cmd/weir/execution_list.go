package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

func newExecutionList(a *app) *cobra.Command {
	filter := store.Filter{Owner: localOwner}
	var status string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List executions, the newest first",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if filter.Status, err = parseStatus(status); err != nil {
				return err
			}
			if filter.Limit < 1 {
				return &usageError{fmt.Errorf("--limit is a number from 1")}
			}
			opened, err := a.executionStore(cmd.Context())
			if err != nil {
				return err
			}
			rows, next, err := opened.Executions().List(cmd.Context(), filter)
			if err != nil {
				return err
			}
			data := []any{}
			for _, r := range rows {
				data = append(data, rowTree(r))
			}
			if err := a.print(data, func(t *table) { executionTable(t, rows, time.Now()) }); err != nil {
				return err
			}
			if next != "" {
				a.say("note: there are more; --limit %d shows as many again", 2*filter.Limit)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "only executions in this state")
	flags.StringVar(&filter.Name, "flow", "", "only executions of the flow of this name")
	flags.IntVar(&filter.Limit, "limit", 50, "how many at most")
	flags.BoolVar(&filter.Children, "children", false, "those that other executions started, too")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statuses(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func executionTable(t *table, rows []journal.Row, now time.Time) {
	t.row("ID", "FLOW", "STATUS", "STARTED", "TOOK")
	for _, r := range rows {
		took := "-"
		switch {
		case !r.Ended.IsZero():
			took = span(r.Ended.Sub(r.Created))
		case r.Status != engine.Pending:
			took = span(now.Sub(r.Created))
		}
		t.row(r.ID, r.Name, statusText(r), clock(r.Created), took)
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

func parseStatus(text string) (engine.Status, error) {
	known := statuses()
	for _, name := range known {
		if text == name {
			return engine.Status(text), nil
		}
	}
	if text == "" {
		return "", nil
	}
	hint := schema.DidYouMean(text, known)
	if hint == "" {
		hint = "the states are " + strings.Join(known, ", ")
	}
	return "", hinted(hint, "%w", &usageError{fmt.Errorf("--status %q: there is no such state", text)})
}
