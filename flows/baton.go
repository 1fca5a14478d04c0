package flows

import "sync"

// baton lets one goroutine of a run at a time touch its Lua states. Waiting
// goroutines get it in the order in which they asked.
type baton struct {
	mu    sync.Mutex
	held  bool
	queue []chan struct{}
}

func (b *baton) acquire() { <-b.ask() }

// ask queues for the baton; the channel is closed when it is the caller's turn.
func (b *baton) ask() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	turn := make(chan struct{})
	if b.held {
		b.queue = append(b.queue, turn)
		return turn
	}
	b.held = true
	close(turn)
	return turn
}

func (b *baton) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.held = false
		return
	}
	close(b.queue[0])
	b.queue = b.queue[1:]
}
