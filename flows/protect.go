package flows

import (
	"fmt"
	goruntime "runtime"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// protected calls fn in a thread of its own and gives its results, or what it
// raised.
//
// The thread matters: the virtual machine closes the captured variables of every
// function of a thread in which an error is raised, also of those that live on
// after pcall has caught it (gopher-lua issue 448). In a thread of its own only
// functions that really ended are affected.
func (r *runtime) protected(fn lua.LValue, args []lua.LValue) ([]lua.LValue, *failure) {
	stack := r.stack()
	if len(args) >= stack {
		r.stop(tooDeep())
	}
	t := r.borrowThread(stack)
	if t == nil || !r.meter.take(int64(len(args))*slotBytes) {
		return nil, &failure{value: lua.LString(r.fatal.Error())}
	}
	r.meter.work(stepsPerProtected * bytesPerStep)
	leave := r.enter(t)
	defer leave()
	trace := ""
	t.Push(r.tracer(&trace))
	t.Push(fn)
	reserve(t, len(args))
	for _, a := range args {
		t.Push(a)
	}
	err := t.PCall(len(args)+1, lua.MultRet, nil)
	if err != nil {
		r.meter.work(stepsPerRaised * bytesPerStep)
		failed := r.failed(err, trace)
		t.SetTop(0)
		r.spare[stack] = t
		return nil, failed
	}
	values := make([]lua.LValue, t.GetTop())
	for i := range values {
		values[i] = t.Get(i + 1)
	}
	t.SetTop(0)
	r.spare[stack] = t
	return values, nil
}

// tracer makes the function that calls the function of a protected call. Its work
// is to take the traceback as long as there is a stack. The library's own has a line
// for every tail call that was ever made, which is gigabytes after an endless tail
// recursion; an error that has a traceback is spared that.
func (r *runtime) tracer(trace *string) *lua.LFunction {
	return r.first.NewFunction(func(L *lua.LState) int {
		returned := false
		defer func() {
			if returned {
				return
			}
			cause := recover()
			if cause == nil {
				return // the goroutine is being ended
			}
			*trace = r.tracebackOf(L)
			e, ok := cause.(*lua.ApiError)
			if !ok {
				e = &lua.ApiError{Type: lua.ApiErrorPanic, Object: lua.LString(fmt.Sprint(cause))}
			}
			e.StackTrace = "taken"
			panic(e)
		}()
		L.Call(L.GetTop()-1, lua.MultRet)
		returned = true
		return L.GetTop()
	})
}

// borrowThread takes the thread of a call that has ended, or makes one.
func (r *runtime) borrowThread(stack int) *lua.LState {
	t := r.spare[stack]
	if t == nil || r.fatal != nil || len(r.branch.threads) >= threadDepth {
		return r.newThread(stack)
	}
	delete(r.spare, stack)
	return t
}

func (r *runtime) failed(err error, traceback string) *failure {
	e, ok := err.(*lua.ApiError) //nolint:errorlint // PCall gives it unwrapped
	if !ok {
		r.crashed(err)
		return &failure{value: lua.LString(err.Error())}
	}
	text, isText := e.Object.(lua.LString)
	switch {
	case r.fatal != nil:
	case e.Type == lua.ApiErrorPanic && string(text) != stackOverflow:
		r.crashed(string(text))
	case isText && (string(text) == stackOverflow || strings.HasSuffix(string(text), registryOverflow)):
		overflow := tooDeep()
		overflow.Traceback = traceback
		overflow.Where, _, _ = strings.Cut(overflow.Traceback, ": in ")
		r.stop(overflow)
	case isText:
		e.Object = lua.LString(scrub(string(text)))
	}
	return &failure{value: e.Object, traceback: traceback}
}

// newThread makes a thread that counts on the meter of the run, with room for that
// many values. It gives nil if the run has to end.
func (r *runtime) newThread(stack int) *lua.LState {
	if len(r.branch.threads) >= threadDepth {
		r.stop(tooDeep())
		return nil
	}
	bytes := int64(threadBytes)
	if stack == manyStack {
		bytes += manyStack * slotBytes * 2 / 3
	}
	if !r.meter.take(bytes) {
		return nil
	}
	r.meter.work(stepsPerThread * bytesPerStep)
	r.first.Options.RegistryMaxSize = stack
	r.first.RemoveContext() // the library would derive another one from it
	t, _ := r.first.NewThread()
	r.first.SetContext(r.meter)
	t.SetContext(r.meter)
	return t
}

// stack is how many values a protected call may have.
func (r *runtime) stack() int {
	switch {
	case r.branch.path != "" || len(r.branch.stack) > 0:
		return manyStack
	case len(r.branch.threads) < outerThreads:
		return outerStack
	}
	return nestedStack
}

// enter makes t the innermost thread of the branch; the function that it gives
// undoes that.
func (r *runtime) enter(t *lua.LState) func() {
	b, outer := r.branch, r.first.G.CurrentThread
	b.threads = append(b.threads, t)
	r.first.G.CurrentThread = t
	return func() {
		b.threads = b.threads[:len(b.threads)-1]
		r.first.G.CurrentThread = outer
	}
}

// arguments gives the arguments of a library function from the n-th on.
func arguments(L *lua.LState, n int) []lua.LValue {
	top := L.GetTop()
	if top < n {
		return nil
	}
	args := make([]lua.LValue, 0, top-n+1)
	for i := n; i <= top; i++ {
		args = append(args, L.Get(i))
	}
	return args
}

// pushAll returns values from a library function. The stack grows once, not a
// little for each value.
func pushAll(L *lua.LState, values []lua.LValue) int {
	reserve(L, len(values))
	for _, v := range values {
		L.Push(v)
	}
	return len(values)
}

// reserve makes room for n values, which may be more than the stack may hold: then
// the machine raises its own error.
func reserve(L *lua.LState, n int) {
	if n > registrySize/2 {
		top := L.GetTop()
		L.SetTop(top + n)
		L.SetTop(top)
	}
}

func (r *runtime) pcall(L *lua.LState) int {
	fn := L.CheckAny(1)
	values, failed := r.protected(fn, arguments(L, 2))
	if failed == nil {
		L.Push(lua.LTrue)
		return 1 + pushAll(L, values)
	}
	if r.fatal != nil {
		r.die(L)
	}
	L.Push(lua.LFalse)
	L.Push(failed.value)
	return 2
}

// xpcall calls the handler after the stack was unwound, so the handler may call
// everything; it gets the traceback as its second argument.
func (r *runtime) xpcall(L *lua.LState) int {
	fn, handler := L.CheckAny(1), L.CheckFunction(2)
	values, failed := r.protected(fn, arguments(L, 3))
	if failed == nil {
		L.Push(lua.LTrue)
		return 1 + pushAll(L, values)
	}
	if r.fatal != nil {
		r.die(L)
	}
	values, again := r.protected(handler, []lua.LValue{failed.value, lua.LString(failed.traceback)})
	if r.fatal != nil {
		r.die(L)
	}
	L.Push(lua.LFalse)
	if again != nil {
		L.Push(again.value)
		return 2
	}
	return 1 + pushAll(L, values)
}

// coroutine is a thread of the script. It is a value of its own, not the library's,
// so that the sandbox knows which ones are in progress.
type coroutine struct {
	thread *lua.LState
	fn     *lua.LFunction
	value  *lua.LUserData
	dead   bool
	// yielded tells a yield from a return. last tells that the yield was the tail
	// call of the coroutine's own function, whose stack is then gone: what it is
	// resumed with is what it returns.
	yielded, last bool
}

func (r *runtime) coCreate(L *lua.LState) int {
	L.Push(r.newCoroutine(L))
	return 1
}

func (r *runtime) newCoroutine(L *lua.LState) *lua.LUserData {
	co := &coroutine{fn: L.CheckFunction(1)}
	if co.thread = r.newThread(manyStack); co.thread == nil {
		r.die(L)
	}
	co.value = r.userdata(co, kindThread)
	return co.value
}

func checkCoroutine(L *lua.LState, n int) *coroutine {
	if u, ok := L.Get(n).(*lua.LUserData); ok {
		if c, ok := u.Value.(*coroutine); ok {
			return c
		}
	}
	L.ArgError(n, "coroutine expected")
	return nil
}

func (r *runtime) coResume(L *lua.LState) int {
	values, failed := r.resume(L, checkCoroutine(L, 1), arguments(L, 2))
	if failed != nil {
		L.Push(lua.LFalse)
		L.Push(failed.value)
		return 2
	}
	L.Push(lua.LTrue)
	return 1 + pushAll(L, values)
}

func (r *runtime) coWrap(L *lua.LState) int {
	co := r.newCoroutine(L).Value.(*coroutine)
	L.Push(r.function(func(L *lua.LState) int {
		values, failed := r.resume(L, co, arguments(L, 1))
		if failed != nil {
			L.Error(failed.value, 0)
		}
		return pushAll(L, values)
	}, co.value))
	return 1
}

func (r *runtime) resume(L *lua.LState, co *coroutine, args []lua.LValue) ([]lua.LValue, *failure) {
	switch {
	case co.dead:
		return nil, &failure{value: lua.LString("cannot resume dead coroutine")}
	case r.active[co]:
		return nil, &failure{value: lua.LString("cannot resume non-suspended coroutine")}
	case len(r.branch.threads) >= threadDepth:
		r.stop(tooDeep())
		r.die(L)
	}
	if co.last {
		co.dead = true
		return args, nil
	}
	b := r.branch
	r.active[co], co.yielded = true, false
	b.stack = append(b.stack, co)
	leave := r.enter(co.thread)
	defer func() {
		leave()
		b.stack = b.stack[:len(b.stack)-1]
		delete(r.active, co)
	}()
	r.take(L, len(args)*slotBytes)
	if len(args) >= manyStack/2 {
		r.stop(tooDeep())
		r.die(L)
	}
	reserve(co.thread, len(args))
	r.first.G.CurrentThread = L // Resume looks at it, and sets it itself
	state, err, values := L.Resume(co.thread, co.fn, args...)
	co.last = state == lua.ResumeOK && co.yielded
	co.dead = state != lua.ResumeYield && !co.last
	if err != nil {
		f := r.failed(err, "")
		if r.fatal != nil {
			r.die(L)
		}
		return nil, f
	}
	if len(values) == 1 && values[0] == lua.LNil {
		values = nil // Resume pads "no values" with nil
	}
	return values, nil
}

// coYield leaves the coroutine. That works only where its interpreter loop was not
// entered a second time on the way (by a metamethod, an iterator, or a function
// of the library that calls back): elsewhere the library goes on with a broken
// stack, so it is an error here.
func (r *runtime) coYield(L *lua.LState) int {
	if len(r.branch.stack) == 0 {
		r.fail(L, "coroutine.yield: not inside of a coroutine")
	}
	co := r.branch.stack[len(r.branch.stack)-1]
	if L != co.thread || !directlyResumed() {
		r.fail(L, "coroutine.yield: cannot yield across pcall, a metamethod, an iterator or a callback of the library")
	}
	co.yielded = true
	return -1
}

// directlyResumed tells whether exactly one interpreter loop runs between the
// function that resumes and the caller.
func directlyResumed() bool {
	var pcs [64]uintptr
	n := goruntime.Callers(2, pcs[:])
	frames, loops := goruntime.CallersFrames(pcs[:n]), 0
	for {
		f, more := frames.Next()
		switch {
		case strings.HasSuffix(f.Function, "gopher-lua.mainLoopWithContext"):
			loops++
		case strings.HasSuffix(f.Function, "gopher-lua.threadRun"):
			return loops == 1
		}
		if !more {
			return false
		}
	}
}

func (r *runtime) coStatus(L *lua.LState) int {
	co := checkCoroutine(L, 1)
	status := "suspended"
	switch stack := r.branch.stack; {
	case co.dead:
		status = "dead"
	case len(stack) > 0 && stack[len(stack)-1] == co:
		status = "running"
	case r.active[co]:
		status = "normal"
	}
	L.Push(lua.LString(status))
	return 1
}

func (r *runtime) coRunning(L *lua.LState) int {
	if len(r.branch.stack) == 0 {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(r.branch.stack[len(r.branch.stack)-1].value)
	return 1
}
