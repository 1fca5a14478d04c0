package local

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
)

// dueBatch is how many executions of an owner are taken up before others have
// their turn.
const dueBatch = 100

// lookout is what the engine remembers from one look at the store to the next.
type lookout struct {
	owner string // whose execution was taken up last
	// inHand is how many executions are due of those that are in memory already and
	// have written nothing since, or whose trees have their share of it.
	inHand int
}

// look reads orders and what is due from the store.
func (r *Runner) look(ctx context.Context, seen *lookout, ids chan<- engine.ID) (next time.Time, err error) {
	orders, failed := r.config.Store.Orders(ctx) // some may be readable
	for _, o := range orders {
		r.order(ctx, o)
	}
	room := r.room()
	if room <= 0 {
		r.setBacklog(true, true)
		r.makeRoom()
		return time.Time{}, failed // and pokes
	}
	most := min(room, dueBatch) + seen.inHand
	rows, next, err := r.config.Store.Due(ctx, r.now(), most)
	if err != nil {
		return time.Time{}, errors.Join(failed, err)
	}
	inHand, news, refused, held := 0, false, false, false
	for _, row := range inTurn(rows, seen.owner) {
		if r.has(row.ID) {
			inHand++
			continue
		}
		if r.full(row.Root) {
			inHand++ // what is due after it is looked for
			held = true
			continue
		}
		news = true
		if !r.admit(row.ID, row.Root, true) {
			refused = true // there is no room
			continue
		}
		select {
		case ids <- row.ID:
			seen.owner = row.Owner
		case <-ctx.Done():
			r.unload(row.ID)
			return time.Time{}, nil
		}
	}
	more := refused || held || len(rows) >= most // there may be
	r.setBacklog(more && !held, more)
	if held {
		r.makeRoom()
	}
	if more && (news || inHand > seen.inHand) && r.room() > 0 {
		r.poke()
	}
	seen.inHand = inHand
	return next, failed
}

// inTurn puts what is due in an order in which each owner has its turn, beginning
// with the one after owner. The rows of each come together, the earliest first.
func inTurn(rows []journal.Row, owner string) []journal.Row {
	var queues [][]journal.Row
	for start, i := 0, 0; i < len(rows); i++ {
		if i+1 == len(rows) || rows[i+1].Owner != rows[start].Owner {
			queues = append(queues, rows[start:i+1])
			start = i + 1
		}
	}
	first := slices.IndexFunc(queues, func(q []journal.Row) bool { return q[0].Owner > owner })
	if first > 0 {
		queues = slices.Concat(queues[first:], queues[:first])
	}
	ordered := make([]journal.Row, 0, len(rows))
	for n := 0; len(ordered) < len(rows); n++ {
		for _, q := range queues {
			if n < len(q) {
				ordered = append(ordered, q[n])
			}
		}
	}
	return ordered
}

// makeRoom has flows that only wait leave memory, where that is full.
func (r *Runner) makeRoom() {
	for _, f := range r.flows() {
		f.look()
	}
}

// setBacklog keeps new executions from going before those that are due, or no longer,
// and has whoever leaves memory poke the engine if there is more to be taken up.
func (r *Runner) setBacklog(is, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backlog = is
	r.wanted = r.wanted || more
}

// full tells whether a tree has its share of the places in memory: a quarter is left
// to others.
func (r *Runner) full(root engine.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hasShare(root)
}

// hasShare is full, called with the lock held.
func (r *Runner) hasShare(root engine.ID) bool {
	t := r.trees[root]
	places := r.loading.of[root]
	if t != nil {
		places += t.users
	}
	return r.config.Store != nil && places >= r.config.MaxResident-r.config.MaxResident/4
}

// loading are executions that have a place in memory and are not there yet.
type loading struct {
	roots map[engine.ID]engine.ID // of their trees
	of    map[engine.ID]int       // how many there are of a tree
}

func newLoading() loading {
	return loading{map[engine.ID]engine.ID{}, map[engine.ID]int{}}
}

func (l *loading) has(id engine.ID) bool { return l.roots[id] != "" }

func (l *loading) add(id, root engine.ID) {
	l.roots[id] = root
	l.of[root]++
}

func (l *loading) remove(id engine.ID) {
	root := l.roots[id]
	delete(l.roots, id)
	if l.of[root]--; l.of[root] <= 0 {
		delete(l.of, root)
	}
}

func (r *Runner) room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config.MaxResident - len(r.resident) - len(r.loading.roots)
}

// admit takes a place in memory for an execution, if the engine serves and there is
// one. One that has its turn need not wait for those that are due.
func (r *Runner) admit(id, root engine.ID, hasTurn bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.resident[id] != nil || r.loading.has(id) || r.draining.Load():
		return false
	case r.config.Store == nil:
	case !r.serving || r.backlog && !hasTurn || len(r.resident)+len(r.loading.roots) >= r.config.MaxResident:
		return false
	}
	r.loading.add(id, root)
	return true
}

// unload gives the place back, and the orders that waited for the execution.
func (r *Runner) unload(id engine.ID) []journal.Order {
	r.mu.Lock()
	defer r.mu.Unlock()
	orders := r.told[id]
	r.loading.remove(id)
	delete(r.told, id)
	if r.wanted {
		r.wanted = false
		r.poke()
	}
	return orders
}

// load takes an execution up from the store, for which there is a place.
func (r *Runner) load(ctx context.Context, id engine.ID) {
	err := r.takeUp(ctx, id)
	switch {
	case err == nil:
	case ctx.Err() != nil || r.stopped():
		r.unload(id)
	case passing(err):
		r.log("cannot take an execution up; trying again", id, err)
		r.loadLater(id)
	default:
		r.log("cannot take an execution up", id, err)
		r.setAside(id, err)
	}
}

// has tells whether an execution is in memory, or about to be.
func (r *Runner) has(id engine.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resident[id] != nil || r.loading.has(id)
}

// reserve takes a place in memory for an execution, also if there is none left.
func (r *Runner) reserve(id, root engine.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resident[id] != nil || r.loading.has(id) || r.draining.Load() {
		return false
	}
	r.loading.add(id, root)
	return true
}

// loadLater takes an execution up after a while, for which there is a place.
func (r *Runner) loadLater(id engine.ID) {
	r.work.Go(func() {
		timer := time.NewTimer(writeDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
			r.load(r.life, id)
		case <-r.life.Done():
			r.unload(id)
		}
	})
}

// passing tells whether what could not be read may be readable later.
func passing(err error) bool {
	var failure *engine.Error
	if errors.As(err, &failure) {
		return failure.Kind == engine.Unavailable || failure.Kind == engine.Timeout || failure.Kind == engine.Denied
	}
	return !errors.Is(err, journal.ErrDamaged) && !errors.Is(err, journal.ErrNewer)
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
		r.tooLate(id, r.unload(id)...)
		return nil
	}
	t, err := r.tree(history)
	if err != nil {
		return err
	}
	program := r.compiled(cursor.Begun.File, cursor.Begun.Text)
	if program == nil {
		text, err := r.text(ctx, t, cursor.Begun.Text)
		if err != nil {
			return err
		}
		if program, err = r.compile(cursor.Begun.File, text); err != nil {
			return err
		}
	}
	r.begin(history, t, program)
	return nil
}

// setAside keeps an execution that cannot be read from being taken up again and
// again. A resume order takes it up.
func (r *Runner) setAside(id engine.ID, err error) {
	orders := r.unload(id)
	if _, err := r.config.Store.Load(r.life, id); err != nil && asError(err).Kind == engine.NotFound {
		return // there is nothing of it left
	}
	change := journal.Change{
		ID: id, State: &journal.State{Status: engine.Paused, Waits: journal.WaitsForResume, Kind: asError(err).Kind},
	}
	for _, o := range orders {
		if o.Number != 0 {
			change.Done = append(change.Done, o.Number)
		}
	}
	r.config.Store.Commit([]journal.Change{change}, func(error) {})
}

// tree gives what the execution shares with the others of its tree.
func (r *Runner) tree(h journal.History) (*tree, error) {
	r.mu.Lock()
	t := r.trees[h.Root]
	r.mu.Unlock()
	if t == nil {
		begun := h.Events[0].(*journal.Begun) //nolint:errcheck,forcetypeassert // the journal was read
		t = &tree{runner: r, root: h.Root, owner: h.Owner, files: begun.Files, scope: dispatch.NewScope(h.TraceKey)}
	}
	if err := t.scope.AddTraces(h.Traces); err != nil {
		return nil, &engine.Error{Kind: engine.Permanent, Message: err.Error()}
	}
	return t, nil
}
