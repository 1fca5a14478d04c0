package local

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
)

const (
	// pollInterval is how often the engine looks whether another process has
	// written to the store.
	pollInterval = 50 * time.Millisecond
	// maxNap is how long the engine trusts that the clock is not set.
	maxNap = 10 * time.Second
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
	admitted := r.admit(change.ID, change.ID, false)
	if admitted { // it is never due while it is in memory
		change.Create.State = journal.State{Status: engine.Running}
	}
	r.config.Store.Commit([]journal.Change{change}, func(err error) { written <- err })
	err = <-written
	switch {
	case err != nil && admitted:
		r.unload(change.ID)
	case err == nil && admitted:
		r.beginNew(ctx, change, program)
	case err == nil:
		r.poke()
	}
	return change.ID, err
}

// beginNew has a flow begin that has just been written.
func (r *Runner) beginNew(ctx context.Context, change journal.Change, program *flows.Program) {
	history := journal.History{Row: *change.Create, Events: change.Events}
	key, err := r.config.Store.TraceKey(ctx, change.ID)
	if err == nil {
		history.TraceKey = key
		var t *tree
		if t, err = r.tree(history); err == nil {
			r.begin(history, t, program)
			return
		}
	}
	r.log("cannot begin a new execution; trying again", change.ID, err)
	r.loadLater(change.ID)
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
	switch err := r.config.Store.Recover(ctx, r.now()); {
	case ctx.Err() != nil:
		return nil
	case err != nil:
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
	seen := &lookout{}
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
		next, err := r.look(ctx, seen, ids)
		r.setAlarm(next)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			r.log("cannot read the store; trying again", "", err)
			alarm.Reset(writeDelay)
		case !next.IsZero():
			alarm.Reset(min(max(next.Sub(r.now()), time.Millisecond), maxNap))
		}
	}
}

// setAlarm notes when the engine looks again for what is due.
func (r *Runner) setAlarm(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alarm = at
}

// drain ends the engine's work: nothing new is begun, steps that run may come to
// their end for a while, and what they came to is written.
func (r *Runner) drain() {
	r.mu.Lock()
	r.draining.Store(true)
	r.mu.Unlock()
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
		busy := (f.busy > 0 || f.changes.writing || !f.changes.empty() && !f.changes.failed) && !f.dropped
		f.mu.Unlock()
		if busy {
			return true
		}
	}
	return false
}

// errNotEnded is why an execution that runs is not retried.
var errNotEnded = errors.New("it has not ended")
