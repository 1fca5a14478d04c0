package flows

import (
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (r *runtime) tableLibrary() *lua.LTable {
	return r.library(
		entry{"concat", r.tableConcat}, entry{"insert", r.tableInsert}, entry{"remove", r.tableRemove},
		entry{"sort", r.tableSort},
		entry{"getn", func(L *lua.LState) int {
			L.Push(lua.LNumber(L.CheckTable(1).Len()))
			return 1
		}},
		entry{"maxn", r.tableMaxN},
	)
}

func (r *runtime) tableConcat(L *lua.LState) int {
	t, sep := L.CheckTable(1), L.OptString(2, "")
	from, to := L.OptInt(3, 1), L.OptInt(4, t.Len())
	var b strings.Builder
	for i := from; i <= to; i++ {
		r.count(L)
		v := t.RawGetInt(i)
		if !lua.LVCanConvToString(v) {
			r.fail(L, "table.concat: element %d is a %s", i, typeName(v))
		}
		text := r.text(v)
		if i < to {
			text += sep
		}
		if b.Len()+len(text) > b.Cap() {
			r.checkLength(L, b.Len()+len(text))
			r.take(L, 2*(b.Cap()+len(text)))
			r.meter.work(b.Len())
		}
		b.WriteString(text)
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// count accounts for one turn of a loop in a library function.
func (r *runtime) count(L *lua.LState) {
	if !r.meter.step() {
		r.die(L)
	}
}

func (r *runtime) tableInsert(L *lua.LState) int {
	t := L.CheckTable(1)
	n := t.Len()
	if n >= maxList {
		r.tooLong(L)
	}
	r.take(L, slotBytes)
	if L.GetTop() == 2 {
		t.Append(L.Get(2))
		return 0
	}
	pos, v := L.CheckInt(2), L.Get(3)
	if L.GetTop() != 3 {
		r.fail(L, "table.insert: two or three arguments are needed")
	}
	if pos < 1 || pos > n+1 {
		r.fail(L, "table.insert: position %d is not in 1 to %d", pos, n+1)
	}
	r.meter.work((n - pos) * 4)
	t.Insert(pos, v)
	return 0
}

func (r *runtime) tableRemove(L *lua.LState) int {
	t := L.CheckTable(1)
	n := t.Len()
	pos := L.OptInt(2, n)
	if n == 0 || pos < 1 || pos > n {
		L.Push(lua.LNil)
		return 1
	}
	r.meter.work((n - pos) * 4)
	L.Push(t.Remove(pos))
	return 1
}

func (r *runtime) tableMaxN(L *lua.LState) int {
	t, largest := L.CheckTable(1), lua.LNumber(0)
	for k, _ := t.Next(lua.LNil); k != lua.LNil; k, _ = t.Next(k) {
		r.count(L)
		if n, ok := k.(lua.LNumber); ok && n > largest {
			largest = n
		}
	}
	L.Push(largest)
	return 1
}

// sorter sorts a copy, so that a comparison that fails, or changes the table,
// leaves no half-sorted list. Which comparisons are made depends on the values
// alone.
type sorter struct {
	run  *runtime
	L    *lua.LState
	less *lua.LFunction
	list *lua.LTable
	n    int
}

func (s *sorter) Len() int { return s.n }

func (s *sorter) Swap(i, j int) {
	a, b := s.list.RawGetInt(i+1), s.list.RawGetInt(j+1)
	s.list.RawSetInt(i+1, b)
	s.list.RawSetInt(j+1, a)
}

func (s *sorter) Less(i, j int) bool {
	s.run.count(s.L)
	a, b := s.list.RawGetInt(i+1), s.list.RawGetInt(j+1)
	if s.less == nil {
		return s.L.LessThan(a, b)
	}
	s.L.Push(s.less)
	s.L.Push(a)
	s.L.Push(b)
	s.L.Call(2, 1)
	less := lua.LVAsBool(s.L.Get(-1))
	s.L.Pop(1)
	return less
}

func (r *runtime) tableSort(L *lua.LState) int {
	t := L.CheckTable(1)
	s := &sorter{run: r, L: L, less: L.OptFunction(2, nil), n: t.Len()}
	r.take(L, s.n*slotBytes)
	s.list = L.CreateTable(s.n, 0)
	L.Push(s.list) // where the census finds it
	for i := 1; i <= s.n; i++ {
		s.list.RawSetInt(i, t.RawGetInt(i))
	}
	sort.Sort(s)
	for i := 1; i <= s.n; i++ {
		t.RawSetInt(i, s.list.RawGetInt(i))
	}
	return 0
}
