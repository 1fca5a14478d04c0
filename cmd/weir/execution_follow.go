package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// watching says whether a command stays until its execution has ended.
type watching struct {
	wait, follow bool
	order        *journal.Order // that is to bring the execution on, if it has ended; nil for none
}

func (w *watching) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait for the end; print the output, and exit as the execution did")
	cmd.Flags().BoolVarP(&w.follow, "follow", "f", false, "the same, and show the log meanwhile")
}

// watch waits for the end of an execution if that is wanted, and prints its output.
// Else it prints its id.
func (w *watching) watch(ctx context.Context, a *app, opened *store.Store, id engine.ID) error {
	served, err := a.served(ctx, opened, "the execution waits for one")
	if err != nil {
		return err
	}
	if !w.wait && !w.follow {
		return a.print(map[string]any{"id": string(id)}, func(t *table) { t.row(id) })
	}
	a.say("execution %s", id)
	f := &follower{app: a, store: opened, id: id, served: served, order: w.order}
	if w.follow {
		f.show = func(l store.LogLine) error {
			_, err := fmt.Fprintln(a.err, lineText(id, l))
			return err
		}
	}
	if _, err := f.follow(ctx); err != nil {
		return err
	}
	return a.printEnded(ctx, opened, id)
}

// printEnded prints what an execution has come to, as "weir run" does.
func (a *app) printEnded(ctx context.Context, opened *store.Store, id engine.ID) error {
	h, scope, err := loadMasked(ctx, opened.Executions(), id)
	if err != nil {
		return err
	}
	ended := journal.NewOutline(h).Finished
	if ended == nil {
		return &engine.Error{Kind: engine.Internal, Message: fmt.Sprintf("execution %s goes on again", id)}
	}
	e := engine.Execution{ID: id, Status: ended.Status, Output: ended.Output, Error: scope.Error(ended.Error)}
	return a.printFinished(engine.Finished{Execution: e, Mask: scope.Mask})
}

// loadMasked reads an execution, and makes the scope that masks what is shown of its
// tree.
func loadMasked(ctx context.Context, executions *store.Executions, id engine.ID) (journal.History, *dispatch.Scope, error) {
	h, err := executions.Load(ctx, id)
	if err != nil {
		return h, nil, err
	}
	scope := dispatch.NewScope(h.TraceKey)
	if err := scope.AddTraces(h.Traces); err != nil {
		return h, nil, &engine.Error{Kind: engine.Permanent, Message: fmt.Sprintf("read execution %s: %v", id, err)}
	}
	return h, scope, nil
}

const (
	// followInterval is how often it is looked whether the store has changed.
	followInterval = 50 * time.Millisecond
	// lookInterval is how often it is looked whether an engine runs and whether
	// something is asked.
	lookInterval = time.Second
	linesAtOnce  = 1000
)

// follower watches an execution until it has ended.
type follower struct {
	app      *app
	store    *store.Store
	id       engine.ID
	order    *journal.Order            // as long as it waits, the execution has not ended for good
	show     func(store.LogLine) error // nil shows no log
	position int64                     // of the last line shown
	served   bool                      // an engine served the store when it was last looked
	told     map[engine.ID]string      // what executions wait for, as it was told
	looked   time.Time
}

// follow gives the execution as it ended. If ctx ends before, the error says that
// the execution goes on.
func (f *follower) follow(ctx context.Context) (journal.Row, error) {
	row, err := f.untilEnded(ctx)
	if err != nil && ctx.Err() != nil {
		err = &engine.Error{
			Kind: engine.Canceled, Message: fmt.Sprintf("nobody watches execution %s any more; it goes on", f.id),
			Hint: fmt.Sprintf("watch it with: weir execution logs -f %s; end it with: weir execution cancel %s", f.id, f.id),
		}
	}
	return row, err
}

func (f *follower) untilEnded(ctx context.Context) (journal.Row, error) {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		changed, err := f.store.Executions().Changed(ctx)
		if err != nil {
			return journal.Row{}, err
		}
		if changed {
			final, err := f.final(ctx) // before the state is read
			if err != nil {
				return journal.Row{}, err
			}
			row, err := f.look(ctx)
			if err != nil || row.Status.Ended() && final {
				return row, err
			}
		}
		if err := f.sayWhy(ctx); err != nil {
			return journal.Row{}, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return journal.Row{}, ctx.Err()
		}
	}
}

// final tells whether an end of the execution is one for good.
func (f *follower) final(ctx context.Context) (bool, error) {
	if f.order == nil {
		return true, nil
	}
	taken, err := isTaken(ctx, f.store.Executions(), *f.order)
	if taken {
		f.order = nil
	}
	return taken, err
}

// look shows what is new. The state is read first, so that all lines of one that has
// ended are shown.
func (f *follower) look(ctx context.Context) (journal.Row, error) {
	row, err := f.store.Executions().Row(ctx, f.id)
	if err != nil || f.show == nil {
		return row, err
	}
	for {
		lines, err := f.store.Executions().Lines(ctx, f.id, f.position, linesAtOnce)
		if err != nil {
			return row, err
		}
		for _, l := range lines {
			if err := f.show(l); err != nil {
				return row, err
			}
			f.position, f.served = l.Position, true // an engine wrote it
		}
		if len(lines) < linesAtOnce {
			return row, nil
		}
	}
}

// sayWhy tells why nothing goes on: because there is no engine, or because somebody
// must do something.
func (f *follower) sayWhy(ctx context.Context) error {
	if time.Since(f.looked) < lookInterval {
		return nil
	}
	f.looked = time.Now()
	runs, err := f.store.EngineRuns(ctx)
	if err != nil {
		return err
	}
	if f.served && !runs {
		f.app.say("note: the engine has ended; the execution goes on when there is one again: weir serve")
	}
	f.served = runs
	row, err := f.store.Executions().Row(ctx, f.id)
	if err != nil || row.Status == engine.Running || row.Status == engine.Pending || row.Status.Ended() {
		return err
	}
	rows, err := f.store.Executions().Tree(ctx, f.id)
	if err != nil {
		return err
	}
	for _, r := range rows {
		f.sayWaiting(r)
	}
	return nil
}

// sayWaiting tells once what an execution waits for that a person must do.
func (f *follower) sayWaiting(r journal.Row) {
	what := string(r.Status) + r.Waits
	if f.told[r.ID] == what || r.Status.Ended() {
		return
	}
	if f.told == nil {
		f.told = map[engine.ID]string{}
	}
	f.told[r.ID] = what
	switch {
	case r.Waits == journal.WaitsForAnswer || r.Waits == journal.WaitsForDecision:
		f.app.say("note: %s is %s; see how with: weir execution show %s", r.ID, statusText(r), r.ID)
	case r.Status == engine.Paused:
		f.app.say("note: %s is %s; it goes on after: weir execution resume %s", r.ID, statusText(r), f.id)
	}
}

// lineText is a line of a log for people. A line of a step or of another flow in the
// tree names it.
func lineText(top engine.ID, l store.LogLine) string {
	e := l.Event
	text := fmt.Sprintf("%s %-5s ", e.Time.Local().Format("2006-01-02 15:04:05.000"), e.Level)
	if of := strings.TrimPrefix(strings.TrimPrefix(string(e.Execution), string(top)), "."); of != "" {
		text += "[" + of + "] "
	}
	text += e.Message + fields(e.Fields)
	if e.Level == engine.Fault && e.Where != "" {
		text += " (" + e.Where + ")"
	}
	return text
}
