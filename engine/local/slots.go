package local

import (
	"context"
	"sync"
)

// slots are a bounded number of places that owners take in turn: whoever has many
// waiting does not keep others from theirs.
type slots struct {
	mu     sync.Mutex
	free   int
	owners []string // with somebody waiting, the next one first
	queues map[string][]chan struct{}
}

func newSlots(n int) *slots { return &slots{free: n, queues: map[string][]chan struct{}{}} }

// acquire waits for a place; release gives it back.
func (s *slots) acquire(ctx context.Context, owner string) (release func(), err error) {
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
	if len(s.queues[owner]) == 0 {
		s.owners = append(s.owners, owner)
	}
	s.queues[owner] = append(s.queues[owner], turn)
	s.mu.Unlock()
	select {
	case <-turn:
		return s.release, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.remove(owner, turn) { // it was given meanwhile
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
	queue := s.queues[owner]
	close(queue[0])
	if len(queue) == 1 {
		delete(s.queues, owner)
		return
	}
	s.queues[owner] = queue[1:]
	s.owners = append(s.owners, owner)
}

// place is one that a step has, unless it has left it to others.
type place struct {
	slots   *slots
	owner   string
	release func() // nil while it has none
}

// take waits for a place if there is none.
func (p *place) take(ctx context.Context) (err error) {
	if p.release == nil {
		p.release, err = p.slots.acquire(ctx, p.owner)
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
	return s.acquire(ctx, p.owner)
}

// remove takes a waiting one off its queue.
func (s *slots) remove(owner string, turn chan struct{}) bool {
	queue := s.queues[owner]
	for i, waiting := range queue {
		if waiting != turn {
			continue
		}
		if len(queue) > 1 {
			s.queues[owner] = append(queue[:i:i], queue[i+1:]...)
			return true
		}
		delete(s.queues, owner)
		for j, o := range s.owners {
			if o == owner {
				s.owners = append(s.owners[:j:j], s.owners[j+1:]...)
				break
			}
		}
		return true
	}
	return false
}
