package s3

import "sync"

// meter tells how far a transfer is. It is safe for concurrent use.
type meter struct {
	report  func(done, total int64, message string)
	message string
	total   int64

	mu   sync.Mutex // held while it is told, so that reports come in their order
	done int64
	told int64
}

// add notes that n more are done; step is how many bytes or items pass between two
// reports. The end of what is not empty is always told.
func (m *meter) add(n, step int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	if m.done-m.told >= step || m.done == m.total && m.told != m.total {
		m.told = m.done
		m.report(m.done, m.total, m.message)
	}
}

// restart forgets what was done.
func (m *meter) restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done, m.told = 0, 0
}
