package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// watching says whether a command stays until its execution has ended.
type watching struct {
	wait, follow bool
	order        *api.Ordered // that is to bring the execution on, if it has ended; nil for none
}

func (w *watching) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", false, "wait for the end; print the output, and exit as the execution did")
	cmd.Flags().BoolVarP(&w.follow, "follow", "f", false, "the same, and show the log meanwhile")
}

// watch waits for the end of an execution if that is wanted, and prints its output.
// Else it prints its id.
func (w *watching) watch(ctx context.Context, a *app, services httpapi.Services, id string) error {
	f, err := a.newFollower(ctx, services, id)
	if err != nil {
		return err
	}
	if err := f.sayServed(ctx); err != nil {
		return err
	}
	if !w.wait && !w.follow {
		return a.print(map[string]any{"id": id}, func(t *table) { t.row(id) })
	}
	a.say("execution %s", id)
	f.order = w.order
	if w.follow {
		f.show = func(l api.Line) error {
			_, err := fmt.Fprintln(a.err, lineText(id, l))
			return err
		}
	}
	if err := f.follow(ctx); err != nil {
		return err
	}
	return a.printEnded(ctx, services, id)
}

// printEnded prints what an execution has come to, as "weir run" does.
func (a *app) printEnded(ctx context.Context, services httpapi.Services, id string) error {
	detail, err := services.Executions.Timeline(ctx, id, "", 0)
	if err != nil {
		return err
	}
	if !detail.HasEnded() {
		return &engine.Error{Kind: engine.Internal, Message: fmt.Sprintf("execution %s goes on again", id)}
	}
	e := engine.Execution{ID: engine.ID(id), Status: engine.Status(detail.Status), Output: detail.Output, Error: errorOf(detail.Error)}
	return a.printFinished(engine.Finished{Execution: e, Mask: func(tree any) any { return tree }}) // it is masked already
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
	services httpapi.Services
	client   *api.Client  // of the server; nil for a local store
	store    *store.Store // if it is local
	id       string
	order    *api.Ordered         // as long as it is not taken, the execution has not ended for good
	show     func(api.Line) error // nil shows no log
	position int64                // of the last line shown
	served   bool                 // an engine served the store when it was last looked
	told     map[string]string    // what executions wait for, as it was told
	looked   time.Time
}

func (a *app) newFollower(ctx context.Context, services httpapi.Services, id string) (*follower, error) {
	f := &follower{app: a, services: services, id: id, told: map[string]string{}}
	var err error
	if f.client, err = a.remote(); err != nil || f.client != nil {
		return f, err
	}
	f.store, err = a.store(ctx)
	return f, err
}

// sayServed tells the user if no engine is there to work on the execution.
func (f *follower) sayServed(ctx context.Context) (err error) {
	if f.client != nil {
		f.served = true
		return nil
	}
	f.served, err = f.app.served(ctx, f.store, "the execution waits for one")
	return err
}

// follow watches to the end. If ctx ends before, the error says that the execution
// goes on.
func (f *follower) follow(ctx context.Context) error {
	untilEnded := f.untilEnded
	if f.client != nil {
		untilEnded = f.untilRemoteEnded
	}
	err := untilEnded(ctx)
	if err != nil && ctx.Err() != nil {
		err = &engine.Error{
			Kind: engine.Canceled, Message: fmt.Sprintf("nobody watches execution %s any more; it goes on", f.id),
			Hint: fmt.Sprintf("watch it with: weir execution logs -f %s; end it with: weir execution cancel %s", f.id, f.id),
		}
	}
	return err
}

func (f *follower) untilEnded(ctx context.Context) error {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		changed, err := f.store.Executions().Changed(ctx)
		if err != nil {
			return err
		}
		if changed {
			final, err := f.final(ctx) // before the state is read
			if err != nil {
				return err
			}
			row, err := f.look(ctx)
			if err != nil || row.HasEnded() && final {
				return err
			}
		}
		if err := f.sayWhy(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// final tells whether an end of the execution is one for good.
func (f *follower) final(ctx context.Context) (bool, error) {
	if f.order == nil || f.order.Taken {
		return true, nil
	}
	order := journal.Order{Execution: engine.ID(f.id), Verb: journal.VerbRetry, At: f.order.At}
	taken, err := isTaken(ctx, f.store.Executions(), order)
	if taken {
		f.order = nil
	}
	return taken, err
}

// look shows what is new. The state is read first, so that all lines of one that has
// ended are shown.
func (f *follower) look(ctx context.Context) (api.Execution, error) {
	row, err := f.services.Executions.Execution(ctx, f.id)
	if err != nil || f.show == nil {
		return row, err
	}
	for more := true; more; {
		page, err := f.services.Executions.Log(ctx, f.id, f.position, linesAtOnce)
		if err != nil {
			return row, err
		}
		for _, l := range page.Lines {
			if err := f.show(l); err != nil {
				return row, err
			}
			f.served = true // an engine wrote it
		}
		f.position, more = page.Next, page.More
	}
	return row, nil
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
	row, err := f.services.Executions.Execution(ctx, f.id)
	if err != nil || row.Status == string(engine.Running) || row.Status == string(engine.Pending) || row.HasEnded() {
		return err
	}
	tree, err := f.services.Executions.ExecutionTree(ctx, f.id, "", 0)
	if err != nil {
		return err
	}
	for _, e := range tree.Executions {
		f.sayWaiting(e)
	}
	return nil
}

// sayWaiting tells once what an execution waits for that a person must do.
func (f *follower) sayWaiting(e api.Execution) {
	what := e.Status + e.Waits
	if f.told[e.ID] == what || e.HasEnded() {
		return
	}
	f.told[e.ID] = what
	switch {
	case e.Waits == journal.WaitsForAnswer || e.Waits == journal.WaitsForDecision:
		f.app.say("note: %s is %s; see how with: weir execution show %s", e.ID, statusText(e), e.ID)
	case e.Status == string(engine.Paused):
		f.app.say("note: %s is %s; it goes on after: weir execution resume %s", e.ID, statusText(e), f.id)
	}
}

// lineText is a line of a log for people. A line of a step or of another flow in the
// tree names it.
func lineText(top string, l api.Line) string {
	text := fmt.Sprintf("%s %-5s ", l.Time.Local().Format("2006-01-02 15:04:05.000"), l.Level)
	if of := strings.TrimPrefix(strings.TrimPrefix(l.Execution, top), "."); of != "" {
		text += "[" + of + "] "
	}
	text += l.Message + fields(l.Fields)
	if l.Level == string(engine.Fault) && l.Where != "" {
		text += " (" + l.Where + ")"
	}
	return text
}
