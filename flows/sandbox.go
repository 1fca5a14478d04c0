package flows

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// The library's idea of how long a list may grow before its elements go to a
// hash; there they are not part of the list any more. One write may fill a list
// up to this index, so it bounds what one instruction can take. The assignment
// runs before any Lua state exists.
var _ = setMaxList()

func setMaxList() bool {
	lua.MaxArrayIndex = maxList + 1
	return true
}

// maxList is how many elements a list may have.
const maxList = 1<<20 - 1

// function makes a library function. A Go panic in it ends the run, and nothing
// starts once the run has ended.
// What the function holds beyond its arguments is given as values, so that the
// census finds it.
func (r *runtime) function(f lua.LGFunction, holds ...lua.LValue) *lua.LFunction {
	return r.first.NewClosure(func(L *lua.LState) int {
		if r.fatal != nil {
			r.die(L)
		}
		returned := false
		defer func() {
			if returned {
				return
			}
			// Nothing to recover means that the goroutine is being ended
			// (runtime.Goexit): that goes on by itself.
			if p := recover(); p != nil {
				if _, ok := p.(*lua.ApiError); !ok {
					r.crashed(p)
				}
				panic(p)
			}
		}()
		n := f(L)
		returned = true
		return n
	}, holds...)
}

// installGlobals makes the environment. Everything in it is made when a script
// first asks for it, which keeps a new state small; a name that is not there is an
// error.
func (r *runtime) installGlobals() {
	globals := r.first.G.Global
	meta := r.first.CreateTable(0, 1)
	meta.RawSetString("__index", r.function(func(L *lua.LState) int {
		name := L.CheckString(2)
		value := r.global(L, name)
		if value == nil {
			r.undefined(L, name)
		}
		globals.RawSetString(name, value)
		L.Push(value)
		return 1
	}))
	globals.Metatable = meta
	r.installStrings()
}

func (r *runtime) undefined(L *lua.LState, name string) {
	switch name {
	case "os", "io", "debug", "package", "load", "loadstring", "loadfile", "dofile", "collectgarbage", "module",
		"setfenv", "getfenv", "newproxy", "_G":
		r.fail(L, "%s is not part of the sandbox of flows", name)
	}
	e := newError(engine.Invalid, "undefined variable %q", name)
	if near := nearest(name, append(globalNames(), r.assigned()...)); near != "" {
		e.Hint = "did you mean " + near + "?"
	}
	r.raise(L, e)
}

// assigned lists the global variables that the script made itself.
func (r *runtime) assigned() []string {
	var names []string
	globals := r.first.G.Global
	for k, _ := globals.Next(lua.LNil); k != lua.LNil; k, _ = globals.Next(k) {
		if s, ok := k.(lua.LString); ok && !strings.HasPrefix(string(s), "(") {
			names = append(names, string(s))
		}
	}
	return names
}

func globalNames() []string {
	return strings.Fields(`assert error ipairs next pairs pcall print rawequal rawget rawset require select
		setmetatable getmetatable tonumber tostring type unpack xpcall
		coroutine math string table connect task flow wait_all wait_any parallel sleep sleep_until
		input output log progress secret ask setting retry defer json yaml base64 hash uuid time null array object decimal`)
}

// global makes what a name of the environment stands for, or gives nil.
func (r *runtime) global(L *lua.LState, name string) lua.LValue {
	if f := r.operator(name); f != nil {
		return r.function(f)
	}
	if f := r.baseFunction(name); f != nil {
		return r.function(f)
	}
	if f := r.apiFunction(name); f != nil {
		return r.function(f)
	}
	if f := r.valueFunction(name); f != nil {
		return r.function(f)
	}
	switch name {
	case "coroutine":
		return r.library(entry{"create", r.coCreate}, entry{"resume", r.coResume}, entry{"running", r.coRunning},
			entry{"status", r.coStatus}, entry{"wrap", r.coWrap}, entry{"yield", r.coYield})
	case "math":
		return r.mathLibrary()
	case "string":
		return r.stringLibrary()
	case "table":
		return r.tableLibrary()
	case "_VERSION":
		return lua.LString(lua.LuaVersion)
	}
	return r.apiValue(L, name)
}

// entry is a function of a library.
type entry struct {
	name string
	f    lua.LGFunction
}

func (r *runtime) library(entries ...entry) *lua.LTable {
	t := r.first.CreateTable(0, len(entries))
	for _, e := range entries {
		t.RawSetString(e.name, r.function(e.f))
	}
	return t
}

// kind tells the values apart that are userdata to the virtual machine.
type kind int

const (
	kindNull kind = iota
	kindThread
	kindSecret
	kindDecimal
	kindExecution
	kindError
	kindSetting
	kindCount
)

// kinds are the metatables of the run, made when first needed.
type kinds struct {
	tables [kindCount]*lua.LTable
	null   *lua.LUserData
	array  *lua.LTable // marks a table as a list, so that an empty one stays one
	object *lua.LTable
}

func (r *runtime) userdata(v any, k kind) *lua.LUserData {
	return &lua.LUserData{Value: v, Env: r.first.G.Global, Metatable: r.metatable(k)}
}

func (r *runtime) metatable(k kind) *lua.LTable {
	if t := r.kinds.tables[k]; t != nil {
		return t
	}
	t := r.first.CreateTable(0, 4)
	r.kinds.tables[k] = t
	t.RawSetString("__metatable", lua.LFalse)
	set := func(name string, f lua.LGFunction) { t.RawSetString(name, r.function(f)) }
	set("__tostring", func(L *lua.LState) int {
		L.Push(lua.LString(r.text(L.Get(1))))
		return 1
	})
	set("__concat", func(L *lua.LState) int {
		return r.join(L, []string{r.operand(L, 1), r.operand(L, 2)})
	})
	switch k {
	case kindDecimal:
		r.decimalMethods(set)
	case kindExecution:
		set("__index", r.executionIndex)
	case kindError:
		set("__index", r.errorIndex)
	case kindSetting:
		set("__index", r.settingIndex)
	default:
		set("__index", func(L *lua.LState) int {
			r.fail(L, "a %s has no field %s", typeName(L.Get(1)), quoteKey(L.Get(2)))
			return 0
		})
	}
	set("__newindex", func(L *lua.LState) int {
		r.fail(L, "a %s cannot be changed", typeName(L.Get(1)))
		return 0
	})
	return t
}

// typeName is what type() says.
func typeName(v lua.LValue) string {
	u, ok := v.(*lua.LUserData)
	if !ok {
		return v.Type().String()
	}
	switch u.Value.(type) {
	case *coroutine:
		return "thread"
	case engine.SecretRef:
		return "secret"
	case *number:
		return "decimal"
	case *execution:
		return "execution"
	case *setting:
		return "setting"
	case *engine.Error:
		return "error"
	case null:
		return "null"
	}
	return "userdata"
}

// nearest gives the known name that a misspelt one probably means, or "".
func nearest(name string, known []string) string {
	best, found := 1+(len(name)+1)/3, ""
	for _, k := range known {
		if d := distance(name, k); d < best {
			best, found = d, k
		}
	}
	return found
}

// distance is how many letters have to be put in, left out or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
