package local

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	// pollInterval is how often the engine looks whether another process has
	// written to the store.
	pollInterval = 50 * time.Millisecond
	// loaders is how many executions are read from the store at the same time.
	loaders = 8
)

// Start writes a new execution of a flow to the store and gives its id. An engine
// that serves the store runs it: this one if it does.
func (r *Runner) Start(ctx context.Context, request engine.Request) (engine.ID, error) {
	program, err := r.compile(request.File, request.Text)
	if err != nil {
		return "", err
	}
	change := newExecution(request, r.now())
	begun := change.Events[0].(*journal.Begun) //nolint:errcheck,forcetypeassert // newExecution gives it
	if begun.Files == "" {
		begun.Files = filepath.Join(r.config.FilesDir, string(change.ID))
	}
	written := make(chan error, 1)
	admitted := r.admit(change.ID)
	r.config.Store.Commit([]journal.Change{change}, func(err error) { written <- err })
	if err := <-written; err != nil {
		r.unload(change.ID)
		return "", err
	}
	if !admitted {
		r.poke()
	}
	if admitted {
		history := journal.History{Row: *change.Create, Events: change.Events}
		if t, err := r.tree(ctx, history); err == nil {
			r.begin(history, t, program)
		}
	}
	return change.ID, nil
}

// admit takes a place in memory for an execution, if the engine serves and there
// is one.
func (r *Runner) admit(id engine.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.serving || r.draining.Load() || r.resident[id] != nil || r.loading[id] || len(r.resident)+len(r.loading) >= r.config.MaxResident {
		return false
	}
	r.loading[id] = true
	return true
}

// unload gives the place back, and the orders that waited for the execution.
func (r *Runner) unload(id engine.ID) []journal.Order {
	r.mu.Lock()
	defer r.mu.Unlock()
	orders := r.told[id]
	delete(r.loading, id)
	delete(r.told, id)
	return orders
}

// Wait gives an execution when it has ended, in whichever process.
func (r *Runner) Wait(ctx context.Context, id engine.ID) (engine.Execution, error) {
	ended := r.waiter(id)
	defer r.unwait(id, ended)
	poll := time.NewTimer(waitInterval)
	defer poll.Stop()
	for {
		if !r.holds(id) {
			history, err := r.config.Store.Load(ctx, id)
			if err != nil {
				return engine.Execution{}, err
			}
			if history.Status.Ended() {
				return endedExecution(history)
			}
		}
		select {
		case e := <-ended:
			return e, nil
		case <-poll.C:
			poll.Reset(waitInterval)
		case <-ctx.Done():
			return engine.Execution{}, ctx.Err()
		}
	}
}

// waitInterval is how often the store is asked whether an execution has ended that
// this process does not run.
const waitInterval = time.Second

// holds tells whether an execution is in memory.
func (r *Runner) holds(id engine.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resident[id] != nil
}

// Serve carries out what the store has to do until ctx ends, and then lets steps
// that run come to their end for as long as the Config says. The caller must have
// made sure that no other engine serves the store.
func (r *Runner) Serve(ctx context.Context) error {
	if err := r.config.Store.Recover(ctx, r.now()); err != nil {
		return err
	}
	r.mu.Lock()
	r.serving = true
	r.mu.Unlock()
	ids := make(chan engine.ID)
	var loading sync.WaitGroup
	for range loaders {
		loading.Go(func() {
			for id := range ids {
				r.load(ctx, id)
			}
		})
	}
	err := r.attend(ctx, ids)
	close(ids)
	loading.Wait()
	r.drain()
	return err
}

// attend looks for what is to be done, and does it.
func (r *Runner) attend(ctx context.Context, ids chan<- engine.ID) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		look := true
		select {
		case <-ctx.Done():
			return nil
		case <-r.poked:
		case <-alarm.C:
		case <-poll.C:
			changed, err := r.config.Store.Changed(ctx)
			look = changed || err != nil
		}
		if !look {
			continue
		}
		r.setAlarm(time.Time{}) // who leaves memory meanwhile may not have been seen
		next, err := r.look(ctx, ids)
		r.setAlarm(next)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.log("cannot read the store; trying again", "", err)
			alarm.Reset(writeDelay)
		case !next.IsZero():
			alarm.Reset(max(next.Sub(r.now()), time.Millisecond))
		}
	}
}

// setAlarm notes when the engine looks again for what is due.
func (r *Runner) setAlarm(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alarm = at
}

// look reads orders and what is due from the store.
func (r *Runner) look(ctx context.Context, ids chan<- engine.ID) (next time.Time, err error) {
	orders, err := r.config.Store.Orders(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for _, o := range orders {
		r.order(ctx, o)
	}
	room := r.room()
	if room <= 0 {
		r.want()
		for _, f := range r.flows() {
			f.look() // one that only waits leaves
		}
		return time.Time{}, nil // and pokes
	}
	rows, next, err := r.config.Store.Due(ctx, r.now(), min(room, dueBatch))
	if err != nil {
		return time.Time{}, err
	}
	for _, row := range rows {
		if !r.admit(row.ID) {
			continue
		}
		select {
		case ids <- row.ID:
		case <-ctx.Done():
			r.unload(row.ID)
			return time.Time{}, nil
		}
	}
	if len(rows) >= dueBatch {
		r.poke() // there may be more
	}
	return next, nil
}

// dueBatch is how many executions of an owner are taken up before others have
// their turn.
const dueBatch = 100

// want has whoever leaves memory poke the engine.
func (r *Runner) want() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = true
}

func (r *Runner) room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config.MaxResident - len(r.resident) - len(r.loading)
}

// load takes an execution up from the store.
func (r *Runner) load(ctx context.Context, id engine.ID) {
	if err := r.takeUp(ctx, id); err != nil {
		orders := r.unload(id)
		if ctx.Err() == nil {
			r.log("cannot take an execution up", id, err)
			r.setAside(id, asError(err), orders)
		}
	}
}

func (r *Runner) takeUp(ctx context.Context, id engine.ID) error {
	history, err := r.config.Store.Load(ctx, id)
	if err != nil {
		return err
	}
	cursor, err := journal.NewCursor(history.Events)
	if err != nil {
		return err
	}
	if cursor.Ended != nil {
		r.unload(id)
		return nil
	}
	t, err := r.tree(ctx, history)
	if err != nil {
		return err
	}
	text, err := r.text(ctx, t, cursor.Begun.Text)
	if err != nil {
		return err
	}
	program, err := r.compile(cursor.Begun.File, text)
	if err != nil {
		return err
	}
	r.begin(history, t, program)
	return nil
}

// setAside keeps an execution that cannot be read from being taken up again and
// again. A resume order takes it up.
func (r *Runner) setAside(id engine.ID, failure *engine.Error, orders []journal.Order) {
	if failure.Kind == engine.Unavailable || failure.Kind == engine.NotFound {
		time.AfterFunc(writeDelay, r.poke)
		return
	}
	change := journal.Change{ID: id, State: &journal.State{Status: engine.Paused, Waits: journal.WaitsForResume, Kind: failure.Kind}}
	for _, o := range orders {
		if o.Number != 0 {
			change.Done = append(change.Done, o.Number)
		}
	}
	r.config.Store.Commit([]journal.Change{change}, func(error) {})
}

// tree gives what the execution shares with the others of its tree.
func (r *Runner) tree(_ context.Context, h journal.History) (*tree, error) {
	r.mu.Lock()
	t := r.trees[h.Root]
	if t == nil {
		begun := h.Events[0].(*journal.Begun) //nolint:errcheck,forcetypeassert // the journal was read
		t = &tree{runner: r, root: h.Root, owner: h.Owner, files: begun.Files, scope: dispatch.NewScope(h.TraceKey)}
	}
	r.mu.Unlock()
	if err := t.scope.AddTraces(h.Traces); err != nil {
		return nil, &engine.Error{Kind: engine.Permanent, Message: err.Error()}
	}
	return t, nil
}

// drain ends the engine's work: nothing new is begun, steps that run may come to
// their end for a while, and what they came to is written.
func (r *Runner) drain() {
	r.draining.Store(true)
	r.poke()
	deadline := time.NewTimer(r.config.Grace)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.busy() {
		select {
		case <-deadline.C:
			r.stop(errStopped)
		case <-tick.C:
		}
	}
	r.stop(errStopped)
	for _, f := range r.flows() {
		f.mu.Lock()
		if !f.dropped {
			f.leave()
		}
		f.mu.Unlock()
	}
	r.work.Wait()
}

func (r *Runner) flows() []*flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*flow, 0, len(r.resident))
	for _, f := range r.resident {
		all = append(all, f)
	}
	return all
}

// busy tells whether steps run, or something is being written.
func (r *Runner) busy() bool {
	for _, f := range r.flows() {
		f.mu.Lock()
		busy := (f.busy > 0 || f.changes.writing || !f.changes.empty()) && !f.dropped
		f.mu.Unlock()
		if busy {
			return true
		}
	}
	return false
}

// errNotEnded is why an execution that runs is not retried.
var errNotEnded = errors.New("it has not ended")
