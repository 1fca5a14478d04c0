package flows

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// operator gives the operators that the rewriter made calls of.
func (r *runtime) operator(name string) lua.LGFunction {
	switch name {
	case opConcat:
		return r.concat
	case opSet:
		return r.set
	case opFields:
		return r.fields
	}
	return nil
}

// baseFunction gives the functions that Lua has without a library's name.
func (r *runtime) baseFunction(name string) lua.LGFunction {
	switch name {
	case "assert":
		return r.assert
	case "error":
		return r.error
	case "getmetatable":
		return r.getMetatable
	case "setmetatable":
		return r.setMetatable
	case "ipairs":
		return r.ipairs()
	case "next":
		return next
	case "pairs":
		return r.pairs()
	case "pcall":
		return r.pcall
	case "xpcall":
		return r.xpcall
	case "print":
		return r.print
	case "rawequal":
		return rawEqual
	case "rawget":
		return func(L *lua.LState) int {
			L.Push(L.CheckTable(1).RawGet(L.CheckAny(2)))
			return 1
		}
	case "rawset":
		return r.rawSet
	case "select":
		return selectValues
	case "tonumber":
		return r.toNumber
	case "tostring":
		return r.toString
	case "type":
		return func(L *lua.LState) int {
			L.Push(lua.LString(typeName(L.CheckAny(1))))
			return 1
		}
	case "unpack":
		return r.unpack
	}
	return nil
}

func (r *runtime) assert(L *lua.LState) int {
	if lua.LVAsBool(L.CheckAny(1)) {
		return L.GetTop()
	}
	if L.GetTop() < 2 {
		L.Error(lua.LString("assertion failed!"), 0)
	}
	L.Error(L.Get(2), 0)
	return 0
}

// error raises any value; a text gets its place in front.
func (r *runtime) error(L *lua.LState) int {
	value, level := L.Get(1), L.OptInt(2, 1)
	if text, ok := value.(lua.LString); ok && level > 0 {
		if where := r.where(level); where != "" {
			value = lua.LString(where + ": " + string(text))
		}
	}
	L.Error(value, 0)
	return 0
}

func (r *runtime) isMark(mt lua.LValue) bool {
	return mt == lua.LValue(r.kinds.array) || mt == lua.LValue(r.kinds.object)
}

func (r *runtime) getMetatable(L *lua.LState) int {
	mt := L.GetMetatable(L.CheckAny(1))
	if r.isMark(mt) {
		mt = lua.LNil
	}
	L.Push(mt)
	return 1
}

func (r *runtime) setMetatable(L *lua.LState) int {
	t := L.CheckTable(1)
	L.CheckTypes(2, lua.LTNil, lua.LTTable)
	if mt, ok := t.Metatable.(*lua.LTable); ok && mt.RawGetString("__metatable") != lua.LNil {
		r.fail(L, "cannot change a protected metatable")
	}
	t.Metatable = L.Get(2)
	L.Push(t)
	return 1
}

func next(L *lua.LState) int {
	k, v := L.CheckTable(1).Next(L.Get(2))
	if k == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(k)
	L.Push(v)
	return 2
}

func (r *runtime) pairs() lua.LGFunction {
	iterate := r.first.NewFunction(next)
	return func(L *lua.LState) int {
		t := L.CheckTable(1)
		L.Push(iterate)
		L.Push(t)
		L.Push(lua.LNil)
		return 3
	}
}

func (r *runtime) ipairs() lua.LGFunction {
	iterate := r.first.NewFunction(func(L *lua.LState) int {
		i := L.CheckInt(2) + 1
		v := L.CheckTable(1).RawGetInt(i)
		if v == lua.LNil {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(lua.LNumber(i))
		L.Push(v)
		return 2
	})
	return func(L *lua.LState) int {
		t := L.CheckTable(1)
		L.Push(iterate)
		L.Push(t)
		L.Push(lua.LNumber(0))
		return 3
	}
}

func rawEqual(L *lua.LState) int {
	L.Push(lua.LBool(L.RawEqual(L.CheckAny(1), L.CheckAny(2))))
	return 1
}

func selectValues(L *lua.LState) int {
	count := L.GetTop() - 1
	if s, ok := L.Get(1).(lua.LString); ok && s == "#" {
		L.Push(lua.LNumber(count))
		return 1
	}
	n := L.CheckInt(1)
	switch {
	case n < 0:
		n += count + 1
	case n > count:
		n = count + 1
	}
	if n < 1 {
		L.ArgError(1, "index out of range")
	}
	return count - n + 1
}

func (r *runtime) unpack(L *lua.LState) int {
	t := L.CheckTable(1)
	from, to := L.OptInt(2, 1), 0
	if L.Get(3) == lua.LNil {
		to = t.Len()
	} else {
		to = L.CheckInt(3)
	}
	if to < from {
		return 0
	}
	n := to - from + 1
	if n <= 0 || n > outerStack/2 {
		r.fail(L, "unpack: too many results")
	}
	r.take(L, n*slotBytes)
	r.meter.work(n * bytesPerStep / 4)
	reserve(L, n)
	for i := from; i <= to; i++ {
		L.Push(t.RawGetInt(i))
	}
	return n
}

func (r *runtime) toString(L *lua.LState) int {
	L.Push(lua.LString(r.tostring(L, L.CheckAny(1))))
	return 1
}

// tostring is the text of any value, by its metatable if that says how.
func (r *runtime) tostring(L *lua.LState, v lua.LValue) string {
	if t, ok := v.(*lua.LTable); ok {
		if mt, ok := t.Metatable.(*lua.LTable); ok {
			if f := mt.RawGetString("__tostring"); f != lua.LNil {
				if err := L.CallByParam(lua.P{Fn: f, NRet: 1}, t); err != nil {
					L.RaiseError("%s", err.Error())
				}
				text := L.Get(-1)
				L.Pop(1)
				if s, ok := text.(lua.LString); ok {
					return string(s)
				}
				r.fail(L, "'__tostring' must return a string")
			}
		}
	}
	return r.text(v)
}

// text is the text of a value without its metatable. It is the same in every run,
// so it says nothing of where the value lies in memory.
func (r *runtime) text(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	case *lua.LNilType, lua.LBool:
		return v.String()
	case *lua.LFunction:
		if v.IsG {
			return "function: builtin"
		}
		return fmt.Sprintf("function: %s:%d", v.Proto.SourceName, v.Proto.LineDefined)
	case *lua.LUserData:
		switch v := v.Value.(type) {
		case null:
			return "null"
		case engine.SecretRef:
			return "secret(" + string(v) + ")"
		case *number:
			return v.String()
		case *execution:
			return v.String()
		case *setting:
			return v.String()
		case *engine.Error:
			return v.Error()
		}
	}
	return typeName(v)
}

// formatNumber writes whole numbers without a fraction, and all others with as
// many digits as it takes to read the same number back.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case f == math.Trunc(f) && math.Abs(f) < 1e18:
		return strconv.FormatFloat(f+0, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (r *runtime) toNumber(L *lua.LState) int {
	L.Push(r.number(L, L.CheckAny(1)))
	return 1
}

func (r *runtime) number(L *lua.LState, v lua.LValue) lua.LValue {
	base := L.OptInt(2, 10)
	if base < 2 || base > 36 {
		L.ArgError(2, "base out of range")
	}
	switch v := v.(type) {
	case lua.LNumber:
		return v
	case *lua.LUserData:
		if d, ok := v.Value.(*number); ok {
			f, _ := d.Float64()
			return lua.LNumber(f)
		}
	case lua.LString:
		text := strings.TrimSpace(string(v))
		if len(text) > maxDigits {
			return lua.LNil
		}
		if base != 10 {
			if n, err := strconv.ParseInt(strings.ToLower(text), base, 64); err == nil {
				return lua.LNumber(n)
			}
			return lua.LNil
		}
		if f, ok := parseNumber(text); ok {
			return lua.LNumber(f)
		}
	}
	return lua.LNil
}

// parseNumber reads a number as Lua writes it: decimal, or hexadecimal with 0x.
func parseNumber(text string) (float64, bool) {
	if strings.ContainsAny(text, "_iInNpP") { // what Go reads and Lua does not
		return 0, false
	}
	unsigned := strings.TrimLeft(text, "+-")
	if strings.HasPrefix(unsigned, "0x") || strings.HasPrefix(unsigned, "0X") {
		n, err := strconv.ParseUint(unsigned[2:], 16, 64)
		if strings.HasPrefix(text, "-") {
			return -float64(n), err == nil
		}
		return float64(n), err == nil
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil || math.IsInf(f, 0)
}

func (r *runtime) print(L *lua.LState) int {
	var parts []string
	for i := 1; i <= L.GetTop(); i++ {
		parts = append(parts, r.tostring(L, L.Get(i)))
	}
	r.emit(engine.Event{Kind: engine.EventLog, Level: engine.Info, Message: strings.Join(parts, "\t")})
	return 0
}
