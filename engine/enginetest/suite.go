package enginetest

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/flows"
	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/fake"
)

// Engine is an engine that works on kept state.
type Engine interface {
	Start(ctx context.Context, request engine.Request) (engine.ID, error)
	// Wait gives an execution when it has ended.
	Wait(ctx context.Context, id engine.ID) (engine.Execution, error)
	Order(ctx context.Context, order journal.Order) error
	// Orders lists those that were not carried out.
	Orders(ctx context.Context) ([]journal.Order, error)
	Load(ctx context.Context, id engine.ID) (journal.History, error)
	// Tree gives an execution, and then all below it.
	Tree(ctx context.Context, id engine.ID) ([]journal.Row, error)
	// Roots lists the executions that no other one has started.
	Roots(ctx context.Context) ([]journal.Row, error)
	// Lines gives the log of an execution's tree, each flow's lines in their order.
	Lines(ctx context.Context, id engine.ID) ([]journal.Line, error)
	// Tamper replaces an event of an execution's journal.
	Tamper(id engine.ID, number int, event journal.Event)
	// Resident tells how many executions are in memory.
	Resident() int
	// Close ends the engine as a user does.
	Close()
	// Abandon ends the engine as a crash does: nothing more is written.
	Abandon()
	// Died gives a channel that is closed after as many commits as the Setup says.
	Died() <-chan struct{}
	// Commits tells how many commits there were.
	Commits() int
}

// Setup says how an engine is opened. The zero value of a field is the engine's
// default.
type Setup struct {
	Dispatcher  *dispatch.Dispatcher
	FlowDirs    []string
	FilesDir    string
	Limits      flows.Limits
	MaxParallel int
	MaxResident int
	TaskLimits  map[string]int
	Grace       time.Duration
	// DieAfter is after how many commits the engine loses its store; 0 means never.
	// With Silent it does not learn that the last one was written.
	DieAfter int
	Silent   bool
	// Late is how long after it was written the engine learns of a commit.
	Late time.Duration
	// Refuse has each so many-th commit fail, as on a full disk; 0 means none.
	Refuse int
	// Stale has what was due at one look of the engine be due at the next one, too: a
	// list that was read before something was written.
	Stale bool
}

// Suite is what is tested.
type Suite struct {
	// New makes empty state, and gives what opens an engine on it, one after the
	// other. Nothing may remain when the test ends.
	New func(t *testing.T) (open func(t *testing.T, setup Setup) Engine)
	// Around runs each test, best with a clock of its own: synctest.Test. The suite
	// sleeps for hours.
	Around func(t *testing.T, test func(t *testing.T))
	// Tampers says that the engines can tamper with journals.
	Tampers bool
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	groups := []map[string]func(*world){resultTests(), crashTests(), doubtTests(), joinTests(), childTests(), cancelTests(), pauseTests(), retryTests(), logTests(), roomTests(), limitTests(), lateTests()}
	if s.Tampers {
		groups = append(groups, tamperTests())
	}
	for _, tests := range groups {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.Around(t, func(t *testing.T) { test(newWorld(t, s)) })
			})
		}
	}
}

// Canary is the value of every secret that a flow of the suite can name.
const Canary = "canary/5ecret+Value?"

type oneSecret struct{}

func (oneSecret) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	return secret.Data{Ref: ref, Keys: map[string]any{"password": secret.New(Canary)}}, nil
}

// other is the task type OTHER, which does the same as FAKE.
type other struct{ tasks.Driver }

func (o other) Spec() tasks.Spec {
	spec := o.Driver.Spec()
	spec.Type = "OTHER"
	return spec
}

// newDispatcher gives one that knows the task types FAKE and OTHER, and no
// connections but the implicit ones.
func newDispatcher(t *testing.T) *dispatch.Dispatcher {
	t.Helper()
	types, err := tasks.NewRegistry(fake.New(), other{fake.New()})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDefaults(types)}, Secrets: oneSecret{}, Types: types,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: oneSecret{}, Tasks: types})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// world is where one test takes place: a directory of flows, one of files, and an
// engine, which may be another one after a crash.
type world struct {
	*testing.T
	dir    string // of flows
	files  string
	setup  Setup
	open   func(t *testing.T, setup Setup) Engine
	engine Engine
}

func newWorld(t *testing.T, s Suite) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), files: t.TempDir(), open: s.New(t)}
	w.setup = Setup{Dispatcher: newDispatcher(t), FlowDirs: []string{w.dir}, FilesDir: w.files}
	t.Cleanup(func() {
		if w.engine != nil {
			w.engine.Abandon()
		}
	})
	return w
}

// on opens the engine, if it is not open.
func (w *world) on() Engine {
	if w.engine == nil {
		w.engine = w.open(w.T, w.setup)
	}
	return w.engine
}

// crash ends the engine at once, and opens another one.
func (w *world) crash() {
	w.Helper()
	w.on().Abandon()
	w.engine = nil
	w.on()
}

// restart ends the engine as a user does, and opens another one.
func (w *world) restart() {
	w.Helper()
	w.on().Close()
	w.engine = nil
	w.on()
}

// flow writes a file of the flow directory.
func (w *world) flow(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name+".lua"), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

// start starts a flow of this text.
func (w *world) start(text string) engine.ID {
	w.Helper()
	return w.startAs(engine.Request{Text: []byte(text)})
}

func (w *world) startAs(request engine.Request) engine.ID {
	w.Helper()
	request.File = filepath.Join(w.dir, "main.lua")
	if request.Files == "" {
		request.Files = w.files
	}
	id, err := w.on().Start(w.Context(), request)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// patience is how long a test waits for anything, on its own clock.
const patience = time.Hour

// end waits for an execution's end.
func (w *world) end(id engine.ID) engine.Execution {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	e, err := w.on().Wait(ctx, id)
	if err != nil {
		w.Fatalf("wait for %s: %v; it is %+v\n%s", id, err, w.row(id).State, w.journal(id))
	}
	return e
}

// output waits for an execution's end and compares its output, as JSON.
func (w *world) output(id engine.ID, want string) {
	w.Helper()
	e := w.end(id)
	if e.Error != nil {
		w.Fatalf("%s: %s: %v\n%s", id, e.Error.Kind, e.Error, e.Error.Traceback)
	}
	if diff := cmp.Diff(want, text(w.T, e.Output)); diff != "" {
		w.Errorf("output (-want +got):\n%s", diff)
	}
}

func text(t *testing.T, tree any) string {
	t.Helper()
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fails waits for an execution's end, which must be this.
func (w *world) fails(id engine.ID, status engine.Status, kind engine.Kind, text string) *engine.Error {
	w.Helper()
	e := w.end(id)
	if e.Error == nil || e.Status != status || e.Error.Kind != kind || !strings.Contains(e.Error.Error(), text) {
		w.Fatalf("got %s, %+v, want %s, kind %s, text %q", e.Status, e.Error, status, kind, text)
	}
	return e.Error
}

func (w *world) row(id engine.ID) journal.Row {
	w.Helper()
	h, err := w.on().Load(w.Context(), id)
	if err != nil {
		return journal.Row{ID: id, State: journal.State{Status: engine.Status(err.Error())}}
	}
	return h.Row
}

// journal gives an execution's events as text, for messages.
func (w *world) journal(id engine.ID) string {
	h, err := w.on().Load(w.Context(), id)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, event := range h.Events {
		data, _ := json.Marshal(event)
		b.WriteString(journal.Name(event) + " " + string(data) + "\n")
	}
	return b.String()
}

// until waits until something is so.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	for n := range 10_000 {
		if is() {
			return
		}
		w.nap(n)
	}
	w.Fatalf("it does not come to: %s", what)
}

// pass lets time pass.
func (w *world) pass(d time.Duration) { <-time.After(d) }

// nap passes the time until the n-th look: short at first, so that a test comes upon
// the moment, and longer later.
func (w *world) nap(n int) { w.pass(min(time.Duration(1+n/20)*time.Millisecond, 50*time.Millisecond)) }

// becomes waits until an execution has a state.
func (w *world) becomes(id engine.ID, status engine.Status, waits string) {
	w.Helper()
	got := journal.Row{}
	for n := range 10_000 {
		if got = w.row(id); got.Status == status && got.Waits == waits {
			return
		}
		if got.Status.Ended() {
			break
		}
		w.nap(n)
	}
	w.Fatalf("%s is %s %q, not %s %q\n%s", id, got.Status, got.Waits, status, waits, w.journal(id))
}

// count gives how often a task was tried that counts in this file.
func (w *world) count(counter string) int {
	data, err := os.ReadFile(filepath.Join(w.files, counter)) //nolint:gosec // a test's own directory
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	return len(data)
}

// counted waits until a task has begun its n-th try.
func (w *world) counted(counter string, n int) {
	w.Helper()
	w.until("a task counts "+counter, func() bool { return w.count(counter) >= n })
}

// counts gives all counters.
func (w *world) counts() map[string]int {
	counts := map[string]int{}
	entries, err := os.ReadDir(w.files)
	if err != nil {
		w.Fatal(err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode()&fs.ModeType == 0 {
			counts[entry.Name()] = int(info.Size())
		}
	}
	return counts
}

// counters compares the counters.
func (w *world) counters(want map[string]int) {
	w.Helper()
	if diff := cmp.Diff(want, w.counts()); diff != "" {
		w.Errorf("tries of the tasks (-want +got):\n%s", diff)
	}
}

func (w *world) order(id engine.ID, verb journal.Verb) {
	w.Helper()
	w.orders(journal.Order{Execution: id, Verb: verb})
}

func (w *world) orders(o journal.Order) {
	w.Helper()
	o.At = time.Now()
	if err := w.on().Order(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

// decide answers what is to become of a step.
func (w *world) decide(id engine.ID, answer string) {
	w.Helper()
	w.becomes(id, engine.Paused, journal.WaitsForDecision)
	w.orders(journal.Order{Execution: id, Verb: journal.VerbAnswer, Value: answer})
}

// lines gives the messages of a tree's log.
func (w *world) lines(id engine.ID) []string {
	w.Helper()
	lines, err := w.on().Lines(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	var messages []string
	for _, line := range lines {
		messages = append(messages, line.Event.Message)
	}
	return messages
}

type noYAML struct{}

func (noYAML) Encode(any) ([]byte, error) { return nil, nil }
func (noYAML) Decode([]byte) (any, error) { return nil, nil }

// YAML is what flows of the suite have for yaml.encode and yaml.decode.
func YAML() flows.YAML { return noYAML{} }

// answer answers a question of a flow.
func (w *world) answer(id engine.ID, step string, value any) {
	w.Helper()
	w.orders(journal.Order{Execution: id, Verb: journal.VerbAnswer, Step: step, Value: value})
}
