package flows

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// maxBranches is how many functions may run side by side in one run.
const maxBranches = 10_000

// fork is one function of a parallel.
type fork struct {
	*branch
	failed *failure
	done   bool // false if its goroutine was ended from outside
}

// parallel runs functions side by side: while the host works for one of them, the
// others go on. It waits for all, then gives the list of what each returned first,
// or raises the first error in the order of the functions.
func (r *runtime) parallel(L *lua.LState) int {
	functions := r.branchFunctions(L)
	b := r.branch
	b.forks++
	forks := make([]*fork, len(functions))
	parts := make([]func(), len(functions))
	for i, fn := range functions {
		f := &fork{branch: r.newFork(b, i+1)}
		forks[i] = f
		r.branches[f.branch] = true
		parts[i] = func() { r.runFork(f, fn) }
	}
	r.runParts(parts)
	r.passLocks(b.forkPath(), b.path)
	results := r.newArray(len(forks))
	for i, f := range forks {
		delete(r.branches, f.branch)
		b.deferred = append(b.deferred, f.deferred...)
		switch {
		case r.fatal != nil:
			r.die(L)
		case !f.done:
			r.stop(newError(engine.Internal, "branch %d of parallel was ended from outside", i+1))
			r.die(L)
		case len(f.values) == 0 || f.values[0] == lua.LNil:
			results.Append(r.null())
		default:
			results.Append(f.values[0])
		}
	}
	for i, f := range forks {
		if f.failed != nil {
			L.Error(r.branchError(i+1, f.failed), 0)
		}
	}
	L.Push(results)
	return 1
}

// branchFunctions takes functions, or one list of them.
func (r *runtime) branchFunctions(L *lua.LState) []*lua.LFunction {
	args := arguments(L, 1)
	if t, ok := L.Get(1).(*lua.LTable); ok && len(args) == 1 {
		args = nil
		for i := 1; i <= t.Len(); i++ {
			args = append(args, t.RawGetInt(i))
		}
	}
	if len(args)+len(r.branches) > maxBranches {
		r.stop(withHint(newError(engine.Limit, "parallel: more than %d functions side by side", maxBranches),
			"let each function work through a part of the list"))
		r.die(L)
	}
	r.take(L, len(args)*threadBytes)
	functions := make([]*lua.LFunction, len(args))
	for i, a := range args {
		f, ok := a.(*lua.LFunction)
		if !ok {
			r.fail(L, "parallel: element %d is a %s, not a function", i+1, typeName(a))
		}
		functions[i] = f
	}
	return functions
}

// newFork makes the branch of the i-th function. Its path is the same in every
// run, and so are its random numbers. What its parent has loaded it has as well.
func (r *runtime) newFork(parent *branch, i int) *branch {
	b := &branch{path: parent.forkPath() + "." + strconv.Itoa(i)}
	b.loaded = maps.Clone(parent.loaded)
	b.loading = append([]string(nil), parent.loading...)
	b.threads = append([]*lua.LState(nil), parent.threads...)
	return b
}

// forkPath is what the paths of the branches of the latest parallel start with.
func (b *branch) forkPath() string {
	if b.path == "" {
		return strconv.Itoa(b.forks)
	}
	return b.path + "." + strconv.Itoa(b.forks)
}

func (r *runtime) runFork(f *fork, fn *lua.LFunction) {
	r.branch, r.first.G.CurrentThread = f.branch, r.first
	if r.fatal != nil {
		f.done = true
		return
	}
	f.values, f.failed = r.protected(fn, nil)
	if f.failed != nil {
		f.values = []lua.LValue{f.failed.value}
	}
	f.done = true
}

// runParts has the host run the branches, and waits for them.
func (r *runtime) runParts(parts []func()) {
	defer r.leave()()
	r.cfg.Host.Parallel(parts)
}

// branchError names the branch in the error that it raised.
func (r *runtime) branchError(i int, f *failure) lua.LValue {
	e := errorOf(f.value)
	if e == nil {
		if text, ok := f.value.(lua.LString); ok {
			e = r.describe(&failure{value: text, traceback: f.traceback})
		} else {
			return f.value // a value that the script may look for
		}
	}
	named := *e
	named.Message = fmt.Sprintf("branch %d: %s", i, e.Message)
	return r.errorValue(&named)
}

// retry calls a function until it does not raise an error. The function gets the
// number of the try.
func (r *runtime) retry(L *lua.LState) int {
	fn, o := L.CheckFunction(1), engine.Retry{}
	if L.Get(2) != lua.LNil {
		o = r.retryOptions(L, L.Get(2), "retry")
	}
	if o.MaxTries == 0 {
		o.MaxTries = 3
	}
	if o.Delay == 0 {
		o.Delay = time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = 2
	}
	if o.MaxDelay == 0 {
		o.MaxDelay = time.Minute
	}
	for try := 1; ; try++ {
		values, failed := r.protected(fn, []lua.LValue{lua.LNumber(try)})
		switch {
		case failed == nil:
			return pushAll(L, values)
		case r.fatal != nil:
			r.die(L)
		case try >= o.MaxTries:
			L.Error(failed.value, 0)
		}
		r.call(L, engine.Call{Kind: engine.CallSleep, Duration: min(o.Delay, o.MaxDelay)})
		o.Delay = min(time.Duration(float64(o.Delay)*o.Backoff), o.MaxDelay)
	}
}

func (r *runtime) deferFunction(L *lua.LState) int {
	if len(r.branch.deferred) >= maxDeferred {
		r.fail(L, "defer: more than %d functions", maxDeferred)
	}
	r.branch.deferred = append(r.branch.deferred, L.CheckFunction(1))
	return 0
}

// runDeferred runs what was given to defer, the last one first, also after the run
// was cancelled or exceeded a limit: it gets a budget and a time of its own. All of
// them run; the first error is given back, all are logged.
func (r *runtime) runDeferred(ctx context.Context, cause *engine.Error) (first *engine.Error) {
	functions := r.branch.deferred
	if len(functions) == 0 {
		return nil
	}
	r.cancel()
	r.ctx, r.cancel = context.WithTimeout(context.WithoutCancel(ctx), deferTime)
	r.fatal = nil
	r.branch = &branch{path: "defer", deferred: functions}
	r.branches[r.branch] = true
	r.passLocks("", "")
	r.meter.grant(deferInstructions, deferMemory)
	argument := lua.LNil
	if cause != nil {
		argument = r.errorValue(cause)
	}
	for n := len(functions); n > 0; n = len(r.branch.deferred) { // they may defer more
		fn := r.branch.deferred[n-1]
		r.branch.deferred = r.branch.deferred[:n-1]
		_, failed := r.protected(fn, []lua.LValue{argument})
		switch {
		case r.abandoned:
			return r.fatal
		case failed == nil:
			continue
		}
		e := r.describe(failed)
		r.cfg.Host.Emit(engine.Event{Kind: engine.EventLog, Level: engine.Fault, Where: e.Where,
			Message: "deferred function failed: " + e.Message})
		if first == nil {
			first = e
		}
		if r.fatal != nil {
			return first
		}
	}
	return first
}

// require loads a module once for each branch: what its parent had loaded before
// is shared with it. So a branch makes the same calls whatever the others do.
func (r *runtime) require(L *lua.LState) int {
	name := string(L.CheckString(1))
	b := r.branch
	if v, ok := b.loaded[name]; ok {
		L.Push(v)
		return 1
	}
	for i, l := range b.loading {
		if l == name {
			cycle := ""
			for _, l := range b.loading[i:] {
				cycle += l + " -> "
			}
			r.fail(L, "require %q: the modules need each other: %s%s", name, cycle, name)
		}
	}
	reply := r.call(L, engine.Call{Kind: engine.CallSource, Name: name})
	file := reply.File
	if file == "" {
		file = name
	}
	p, err := Compile(file, reply.Text)
	if err != nil {
		r.raise(L, err.(*engine.Error)) //nolint:errorlint // Compile gives nothing else
	}
	r.meter.admit(p)
	r.take(L, len(reply.Text)*4)
	b.loading = append(b.loading, name)
	defer func() { b.loading = b.loading[:len(b.loading)-1] }()
	L.Push(r.first.NewFunctionFromProto(p.proto))
	L.Push(lua.LString(name))
	L.Call(1, 1)
	value := L.Get(-1)
	if value == lua.LNil {
		value = lua.LTrue
	}
	if b.loaded == nil {
		b.loaded = map[string]lua.LValue{}
	}
	b.loaded[name] = value
	L.Push(value)
	return 1
}
