package local

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// lockLease is how long a lock of a setting is held at most. Its fencing number
// tells a holder that was slower than that from the next one.
const lockLease = time.Hour

// launchSetting carries out a call of a setting.
func (f *flow) launchSetting(c *call) {
	verbs := map[engine.CallKind]journal.SettingVerb{
		engine.CallSettingGet: journal.SettingGet, engine.CallSettingSet: journal.SettingSet,
		engine.CallSettingLock: journal.SettingLock, engine.CallSettingUnlock: journal.SettingUnlock,
	}
	if f.tree.mask(c.Name) != c.Name { // a store has it in the clear
		f.observe(c, &journal.Observed{Error: &engine.Error{Kind: engine.Invalid, Message: "the name of a setting must hold no secret"}})
		return
	}
	if c.Kind == engine.CallSettingLock && c.Duration > 0 && c.until.IsZero() {
		c.until = f.runner.now().Add(c.Duration)
	}
	if c.Kind == engine.CallSettingLock && f.locks(c) {
		c.waitsForLock = true
		if !c.until.IsZero() {
			f.alarms.at(f, c.until, func() { f.tryLock(c.Name) })
		}
		return
	}
	setting := &journal.SettingCall{
		Verb: verbs[c.Kind], Owner: f.tree.owner, Name: c.Name, Value: c.Inputs["value"], Lease: lockLease,
		Fence: f.fences[c.Name], Observed: &journal.Observed{Address: c.address, Identity: c.identity, At: f.runner.now()},
	}
	c.launched = true
	if f.runner.config.Store == nil {
		f.runner.settings.carryOut(f.row.ID, setting)
		if setting.Done {
			f.changes.event(setting.Observed)
			f.flush()
		}
		f.settled(setting)
		return
	}
	f.changes.settings = append(f.changes.settings, setting)
	f.flush()
}

// locks tells whether the flow has the lock that a call of its own asks for, or is
// about to: to the store all of a flow's branches are one holder.
func (f *flow) locks(c *call) bool {
	if _, held := f.fences[c.Name]; held {
		return true
	}
	return slices.ContainsFunc(f.order, func(o *call) bool {
		return o != c && o.Kind == engine.CallSettingLock && o.Name == c.Name && o.launched && !o.waitsForLock
	})
}

// settled takes in that a setting's call was carried out, or that another has the
// lock: then it is made again when that may have changed.
func (f *flow) settled(setting *journal.SettingCall) {
	c := f.calls[setting.Observed.Address]
	if setting.Done {
		if setting.Verb == journal.SettingUnlock {
			f.runner.lockFreed(f.tree.owner, setting.Name)
		}
		return
	}
	if c == nil || f.dropped {
		return
	}
	now := f.runner.now()
	c.launched = false
	if f.lockTimedOut(c) {
		return
	}
	if f.cursor.Called(c.address) == nil && !c.noted {
		c.noted = true // so that people see it wait, and it waits no longer after a new start
		f.changes.event(f.called(c, false))
		f.flush()
	}
	c.retryAt = now.Add(lockLease)
	if !setting.Until.IsZero() && setting.Until.Before(c.retryAt) {
		c.retryAt = setting.Until
	}
	if !c.until.IsZero() && c.until.Before(c.retryAt) {
		c.retryAt = c.until
	}
	c.waitsForLock = true
	f.runner.awaitLock(f, c.Name)
	f.alarms.at(f, c.retryAt, func() { f.tryLock(c.Name) })
}

// lockTimedOut ends a wait for a lock whose time is up.
func (f *flow) lockTimedOut(c *call) bool {
	if c.until.IsZero() || f.runner.now().Before(c.until) {
		return false
	}
	f.observe(c, &journal.Observed{Error: &engine.Error{
		Kind: engine.Timeout, Message: fmt.Sprintf("it was locked by another for all of %s", c.Duration),
	}})
	return true
}

// tryLock asks again for a lock that another had.
func (f *flow) tryLock(name string) {
	for _, c := range slices.Clone(f.order) {
		if c.waitsForLock && c.Name == name {
			c.waitsForLock = false
			f.leaving = false
			if !f.lockTimedOut(c) {
				f.launchSetting(c)
			}
		}
	}
}

// remember keeps the fencing number of a lock, which is part of what the flow does
// with its setting from then on.
func (f *flow) remember(c *call, e *journal.Observed) {
	switch {
	case e.Error != nil:
	case c.Kind == engine.CallSettingLock:
		if f.fences == nil {
			f.fences = map[string]int64{}
		}
		f.fences[c.Name] = e.Fence
	case c.Kind == engine.CallSettingUnlock:
		delete(f.fences, c.Name)
		if f.live {
			f.tryLock(c.Name)
		}
	}
}

// awaitLock has the flow asked when the lock may be free.
func (r *Runner) awaitLock(f *flow, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locked == nil {
		r.locked = map[[2]string][]*flow{}
	}
	key := [2]string{f.tree.owner, name}
	r.locked[key] = append(r.locked[key], f)
}

// lockFreed asks the flows in memory that wait for a lock.
func (r *Runner) lockFreed(owner, name string) {
	r.mu.Lock()
	key := [2]string{owner, name}
	waiting := r.locked[key]
	delete(r.locked, key)
	r.mu.Unlock()
	r.poke() // others may wait on disk
	if len(waiting) == 0 {
		return
	}
	go func() {
		for _, f := range waiting {
			f.mu.Lock()
			f.tryLock(name)
			f.advance()
			f.mu.Unlock()
		}
	}()
}

// memorySettings are the settings of runs that nothing is kept of.
type memorySettings struct {
	mu     sync.Mutex
	values map[[2]string]any
	locks  map[[2]string]memoryLock
	fence  int64
}

type memoryLock struct {
	holder engine.ID
	fence  int64
}

// carryOut does what a store does with a setting's call.
func (m *memorySettings) carryOut(id engine.ID, s *journal.SettingCall) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values, m.locks = map[[2]string]any{}, map[[2]string]memoryLock{}
	}
	key := [2]string{s.Owner, s.Name}
	lock, held := m.locks[key]
	others := held && lock.holder != id
	s.Done = true
	switch s.Verb {
	case journal.SettingGet:
		s.Observed.Value = m.values[key]
	case journal.SettingSet:
		if others {
			s.Observed.Error = &engine.Error{Kind: engine.Conflict, Message: "another execution has locked it"}
			return
		}
		m.values[key] = s.Value
	case journal.SettingLock:
		if others {
			s.Done = false
			return
		}
		if !held {
			m.fence++
			lock = memoryLock{id, m.fence}
		}
		m.locks[key], s.Observed.Fence = lock, lock.fence
	case journal.SettingUnlock:
		s.Observed.Value = held && !others
		if !others {
			delete(m.locks, key)
		}
	}
}

// release gives back all locks of an execution that has ended.
func (m *memorySettings) release(id engine.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, lock := range m.locks {
		if lock.holder == id {
			delete(m.locks, key)
		}
	}
}
