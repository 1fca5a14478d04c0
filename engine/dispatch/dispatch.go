package dispatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/tasks"
)

// Config says what a Dispatcher works with. All fields are required.
type Config struct {
	Resolver *connections.Resolver
	// Secrets reads what the handles in a flow's inputs name.
	Secrets connections.SecretReader
	Tasks   *tasks.Registry
}

// Dispatcher carries out steps. It is safe for concurrent use.
type Dispatcher struct {
	resolver *connections.Resolver
	secrets  connections.SecretReader
	tasks    *tasks.Registry
}

// New makes a Dispatcher.
func New(config Config) (*Dispatcher, error) {
	if config.Resolver == nil || config.Secrets == nil || config.Tasks == nil {
		return nil, errors.New("dispatch: resolver, secrets and tasks are required")
	}
	return &Dispatcher{resolver: config.Resolver, secrets: config.Secrets, tasks: config.Tasks}, nil
}

// Step is one call to connect or task.
type Step struct {
	Owner string
	// Execution is the one that the step is, for the account of what secrets are read;
	// empty for a test.
	Execution engine.ID
	Call      engine.Call // of kind connect or task
	Scope     *Scope
	Files     *os.Root // the files directory
	// Made is how many tries an engine made that has ended meanwhile.
	Made int
	// Begin, if not nil, is called before the driver is at each try, with the task
	// type and whether its operation must not be run twice. Its error ends the
	// step; end is called after the driver.
	Begin func(ctx context.Context, taskType string, once bool) (end func(), err error)
	// Tried, if not nil, is told of each failed try after which there is another.
	Tried func(try int, next time.Duration, failure *engine.Error)
	// Emit receives progress and warnings, not yet masked. Never nil; it may be
	// called from several goroutines.
	Emit func(engine.Event)
}

// Outcome is what a step came to.
type Outcome struct {
	Type   string // the task type; empty if it did not come so far
	Output any    // exact, not masked
	Tries  int
	Uses   engine.Uses // of all tries
}

// Do carries out a step with all its tries. The error's texts are masked; which
// step it was, and where, is for the caller to say.
func (d *Dispatcher) Do(ctx context.Context, step Step) (Outcome, *engine.Error) {
	ctx, cancel := WithTimeout(ctx, step.Call.Options.Timeout)
	defer cancel()
	var out Outcome
	out.Tries = step.Made
	failure := Retry(ctx, step.Call.Options.Retry, step.Made, func(int) *engine.Error {
		return d.try(ctx, step, &out)
	}, func(try int, next time.Duration, failure *engine.Error) {
		if step.Tried != nil {
			step.Tried(try, next, step.Scope.Error(failure))
		}
	})
	if failure == nil {
		return out, nil
	}
	out.Output = nil
	return out, step.Scope.Error(failure)
}

// try makes one try. A try whose credentials were refused is made once more if
// the secrets have changed since they were read and the operation may be repeated;
// a source that keeps what it read is made to read them afresh.
func (d *Dispatcher) try(ctx context.Context, step Step, out *Outcome) *engine.Error {
	resolved, failure := d.resolve(ctx, step, out)
	if failure != nil {
		return failure
	}
	failure, refused := d.perform(ctx, step, resolved, out)
	if !refused {
		return failure
	}
	d.forget(step, resolved)
	again, err := d.resolve(ctx, step, out)
	if err != nil || slices.EqualFunc(resolved.Masked, again.Masked, secret.Value.Equal) {
		return failure
	}
	step.log(engine.Info, rotated(resolved.shown(), again.shown()))
	failure, _ = d.perform(ctx, step, again, out)
	return failure
}

// prepared is what a try is run with.
type prepared struct {
	connections.Resolved
	handles []secret.Data // what the flow's own handles gave, without keys
}

// shown gives the secrets that whoever runs the flow may know of.
func (p prepared) shown() []secret.Data {
	if p.Connection.Shared == connections.RightUse {
		return p.handles
	}
	return slices.Concat(p.Uses, p.handles)
}

// reader gives the reader of the secrets that a flow names itself.
func (d *Dispatcher) reader(step Step) connections.SecretReader {
	return connections.ReaderFor(d.secrets, connections.Reading{User: step.Owner, Owner: step.Owner, Execution: string(step.Execution)})
}

// forget has what was read read afresh, each where it came from.
func (d *Dispatcher) forget(step Step, p prepared) {
	owned := connections.ReaderFor(d.secrets, connections.Reading{User: step.Owner, Owner: p.Connection.Owner, Execution: string(step.Execution)})
	if forgetter, ok := owned.(connections.Forgetter); ok {
		for _, used := range p.Uses {
			forgetter.Forget(used.Ref)
		}
	}
	if forgetter, ok := d.reader(step).(connections.Forgetter); ok {
		for _, used := range p.handles {
			forgetter.Forget(used.Ref)
		}
	}
}

// rotated says that a try is made again because secrets have changed, and which.
func rotated(before, now []secret.Data) string {
	var changed []string
	for _, read := range now {
		same := func(old secret.Data) bool { return old.Ref == read.Ref }
		if !slices.ContainsFunc(before, same) {
			changed = append(changed, strconv.Quote(read.Ref.String()))
		}
	}
	said := "the credentials were refused and have changed since: trying again"
	if len(changed) > 0 {
		said += " with secret " + strings.Join(changed, ", ")
	}
	return said
}

// resolve merges the step's inputs and registers every secret among them with the
// scope before anything else can see them.
func (d *Dispatcher) resolve(ctx context.Context, step Step, out *Outcome) (prepared, *engine.Error) {
	laying := handles{reader: d.reader(step)}
	inputs, err := laying.layMap(ctx, step.Call.Inputs)
	step.Scope.redactor.Add(laying.masked...)
	if err != nil {
		return prepared{}, fromError(ctx, err)
	}
	request := connections.Request{Owner: step.Owner, Overrides: inputs, Execution: string(step.Execution)}
	if step.Call.Kind == engine.CallConnect {
		request.Name = step.Call.Name
	} else {
		request.Type = step.Call.Name
	}
	resolved, err := d.resolver.Resolve(ctx, request)
	step.Scope.redactor.Add(resolved.Masked...)
	for _, pair := range resolved.Pairs {
		step.Scope.redactor.AddPair(pair.User, pair.Password)
	}
	if err != nil {
		failure := fromError(ctx, err)
		failure.Message = unnamed(failure.Message, step.Call.Name)
		return prepared{}, failure
	}
	for _, warning := range slices.Concat(laying.warnings, resolved.Warnings) {
		if out.Tries == 0 { // once is enough
			step.warn(warning)
		}
	}
	out.Type = resolved.Connection.Type
	return prepared{resolved, laying.used}, nil
}

// record adds what a try is run with to what earlier ones were.
func (s Step) record(uses *engine.Uses, resolved prepared) {
	uses.Connection, uses.Revision = resolved.Connection.Name, resolved.Connection.Revision
	for _, data := range resolved.shown() {
		use := engine.SecretUse{Version: data.Ref.Version, Created: data.Created}
		data.Ref.Version = 0
		use.Path = data.Ref.String()
		for key, value := range data.Metadata {
			if use.Metadata == nil {
				use.Metadata = make(map[string]string, len(data.Metadata))
			}
			// Whoever wrote it may have thought that only Vault sees it.
			use.Metadata[s.Scope.redactor.String(key)] = s.Scope.redactor.String(value)
		}
		same := func(u engine.SecretUse) bool { return u.Path == use.Path && u.Version == use.Version }
		if !slices.ContainsFunc(uses.Secrets, same) {
			uses.Secrets = append(uses.Secrets, use)
		}
	}
}

// perform runs the driver once. refused tells that the other system refused the
// credentials of an operation that may be repeated, or that had not begun.
func (d *Dispatcher) perform(ctx context.Context, step Step, resolved prepared, out *Outcome) (failure *engine.Error, refused bool) {
	out.Tries++
	step.record(&out.Uses, resolved)
	driver, ok := d.tasks.Driver(resolved.Connection.Type)
	if !ok {
		return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("unknown task type %q", resolved.Connection.Type)}, false
	}
	spec, _ := d.tasks.Spec(resolved.Connection.Type)
	operation, err := spec.Check(resolved.Inputs)
	if err != nil {
		return fromError(ctx, err), false
	}
	if step.Begin != nil {
		end, err := step.Begin(ctx, resolved.Connection.Type, !operation.Idempotent && !mayRepeat(step.Call.Options))
		if err != nil {
			return fromError(ctx, err), false
		}
		defer end()
	}
	result, err := run(ctx, driver, resolved.Resolved, step)
	if err == nil {
		out.Output = map[string]any(result.Output)
		return nil, false
	}
	var fault *tasks.Error
	refused = errors.As(err, &fault) && fault.Auth && (operation.Idempotent || fault.Unsent)
	return fromError(ctx, err), refused
}

// mayRepeat tells whether the caller has allowed that the operation is repeated.
func mayRepeat(o engine.Options) bool { return o.IdempotencyKey != "" || o.Retry.MaxTries > 1 }

// run opens a session and performs its operation.
func run(ctx context.Context, driver tasks.Driver, resolved connections.Resolved, step Step) (result tasks.Result, err error) {
	err = withSession(ctx, driver, resolved, step, func(session tasks.Session) error {
		result, err = session.Do(ctx)
		return err
	})
	return result, err
}

// withSession opens a session for use. A panic of the driver becomes an error of
// kind internal: one driver's defect must not end the engine.
func withSession(ctx context.Context, driver tasks.Driver, resolved connections.Resolved, step Step, use func(tasks.Session) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &panicError{cause: cause, stack: debug.Stack()}
		}
	}()
	env := step.env()
	env.Machine = step.Owner == "" && resolved.Connection.Owner == ""
	env.CredentialTTL = time.Duration(resolved.Connection.TTL) * time.Second
	session, err := driver.Open(ctx, resolved.Inputs, env)
	if err != nil {
		return err
	}
	defer func() {
		// What was done stays done: to fail for this would invite doing it again.
		if failed := session.Close(); failed != nil {
			step.warn("end the session: " + failed.Error())
		}
	}()
	return use(session)
}

func (s Step) env() tasks.Env {
	return tasks.Env{
		Files: s.Files,
		Progress: func(done, total int64, message string) {
			s.Emit(engine.Event{Kind: engine.EventProgress, Done: done, Total: total, Message: message})
		},
		Warn:           s.warn,
		Mask:           s.Scope.redactor.Add,
		IdempotencyKey: s.Call.Options.IdempotencyKey,
	}
}

func (s Step) warn(message string) { s.log(engine.Warn, message) }

func (s Step) log(level engine.Level, message string) {
	s.Emit(engine.Event{
		Kind: engine.EventLog, Level: level, Where: s.Call.Where,
		Message: subject(s.Call) + ": " + message,
	})
}

// subject names the step as errors and logs do: `connect "oracle"`.
func subject(call engine.Call) string { return fmt.Sprintf("%s %q", call.Kind, call.Name) }
