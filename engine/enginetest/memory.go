package enginetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// Store is where an engine keeps executions, and what a test sees of them. The
// methods are those of package store's Executions, and mean the same.
type Store interface {
	Commit(changes []journal.Change, done func(error))
	Load(ctx context.Context, id engine.ID) (journal.History, error)
	Text(ctx context.Context, digest string) ([]byte, error)
	TraceKey(ctx context.Context, id engine.ID) ([32]byte, error)
	Due(ctx context.Context, now time.Time, perOwner int) (rows []journal.Row, next time.Time, err error)
	Recover(ctx context.Context, now time.Time) error
	Orders(ctx context.Context) ([]journal.Order, error)
	Changed(ctx context.Context) (bool, error)
	Order(ctx context.Context, order journal.Order) error
}

// Memory is a [Store] that lasts as long as the value. It is safe for concurrent
// use.
type Memory struct {
	now func() time.Time

	mu         sync.Mutex
	executions map[engine.ID]*kept
	texts      map[string][]byte
	traces     map[engine.ID][][]byte // by root
	orders     []journal.Order
	numbered   int64
	settings   map[[2]string]setting // by owner and name
	changed    bool
	queue      []commit
	writing    bool
}

// kept is what the store has of an execution. It is replaced, never changed.
type kept struct {
	row    journal.Row
	events [][]byte
	lines  []journal.Line
}

type setting struct {
	value   any
	fence   int64
	holder  engine.ID
	expires time.Time
}

type commit struct {
	changes []journal.Change
	done    func(error)
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		now: time.Now, executions: map[engine.ID]*kept{}, texts: map[string][]byte{}, traces: map[engine.ID][][]byte{},
		settings: map[[2]string]setting{}, changed: true,
	}
}

// Commit writes changes, each list as a whole and in the order of the calls.
func (m *Memory) Commit(changes []journal.Change, done func(error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, commit{changes, done})
	if !m.writing {
		m.writing = true
		go m.write()
	}
}

// write carries out what is queued, and ends when nothing is left.
func (m *Memory) write() {
	for {
		m.mu.Lock()
		if len(m.queue) == 0 {
			m.writing = false
			m.mu.Unlock()
			return
		}
		next := m.queue[0]
		m.queue = m.queue[1:]
		err := m.apply(next.changes)
		m.mu.Unlock()
		next.done(err)
	}
}

// batch is a list of changes that is being carried out: what it makes of the store.
type batch struct {
	m          *Memory
	executions map[engine.ID]*kept
	settings   map[[2]string]setting
	texts      map[string][]byte
	traces     map[engine.ID][][]byte
	done       []int64
}

func (m *Memory) apply(changes []journal.Change) error {
	b := &batch{
		m: m, executions: map[engine.ID]*kept{}, settings: map[[2]string]setting{}, texts: map[string][]byte{},
		traces: map[engine.ID][][]byte{},
	}
	for i := range changes {
		if err := b.change(&changes[i]); err != nil {
			return err
		}
	}
	maps.Copy(m.executions, b.executions)
	maps.Copy(m.settings, b.settings)
	maps.Copy(m.texts, b.texts)
	for root, traces := range b.traces {
		for _, trace := range traces {
			if !slices.ContainsFunc(m.traces[root], func(known []byte) bool { return string(known) == string(trace) }) {
				m.traces[root] = append(m.traces[root], slices.Clone(trace))
			}
		}
	}
	m.orders = slices.DeleteFunc(m.orders, func(o journal.Order) bool { return slices.Contains(b.done, o.Number) })
	return nil
}

// get gives an execution for changing; nil if there is none.
func (b *batch) get(id engine.ID) *kept {
	if e := b.executions[id]; e != nil {
		return e
	}
	e := b.m.executions[id]
	if e == nil {
		return nil
	}
	changed := &kept{row: e.row, events: slices.Clip(e.events), lines: slices.Clip(e.lines)}
	b.executions[id] = changed
	return changed
}

func (b *batch) change(c *journal.Change) error {
	if c.Create != nil {
		if b.get(c.ID) != nil {
			return conflict("there is an execution %q already", c.ID)
		}
		b.executions[c.ID] = &kept{row: inMicros(*c.Create)}
	}
	e := b.get(c.ID)
	if e == nil {
		if len(c.Events)+len(c.Lines)+len(c.Texts)+len(c.Traces) > 0 || c.State != nil || c.Setting != nil {
			return missing(c.ID)
		}
		b.done = append(b.done, c.Done...)
		return nil
	}
	events := c.Events
	if c.Setting != nil {
		if !b.set(c, e) {
			return nil
		}
		events = append(slices.Clip(events), c.Setting.Observed)
	}
	if len(events) > 0 && c.First != len(e.events) {
		return conflict("event %d of execution %s cannot be written: the next one is %d", c.First, c.ID, len(e.events))
	}
	for _, event := range events {
		e.events = append(e.events, journal.Encode(event))
	}
	return b.rest(c, e)
}

func (b *batch) rest(c *journal.Change, e *kept) error {
	for _, line := range c.Lines {
		if len(e.lines) > 0 && line.Number <= e.lines[len(e.lines)-1].Number {
			return conflict("line %d of the log of execution %s is there already", line.Number, c.ID)
		}
		e.lines = append(e.lines, line)
	}
	maps.Copy(b.texts, c.Texts)
	b.traces[e.row.Root] = append(b.traces[e.row.Root], c.Traces...)
	for _, id := range c.Wake {
		if woken := b.get(id); woken != nil && woken.row.Status == engine.Waiting {
			woken.row.Wake = micros(b.m.now())
		}
	}
	b.done = append(b.done, c.Done...)
	if c.Unlock {
		for key, s := range b.m.settings {
			if s.holder == c.ID {
				b.unlock(key, s)
			}
		}
	}
	if c.State != nil {
		e.row.State = *c.State
		e.row = inMicros(e.row)
	}
	return nil
}

func (b *batch) setting(key [2]string) setting {
	s, ok := b.settings[key]
	if !ok {
		s = b.m.settings[key]
	}
	if !b.m.now().Before(s.expires) {
		s.holder = ""
	}
	return s
}

// set carries out the call of a setting, and tells whether the rest of the change is
// to be written.
func (b *batch) set(c *journal.Change, e *kept) bool {
	call, key := c.Setting, [2]string{c.Setting.Owner, c.Setting.Name}
	s, seen := b.setting(key), c.Setting.Observed
	seen.Value, seen.Fence, seen.Error = nil, 0, nil
	others := s.holder != "" && s.holder != c.ID
	call.Done, call.Until = true, time.Time{}
	switch call.Verb {
	case journal.SettingGet:
		seen.Value = s.value
	case journal.SettingSet:
		if others || call.Fence != 0 && call.Fence != s.fence {
			seen.Error = &engine.Error{Kind: engine.Conflict, Message: "another execution has or had the lock"}
			break
		}
		s.value = call.Value
		b.settings[key] = s
	case journal.SettingLock:
		if others {
			call.Done, call.Until = false, s.expires
			if call.Waiting != nil {
				e.row.State = *call.Waiting
				if e.row.Wake.IsZero() || e.row.Wake.After(s.expires) {
					e.row.Wake = s.expires
				}
			}
			return false
		}
		if s.holder == "" {
			s.fence++
		}
		s.holder, s.expires, seen.Fence = c.ID, b.m.now().Add(call.Lease), s.fence
		b.settings[key] = s
	case journal.SettingUnlock:
		seen.Value = s.holder == c.ID
		if s.holder == c.ID {
			b.unlock(key, s)
		}
	}
	return true
}

func (b *batch) unlock(key [2]string, s setting) {
	s.holder, s.expires = "", time.Time{}
	b.settings[key] = s
	for id, e := range b.m.executions {
		if e.row.Waits == journal.WaitsForLock(key[1]) && e.row.Owner == key[0] && e.row.Status == engine.Waiting {
			b.get(id).row.Wake = micros(b.m.now())
		}
	}
}

// Load gives an execution with its journal, decoded anew.
func (m *Memory) Load(_ context.Context, id engine.ID) (journal.History, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.executions[id]
	if e == nil {
		return journal.History{}, missing(id)
	}
	h := journal.History{Row: e.row, Traces: slices.Clone(m.traces[e.row.Root]), TraceKey: traceKey(e.row.Root)}
	for _, data := range e.events {
		event, err := journal.Decode(data)
		if err != nil {
			return journal.History{}, err
		}
		h.Events = append(h.Events, event)
	}
	h.Lines = len(e.lines)
	for _, line := range e.lines {
		h.Ordinal = max(h.Ordinal, line.Ordinal)
	}
	return h, nil
}

func traceKey(root engine.ID) [32]byte { return sha256.Sum256([]byte(root)) }

// TraceKey gives the key of an execution's tree.
func (m *Memory) TraceKey(_ context.Context, id engine.ID) ([32]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.executions[id]; e != nil {
		return traceKey(e.row.Root), nil
	}
	for _, c := range m.queue {
		for _, change := range c.changes {
			if change.ID == id && change.Create != nil {
				return traceKey(change.Create.Root), nil
			}
		}
	}
	return [32]byte{}, missing(id)
}

// Text gives the text of a flow or module.
func (m *Memory) Text(_ context.Context, digest string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.texts[digest]
	if !ok {
		return nil, &engine.Error{Kind: engine.NotFound, Message: "no such text"}
	}
	return slices.Clone(text), nil
}

// Due lists what is due: of each owner the earliest.
func (m *Memory) Due(_ context.Context, now time.Time, perOwner int) (due []journal.Row, next time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	owners := map[string][]journal.Row{}
	for _, e := range m.executions {
		wake := e.row.Wake
		switch {
		case wake.IsZero():
		case !wake.After(now):
			owners[e.row.Owner] = append(owners[e.row.Owner], e.row)
		case next.IsZero() || wake.Before(next):
			next = wake
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		rows := owners[owner]
		slices.SortFunc(rows, func(a, b journal.Row) int { return a.Wake.Compare(b.Wake) })
		due = append(due, rows[:min(len(rows), perOwner)]...)
	}
	return due, next, nil
}

// Recover makes everything due that was running.
func (m *Memory) Recover(_ context.Context, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, e := range m.executions {
		if e.row.Status == engine.Running {
			recovered := *e
			recovered.row.Wake = micros(now)
			m.executions[id] = &recovered
		}
	}
	return nil
}

// Order keeps an order.
func (m *Memory) Order(_ context.Context, order journal.Order) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.executions[order.Execution] == nil {
		return missing(order.Execution)
	}
	m.numbered++
	order.Number = m.numbered
	m.orders, m.changed = append(m.orders, order), true
	return nil
}

// Orders lists the orders that were not carried out.
func (m *Memory) Orders(context.Context) ([]journal.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.orders), nil
}

// Changed tells whether there were orders since the last call.
func (m *Memory) Changed(context.Context) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.changed
	m.changed = false
	return changed, nil
}

// Lines gives the log of a tree of executions: of each flow in turn.
func (m *Memory) Lines(_ context.Context, root engine.ID) ([]journal.Line, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []journal.Line
	for _, id := range slices.Sorted(maps.Keys(m.executions)) {
		if e := m.executions[id]; e.row.Root == root {
			lines = append(lines, e.lines...)
		}
	}
	return lines, nil
}

// Tree gives an execution, and then all below it.
func (m *Memory) Tree(_ context.Context, id engine.ID) ([]journal.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.executions[id] == nil {
		return nil, missing(id)
	}
	rows := []journal.Row{m.executions[id].row}
	for _, below := range slices.Sorted(maps.Keys(m.executions)) {
		for above := m.executions[below].row.Parent; above != ""; above = m.executions[above].row.Parent {
			if above == id {
				rows = append(rows, m.executions[below].row)
			}
		}
	}
	return rows, nil
}

// Roots lists the executions that no other one has started.
func (m *Memory) Roots(context.Context) (rows []journal.Row, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(m.executions)) {
		if e := m.executions[id]; e.row.Parent == "" {
			rows = append(rows, e.row)
		}
	}
	return rows, nil
}

// Tamper replaces an event of a journal, as nobody should.
func (m *Memory) Tamper(id engine.ID, number int, event journal.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	tampered := *m.executions[id]
	tampered.events = slices.Clone(tampered.events)
	tampered.events[number] = journal.Encode(event)
	m.executions[id] = &tampered
}

func conflict(format string, args ...any) error {
	return &engine.Error{Kind: engine.Conflict, Message: fmt.Sprintf(format, args...)}
}

func missing(id engine.ID) error {
	return &engine.Error{Kind: engine.NotFound, Message: fmt.Sprintf("there is no execution %q", string(id))}
}

// micros gives a time as a store keeps it.
func micros(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

func inMicros(r journal.Row) journal.Row {
	r.Created, r.Wake, r.Ended = micros(r.Created), micros(r.Wake), micros(r.Ended)
	return r
}
