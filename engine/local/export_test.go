package local

// Resident tells how many executions are in memory.
func (r *Runner) Resident() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.resident) + len(r.loading.roots)
}
