package flows

import "sync"

// baton lets one goroutine of a run at a time touch its Lua states. Waiting
// goroutines get it in the order in which they asked.
type baton struct {
	mu    sync.Mutex
	held  bool
	queue []chan struct{}
}

func (b *baton) acquire() {
	b.mu.Lock()
	if !b.held {
		b.held = true
		b.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	b.queue = append(b.queue, turn)
	b.mu.Unlock()
	<-turn
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
