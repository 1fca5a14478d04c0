package flows

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// apiFunction gives the functions by which a script talks to the engine.
func (r *runtime) apiFunction(name string) lua.LGFunction {
	switch name {
	case "connect":
		return func(L *lua.LState) int { return r.start(L, engine.CallConnect, "connect") }
	case "task":
		return func(L *lua.LState) int { return r.start(L, engine.CallTask, "task") }
	case "flow":
		return func(L *lua.LState) int { return r.start(L, engine.CallFlow, "flow") }
	case "wait_all":
		return r.waitAll
	case "wait_any":
		return r.waitAny
	case "parallel":
		return r.parallel
	case "sleep":
		return r.sleep
	case "sleep_until":
		return r.sleepUntil
	case "output":
		return r.addOutput
	case "progress":
		return r.progress
	case "secret":
		return r.secret
	case "ask":
		return r.askPerson
	case "setting":
		return r.openSetting
	case "retry":
		return r.retry
	case "defer":
		return r.deferFunction
	case "require":
		return r.require
	}
	return nil
}

// valueFunction gives the functions that make values.
func (r *runtime) valueFunction(name string) lua.LGFunction {
	switch name {
	case "uuid":
		return r.uuid
	case "array":
		return r.array
	case "object":
		return r.object
	case "decimal":
		return r.decimal
	}
	return nil
}

// apiValue gives the libraries and values of the environment.
func (r *runtime) apiValue(L *lua.LState, name string) lua.LValue {
	switch name {
	case "input":
		input := r.cfg.Input
		if input == nil {
			input = map[string]any{}
		}
		return r.toLua(L, input)
	case "null":
		return r.null()
	case "log":
		return r.library(entry{"debug", r.logger(engine.Debug)}, entry{"info", r.logger(engine.Info)},
			entry{"warn", r.logger(engine.Warn)}, entry{"error", r.logger(engine.Fault)})
	case "json":
		return r.library(entry{"encode", r.jsonEncode}, entry{"decode", r.jsonDecode})
	case "yaml":
		return r.library(entry{"encode", r.yamlEncode}, entry{"decode", r.yamlDecode})
	case "base64":
		return r.library(entry{"encode", r.base64Encode}, entry{"decode", r.base64Decode})
	case "hash":
		return r.hashLibrary()
	case "time":
		return r.library(entry{"now", r.timeNow}, entry{"format", r.timeFormat}, entry{"parse", r.timeParse})
	}
	return nil
}

// call asks the host. Meanwhile other branches may run.
func (r *runtime) call(L *lua.LState, c engine.Call) engine.Reply {
	if r.ctx.Err() != nil {
		r.die(L)
	}
	c.Branch = r.branch.path
	c.From = r.file
	if p, ok := r.place(1); ok {
		c.From, c.Where = p.file, p.String()
	}
	reply, err := r.ask(c)
	if err != nil {
		r.refusedCall(L, c, err)
	}
	return reply
}

// ask lets the host work. Other branches may run meanwhile.
func (r *runtime) ask(c engine.Call) (engine.Reply, error) {
	defer r.leave()()
	return r.cfg.Host.Call(r.ctx, c)
}

// leave says that this branch is about to enter the host; the function that it
// gives, that it is back.
func (r *runtime) leave() (back func()) {
	b, thread := r.branch, r.first.G.CurrentThread
	return func() { r.branch, r.first.G.CurrentThread = b, thread }
}

// refusedCall raises the error of a call that was not carried out. What is the
// engine's own failure, or the end of the run, cannot be caught.
func (r *runtime) refusedCall(L *lua.LState, c engine.Call, err error) {
	if errors.Is(err, engine.ErrAbandoned) {
		r.abandoned = true
		r.stop(newError(engine.Internal, "%v", err))
	}
	if r.fatal != nil || r.ctx.Err() != nil {
		r.die(L)
	}
	e, ok := err.(*engine.Error) //nolint:errorlint // the contract of Host: it comes unwrapped
	if !ok {
		e = newError(engine.Internal, "%v", err)
	}
	raised := *e
	raised.Message = prefixed(describeCall(c), e.Message)
	raised.Where, raised.Traceback = c.Where, r.traceback()
	if raised.Kind == engine.Internal || raised.Kind == "" {
		raised.Kind = engine.Internal
		r.stop(&raised)
		r.die(L)
	}
	r.raise(L, &raised)
}

// describeCall gives `connect "oracle"`.
func describeCall(c engine.Call) string {
	switch c.Kind {
	case engine.CallConnect, engine.CallTask, engine.CallFlow:
		return fmt.Sprintf("%s %q", c.Kind, c.Name)
	case engine.CallSource:
		return fmt.Sprintf("require %q", c.Name)
	case engine.CallNow:
		return "time.now"
	case engine.CallAsk:
		return "ask " + quoteKey(lua.LString(c.Name))
	case engine.CallSettingGet, engine.CallSettingSet, engine.CallSettingLock, engine.CallSettingUnlock:
		return fmt.Sprintf("%s setting %q", strings.TrimPrefix(string(c.Kind), "setting_"), c.Name)
	}
	return string(c.Kind)
}

func prefixed(prefix, message string) string {
	if strings.HasPrefix(message, prefix) {
		return message
	}
	return prefix + ": " + message
}

// start is connect, task and flow.
func (r *runtime) start(L *lua.LState, kind engine.CallKind, function string) int {
	name, ok := L.Get(1).(lua.LString)
	if !ok || name == "" {
		r.fail(L, "%s: the first argument is a name, not a %s", function, typeName(L.Get(1)))
	}
	c := engine.Call{Kind: kind, Name: string(name)}
	if L.GetTop() > 3 {
		r.fail(L, "%s: at most three arguments: name, inputs, options", describeCall(c))
	}
	c.Inputs = r.inputs(L, 2, describeCall(c))
	returnErrors := false
	c.Options, returnErrors = r.options(L, 3, describeCall(c))
	defer r.hold(c.Inputs)()
	reply := r.call(L, c)
	if len(reply.Executions) != 1 {
		r.wrongReply(L, c)
	}
	e := &execution{Execution: reply.Executions[0], call: describeCall(c), returnErrors: returnErrors}
	r.take(L, int(treeSize(e.Output)))
	r.raiseFailed(L, e)
	L.Push(r.userdata(e, kindExecution))
	return 1
}

// wrongReply ends the run: the host does not keep its contract.
func (r *runtime) wrongReply(L *lua.LState, c engine.Call) {
	r.stop(newError(engine.Internal, "%s: the host gave a wrong reply", describeCall(c)))
	r.die(L)
}

// inputs converts the table of inputs of a call.
func (r *runtime) inputs(L *lua.LState, n int, what string) map[string]any {
	switch v := L.Get(n).(type) {
	case *lua.LNilType:
		return nil
	case *lua.LTable:
		tree, err := r.fromLua(v, "inputs")
		if err != nil {
			r.refuseValue(L, what, err)
		}
		if object, ok := tree.(map[string]any); ok {
			return object
		}
		r.fail(L, "%s: the inputs are a list; they must be an object such as {name = value}", what)
	default:
		r.fail(L, "%s: the inputs must be a table, not a %s", what, typeName(v))
	}
	return nil
}

func (r *runtime) refuseValue(L *lua.LState, what string, err error) {
	if r.fatal != nil {
		r.die(L)
	}
	r.fail(L, "%s: %s", what, err.Error())
}

// fields reads a table of named fields, each by its own function, and refuses
// names that are not known.
func (r *runtime) readFields(L *lua.LState, t *lua.LTable, what string, read map[string]func(lua.LValue)) {
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if f := read[string(name)]; ok && f != nil {
			if v != lua.LValue(r.kinds.null) {
				f(v)
			}
			continue
		}
		known := slices.Sorted(maps.Keys(read))
		e := newError(engine.Invalid, "%s: there is no option %s", what, quoteKey(k))
		if near := nearest(string(name), known); near != "" {
			e.Hint = "did you mean " + near + "?"
		} else {
			e.Hint = "the options are " + strings.Join(known, ", ")
		}
		r.raise(L, e)
	}
}

func (r *runtime) options(L *lua.LState, n int, what string) (o engine.Options, returnErrors bool) {
	v := L.Get(n)
	if v == lua.LNil {
		return o, false
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		r.fail(L, "%s: the options must be a table, not a %s", what, typeName(v))
	}
	r.readFields(L, t, what, map[string]func(lua.LValue){
		"wait":            func(v lua.LValue) { o.NoWait = !r.boolean(L, v, what, "wait") },
		"on_error":        func(v lua.LValue) { returnErrors = r.onError(L, v, what) },
		"timeout":         func(v lua.LValue) { o.Timeout = r.duration(L, v, what+": timeout") },
		"retry":           func(v lua.LValue) { o.Retry = r.retryOptions(L, v, what+": retry") },
		"name":            func(v lua.LValue) { o.Name = r.name(L, v, what, "name") },
		"idempotency_key": func(v lua.LValue) { o.IdempotencyKey = r.name(L, v, what, "idempotency_key") },
	})
	return o, returnErrors
}

func (r *runtime) boolean(L *lua.LState, v lua.LValue, what, name string) bool {
	b, ok := v.(lua.LBool)
	if !ok {
		r.fail(L, "%s: %s is true or false, not a %s", what, name, typeName(v))
	}
	return bool(b)
}

func (r *runtime) onError(L *lua.LState, v lua.LValue, what string) bool {
	switch v {
	case lua.LString("raise"):
		return false
	case lua.LString("return"):
		return true
	}
	r.fail(L, `%s: on_error is "raise" or "return", not %s`, what, quoteKey(v))
	return false
}

func (r *runtime) name(L *lua.LState, v lua.LValue, what, name string) string {
	s, ok := v.(lua.LString)
	if !ok {
		r.fail(L, "%s: %s is a text, not a %s", what, name, typeName(v))
	}
	if _, err := r.fromLua(s, name); err != nil {
		r.refuseValue(L, what, err)
	}
	return string(s)
}

func (r *runtime) retryOptions(L *lua.LState, v lua.LValue, what string) (o engine.Retry) {
	t, ok := v.(*lua.LTable)
	if !ok {
		r.fail(L, "%s: {max_tries = n, delay = d, backoff = f, max_delay = d} is needed, not a %s", what, typeName(v))
	}
	r.readFields(L, t, what, map[string]func(lua.LValue){
		"max_tries": func(v lua.LValue) {
			n, ok := v.(lua.LNumber)
			if !ok || n < 1 || n > 1e6 || float64(n) != math.Trunc(float64(n)) {
				r.fail(L, "%s: max_tries is a whole number from 1, not %s", what, quoteKey(v))
			}
			o.MaxTries = int(n)
		},
		"backoff": func(v lua.LValue) {
			n, ok := v.(lua.LNumber)
			if !ok || !(n >= 1 && n <= 1000) {
				r.fail(L, "%s: backoff is a factor from 1, not %s", what, quoteKey(v))
			}
			o.Backoff = float64(n)
		},
		"delay":     func(v lua.LValue) { o.Delay = r.duration(L, v, what+": delay") },
		"max_delay": func(v lua.LValue) { o.MaxDelay = r.duration(L, v, what+": max_delay") },
	})
	return o
}

// duration reads a number of seconds, or a text such as "5m", "1.5h", "2d".
func (r *runtime) duration(L *lua.LState, v lua.LValue, what string) time.Duration {
	var d time.Duration
	var ok bool
	switch v := v.(type) {
	case lua.LNumber:
		d, ok = seconds(float64(v))
	case lua.LString:
		d, ok = parseDuration(string(v))
	}
	if !ok {
		r.raise(L, withHint(newError(engine.Invalid, "%s: %s is no duration", what, quoteKey(v)),
			`write "90s", "5m", "1.5h", "2d", or a number of seconds`))
	}
	return d
}

func seconds(s float64) (time.Duration, bool) {
	if !(s >= 0 && s < math.MaxInt64/1e9) {
		return 0, false
	}
	return time.Duration(math.Round(s * 1e9)), true
}

func parseDuration(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil {
			return 0, false
		}
		return seconds(n * 24 * 3600)
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return seconds(n)
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}

func (r *runtime) sleep(L *lua.LState) int {
	r.call(L, engine.Call{Kind: engine.CallSleep, Duration: r.duration(L, L.Get(1), "sleep")})
	return 0
}

func (r *runtime) sleepUntil(L *lua.LState) int {
	r.call(L, engine.Call{Kind: engine.CallSleep, Until: r.instant(L, 1, "sleep_until")})
	return 0
}

// secret gives an opaque handle. It names a secret and holds none.
func (r *runtime) secret(L *lua.LState) int {
	name, ok := L.Get(1).(lua.LString)
	p, key, found := strings.Cut(string(name), "#")
	if !ok || !found || p == "" || key == "" || strings.ContainsAny(string(name), "\n\r") {
		r.raise(L, withHint(newError(engine.Invalid, "secret: %s names no key of a secret", quoteKey(L.Get(1))),
			`write secret("path#key"), such as secret("secret/oracle#password")`))
	}
	if _, err := r.fromLua(name, "the name"); err != nil {
		r.refuseValue(L, "secret", err)
	}
	L.Push(r.userdata(engine.SecretRef(name), kindSecret))
	return 1
}

func (r *runtime) addOutput(L *lua.LState) int {
	t, ok := L.Get(1).(*lua.LTable)
	if !ok {
		r.fail(L, "output: a table such as {name = value} is needed, not a %s", typeName(L.Get(1)))
	}
	for k, v := t.Next(lua.LNil); k != lua.LNil; k, v = t.Next(k) {
		name, ok := k.(lua.LString)
		if !ok {
			r.fail(L, "output: the key %s is no text", quoteKey(k))
		}
		// Converting finds out now, and at its line, what would fail at the end.
		if _, err := r.fromLua(v, "output."+string(name)); err != nil {
			r.refuseValue(L, "output", err)
		}
		if r.output == nil {
			r.output = r.newObject(1)
		}
		r.output.RawSetString(string(name), v)
	}
	if r.output == nil {
		r.output = r.newObject(0)
	}
	return 0
}

func (r *runtime) logger(level engine.Level) lua.LGFunction {
	return func(L *lua.LState) int {
		e := engine.Event{Kind: engine.EventLog, Level: level, Message: r.tostring(L, L.Get(1))}
		if fields := L.Get(2); fields != lua.LNil {
			tree, err := r.fromLua(fields, "fields")
			if err != nil {
				r.refuseValue(L, "log", err)
			}
			object, ok := tree.(map[string]any)
			if !ok {
				r.fail(L, "log: the fields must be a table such as {name = value}")
			}
			e.Fields = object
		}
		r.emit(e)
		return 0
	}
}

func (r *runtime) emit(e engine.Event) {
	e.Where = r.where(1)
	e.Message = strings.ToValidUTF8(e.Message, "\uFFFD")
	r.meter.work(len(e.Message) + stepsPerEvent*bytesPerStep)
	r.cfg.Host.Emit(e)
}

func (r *runtime) progress(L *lua.LState) int {
	whole := func(n int) int64 {
		v, ok := L.Get(n).(lua.LNumber)
		if !ok || !(v >= 0 && v <= exactFloat) {
			r.fail(L, "progress: done and total are numbers from 0, not %s", quoteKey(L.Get(n)))
		}
		return int64(v)
	}
	e := engine.Event{Kind: engine.EventProgress, Done: whole(1)}
	if L.Get(2) != lua.LNil {
		e.Total = whole(2)
	}
	if L.Get(3) != lua.LNil {
		e.Message = r.tostring(L, L.Get(3))
	}
	r.emit(e)
	return 0
}
