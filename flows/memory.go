package flows

import (
	"math"
	"unsafe"
	"weak"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// How much a script has in hand cannot be read off the virtual machine, so it is
// bounded in two steps, neither of which depends on a clock or on the garbage
// collector:
//
//   - An upper bound: each instruction is charged bytesPerInstruction, and every
//     operation that may take more in one go (joining texts, filling a list, the
//     functions of the library) is charged what it takes, before it takes it.
//   - Whenever that sum has grown by half of the limit, a census walks through all
//     that the script can reach and adds it up, and the sum starts again. Only if the
//     census finds that too much is really in use, the run ends.
//
// A script that allocates a lot but keeps little is thus never stopped, and one
// that keeps too much is stopped at the same place in every run.

// What values take, rounded up from what the library allocates.
const (
	stringBytes = 32
	slotBytes   = 24  // of a list
	keyBytes    = 160 // of an object, with the order that the library keeps
	hashBytes   = 600 // of an object that has any key
	tableBytes  = 192
	threadBytes = 12 << 10
	yamlFactor  = 24 // bytes of a tree for each byte of YAML
)

// tableBook remembers what a table takes beyond what is seen in it: the library
// frees neither the room of a list that was once longer nor keys that were
// removed. It holds no table alive.
type tableBook map[weak.Pointer[lua.LTable]]*tableNote

type tableNote struct {
	slots   int // the longest list that was seen
	removed int // keys removed since the table was last rebuilt, or more
	kept    int // keys that were there at that time
}

func (r *runtime) note(t *lua.LTable) *tableNote {
	if r.tables == nil {
		r.tables = tableBook{}
	}
	w := weak.Make(t)
	n := r.tables[w]
	if n == nil {
		n = &tableNote{}
		r.tables[w] = n
	}
	return n
}

const (
	manySlots   = 1 << 14 // of a list that is worth a note
	manyRemoved = 1 << 10 // keys, before a table is rebuilt
)

// set is the assignment t[k] = v, with the rules of the virtual machine for
// metatables.
func (r *runtime) set(L *lua.LState) int {
	target, key, value := L.Get(1), L.Get(2), L.Get(3)
	for range lua.MaxTableGetLoop {
		t, ok := target.(*lua.LTable)
		if ok && (t.Metatable == lua.LNil || r.isMark(t.Metatable)) {
			r.store(L, t, key, value)
			return 0
		}
		handler := L.GetMetaField(target, "__newindex")
		if ok && (handler == lua.LNil || t.RawGet(key) != lua.LNil) {
			r.store(L, t, key, value)
			return 0
		}
		switch handler.(type) {
		case *lua.LNilType:
			L.RaiseError("attempt to index a %s value with the key %s", typeName(target), quoteKey(key))
		case *lua.LFunction:
			L.Push(handler)
			L.Push(target)
			L.Push(key)
			L.Push(value)
			L.Call(3, 0)
			return 0
		}
		target = handler
	}
	L.RaiseError("the __newindex of a table leads back to itself")
	return 0
}

// fields is the constructor {[k] = v, ...}: a table and keys and values.
func (r *runtime) fields(L *lua.LState) int {
	t := L.CheckTable(1)
	for i := 2; i+1 <= L.GetTop(); i += 2 {
		r.store(L, t, L.Get(i), L.Get(i+1))
	}
	L.Push(t)
	return 1
}

func (r *runtime) rawSet(L *lua.LState) int {
	r.store(L, L.CheckTable(1), L.CheckAny(2), L.CheckAny(3))
	L.Push(L.Get(1))
	return 1
}

// store writes to a table without its metatable, and accounts for it.
func (r *runtime) store(L *lua.LState, t *lua.LTable, key, value lua.LValue) {
	switch k := key.(type) {
	case *lua.LNilType:
		L.RaiseError("table index is nil")
	case lua.LNumber:
		f := float64(k)
		if math.IsNaN(f) {
			L.RaiseError("table index is NaN")
		}
		if f >= 1 && f <= maxList+1 && f == math.Trunc(f) {
			r.storeElement(L, t, int(f), value)
			return
		}
	}
	old := t.RawGet(key)
	switch {
	case value == lua.LNil && old == lua.LNil:
		return
	case value == lua.LNil:
		r.note(t).removed++
	case old == lua.LNil:
		r.take(L, keyBytes)
		if len(r.tables) > 0 {
			r.compact(L, t)
		}
	}
	t.RawSet(key, value)
}

func (r *runtime) storeElement(L *lua.LState, t *lua.LTable, i int, value lua.LValue) {
	if t.RawGetInt(i) != lua.LNil {
		t.RawSetInt(i, value)
		return
	}
	if value == lua.LNil {
		return // and no room for it
	}
	if i > maxList {
		if t.RawGetInt(maxList) != lua.LNil {
			r.tooLong(L)
		}
		r.take(L, keyBytes)
		t.RawSet(lua.LNumber(i), value)
		return
	}
	if i > 1 && t.RawGetInt(i-1) == lua.LNil {
		r.fill(L, t, i)
	}
	t.RawSetInt(i, value)
}

// fill accounts for the gap that a write behind the end of a list fills.
func (r *runtime) fill(L *lua.LState, t *lua.LTable, i int) {
	gap := i - t.MaxN()
	if gap <= 1 {
		return
	}
	r.take(L, 2*gap*slotBytes)
	r.meter.work(gap)
	if i >= manySlots {
		n := r.note(t)
		n.slots = max(n.slots, i)
	}
}

func (r *runtime) tooLong(L *lua.LState) {
	r.stop(withHint(newError(engine.Limit, "a list of more than %d elements", maxList),
		"work on less at a time, or use texts as keys"))
	r.die(L)
}

// compact rebuilds a table from which many keys were removed, since the library
// keeps them. It runs when a new key comes, which is not allowed while something
// iterates over the table, so nobody is in its middle.
func (r *runtime) compact(L *lua.LState, t *lua.LTable) {
	n := r.tables[weak.Make(t)]
	if n == nil || n.removed < manyRemoved+2*n.kept {
		return
	}
	fresh := L.CreateTable(0, 0)
	fresh.Metatable = t.Metatable
	n.removed, n.kept = 0, 0
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		fresh.RawSet(k, v)
		n.kept++
	}
	r.meter.work(n.kept * bytesPerStep)
	r.take(L, n.kept*keyBytes)
	*t = *fresh
}

// census adds up what the script can reach. It stops adding at the limit.
type census struct {
	run   *runtime
	limit int64
	total int64
	seen  map[unsafe.Pointer]struct{} // identities, never read through
	open  []lua.LValue                // found, not yet looked into
}

func (r *runtime) census(limit int64) int64 {
	c := &census{run: r, limit: limit, total: r.held, seen: map[unsafe.Pointer]struct{}{}}
	c.value(r.first.G.Global)
	if r.output != nil {
		c.value(r.output)
	}
	for _, t := range r.kinds.tables {
		if t != nil {
			c.value(t)
		}
	}
	for b := range r.branches {
		c.branch(b)
	}
	for len(c.open) > 0 && c.total <= limit {
		v := c.open[len(c.open)-1]
		c.open = c.open[:len(c.open)-1]
		c.lookInto(v)
	}
	for w := range r.tables {
		if w.Value() == nil {
			delete(r.tables, w)
		}
	}
	return c.total
}

func (c *census) branch(b *branch) {
	c.total += threadBytes
	for _, t := range b.threads {
		c.thread(t)
	}
	for _, f := range b.deferred {
		c.value(f)
	}
	for _, v := range b.loaded {
		c.value(v)
	}
	for _, v := range b.values {
		c.value(v)
	}
}

// value counts what a reference leads to, once.
//
//nolint:gosec // unsafe.Pointer as an identity, never read through; so below
func (c *census) value(v lua.LValue) {
	switch v := v.(type) {
	case lua.LString:
		c.text(string(v))
	case *lua.LTable:
		c.visit(unsafe.Pointer(v), v)
	case *lua.LFunction:
		c.visit(unsafe.Pointer(v), v)
	case *lua.LUserData:
		c.visit(unsafe.Pointer(v), v)
	}
}

func (c *census) visit(p unsafe.Pointer, v lua.LValue) {
	if c.first(p) {
		c.open = append(c.open, v)
	}
}

// first tells whether p has not been seen before.
func (c *census) first(p unsafe.Pointer) bool {
	before := len(c.seen)
	c.seen[p] = struct{}{}
	return len(c.seen) > before
}

//nolint:gosec // see value
func (c *census) text(s string) {
	if len(s) > 64 {
		if !c.first(unsafe.Pointer(unsafe.StringData(s))) {
			return
		}
	}
	c.total += int64(len(s)) + stringBytes
}

//nolint:gosec // see value
func (c *census) lookInto(v lua.LValue) {
	switch v := v.(type) {
	case *lua.LTable:
		c.table(v)
	case *lua.LFunction:
		c.total += tableBytes
		for _, u := range v.Upvalues {
			if u == nil {
				continue
			}
			if c.first(unsafe.Pointer(u)) {
				c.total += 2 * stringBytes
				c.value(u.Value())
			}
		}
	case *lua.LUserData:
		c.total += tableBytes
		switch u := v.Value.(type) {
		case *coroutine:
			c.total += threadBytes
			c.value(u.fn)
			c.thread(u.thread)
		case *execution:
			if u.output != nil {
				c.value(u.output)
			}
			c.total += treeSize(u.Output)
		case *engine.Error:
			for e := u; e != nil; e = e.Cause {
				c.total += int64(len(e.Message)+len(e.Traceback)) + treeSize(e.Value)
			}
		}
	}
}

func (c *census) table(t *lua.LTable) {
	c.total += tableBytes
	if t.Metatable != lua.LNil {
		c.value(t.Metatable)
	}
	slots := t.MaxN()
	if slots >= manySlots {
		n := c.run.note(t)
		n.slots = max(n.slots, slots)
	}
	if n := c.run.tables[weak.Make(t)]; n != nil && len(c.run.tables) > 0 {
		slots = max(slots, n.slots)
		c.total += int64(n.removed) * keyBytes / 2
	}
	c.total += int64(slots) * slotBytes
	keys := 0
	t.ForEach(func(k, v lua.LValue) { // in any order: a sum
		if c.total > c.limit {
			return
		}
		if n, ok := k.(lua.LNumber); !ok || n < 1 || int(n) > slots {
			keys++
			c.value(k)
		}
		c.value(v)
	})
	if keys > 0 {
		c.total += max(hashBytes, int64(keys)*keyBytes)
	}
}

// thread counts all registers of a thread. The library shows those of the
// innermost function only, but takes any number for the index of a local variable,
// also one far below the first.
//
//nolint:gosec // see value
func (c *census) thread(t *lua.LState) {
	if t.IsClosed() || !c.first(unsafe.Pointer(t)) {
		return
	}
	c.total += threadBytes
	dbg, ok := t.GetStack(0)
	if !ok {
		return
	}
	top := t.GetTop()
	defer func() { _ = recover() }() // below the first register
	for i := top; ; i-- {
		_, v := t.GetLocal(dbg, i)
		c.total += slotBytes
		c.value(v)
	}
}

// treeSize estimates a tree of values that is not converted yet.
func treeSize(v any) int64 {
	switch v := v.(type) {
	case string:
		return int64(len(v)) + stringBytes
	case []any:
		n := int64(tableBytes)
		for _, e := range v {
			n += slotBytes + treeSize(e)
		}
		return n
	case map[string]any:
		n := int64(tableBytes)
		for k, e := range v {
			n += keyBytes + int64(len(k)) + treeSize(e)
		}
		return n
	}
	return slotBytes
}
