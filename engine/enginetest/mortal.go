package enginetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// Mortal is a [Store] that an engine loses while it works, as if its process had
// ended: from some moment on nothing is written and nothing is read. What the
// engine had committed stays in the store below.
type Mortal struct {
	Store
	after  int           // commits until then; 0 means any number
	silent bool          // nobody learns of the last one
	late   time.Duration // until an engine learns that something was written
	refuse int           // each so many-th commit is refused; 0 for none
	stale  bool          // what was due at the look before is due

	mu      sync.Mutex
	asked   int           // commits, with those that were refused
	told    chan struct{} // closed when the engine has learned of the last commit
	commits int
	dead    bool
	died    chan struct{}
	due     []journal.Row // at the last look
}

// NewMortal gives a store that is lost as a [Setup] says, or when it is told to.
func NewMortal(below Store, setup Setup) *Mortal {
	m := &Mortal{
		Store: below, after: setup.DieAfter, silent: setup.Silent, late: setup.Late, refuse: setup.Refuse, stale: setup.Stale,
		told: make(chan struct{}), died: make(chan struct{}),
	}
	close(m.told)
	return m
}

// Die loses the store now.
func (m *Mortal) Die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.die()
}

func (m *Mortal) die() {
	if !m.dead {
		m.dead = true
		close(m.died)
	}
}

// Quiet waits until the engine has learned of all commits.
func (m *Mortal) Quiet() {
	m.mu.Lock()
	told := m.told
	m.mu.Unlock()
	<-told
}

// Died gives a channel that is closed when the store was lost.
func (m *Mortal) Died() <-chan struct{} { return m.died }

// Commits tells how many commits there were.
func (m *Mortal) Commits() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commits
}

// Commit passes a commit on as long as the store is there.
func (m *Mortal) Commit(changes []journal.Change, done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead || m.after > 0 && m.commits == m.after {
		m.die()            // or else the engine could read what it cannot write
		go done(errLost()) // the caller may hold what done waits for
		return
	}
	if m.asked++; m.refuse > 0 && m.asked%m.refuse == 0 {
		m.Store.Commit(nil, func(error) { // in the order of the commits
			done(&engine.Error{Kind: engine.Unavailable, Message: "the disk is full"})
		})
		return
	}
	m.commits++
	last := m.commits == m.after
	tell := func(err error) {
		m.mu.Lock()
		if last {
			m.die()
		}
		if m.dead && (!last || m.silent) {
			err = errLost()
		}
		m.mu.Unlock()
		done(err)
	}
	if m.late == 0 {
		m.Store.Commit(changes, tell)
		return
	}
	before, told := m.told, make(chan struct{})
	m.told = told
	m.Store.Commit(changes, func(err error) {
		go func() {
			select {
			case <-time.After(m.late):
			case <-m.died:
			}
			<-before // in the order of the commits
			tell(err)
			close(told)
		}()
	})
}

// errLost has an engine leave its executions alone.
func errLost() error {
	return &engine.Error{Kind: engine.Conflict, Message: "the store was lost"}
}

func (m *Mortal) lost() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return &engine.Error{Kind: engine.Unavailable, Message: "the store was lost"}
	}
	return nil
}

// Load reads as long as the store is there; so do the methods below.
func (m *Mortal) Load(ctx context.Context, id engine.ID) (journal.History, error) {
	if err := m.lost(); err != nil {
		return journal.History{}, err
	}
	return m.Store.Load(ctx, id)
}

// Text reads the text of a flow.
func (m *Mortal) Text(ctx context.Context, digest string) ([]byte, error) {
	if err := m.lost(); err != nil {
		return nil, err
	}
	return m.Store.Text(ctx, digest)
}

// Due lists what is due.
func (m *Mortal) Due(ctx context.Context, now time.Time, perOwner int) ([]journal.Row, time.Time, error) {
	if err := m.lost(); err != nil {
		return nil, time.Time{}, err
	}
	rows, next, err := m.Store.Due(ctx, now, perOwner)
	if !m.stale || err != nil {
		return rows, next, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.due
	m.due = slices.Clone(rows)
	for _, row := range old {
		if !slices.ContainsFunc(m.due, func(r journal.Row) bool { return r.ID == row.ID }) {
			rows = append(rows, row)
		}
	}
	return rows, next, nil
}

// Recover makes everything due that was running.
func (m *Mortal) Recover(ctx context.Context, now time.Time) error {
	if err := m.lost(); err != nil {
		return err
	}
	return m.Store.Recover(ctx, now)
}

// Orders lists the orders that were not carried out.
func (m *Mortal) Orders(ctx context.Context) ([]journal.Order, error) {
	if err := m.lost(); err != nil {
		return nil, err
	}
	return m.Store.Orders(ctx)
}

// Changed tells whether others have written.
func (m *Mortal) Changed(ctx context.Context) (bool, error) {
	if err := m.lost(); err != nil {
		return false, err
	}
	return m.Store.Changed(ctx)
}
