package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
)

// Limits of executions.
const (
	// MaxDepth is how deep flows may call flows.
	MaxDepth = 32
	// MaxChildren is how many executions one flow may start.
	MaxChildren = 10_000
	// MaxCalls is how many calls one branch of a flow may make, of all kinds.
	MaxCalls = 100_000
	// MaxParallel is how many tasks run at the same time unless the Config says
	// otherwise; others wait.
	MaxParallel = 64
	// MaxResident is how many flows are in memory at the same time unless the
	// Config says otherwise; others wait.
	MaxResident = 1000
	// MaxOutput is how large the output of a task or a flow may be, in bytes.
	MaxOutput = 32 << 20
)

// GCPercent is for [debug.SetGCPercent] in a process that serves: little is in memory
// for long, and at the usual 100 a third of the time of small steps went into
// looking for it.
const GCPercent = 400

// Store is where executions are kept. A store of package store is one.
type Store interface {
	// Commit writes the changes, all or none, and calls done when they are on disk
	// or could not be written: never before it returns, in the order of the
	// commits, and quickly again. An error of kind conflict means that
	// another engine works on the execution.
	Commit(changes []journal.Change, done func(error))
	// Load reads an execution. Its error is of kind notfound if there is none.
	Load(ctx context.Context, id engine.ID) (journal.History, error)
	// Text reads the text of a flow or module by its digest.
	Text(ctx context.Context, digest string) ([]byte, error)
	// TraceKey gives the key for the traces of an execution's tree.
	TraceKey(ctx context.Context, id engine.ID) ([32]byte, error)
	Queue
}

// Queue is what a store has for an engine to do.
type Queue interface {
	// Due lists executions to be looked at, at most so many of each owner, and
	// tells when the next one is due after them; zero means that none is.
	Due(ctx context.Context, now time.Time, perOwner int) (rows []journal.Row, next time.Time, err error)
	// Recover makes everything due that was in the memory of an engine that has ended.
	Recover(ctx context.Context, now time.Time) error
	// Orders lists what is asked of the engine, oldest first.
	Orders(ctx context.Context) ([]journal.Order, error)
	// Changed tells whether another process has written since it was last asked.
	Changed(ctx context.Context) (bool, error)
}

// Config says what a Runner works with.
type Config struct {
	Dispatcher *dispatch.Dispatcher // required
	// Store keeps executions; nil means that they end with the process.
	Store Store
	// FlowDirs are searched for flows and modules, after the directory of the one
	// that names them: for the owner "", on whose machine they are. Flows of others
	// find what Flows has for their owner.
	FlowDirs []string
	// Flows gives a flow or module that is in no directory, with its file, see
	// [StoredFile], and its text; nil means that there are none. Its error is of kind
	// notfound if there is none of that name.
	Flows func(ctx context.Context, owner, name string) (file string, text []byte, err error)
	// FilesDir is where executions that name no files directory get one of their
	// own. Required with a store.
	FilesDir string
	// Limits of each flow; the zero value means the defaults of package flows.
	Limits flows.Limits
	// YAML is what the yaml module of flows works with; required.
	YAML flows.YAML
	// MaxParallel, MaxResident: see the constants; zero means those.
	MaxParallel int
	MaxResident int
	// TaskLimits is how many tasks of a type run at the same time; a type that is
	// not in it is bounded by MaxParallel only.
	TaskLimits map[string]int
	// Grace is how long steps that run may take when the engine is stopped; zero
	// means that they are ended at once.
	Grace time.Duration
	// Log receives what people who run the engine should know; nil drops it.
	Log *slog.Logger
	// Now is the clock; nil means the machine's.
	Now func() time.Time
}

// Runner runs flows. It is safe for concurrent use.
type Runner struct {
	config   Config
	now      func() time.Time
	slots    *slots
	types    map[string]*slots
	programs programs

	life     context.Context //nolint:containedctx // of all steps: ended when the engine stops
	stop     context.CancelCauseFunc
	draining atomic.Bool

	mu       sync.Mutex
	resident map[engine.ID]*flow
	loading  loading
	trees    map[engine.ID]*tree
	waiters  map[engine.ID][]chan engine.Execution
	told     map[engine.ID][]journal.Order // for executions that are being loaded
	locked   map[[2]string][]*flow         // that wait for a lock, by owner and name
	backlog  bool                          // something is due that was not taken up
	settings memorySettings                // where there is no store
	serving  bool
	alarm    time.Time // when the engine looks for what is due; zero for no time
	wanted   bool      // something is due that had no room
	poked    chan struct{}
	work     sync.WaitGroup

	farewell sync.Mutex        // held while it is written that a flow leaves its children alone
	news     map[engine.ID]int // children whose end is written or about to be, of which their parent does not know yet
}

var _ engine.Runner = (*Runner)(nil)

// New makes a Runner.
func New(config Config) (*Runner, error) {
	if config.Dispatcher == nil || config.YAML == nil {
		return nil, errors.New("local: dispatcher and yaml are required")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.MaxParallel == 0 {
		config.MaxParallel = MaxParallel
	}
	if config.MaxResident == 0 {
		config.MaxResident = MaxResident
	}
	r := &Runner{
		config: config, now: config.Now, slots: newSlots(config.MaxParallel), types: map[string]*slots{},
		resident: map[engine.ID]*flow{}, loading: newLoading(), trees: map[engine.ID]*tree{},
		waiters: map[engine.ID][]chan engine.Execution{}, told: map[engine.ID][]journal.Order{}, news: map[engine.ID]int{},
		poked: make(chan struct{}, 1),
	}
	for taskType, n := range config.TaskLimits {
		r.types[taskType] = newSlots(n)
	}
	r.life, r.stop = context.WithCancelCause(context.Background())
	return r, nil
}

// Run runs a flow to its end in this process; see [engine.Runner]. Nothing of it is
// kept.
func (r *Runner) Run(ctx context.Context, request engine.Request) (engine.Finished, error) {
	if r.config.Store != nil {
		return engine.Finished{}, errors.New("local: a runner with a store starts executions")
	}
	program, err := flows.Compile(request.File, request.Text)
	if err != nil {
		return engine.Finished{}, err
	}
	change := newExecution(request, r.now())
	t := &tree{runner: r, root: change.ID, owner: request.Owner, files: request.Files, scope: dispatch.NewScope([32]byte{}), watch: request.Watch}
	if _, err := t.open(); err != nil {
		return engine.Finished{}, err
	}
	ended := r.waiter(change.ID)
	r.begin(journal.History{Row: *change.Create, Events: change.Events}, t, program)
	var e engine.Execution
	select {
	case e = <-ended:
	case <-ctx.Done():
		r.tell(change.ID, journal.Order{Verb: journal.VerbCancel})
		e = <-ended
	}
	return engine.Finished{Execution: e, Mask: t.scope.Mask}, nil
}

// newExecution is the change by which an execution comes to be.
func newExecution(request engine.Request, now time.Time) journal.Change {
	id := request.ID
	if id == "" {
		id = NewID(now)
	}
	name := request.Name
	if name == "" {
		name = flowName(request.File)
	}
	begun := &journal.Begun{
		At: now, File: request.File, Text: journal.Digest(request.Text), Inputs: request.Inputs, Files: request.Files, Again: request.Again,
		Trace: request.Trace,
	}
	return journal.Change{
		ID: id,
		Create: &journal.Row{
			ID: id, Root: id, Owner: request.Owner, Name: name, Created: now,
			State: journal.State{Status: engine.Pending, Wake: now},
		},
		Events: []journal.Event{begun},
		Texts:  map[string][]byte{begun.Text: request.Text},
	}
}

// NewID makes an id for an execution, which sorts by the time of its making.
func NewID(now time.Time) engine.ID {
	return engine.ID(fmt.Sprintf("%011x", now.UnixMilli()) + strings.ToLower(rand.Text()[:12]))
}

// begin has a flow in memory go on from its journal, which may be its first event
// only.
func (r *Runner) begin(h journal.History, t *tree, program *flows.Program) {
	cursor, err := journal.NewCursor(h.Events)
	if err != nil {
		r.log("cannot read the journal", h.ID, err)
		r.unload(h.ID)
		return
	}
	f := &flow{
		runner: r, row: h.Row, cursor: cursor, begun: cursor.Begun,
		numbers: map[string]int{}, calls: map[journal.Address]*call{}, steps: map[engine.ID]*call{}, given: map[journal.Address]bool{},
		said: h.Ordinal, births: make(chan struct{}, maxBirths),
	}
	f.changes.next, f.changes.lines = cursor.Next(), h.Lines
	f.life, f.stop = context.WithCancel(context.Background())
	f.mu.Lock()
	defer f.mu.Unlock()
	r.mu.Lock()
	r.loading.remove(h.ID)
	if r.resident[h.ID] != nil || r.draining.Load() {
		r.mu.Unlock()
		return
	}
	r.resident[h.ID] = f
	if known := r.trees[t.root]; known != nil { // another flow of the tree came first
		t = known
	}
	f.tree = t
	t.users++
	r.trees[t.root] = t
	orders := r.told[h.ID]
	delete(r.told, h.ID)
	r.mu.Unlock()
	t.emitState(engine.Execution{
		ID: h.ID, Parent: h.Parent, Kind: engine.CallFlow, Name: h.Name, Type: "FLOW", Status: engine.Running,
		Started: f.begun.At, Tries: max(f.begun.Try, 1),
	})
	for _, o := range orders {
		f.taken = append(f.taken, o.Number)
	}
	f.orders = orders
	if h.Status == engine.Running && !h.Wake.IsZero() { // an engine had it that has ended
		f.mark(journal.Address{}, journal.MarkRecovered, "")
		f.flush()
	}
	f.run(program)
}

// left takes a flow off the list of those in memory.
func (r *Runner) left(f *flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resident[f.row.ID] != f {
		return
	}
	delete(r.resident, f.row.ID)
	f.stop()
	if f.tree.users--; f.tree.users == 0 {
		delete(r.trees, f.tree.root)
		f.tree.close()
	}
	wake := f.row.Wake
	if r.wanted || (!wake.IsZero() && (r.alarm.IsZero() || wake.Before(r.alarm))) {
		r.wanted = false
		r.poke()
	}
}

// ended tells of an execution that has come to its end.
func (r *Runner) ended(f *flow, e engine.Execution) {
	f.tree.emitState(e)
	r.settings.release(e.ID)
	f.mu.Lock()
	f.dropped = true
	f.alarms.stop()
	f.advance() // one that was given up has lines that wait
	f.mu.Unlock()
	r.mu.Lock()
	waiters := r.waiters[e.ID]
	delete(r.waiters, e.ID)
	parent := r.resident[f.row.Parent]
	r.mu.Unlock()
	if parent != nil {
		parent.childEnded(e.ID, e)
	}
	r.left(f)
	r.mu.Lock()
	late := r.told[e.ID]
	delete(r.told, e.ID)
	r.mu.Unlock()
	r.tooLate(e.ID, late...)
	if f.row.Parent != "" {
		r.ending(f.row.Parent, -1)
		if parent == nil {
			r.poke() // it is due now
		} else {
			parent.look() // it may rest now
		}
	}
	for name := range f.fences {
		r.lockFreed(f.tree.owner, name)
	}
	for _, w := range waiters {
		w <- e
	}
}

// ending counts children whose end is written, or about to be, and of which their
// parent does not know yet.
func (r *Runner) ending(parent engine.ID, n int) {
	r.farewell.Lock()
	defer r.farewell.Unlock()
	if r.news[parent] += n; r.news[parent] == 0 {
		delete(r.news, parent)
	}
}

// expects tells whether a flow will hear of the end of a child at once.
func (r *Runner) expects(id engine.ID) bool {
	r.farewell.Lock()
	defer r.farewell.Unlock()
	return r.news[id] > 0
}

// waiter gives a channel that gets the execution when it has ended in this process.
func (r *Runner) waiter(id engine.ID) <-chan engine.Execution {
	ended := make(chan engine.Execution, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters[id] = append(r.waiters[id], ended)
	return ended
}

// unwait ends the use of a channel that waiter gave.
func (r *Runner) unwait(id engine.ID, ended <-chan engine.Execution) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters[id] = slices.DeleteFunc(r.waiters[id], func(w chan engine.Execution) bool { return w == ended })
	if len(r.waiters[id]) == 0 {
		delete(r.waiters, id)
	}
}

// poke has the engine look for something to do.
func (r *Runner) poke() {
	select {
	case r.poked <- struct{}{}:
	default:
	}
}

// crowded tells that others need the room of the flows of a tree that only wait.
func (r *Runner) crowded(root engine.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config.Store != nil && len(r.resident) >= r.config.MaxResident || r.hasShare(root)
}

// stopped tells whether the engine is being stopped.
func (r *Runner) stopped() bool { return r.life.Err() != nil }

func (r *Runner) log(message string, id engine.ID, err error) {
	if r.config.Log != nil {
		r.config.Log.Error(message, "execution", id, "error", err)
	}
}

// programs are compiled flows, by the digest of their text and their file.
type programs struct {
	mu    sync.Mutex
	known map[string]*flows.Program
}

// maxPrograms bounds how many compiled flows are kept.
const maxPrograms = 1000

// compiled gives the program of a text if it was compiled not long ago, else nil.
func (r *Runner) compiled(file, digest string) *flows.Program {
	r.programs.mu.Lock()
	defer r.programs.mu.Unlock()
	return r.programs.known[file+"\x00"+digest]
}

func (r *Runner) compile(file string, text []byte) (*flows.Program, error) {
	digest := journal.Digest(text)
	if program := r.compiled(file, digest); program != nil {
		return program, nil
	}
	program, err := flows.Compile(file, text)
	if err != nil {
		return nil, err
	}
	r.programs.mu.Lock()
	defer r.programs.mu.Unlock()
	if r.programs.known == nil || len(r.programs.known) >= maxPrograms {
		r.programs.known = map[string]*flows.Program{}
	}
	r.programs.known[file+"\x00"+digest] = program
	return program, nil
}

// source gives the text of a flow or module that a flow names.
func (r *Runner) source(ctx context.Context, owner, from, name string) (file string, text []byte, err error) {
	file, text, err = load(name, r.searched(owner, from))
	var failure *engine.Error
	if err == nil || r.config.Flows == nil || !errors.As(err, &failure) || failure.Kind != engine.NotFound {
		return file, text, err
	}
	file, text, stored := r.stored(ctx, owner, from, name)
	var missing *engine.Error
	if errors.As(stored, &missing) && missing.Kind == engine.NotFound {
		failure.Message = strings.TrimSuffix(failure.Message, " in ") + ", nor in the store"
		if failure.Hint == "" {
			failure.Hint = missing.Hint
		}
		return "", nil, failure
	}
	return file, text, stored
}

// stored gives a flow or module of the store: as in directories, one beside the flow
// that names it goes first.
func (r *Runner) stored(ctx context.Context, owner, from, name string) (file string, text []byte, err error) {
	if dir := storedDir(from); dir != "" {
		file, text, err = r.config.Flows(ctx, owner, path.Join(dir, name))
		var missing *engine.Error
		if err == nil || !errors.As(err, &missing) || missing.Kind != engine.NotFound {
			return file, text, err
		}
	}
	return r.config.Flows(ctx, owner, name)
}

// text gives the text of a module that an execution has loaded before.
func (r *Runner) text(ctx context.Context, t *tree, digest string) ([]byte, error) {
	if text, ok := t.text(digest); ok {
		return text, nil
	}
	text, err := r.config.Store.Text(ctx, digest)
	if err == nil {
		t.keep(digest, text)
	}
	return text, err
}
