package flows

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

const (
	maxDepth   = 128     // nested lists and objects
	exactFloat = 1 << 53 // up to here every whole number is a float64
)

// null is JSON's null. Lua's nil cannot stand for it: a table has no key whose
// value is nil.
type null struct{}

func (r *runtime) null() *lua.LUserData {
	if r.kinds.null == nil {
		r.kinds.null = r.userdata(null{}, kindNull)
	}
	return r.kinds.null
}

// arrayMark and objectMark are metatables that do nothing but say what a table
// stands for, so that an empty list stays a list.
func (r *runtime) arrayMark() *lua.LTable {
	if r.kinds.array == nil {
		r.kinds.array = r.first.CreateTable(0, 0)
	}
	return r.kinds.array
}

func (r *runtime) objectMark() *lua.LTable {
	if r.kinds.object == nil {
		r.kinds.object = r.first.CreateTable(0, 0)
	}
	return r.kinds.object
}

func (r *runtime) newArray(size int) *lua.LTable {
	t := r.first.CreateTable(size, 0)
	t.Metatable = r.arrayMark()
	return t
}

func (r *runtime) newObject(size int) *lua.LTable {
	t := r.first.CreateTable(0, size)
	t.Metatable = r.objectMark()
	return t
}

// take accounts for memory that a Go function is about to hand to the script,
// and leaves the script if there is none left.
func (r *runtime) take(L *lua.LState, bytes int) {
	if !r.meter.take(int64(bytes)) {
		r.die(L)
	}
}

// toLua makes the Lua value of a tree of values. Objects keep their keys in
// alphabetical order.
func (r *runtime) toLua(L *lua.LState, v any) lua.LValue { return r.toLuaAt(L, v, 0) }

func (r *runtime) toLuaAt(L *lua.LState, v any, depth int) lua.LValue {
	if depth > maxDepth {
		r.fail(L, "a value is nested more than %d levels deep", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return r.null()
	case bool:
		return lua.LBool(v)
	case string:
		r.take(L, len(v)+stringBytes)
		return lua.LString(v)
	case float64:
		return lua.LNumber(v)
	case int64:
		return r.integer(L, v)
	case int:
		return r.integer(L, int64(v))
	case json.Number:
		return r.exact(L, string(v))
	case engine.SecretRef:
		return r.userdata(v, kindSecret)
	case []any:
		if len(v) > maxList {
			r.fail(L, "a list of %d elements; at most %d are possible", len(v), maxList)
		}
		r.take(L, tableBytes+slotBytes*len(v))
		t := r.newArray(len(v))
		L.Push(t) // where the census finds it
		for _, e := range v {
			t.Append(r.toLuaAt(L, e, depth+1))
		}
		L.Pop(1)
		return t
	case map[string]any:
		r.take(L, tableBytes+(keyBytes+slotBytes)*len(v))
		t := r.newObject(len(v))
		L.Push(t)
		for _, k := range sortedKeys(v) {
			r.take(L, len(k))
			t.RawSetString(k, r.toLuaAt(L, v[k], depth+1))
		}
		L.Pop(1)
		return t
	}
	r.raise(L, newError(engine.Internal, "a value of the Go type %T cannot be given to a flow", v))
	return lua.LNil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (r *runtime) integer(L *lua.LState, n int64) lua.LValue {
	if n >= -exactFloat && n <= exactFloat {
		return lua.LNumber(n)
	}
	return r.exact(L, strconv.FormatInt(n, 10))
}

// exact makes a Lua number of a JSON number if reading it back gives the same
// number, else a decimal.
func (r *runtime) exact(L *lua.LState, text string) lua.LValue {
	d, err := parseDecimal(text)
	if err != nil {
		r.fail(L, "%s", err.Error())
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		if same, err := parseDecimal(strconv.FormatFloat(f, 'g', -1, 64)); err == nil && same.Cmp(&d.Decimal) == 0 {
			return lua.LNumber(f)
		}
	}
	return r.userdata(d, kindDecimal)
}

// refusal says which part of a value cannot leave the script, and why.
type refusal struct{ path, problem string }

func (e *refusal) Error() string { return e.path + " " + e.problem }

// outward converts one value; it remembers what it is inside of.
type outward struct {
	run    *runtime
	plain  bool // secrets are refused
	inside map[*lua.LTable]bool
	size   int64 // bytes of the tree so far
}

// fromLua makes the tree of values of a Lua value. The error is a *refusal that
// names the part by its path, which starts with root; or any error when the run has
// exceeded its limits.
func (r *runtime) fromLua(v lua.LValue, root string) (any, error) {
	o := &outward{run: r}
	return o.value(v, &path{name: root})
}

// plainFromLua is fromLua for what must not hold handles of secrets.
func (r *runtime) plainFromLua(v lua.LValue, root string) (any, error) {
	o := &outward{run: r, plain: true}
	return o.value(v, &path{name: root})
}

// path is the way from a value to one of its parts, built without a text as long
// as nothing is wrong.
type path struct {
	parent *path
	name   string
	index  int // of a list, from 1; 0 for a name
	depth  int
}

func (p *path) field(name string) *path { return &path{parent: p, name: name, depth: p.depth + 1} }
func (p *path) item(i int) *path        { return &path{parent: p, index: i, depth: p.depth + 1} }

func (p *path) String() string {
	switch {
	case p.parent == nil:
		return p.name
	case p.index > 0:
		return p.parent.String() + "[" + strconv.Itoa(p.index) + "]"
	case isIdentifier(p.name):
		return p.parent.String() + "." + p.name
	}
	return p.parent.String() + "[" + strconv.Quote(p.name) + "]"
}

func isIdentifier(s string) bool {
	for i, c := range s {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func refuse(p *path, format string, args ...any) error {
	return &refusal{p.String(), fmt.Sprintf(format, args...)}
}

func (o *outward) value(v lua.LValue, p *path) (any, error) {
	if err := o.grow(slotBytes); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LNumber:
		return o.number(float64(v), p)
	case lua.LString:
		return o.text(string(v), p)
	case *lua.LTable:
		return o.table(v, p)
	case *lua.LUserData:
		switch u := v.Value.(type) {
		case null:
			return nil, nil
		case *number:
			return json.Number(u.String()), nil
		case engine.SecretRef:
			if o.plain {
				return nil, refuse(p, "is a secret, which is no JSON value")
			}
			return u, nil
		case *execution:
			return nil, refuse(p, "is an execution; use its .output")
		case *engine.Error:
			return errorTree(u), nil
		}
	}
	return nil, refuse(p, "is a %s, which is no JSON value", typeName(v))
}

func (o *outward) number(f float64, p *path) (any, error) {
	switch {
	case math.IsNaN(f):
		return nil, refuse(p, "is NaN, which is no JSON value")
	case math.IsInf(f, 0):
		return nil, refuse(p, "is infinite, which is no JSON value")
	case f == math.Trunc(f) && math.Abs(f) <= exactFloat:
		return int64(f), nil
	}
	return f, nil
}

func (o *outward) text(s string, p *path) (any, error) {
	if !utf8.ValidString(s) {
		return nil, refuse(p, "is a text that is not valid UTF-8; use base64.encode for binary data")
	}
	return s, o.grow(len(s))
}

// grow accounts for a part of the tree. A table that is reached in many ways is
// converted many times, so that even a small value may become an endless tree.
func (o *outward) grow(bytes int) error {
	m := o.run.meter
	if o.size += int64(bytes); o.size > m.max/2 {
		o.run.stop(withHint(newError(engine.Limit, "a value of more than %s", size(m.max/2)),
			"hand on less at a time, or let a task write to a file"))
	}
	if !m.step() || !m.take(int64(bytes)) {
		return m.Err()
	}
	return nil
}

func (o *outward) table(t *lua.LTable, p *path) (any, error) {
	if p.depth >= maxDepth {
		return nil, refuse(p, "is nested more than %d levels deep", maxDepth)
	}
	if o.inside[t] {
		return nil, refuse(p, "contains itself")
	}
	if o.inside == nil {
		o.inside = map[*lua.LTable]bool{}
	}
	o.inside[t] = true
	defer delete(o.inside, t)
	if err := o.grow(tableBytes); err != nil {
		return nil, err
	}
	marked := t.Metatable == lua.LValue(o.run.kinds.array)
	if first, _ := t.Next(lua.LNil); first == lua.LNil {
		if marked {
			return []any{}, nil
		}
		return map[string]any{}, nil
	} else if _, ok := first.(lua.LNumber); ok || marked {
		return o.list(t, p)
	}
	return o.object(t, p)
}

func (o *outward) list(t *lua.LTable, p *path) (any, error) {
	n := t.MaxN()
	list := make([]any, 0, min(n, 1<<16))
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		i, ok := k.(lua.LNumber)
		switch {
		case !ok:
			return nil, refuse(p, "has list elements and the key %s; it can be either a list or an object", quoteKey(k))
		case float64(i) != math.Trunc(float64(i)) || i < 1:
			return nil, refuse(p, "has the key %s; keys are texts, or 1, 2, 3 ... for a list", quoteKey(k))
		case int(i) != len(list)+1:
			return nil, refuse(p, "is a list without element %d; put null there, or use texts as keys", len(list)+1)
		}
		e, err := o.value(v, p.item(int(i)))
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func (o *outward) object(t *lua.LTable, p *path) (any, error) {
	object := map[string]any{}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok {
			return nil, refuse(p, "has the key %s; the keys of an object are texts (use tostring)", quoteKey(k))
		}
		at := p.field(string(name))
		if _, err := o.text(string(name), at); err != nil {
			return nil, refuse(p, "has a key that is not valid UTF-8")
		}
		e, err := o.value(v, at)
		if err != nil {
			return nil, err
		}
		object[string(name)] = e
	}
	return object, nil
}

// quoteKey shows a key in an error.
func quoteKey(k lua.LValue) string {
	switch k := k.(type) {
	case lua.LString:
		if len(k) > 64 {
			k = k[:64] + "..."
		}
		return strconv.Quote(strings.ToValidUTF8(string(k), "?"))
	case lua.LNumber:
		return formatNumber(float64(k))
	case lua.LBool:
		return k.String()
	}
	return "a " + typeName(k)
}

// array and object are functions of the script: they mark a table.
func (r *runtime) array(L *lua.LState) int {
	t := L.OptTable(1, nil)
	if t == nil {
		t = r.newArray(0)
	}
	t.Metatable = r.arrayMark()
	L.Push(t)
	return 1
}

func (r *runtime) object(L *lua.LState) int {
	t := L.OptTable(1, nil)
	if t == nil {
		t = r.newObject(0)
	}
	t.Metatable = r.objectMark()
	L.Push(t)
	return 1
}
