package flows

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// execution is what a script has in hand of a child.
type execution struct {
	engine.Execution
	call         string // `connect "oracle"`
	returnErrors bool
	output       lua.LValue // converted when first asked for
}

// String says what tostring says.
func (e *execution) String() string { return fmt.Sprintf("execution(%s, %s)", e.call, e.Status) }

func (r *runtime) checkExecution(L *lua.LState, n int, what string) *execution {
	if e := toExecution(L.Get(n)); e != nil {
		return e
	}
	r.fail(L, "%s: an execution is needed, not a %s", what, typeName(L.Get(n)))
	return nil
}

func toExecution(v lua.LValue) *execution {
	if u, ok := v.(*lua.LUserData); ok {
		if e, ok := u.Value.(*execution); ok {
			return e
		}
	}
	return nil
}

func executionFields() []string {
	return []string{"id", "name", "type", "status", "output", "error", "get", "wait", "cancel", "ok"}
}

func (r *runtime) executionIndex(L *lua.LState) int {
	e := r.checkExecution(L, 1, "execution")
	key, _ := L.Get(2).(lua.LString)
	switch key {
	case "get":
		L.Push(r.function(r.executionGet))
	case "wait":
		L.Push(r.function(r.executionWait))
	case "cancel":
		L.Push(r.function(r.executionCancel))
	case "ok":
		L.Push(r.function(func(L *lua.LState) int {
			L.Push(lua.LBool(r.checkExecution(L, 1, "ok").Status == engine.Succeeded))
			return 1
		}))
	default:
		v, ok := r.executionField(L, e, string(key))
		if !ok {
			err := newError(engine.Invalid, "an execution has no field %s", quoteKey(L.Get(2)))
			if near := nearest(string(key), executionFields()); near != "" {
				err.Hint = "did you mean " + near + "?"
			}
			r.raise(L, err)
		}
		L.Push(v)
	}
	return 1
}

func (r *runtime) executionField(L *lua.LState, e *execution, key string) (lua.LValue, bool) {
	switch key {
	case "id":
		return lua.LString(e.ID), true
	case "name":
		return lua.LString(e.Name), true
	case "type":
		return lua.LString(e.Type), true
	case "status":
		return lua.LString(e.Status), true
	case "output", "output_value":
		if e.output == nil && e.Status == engine.Succeeded && e.Output != nil {
			e.output = r.toLua(L, e.Output)
			e.Output = nil // one copy is enough
		}
		if e.output == nil {
			return lua.LNil, true
		}
		return e.output, true
	case "error":
		if !failed(e) {
			return lua.LNil, true
		}
		return r.errorValue(r.childError(e)), true
	}
	return nil, false
}

func (r *runtime) executionGet(L *lua.LState) int {
	e := r.checkExecution(L, 1, "get")
	key, _ := L.Get(2).(lua.LString)
	v, ok := r.executionField(L, e, string(key))
	if !ok {
		r.raise(L, withHint(newError(engine.Invalid, "an execution has no field %s", quoteKey(L.Get(2))),
			`:get("output_value") gives the output`))
	}
	L.Push(v)
	return 1
}

func (r *runtime) executionWait(L *lua.LState) int {
	e := r.checkExecution(L, 1, "wait")
	if !e.Status.Ended() {
		r.refresh(L, engine.CallWaitAll, []*execution{e})
	}
	r.raiseFailed(L, e)
	L.Push(L.Get(1))
	return 1
}

func (r *runtime) executionCancel(L *lua.LState) int {
	e := r.checkExecution(L, 1, "cancel")
	if !e.Status.Ended() {
		r.refresh(L, engine.CallCancel, []*execution{e})
	}
	L.Push(L.Get(1))
	return 1
}

// refresh asks the host for what became of executions.
func (r *runtime) refresh(L *lua.LState, kind engine.CallKind, list []*execution) []engine.Execution {
	c := engine.Call{Kind: kind}
	for _, e := range list {
		c.Executions = append(c.Executions, e.ID)
	}
	reply := r.call(L, c)
	for _, got := range reply.Executions {
		for _, e := range list {
			if e.ID == got.ID && !e.Status.Ended() {
				e.Execution = got
				r.take(L, int(treeSize(e.Output)))
			}
		}
	}
	if len(reply.Executions) == 0 || kind != engine.CallWaitAny && len(reply.Executions) != len(list) {
		r.wrongReply(L, c)
	}
	return reply.Executions
}

// executions takes a list of them, or the arguments themselves.
func (r *runtime) executions(L *lua.LState, what string) (*lua.LTable, []*execution) {
	t, ok := L.Get(1).(*lua.LTable)
	if !ok {
		t = r.newArray(L.GetTop())
		for _, v := range arguments(L, 1) {
			t.Append(v)
		}
	}
	list := make([]*execution, 0, t.Len())
	for i := 1; i <= t.Len(); i++ {
		e := toExecution(t.RawGetInt(i))
		if e == nil {
			r.fail(L, "%s: element %d is a %s, not an execution", what, i, typeName(t.RawGetInt(i)))
		}
		list = append(list, e)
	}
	return t, list
}

// waitAll gives the list that it got, all of them ended.
func (r *runtime) waitAll(L *lua.LState) int {
	t, list := r.executions(L, "wait_all")
	var open []*execution
	for _, e := range list {
		if !e.Status.Ended() {
			open = append(open, e)
		}
	}
	if len(open) > 0 {
		r.refresh(L, engine.CallWaitAll, open)
	}
	for _, e := range list {
		r.raiseFailed(L, e)
	}
	L.Push(t)
	return 1
}

// waitAny gives the execution that ended first, and its place in the list. One
// that had ended before counts as first.
func (r *runtime) waitAny(L *lua.LState) int {
	t, list := r.executions(L, "wait_any")
	if len(list) == 0 {
		r.fail(L, "wait_any: there is nothing to wait for")
	}
	ended := func() int {
		for i, e := range list {
			if e.Status.Ended() {
				return i
			}
		}
		return -1
	}
	i := ended()
	if i < 0 {
		got := r.refresh(L, engine.CallWaitAny, list)
		for j, e := range list {
			if e.ID == got[0].ID {
				i = j
				break
			}
		}
	}
	if i < 0 {
		r.wrongReply(L, engine.Call{Kind: engine.CallWaitAny})
	}
	r.raiseFailed(L, list[i])
	L.Push(t.RawGetInt(i + 1))
	L.Push(lua.LNumber(i + 1))
	return 2
}

func failed(e *execution) bool {
	return e.Status == engine.Failed || e.Status == engine.Cancelled
}

// raiseFailed raises the error of a child that failed, unless the script said that
// it looks itself.
func (r *runtime) raiseFailed(L *lua.LState, e *execution) {
	if failed(e) && !e.returnErrors {
		r.raise(L, r.childError(e))
	}
}

// childError is the error of a failed child as its parent sees it.
func (r *runtime) childError(e *execution) *engine.Error {
	cause := e.Error
	if cause == nil {
		kind := engine.Internal
		if e.Status == engine.Cancelled {
			kind = engine.Canceled
		}
		cause = newError(kind, "the execution ended as %s", e.Status)
	}
	return &engine.Error{
		Kind: cause.Kind, Message: prefixed(e.call, cause.Error()), Hint: cause.Hint,
		Where: r.where(1), Traceback: r.traceback(),
		Execution: e.ID, Cause: cause,
	}
}

// errorValue is an error as the script sees it.
func (r *runtime) errorValue(e *engine.Error) *lua.LUserData { return r.userdata(e, kindError) }

func errorOf(v lua.LValue) *engine.Error {
	if u, ok := v.(*lua.LUserData); ok {
		if e, ok := u.Value.(*engine.Error); ok {
			return e
		}
	}
	return nil
}

func (r *runtime) errorIndex(L *lua.LState) int {
	e := errorOf(L.Get(1))
	key, _ := L.Get(2).(lua.LString)
	text := func(s string) lua.LValue {
		if s == "" {
			return lua.LNil
		}
		return lua.LString(s)
	}
	switch key {
	case "kind":
		L.Push(lua.LString(e.Kind))
	case "message":
		L.Push(lua.LString(e.Message))
	case "hint":
		L.Push(text(e.Hint))
	case "where":
		L.Push(text(e.Where))
	case "traceback":
		L.Push(text(e.Traceback))
	case "execution":
		L.Push(text(string(e.Execution)))
	case "value":
		if e.Value == nil {
			L.Push(lua.LNil)
		} else {
			L.Push(r.toLua(L, e.Value))
		}
	case "cause":
		if e.Cause == nil {
			L.Push(lua.LNil)
		} else {
			L.Push(r.errorValue(e.Cause))
		}
	default:
		r.fail(L, "an error has no field %s; it has kind, message, hint, where, traceback, execution, value, cause",
			quoteKey(L.Get(2)))
	}
	return 1
}

// errorTree is an error as a tree of values.
func errorTree(e *engine.Error) map[string]any {
	t := map[string]any{"kind": string(e.Kind), "message": e.Message}
	for k, v := range map[string]string{"hint": e.Hint, "where": e.Where, "execution": string(e.Execution)} {
		if v != "" {
			t[k] = v
		}
	}
	return t
}
