package flows

import (
	"context"
	"errors"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// Config is what a run needs besides its program.
type Config struct {
	// Host carries out what the script asks for. Required.
	Host engine.Host
	// Input is the script's input; nil means none. It is a tree of values.
	Input map[string]any
	// Seed determines math.random and uuid(). Runs that shall repeat each other
	// need the same seed; the zero seed is a seed like any other.
	Seed [32]byte
	// Limits bound the run; the zero Limits are the defaults.
	Limits Limits
	// YAML is behind yaml.encode and yaml.decode; nil means that calling them is
	// an error.
	YAML YAML
}

// YAML converts between trees of values and YAML text.
type YAML interface {
	Encode(value any) ([]byte, error)
	Decode(text []byte) (any, error)
}

// Run runs a program to its end and gives its output, a tree of values: what the
// chunk returns, laid over what output{} collected. It blocks while the host
// works, and all that it started has ended when it returns.
//
// The error is [engine.ErrAbandoned] if the host dropped the run, and else always
// an [engine.Error]: of kind cancelled when ctx was
// cancelled (timeout when its deadline passed), limit when the script exceeded
// its limits, the child's kind when a failed child ended the flow, and script
// when the flow failed by itself. Functions given to defer() have run even then.
func Run(ctx context.Context, p *Program, cfg Config) (any, error) {
	if p == nil || cfg.Host == nil {
		return nil, errors.New("run flow: program and host are required")
	}
	r := newRuntime(ctx, cfg, p.file)
	defer r.close()
	out, failure := r.main(p)
	if r.abandoned {
		return nil, engine.ErrAbandoned
	}
	if late := r.runDeferred(ctx, failure); failure == nil {
		failure = late
	}
	if r.abandoned { // while a deferred function waited
		return nil, engine.ErrAbandoned
	}
	if failure != nil {
		return nil, failure
	}
	return out, nil
}

// runtime is one run of a program. Several goroutines may belong to it (the
// branches of parallel), but the host lets only one of them at a time be outside of
// it, and so touch anything in here, the Lua states included.
type runtime struct {
	cfg    Config
	file   string
	ctx    context.Context //nolint:containedctx // the run's own, ended by stop
	cancel context.CancelFunc
	meter  *meter
	first  *lua.LState // the state; the threads are made from it
	branch *branch     // the one that runs
	// branches are those that have not ended.
	branches map[*branch]bool
	kinds    kinds
	output   *lua.LTable      // what output{} collected, or nil
	locks    map[string]*lock // on settings, that the run holds
	// fatal ends the run: no script can catch it.
	fatal *engine.Error
	// abandoned says that the host drops the run: fatal is set as well.
	abandoned bool
	// spare are threads to use again, by the size of their stack.
	spare map[int]*lua.LState
	// coroutines that were resumed and have neither yielded nor ended.
	active map[*coroutine]bool
	tables tableBook
	// held are the bytes that functions of the library have in hand where the
	// census does not find them.
	held int64
}

// branch is one line of execution: the flow itself, a branch of parallel, or the
// deferred functions.
type branch struct {
	path     string
	threads  []*lua.LState         // those in progress, outermost first: pcall and coroutines nest
	stack    []*coroutine          // those in progress, outermost first
	forks    int                   // calls of parallel so far
	random   *random               // see numbers
	loaded   map[string]lua.LValue // modules
	loading  []string              // modules in progress, outermost first
	deferred []*lua.LFunction
	values   []lua.LValue // what its function returned or raised
}

const (
	registrySize = 256  // values; a thread starts with this stack
	callDepth    = 2048 // nested calls in one thread
	threadDepth  = 150  // nested threads: pcall in pcall, coroutine in coroutine
)

// How many values the stack of a thread may hold. The machine fills it without
// the sandbox seeing it, so the sum over all threads must be bounded: the outer
// ones have much, those nested deeper and those of which there may be many have
// less.
const (
	outerThreads = 4
	outerStack   = 1 << 20
	nestedStack  = 1 << 15
	manyStack    = 1 << 14 // of a coroutine, and of a branch
)

func newRuntime(ctx context.Context, cfg Config, file string) *runtime {
	r := &runtime{cfg: cfg, file: file, active: map[*coroutine]bool{}, branches: map[*branch]bool{}}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.meter = newMeter(r, cfg.Limits)
	r.first = lua.NewState(lua.Options{
		CallStackSize:       callDepth,
		RegistrySize:        registrySize,
		RegistryMaxSize:     outerStack,
		RegistryGrowStep:    256,
		SkipOpenLibs:        true,
		MinimizeStackMemory: true,
	})
	r.first.G.MainThread, r.first.G.CurrentThread = r.first, r.first
	r.first.SetContext(r.meter)
	r.spare = map[int]*lua.LState{outerStack: r.first}
	r.branch = &branch{}
	r.branches[r.branch] = true
	r.installGlobals()
	return r
}

func (r *runtime) close() {
	r.cancel()
	r.first.Close()
}

// main runs the chunk and converts what it returns.
func (r *runtime) main(p *Program) (any, *engine.Error) {
	if r.ctx.Err() != nil {
		return nil, r.interrupted()
	}
	r.meter.admit(p)
	values, failure := r.protected(r.first.NewFunctionFromProto(p.proto), nil)
	if failure != nil {
		return nil, r.describe(failure)
	}
	return r.result(values)
}

// result is what a chunk returned, over what output{} collected: where both are
// objects, the returned keys win.
func (r *runtime) result(values []lua.LValue) (any, *engine.Error) {
	if len(values) > 1 {
		return nil, r.invalid("the flow returned %d values; return one table instead", len(values))
	}
	var returned any
	if len(values) == 1 && values[0] != lua.LNil {
		var err error
		if returned, err = r.fromLua(values[0], "output"); err != nil {
			return nil, r.refused(err)
		}
	}
	if r.output == nil {
		return returned, nil
	}
	collected, err := r.fromLua(r.output, "output")
	if err != nil {
		return nil, r.refused(err)
	}
	into := collected.(map[string]any)
	switch over := returned.(type) {
	case nil:
		return into, nil
	case map[string]any:
		for k, v := range over {
			into[k] = v
		}
		return into, nil
	default:
		return nil, r.invalid("the flow called output{} and returned something else than an object")
	}
}

func (r *runtime) invalid(format string, args ...any) *engine.Error {
	e := newError(engine.Invalid, format, args...)
	e.Where = r.file
	return e
}

func (r *runtime) refused(err error) *engine.Error {
	if r.fatal != nil {
		return r.fatal
	}
	return r.invalid("%s", err.Error())
}
