package local

import (
	"context"
	"slices"
	"sync"

	"github.com/weir-engine/weir/engine"
)

// slots are a bounded number of places that owners take in turn, and of each owner the
// trees of executions: whoever has many waiting does not keep others from theirs.
type slots struct {
	mu     sync.Mutex
	free   int
	owners []string // with somebody waiting, the next one first
	trees  map[string]*turns
}

// turns are queues that are served by turns.
type turns struct {
	names  []engine.ID // of those with somebody waiting, the next one first
	queues map[engine.ID][]chan struct{}
}

// waiter is who waits for a place.
type waiter struct {
	owner string
	tree  engine.ID
}

func newSlots(n int) *slots { return &slots{free: n, trees: map[string]*turns{}} }

// acquire waits for a place; release gives it back.
func (s *slots) acquire(ctx context.Context, who waiter) (release func(), err error) {
	s.mu.Lock()
	if err := ctx.Err(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return s.release, nil
	}
	turn := make(chan struct{})
	if s.trees[who.owner] == nil {
		s.trees[who.owner] = &turns{queues: map[engine.ID][]chan struct{}{}}
		s.owners = append(s.owners, who.owner)
	}
	s.trees[who.owner].add(who.tree, turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return s.release, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.remove(who, turn) { // it was given meanwhile
		s.pass()
	}
	return nil, ctx.Err()
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass()
}

// pass gives a place to the owner whose turn it is.
func (s *slots) pass() {
	if len(s.owners) == 0 {
		s.free++
		return
	}
	owner := s.owners[0]
	s.owners = s.owners[1:]
	trees := s.trees[owner]
	close(trees.next())
	if len(trees.names) == 0 {
		delete(s.trees, owner)
		return
	}
	s.owners = append(s.owners, owner)
}

// remove takes a waiting one off its queue, and tells whether it was there.
func (s *slots) remove(who waiter, turn chan struct{}) bool {
	trees := s.trees[who.owner]
	if trees == nil || !trees.remove(who.tree, turn) {
		return false
	}
	if len(trees.names) == 0 {
		delete(s.trees, who.owner)
		s.owners = slices.DeleteFunc(s.owners, func(o string) bool { return o == who.owner })
	}
	return true
}

func (t *turns) add(name engine.ID, turn chan struct{}) {
	if len(t.queues[name]) == 0 {
		t.names = append(t.names, name)
	}
	t.queues[name] = append(t.queues[name], turn)
}

// next takes the one off whose turn it is. There must be one.
func (t *turns) next() chan struct{} {
	name := t.names[0]
	t.names = t.names[1:]
	queue := t.queues[name]
	if len(queue) == 1 {
		delete(t.queues, name)
	} else {
		t.queues[name] = queue[1:]
		t.names = append(t.names, name)
	}
	return queue[0]
}

func (t *turns) remove(name engine.ID, turn chan struct{}) bool {
	queue := t.queues[name]
	i := slices.Index(queue, turn)
	if i < 0 {
		return false
	}
	if len(queue) > 1 {
		t.queues[name] = slices.Delete(queue, i, i+1)
		return true
	}
	delete(t.queues, name)
	t.names = slices.DeleteFunc(t.names, func(n engine.ID) bool { return n == name })
	return true
}

// place is one that a step has, unless it has left it to others.
type place struct {
	slots   *slots
	who     waiter
	release func() // nil while it has none
}

// take waits for a place if there is none.
func (p *place) take(ctx context.Context) (err error) {
	if p.release == nil {
		p.release, err = p.slots.acquire(ctx, p.who)
	}
	return err
}

// leave gives the place back if there is one.
func (p *place) leave() {
	if p.release != nil {
		p.release()
		p.release = nil
	}
}

// acquireFrom waits for one of these places, and leaves the other one to others if
// that takes a while.
func (s *slots) acquireFrom(ctx context.Context, p *place) (release func(), err error) {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return s.release, nil
	}
	s.mu.Unlock()
	p.leave()
	return s.acquire(ctx, p.who)
}
