package s3

import "sync/atomic"

// meter tells how far a transfer is. It is safe for concurrent use.
type meter struct {
	report  func(done, total int64, message string)
	message string
	total   int64
	done    atomic.Int64
	told    atomic.Int64
}

// step is how many bytes or items pass between two reports.
func (m *meter) add(n, step int64) {
	done := m.done.Add(n)
	if told := m.told.Load(); (done-told >= step || done == m.total) && m.told.CompareAndSwap(told, done) {
		m.report(done, m.total, m.message)
	}
}
