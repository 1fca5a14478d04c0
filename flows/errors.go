package flows

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// failure is what ended a protected call: the value that was raised, and the
// stack at that time.
type failure struct {
	value     lua.LValue
	traceback string
}

func newError(kind engine.Kind, format string, args ...any) *engine.Error {
	return &engine.Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

func withHint(e *engine.Error, hint string) *engine.Error {
	e.Hint = hint
	return e
}

// stop ends the run with an error that no script can catch. The first one counts.
func (r *runtime) stop(e *engine.Error) {
	if r.fatal != nil {
		return
	}
	if e.Where == "" {
		e.Where = r.where(1)
	}
	if e.Traceback == "" {
		e.Traceback = r.traceback()
	}
	r.fatal = e
	r.meter.slice = -1
	r.cancel() // calls of other branches are of no use any more
}

// interrupted is the error of a run whose context has ended.
func (r *runtime) interrupted() *engine.Error {
	if r.fatal != nil {
		return r.fatal
	}
	var cause *engine.Error
	switch err := context.Cause(r.ctx); {
	case errors.As(err, &cause):
		e := *cause
		return &e
	case errors.Is(err, context.DeadlineExceeded):
		return newError(engine.Timeout, "the flow did not end in time")
	default:
		return newError(engine.Canceled, "the flow was cancelled")
	}
}

// die leaves the running Lua code because of a fatal error.
func (r *runtime) die(L *lua.LState) {
	if r.fatal == nil {
		r.stop(r.interrupted())
	}
	L.Error(lua.LString(r.fatal.Error()), 0)
}

// crashed keeps a panic of Go code as the end of the run; a stack that is too deep
// is the script's fault, anything else is a defect.
func (r *runtime) crashed(p any) {
	if text, ok := p.(string); ok && text == stackOverflow {
		r.stop(tooDeep())
		return
	}
	e := newError(engine.Internal, "internal error: %v", p)
	e.Traceback = string(debug.Stack())
	r.stop(e)
}

// How the virtual machine reports that its stacks are full.
const (
	stackOverflow    = "lua callstack overflow"
	registryOverflow = "registry overflow"
)

func tooDeep() *engine.Error {
	return withHint(newError(engine.Limit, "stack overflow: calls are nested too deeply or pass too many values"),
		"look for an endless recursion")
}

// raise raises an error of the engine as a value that the script can look into.
func (r *runtime) raise(L *lua.LState, e *engine.Error) {
	if e.Where == "" {
		e.Where = r.where(1)
	}
	if e.Traceback == "" {
		e.Traceback = r.traceback()
	}
	L.Error(r.errorValue(e), 1)
}

// fail raises an error of kind invalid: the script uses a function wrongly.
func (r *runtime) fail(L *lua.LState, format string, args ...any) {
	r.raise(L, newError(engine.Invalid, format, args...))
}

// place is a frame of a Lua function: its file and the line where it is.
type place struct {
	file string
	line int
	name string
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// places calls yield for the frames of Lua functions, innermost first, through
// all threads of the branch.
func (r *runtime) places(yield func(place) bool) {
	for i := len(r.branch.threads) - 1; i >= 0; i-- {
		if !framesOf(r.branch.threads[i], yield) {
			return
		}
	}
}

// framesOf calls yield for the frames of one thread. For each tail call that was
// made the library shows the outermost frame once more, which may be often; in a
// protected call that is a function of ours, in a coroutine one of the script's.
func framesOf(t *lua.LState, yield func(place) bool) bool {
	var outermost *place
	again := 0
	for level := 0; again < maxTrace; level++ {
		dbg, ok := t.GetStack(level)
		if !ok {
			break
		}
		if _, err := t.GetInfo("Sln", dbg, lua.LNil); err != nil {
			break
		}
		if dbg.What == "main" {
			again++
		}
		if dbg.CurrentLine <= 0 {
			continue
		}
		p := place{dbg.Source, dbg.CurrentLine, dbg.Name}
		if dbg.LineDefined == 0 {
			p.name = "main chunk"
		} else if dbg.What == "main" {
			p.name = fmt.Sprintf("<%s:%d>", dbg.Source, dbg.LineDefined)
		}
		if dbg.What == "main" {
			outermost = &p
		} else if !yield(p) {
			return false
		}
	}
	return outermost == nil || yield(*outermost)
}

// where gives the place of the level-th Lua function, "flow.lua:12", or "".
func (r *runtime) where(level int) string {
	if p, ok := r.place(level); ok {
		return p.String()
	}
	return ""
}

func (r *runtime) place(level int) (found place, ok bool) {
	r.places(func(p place) bool {
		level--
		found, ok = p, level == 0
		return !ok
	})
	return found, ok
}

const maxTrace = 20 // lines

// traceback gives the Lua stack, innermost first, one line a function.
func (r *runtime) traceback() string {
	var lines []string
	r.places(func(p place) bool {
		lines = append(lines, p.String()+": in "+functionName(p.name))
		return len(lines) < maxTrace
	})
	return strings.Join(lines, "\n")
}

// tracebackOf is traceback for one thread alone.
func (r *runtime) tracebackOf(t *lua.LState) string {
	b, threads := r.branch, r.branch.threads
	b.threads = []*lua.LState{t}
	defer func() { b.threads = threads }()
	return r.traceback()
}

func functionName(name string) string {
	switch {
	case name == "main chunk" || name == "":
		return "main chunk"
	case strings.HasPrefix(name, "("), name == "?":
		return "function"
	case strings.HasPrefix(name, "<"):
		return "function " + name
	case name == "corountine": // as the library spells it
		return "coroutine"
	}
	return "function " + name
}

// position is what the virtual machine and error() put before a message.
var position = regexp.MustCompile(`(?s)^([^\s:][^:\n]*:\d+): ?(.*)$`)

// address is how the library prints values that have no text of their own. It
// differs from run to run, so it must not be seen.
var address = regexp.MustCompile(`\b(table|function|userdata|thread|channel): (0x[0-9a-f]+|\(nil\))`)

func scrub(text string) string {
	if !strings.Contains(text, ": 0x") {
		return text
	}
	return address.ReplaceAllString(text, "$1")
}

// describe turns what a script raised into the error of the run.
func (r *runtime) describe(f *failure) *engine.Error {
	if r.fatal != nil {
		return r.fatal
	}
	if e := errorOf(f.value); e != nil {
		return e
	}
	e := &engine.Error{Kind: engine.Script, Traceback: f.traceback}
	if text, ok := f.value.(lua.LString); ok {
		e.Message = string(text)
		if m := position.FindStringSubmatch(e.Message); m != nil {
			e.Where, e.Message = m[1], m[2]
		}
	} else {
		value, err := r.fromLua(f.value, "error")
		if err == nil {
			e.Value = value
		}
		e.Message = "the flow raised " + r.display(f.value)
		if t, ok := f.value.(*lua.LTable); ok {
			if text, ok := t.RawGetString("message").(lua.LString); ok {
				e.Message = string(text)
			}
		}
	}
	if e.Where == "" {
		e.Where, _, _ = strings.Cut(e.Traceback, ": in ")
	}
	return e
}

// display names a raised value that is no text.
func (r *runtime) display(v lua.LValue) string {
	switch v := v.(type) {
	case *lua.LNilType:
		return "nil"
	case lua.LNumber, lua.LBool:
		return v.String()
	}
	return "a " + typeName(v)
}
