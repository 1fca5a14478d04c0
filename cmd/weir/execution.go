package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
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
	services, err := a.services(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := services.Executions.ListExecutions(cmd.Context(), api.ExecutionFilter{Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, e := range page.Executions {
		ids = append(ids, fmt.Sprintf("%s\t%s, %s", e.ID, e.Name, e.Status))
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
func statusText(e api.Execution) string {
	text := e.Status
	lock, isLock := strings.CutPrefix(e.Waits, journal.WaitsForLock(""))
	switch {
	case e.HasEnded():
		if e.ErrorKind != "" && e.Status == string(engine.Failed) {
			text += " (" + e.ErrorKind + ")"
		}
	case e.Waits == journal.WaitsForAnswer:
		text += " for an answer"
	case e.Waits == journal.WaitsForDecision:
		text += " for a decision"
	case e.Waits == journal.WaitsForResume:
		text += ": the engine could not go on"
	case isLock:
		text += " for the lock of setting " + lock
	case e.Status == string(engine.Waiting) && e.Wake != nil:
		text += " until " + clock(*e.Wake)
	}
	return text
}
