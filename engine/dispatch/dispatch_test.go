package dispatch_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/all"
)

const canary = "canary/5ecret+Value?"

// secrets is a source whose one secret has a new version at each read.
type secrets struct {
	mu        sync.Mutex
	reads     int
	passwords []string // by read; the last one stays
	err       error
	keeps     bool // gives what it read before, until that is to be forgotten
	kept      secret.Data
	outage    *secret.ReadError
}

func (s *secrets) Forget(ref secret.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ref == s.kept.Ref {
		s.kept = secret.Data{}
	}
}

func (s *secrets) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return secret.Data{}, s.err
	}
	if s.keeps && s.kept.Keys != nil {
		return s.kept, nil
	}
	password := s.passwords[min(s.reads, len(s.passwords)-1)]
	s.reads++
	ref.Version = s.reads
	s.kept = secret.Data{Ref: ref, Outage: s.outage, Created: written(s.reads), Keys: map[string]any{
		"password": secret.New(password), "port": secret.Of(json.Number("2222")),
	}, Metadata: map[string]string{"owner": "dba", "careless": "it is " + password}}
	return s.kept, nil
}

// written is when a version of the secret was.
func written(version int) time.Time { return time.Unix(int64(version), 0) }

// fixture is a dispatcher over the connection files of a test.
type fixture struct {
	dispatcher *dispatch.Dispatcher
	scope      *dispatch.Scope
	root       *os.Root
	files      string

	mu     sync.Mutex
	events []engine.Event
}

const oracle = `
name: oracle
type: FAKE
value:
  host: db.example.com
  user: scott
  port: 1
pinned: [host]
secrets:
  - path: oracle
    mount: secret/data
`

func newFixture(t *testing.T, reader *secrets) *fixture {
	t.Helper()
	if reader.passwords == nil {
		reader.passwords = []string{canary}
	}
	dir, files := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "oracle.yaml"), []byte(oracle), 0o600); err != nil {
		t.Fatal(err)
	}
	types, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDirs([]string{dir}), connections.NewDefaults(types)},
		Secrets: reader, Types: types,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: reader, Tasks: types})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return &fixture{dispatcher: d, scope: dispatch.NewScope([32]byte{}), root: root, files: files}
}

func (f *fixture) step(inputs map[string]any, options engine.Options) dispatch.Step {
	return dispatch.Step{
		Call:  engine.Call{Kind: engine.CallConnect, Name: "oracle", Inputs: inputs, Options: options, Where: "flow.lua:3"},
		Scope: f.scope,
		Files: f.root,
		Emit: func(e engine.Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, f.scope.Event(e))
		},
	}
}

func (f *fixture) do(t *testing.T, inputs map[string]any, options engine.Options) (dispatch.Outcome, *engine.Error) {
	t.Helper()
	return f.dispatcher.Do(t.Context(), f.step(inputs, options))
}

func echoed(t *testing.T, out dispatch.Outcome) map[string]any {
	t.Helper()
	output, _ := out.Output.(map[string]any)
	inputs, ok := output["inputs"].(map[string]any)
	if !ok {
		t.Fatalf("no inputs in output %v", out.Output)
	}
	return inputs
}

func TestMergeOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	for _, test := range []struct {
		name   string
		inputs map[string]any
		want   int64
	}{
		{"the secret's port over the value's", nil, 2222},
		{"the flow's port over both", map[string]any{"port": 3333.0}, 3333},
		{"null gives the task type's default", map[string]any{"port": nil}, 1234},
	} {
		out, failure := f.do(t, test.inputs, engine.Options{})
		if failure != nil {
			t.Fatalf("%s: %v", test.name, failure)
		}
		if got := echoed(t, out)["port"]; got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestUsesAreRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	out, failure := f.do(t, nil, engine.Options{})
	if failure != nil {
		t.Fatal(failure)
	}
	if diff := cmp.Diff(engine.Uses{Connection: "oracle", Secrets: []engine.SecretUse{used(1)}}, out.Uses); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
}

// used is the record of a version of the secret.
func used(version int) engine.SecretUse {
	return engine.SecretUse{
		Path: "secret/data/oracle", Version: version, Created: written(version),
		Metadata: map[string]string{"owner": "dba", "careless": "it is ***"},
	}
}

// TestLeaksAreMasked has a driver put its password everywhere that a driver can.
func TestLeaksAreMasked(t *testing.T) {
	t.Parallel()
	for _, leak := range []string{"error", "warning", "progress", "panic"} {
		t.Run(leak, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, &secrets{})
			_, failure := f.do(t, map[string]any{"leak": leak}, engine.Options{})
			shown, err := json.Marshal(map[string]any{"events": f.events, "failure": failure})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(shown), "5ecret") {
				t.Errorf("shows the password: %s", shown)
			}
			if leak != "panic" && !strings.Contains(string(shown), "***") {
				t.Errorf("does not show where the password stood: %s", shown)
			}
		})
	}
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	_, failure := f.do(t, map[string]any{"panic": true}, engine.Options{})
	if failure == nil || failure.Kind != engine.Internal {
		t.Fatalf("got %+v, want an internal error", failure)
	}
}

func TestOutputIsExact(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	out, failure := f.do(t, map[string]any{"leak": "output"}, engine.Options{})
	if failure != nil {
		t.Fatal(failure)
	}
	output, _ := out.Output.(map[string]any)
	if output["leaked"] != canary {
		t.Errorf("a task's output reaches the flow changed: %v", output["leaked"])
	}
	masked, _ := f.scope.Mask(out.Output).(map[string]any)
	if masked["leaked"] != secret.Mask {
		t.Errorf("shown output is not masked: %v", masked["leaked"])
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		inputs    map[string]any
		wantTries int
		wantKind  engine.Kind
	}{
		{"until it succeeds", map[string]any{"fail_times": 2.0, "counter": "tries"}, 3, ""},
		{"until there are no more", map[string]any{"fail_times": 9.0, "counter": "tries"}, 4, engine.Unavailable},
		{"not where it is of no use", map[string]any{"fail_times": 9.0, "counter": "tries", "fail_kind": "denied"}, 1, engine.Denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, &secrets{})
			out, failure := f.do(t, test.inputs, engine.Options{Retry: engine.Retry{MaxTries: 4, Delay: time.Millisecond}})
			if out.Tries != test.wantTries {
				t.Errorf("tries: got %d, want %d", out.Tries, test.wantTries)
			}
			if got := kind(failure); got != test.wantKind {
				t.Errorf("kind: got %q, want %q (%v)", got, test.wantKind, failure)
			}
		})
	}
}

func kind(failure *engine.Error) engine.Kind {
	if failure == nil {
		return ""
	}
	return failure.Kind
}

func TestRetryBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		policy := engine.Retry{MaxTries: 5, Delay: time.Second, Backoff: 3, MaxDelay: 10 * time.Second}
		var delays []time.Duration
		failure := dispatch.Retry(t.Context(), policy, 0, func(int) *engine.Error {
			at = append(at, time.Since(start))
			return &engine.Error{Kind: engine.Unavailable, Message: "down"}
		}, func(_ int, next time.Duration, _ *engine.Error) { delays = append(delays, next) })
		if diff := cmp.Diff([]time.Duration{time.Second, 3 * time.Second, 9 * time.Second, 10 * time.Second}, delays); diff != "" {
			t.Errorf("delays (-want +got):\n%s", diff)
		}
		want := []time.Duration{0, time.Second, 4 * time.Second, 13 * time.Second, 23 * time.Second}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("tries (-want +got):\n%s", diff)
		}
		if failure.Message != "down (after 5 tries)" {
			t.Errorf("message: %q", failure.Message)
		}
	})
}

func TestTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	_, failure := f.do(t, map[string]any{"block": true}, engine.Options{Timeout: time.Millisecond})
	if kind(failure) != engine.Timeout || !strings.Contains(failure.Message, "1ms") {
		t.Errorf("got %v, want a timeout that names 1ms", failure)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, failure = f.dispatcher.Do(ctx, f.step(map[string]any{"block": true}, engine.Options{}))
	if kind(failure) != engine.Canceled {
		t.Errorf("got %v, want cancelled", failure)
	}
}

// TestRotation refuses the credentials: they are read once more from their source,
// and only credentials that have changed are tried. The record shows both versions.
func TestRotation(t *testing.T) {
	t.Parallel()
	refused := map[string]any{"fail_times": 1.0, "counter": "tries", "fail_kind": "denied", "fail_auth": true}
	for _, keeps := range []bool{false, true} {
		rotated := &secrets{passwords: []string{"old-password", canary}, keeps: keeps}
		f := newFixture(t, rotated)
		out, failure := f.do(t, refused, engine.Options{})
		if failure != nil || out.Tries != 2 || rotated.reads != 2 {
			t.Errorf("rotated: got %+v, %v after %d reads", out, failure, rotated.reads)
		}
		if diff := cmp.Diff([]engine.SecretUse{used(1), used(2)}, out.Uses.Secrets); diff != "" {
			t.Errorf("uses (-want +got):\n%s", diff)
		}
		const want = `connect "oracle": the credentials were refused and have changed since: trying again with secret "secret/data/oracle@2"`
		if len(f.events) != 1 || f.events[0].Level != engine.Info || f.events[0].Message != want {
			t.Errorf("got %+v, want %s", f.events, want)
		}
	}
	same := &secrets{passwords: []string{canary}}
	f := newFixture(t, same)
	out, failure := f.do(t, refused, engine.Options{})
	if kind(failure) != engine.Denied || out.Tries != 1 || len(f.events) > 0 {
		t.Errorf("not rotated: got %d tries and %v, want one and denied", out.Tries, failure)
	}
	if diff := cmp.Diff([]engine.SecretUse{used(1)}, out.Uses.Secrets); diff != "" {
		t.Errorf("uses of a version that was not tried (-want +got):\n%s", diff)
	}
}

// TestOutage gives an older secret, of a connection and of a handle: the step goes on
// and says so.
func TestOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{outage: &secret.ReadError{Reason: secret.Sealed, Detail: "it is sealed"}})
	handle := engine.SecretRef("team:secret/mysql#password")
	if _, failure := f.do(t, map[string]any{"payload": map[string]any{"a": handle}}, engine.Options{}); failure != nil {
		t.Fatal(failure)
	}
	for _, path := range []string{"secret/data/oracle", "team:secret/mysql"} {
		warned := slices.ContainsFunc(f.events, func(e engine.Event) bool {
			return e.Level == engine.Warn && strings.Contains(e.Message, path) && strings.Contains(e.Message, "sealed: it is sealed")
		})
		if !warned {
			t.Errorf("got %+v, want a warning of %s", f.events, path)
		}
	}
}

func TestHandles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	handle := engine.SecretRef("secret/oracle#password")
	out, failure := f.do(t, map[string]any{"payload": map[string]any{"list": []any{handle}}}, engine.Options{})
	if failure != nil {
		t.Fatal(failure)
	}
	got := echoed(t, out)["payload"]
	if diff := cmp.Diff(map[string]any{"list": []any{canary}}, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	if len(out.Uses.Secrets) != 2 {
		t.Errorf("uses: %v", out.Uses.Secrets)
	}
	for handle, want := range map[engine.SecretRef]engine.Kind{
		"secret/oracle#passwort": engine.NotFound,
		"secret/oracle":          engine.Invalid,
		"#password":              engine.Invalid,
	} {
		_, failure := f.do(t, map[string]any{"payload": handle}, engine.Options{})
		if kind(failure) != want || failure.Hint == "" {
			t.Errorf("%s: got %+v, want %s with a hint", handle, failure, want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	for _, test := range []struct {
		name     string
		call     engine.Call
		wantKind engine.Kind
		want     string
		wantHint string
	}{
		{"unknown connection", engine.Call{Kind: engine.CallConnect, Name: "orcale"}, engine.NotFound, "no such connection", `"oracle"`},
		{"unknown type", engine.Call{Kind: engine.CallTask, Name: "FAKEE"}, engine.Invalid, "FAKEE", `"FAKE"`},
		{"unknown input", engine.Call{Kind: engine.CallTask, Name: "fake", Inputs: map[string]any{"prot": 1.0}}, engine.Invalid, `"prot"`, `"port"`},
		{"pinned input", engine.Call{Kind: engine.CallConnect, Name: "oracle", Inputs: map[string]any{"host": "evil.example.com"}}, engine.Denied, `"host"`, ""},
		{"wrong type", engine.Call{Kind: engine.CallTask, Name: "fake", Inputs: map[string]any{"port": canary}}, engine.Invalid, `"port"`, ""},
	} {
		step := f.step(nil, engine.Options{})
		step.Call = test.call
		_, failure := f.dispatcher.Do(t.Context(), step)
		if kind(failure) != test.wantKind || !strings.Contains(failure.Message, test.want) || !strings.Contains(failure.Hint+failure.Message, test.wantHint) {
			t.Errorf("%s: got %+v", test.name, failure)
		}
		if strings.Contains(failure.Message+failure.Hint, canary) {
			t.Errorf("%s: the value is shown: %v", test.name, failure)
		}
	}
}

func TestSecretThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for reason, want := range map[secret.Reason]engine.Kind{
		secret.Deleted: engine.NotFound, secret.Denied: engine.Denied,
		secret.Sealed: engine.Unavailable, secret.TimedOut: engine.Timeout, secret.Invalid: engine.Invalid,
	} {
		f := newFixture(t, &secrets{err: &secret.ReadError{Ref: secret.Ref{Path: "secret/oracle"}, Reason: reason, Hint: "do this"}})
		_, failure := f.do(t, nil, engine.Options{})
		if kind(failure) != want || failure.Hint != "do this" {
			t.Errorf("%s: got %+v, want %s", reason, failure, want)
		}
	}
}

func TestTestReportsStages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	var names []string
	failure := f.dispatcher.Test(t.Context(), f.step(map[string]any{"fail_times": -1.0, "fail_kind": "denied"}, engine.Options{}), func(s tasks.Stage) {
		name := s.Name
		if s.Err != nil {
			name += " failed"
		}
		names = append(names, name)
	})
	if diff := cmp.Diff([]string{"resolve", "dns", "tcp", "authenticate failed"}, names); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if kind(failure) != engine.Denied {
		t.Errorf("got %v, want denied", failure)
	}
}

// sticky is a driver whose sessions work, but do not close.
type sticky struct{}

func (sticky) Spec() tasks.Spec {
	return tasks.Spec{
		Type: "STICKY", Doc: "Works.", Selector: "do",
		Inputs: schema.Object{Fields: []schema.Field{
			{Name: "do", Type: schema.String, Default: "it", Enum: []string{"it"}, Doc: "What to do."},
		}},
		Operations: []tasks.Operation{{Name: "it", Doc: "Works."}},
	}
}

func (sticky) Open(context.Context, schema.Inputs, tasks.Env) (tasks.Session, error) {
	return sticky{}, nil
}

func (sticky) Do(context.Context) (tasks.Result, error) {
	return tasks.Result{Output: map[string]any{"done": true}}, nil
}

func (sticky) Close() error { return errors.New("the connection is stuck") }

// TestWhatIsDoneStaysDone ends a task whose session fails to close after its
// operation has succeeded: the result counts, and the user is told.
func TestWhatIsDoneStaysDone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, &secrets{})
	types, err := tasks.NewRegistry(sticky{})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: &secrets{}, Tasks: types})
	if err != nil {
		t.Fatal(err)
	}
	step := f.step(nil, engine.Options{})
	step.Call = engine.Call{Kind: engine.CallTask, Name: "STICKY"}
	out, failure := d.Do(t.Context(), step)
	if failure != nil {
		t.Fatalf("a finished operation failed: %v", failure)
	}
	if diff := cmp.Diff(any(map[string]any{"done": true}), out.Output); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if len(f.events) != 1 || !strings.Contains(f.events[0].Message, "is stuck") {
		t.Errorf("events: %v", f.events)
	}
}
