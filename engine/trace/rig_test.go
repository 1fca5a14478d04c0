package trace_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/engine/trace"
	"github.com/weir-engine/weir/tasks/all"
)

// collector takes spans by OTLP over HTTP, as any collector does.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	came     chan struct{} // closed when something came
	spans    []*tracepb.Span
	resource *resourcepb.Resource
	headers  http.Header
	path     string
	bodies   bytes.Buffer
	posts    int
	answer   func(post int, w http.ResponseWriter) (taken bool) // nil takes all
}

func newCollector(tb testing.TB) *collector {
	c := &collector{came: make(chan struct{})}
	c.Server = httptest.NewServer(c)
	tb.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		from, _ = gzip.NewReader(r.Body)
	}
	body, err := io.ReadAll(from)
	var sent collectorpb.ExportTraceServiceRequest
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.posts++
	post, answer := c.posts, c.answer
	c.mu.Unlock()
	if answer != nil && !answer(post, w) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers, c.path = r.Header, r.URL.Path
	c.bodies.Write(body)
	for _, resource := range sent.GetResourceSpans() {
		c.resource = resource.GetResource()
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	close(c.came)
	c.came = make(chan struct{})
}

// wait waits until the spans that came are what is wanted.
func (c *collector) wait(tb testing.TB, wanted func([]span) bool) []span {
	tb.Helper()
	for {
		c.mu.Lock()
		came, all := c.came, plain(c.spans)
		c.mu.Unlock()
		if wanted(all) {
			return all
		}
		select {
		case <-came:
		case <-tb.Context().Done():
			tb.Fatalf("these came only: %+v", all)
		}
	}
}

// span is one as it is compared.
type span struct {
	Trace, ID, Parent, Name, Kind, Error string
	Attributes                           map[string]any
	Began, Ended                         time.Time
}

func plain(spans []*tracepb.Span) []span {
	var all []span
	for _, s := range spans {
		one := span{
			Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
			Name: s.GetName(), Kind: s.GetKind().String()[len("SPAN_KIND_"):], Attributes: map[string]any{},
			Began: time.Unix(0, int64(s.GetStartTimeUnixNano())), Ended: time.Unix(0, int64(s.GetEndTimeUnixNano())), //nolint:gosec // times
		}
		if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			one.Error = "error" + s.GetStatus().GetMessage()
		}
		for _, a := range s.GetAttributes() {
			one.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
			if n := a.GetValue().GetIntValue(); n != 0 {
				one.Attributes[a.GetKey()] = n
			}
		}
		all = append(all, one)
	}
	return all
}

func named(all []span, name string) (found []span) {
	for _, s := range all {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// has tells whether there are spans of all the names.
func has(names ...string) func([]span) bool {
	return func(all []span) bool {
		for _, name := range names {
			if len(named(all, name)) == 0 {
				return false
			}
		}
		return true
	}
}

// said is a log that can be read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// settings are those of an environment.
func settings(tb testing.TB, env map[string]string) *trace.Settings {
	tb.Helper()
	s, err := trace.FromEnvironment(func(name string) string { return env[name] }, "")
	if err != nil || s == nil {
		tb.Fatalf("%v, %v", s, err)
	}
	return s
}

// run has an exporter run, and gives what ends it and waits for that.
func run(tb testing.TB, config trace.Config) (*trace.Exporter, func()) {
	tb.Helper()
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Load == nil {
		config.Load = func(context.Context, engine.ID) (journal.History, error) {
			return journal.History{}, &engine.Error{Kind: engine.NotFound}
		}
	}
	config.Interval, config.Version = time.Millisecond, "1.2.3"
	e, err := trace.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-done
	})
	tb.Cleanup(stop)
	return e, stop
}

// rig is an engine whose commits are told to an exporter.
type rig struct {
	runner *local.Runner
	store  *store.Store
	stop   func() // in an orderly way; what was told is sent
}

type told struct {
	*store.Executions
	to *trace.Exporter
}

func (s *told) Commit(changes []journal.Change, done func(error)) {
	s.Executions.Commit(changes, func(err error) {
		if err == nil {
			s.to.Committed(changes)
		}
		done(err)
	})
}

const password = "canary-of-a-password"

type oneSecret struct{}

func (oneSecret) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	return secret.Data{Ref: ref, Keys: map[string]any{"password": secret.New(password)}}, nil
}

type noYAML struct{}

func (noYAML) Encode(any) ([]byte, error) { return nil, nil }
func (noYAML) Decode([]byte) (any, error) { return nil, nil }

// newRig serves the store in a directory; without a collector nothing is traced.
func newRig(tb testing.TB, dir string, traced *trace.Settings, flows map[string]string) *rig {
	tb.Helper()
	types, err := all.Registry()
	if err != nil {
		tb.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDefaults(types)}, Secrets: oneSecret{}, Types: types,
	})
	if err != nil {
		tb.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: oneSecret{}, Tasks: types})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := store.Open(tb.Context(), store.Config{Dir: dir})
	if err != nil {
		tb.Fatal(err)
	}
	config := local.Config{
		Dispatcher: d, Store: s.Executions(), FilesDir: filepath.Join(dir, "files"), YAML: noYAML{},
		Flows: func(_ context.Context, _, name string) (string, []byte, error) {
			text, ok := flows[name]
			if !ok {
				return "", nil, &engine.Error{Kind: engine.NotFound, Message: "no such flow"}
			}
			return name + "@1", []byte(text), nil
		},
	}
	sent := func() {}
	if traced != nil {
		var e *trace.Exporter
		e, sent = run(tb, trace.Config{Settings: traced, Load: s.Executions().Load, TaskTypes: types.Types()})
		config.Store = &told{s.Executions(), e}
	}
	r := &rig{store: s}
	if r.runner, err = local.New(config); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.runner.Serve(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		sent()
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(r.stop)
	return r
}

// start starts a flow.
func (r *rig) start(tb testing.TB, request engine.Request) engine.ID {
	tb.Helper()
	id, err := r.runner.Start(tb.Context(), request)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

// end waits for the end of an execution.
func (r *rig) end(tb testing.TB, id engine.ID) engine.Execution {
	tb.Helper()
	e, err := r.runner.Wait(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}
