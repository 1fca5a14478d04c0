package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

func newExecution(a *app) *cobra.Command {
	cmd := group("execution", "Start durable executions of flows, and look after them",
		newExecutionStart(a),
		newExecutionList(a),
		newExecutionShow(a),
		newExecutionLogs(a),
		newExecutionCancel(a),
		newExecutionPause(a),
		newExecutionResume(a),
		newExecutionRetry(a),
		newExecutionAnswer(a),
		newExecutionPrune(a),
	)
	cmd.Long = `An execution is one run of a flow. It is kept in the store, and the engine ("weir serve") works on it:
these commands write what is asked for to the store, and the engine does it, now or when it is started.
An execution survives the end of the engine at any moment, and goes on where it was.

An id may be shortened to its first letters, as long as they mean one execution only.`
	return cmd
}

// executionStore opens the store that has executions.
func (a *app) executionStore(ctx context.Context) (*store.Store, error) {
	opened, err := a.existingStore(ctx)
	if err == nil && opened == nil {
		err = a.noStore()
	}
	return opened, err
}

// find gives the execution that an id, or the beginning of one, means.
func find(ctx context.Context, executions *store.Executions, text string) (journal.Row, error) {
	id := engine.ID(strings.ToLower(strings.TrimSpace(text)))
	row, err := executions.Row(ctx, id)
	if err == nil || exitCode(err) != exitNotFound {
		return row, err
	}
	const most = 5
	below := strings.Contains(string(id), ".")
	var ids []engine.ID
	if id != "" {
		if ids, err = executions.Find(ctx, localOwner, string(id), below, most+1); err != nil {
			return journal.Row{}, err
		}
	}
	switch {
	case len(ids) == 1:
		return executions.Row(ctx, ids[0])
	case len(ids) > 1:
		return journal.Row{}, &engine.Error{
			Kind: engine.Invalid, Message: fmt.Sprintf("%q means more than one execution", text), Hint: "there are " + someOf(ids, most),
		}
	}
	return journal.Row{}, notFound(ctx, executions, text, id)
}

// notFound says that there is no such execution; a step's id leads to its flow.
func notFound(ctx context.Context, executions *store.Executions, text string, id engine.ID) error {
	failure := &engine.Error{
		Kind: engine.NotFound, Message: fmt.Sprintf("no such execution: %q", text), Hint: `see "weir execution list"`,
	}
	if flow, _, ok := cutLast(string(id), "."); ok {
		if row, err := executions.Row(ctx, engine.ID(flow)); err == nil {
			failure.Hint = fmt.Sprintf("a step is seen with its flow: weir execution show %s", row.ID)
		}
	}
	return failure
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}

func someOf(ids []engine.ID, most int) string {
	var texts []string
	for _, id := range ids[:min(len(ids), most)] {
		texts = append(texts, string(id))
	}
	if len(ids) > most {
		texts = append(texts, "...")
	}
	return strings.Join(texts, ", ")
}

// completeExecutions completes the ids of the newest executions.
func (a *app) completeExecutions(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	opened, err := a.existingStore(cmd.Context())
	if opened == nil || err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	rows, _, err := opened.Executions().List(cmd.Context(), store.Filter{Owner: localOwner})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, fmt.Sprintf("%s\t%s, %s", r.ID, r.Name, r.Status))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// served tells whether an engine serves the store, and the user what to do if none
// does.
func (a *app) served(ctx context.Context, opened *store.Store, waits string) (bool, error) {
	runs, err := opened.EngineRuns(ctx)
	if err == nil && !runs {
		a.say("note: no engine serves the store, so %s; start one with: weir serve", waits)
	}
	return runs, err
}

// clock gives a moment as people read it; "-" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// span gives a length of time in at most about three digits.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// instant gives a moment for programs; nil for none.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// statusText is the state of an execution in words, with what it waits for.
func statusText(r journal.Row) string {
	text := string(r.Status)
	lock, isLock := strings.CutPrefix(r.Waits, journal.WaitsForLock(""))
	switch {
	case r.Status.Ended():
		if r.Kind != "" && r.Status == engine.Failed {
			text += " (" + string(r.Kind) + ")"
		}
	case r.Waits == journal.WaitsForAnswer:
		text += " for an answer"
	case r.Waits == journal.WaitsForDecision:
		text += " for a decision"
	case r.Waits == journal.WaitsForResume:
		text += ": the engine could not go on"
	case isLock:
		text += " for the lock of setting " + lock
	case r.Status == engine.Waiting && !r.Wake.IsZero():
		text += " until " + clock(r.Wake)
	}
	return text
}

// rowTree is what a store keeps of an execution, for programs.
func rowTree(r journal.Row) map[string]any {
	return map[string]any{
		"id": string(r.ID), "root": string(r.Root), "parent": string(r.Parent), "name": r.Name, "status": string(r.Status),
		"created": instant(r.Created), "ended": instant(r.Ended), "wake": instant(r.Wake), "waits": r.Waits, "error_kind": string(r.Kind),
	}
}
