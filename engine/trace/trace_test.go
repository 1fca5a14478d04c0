package trace_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/trace"
)

const flaky = `
	local tried = connect("fake.default", { counter = "c", fail_times = 1 }, { retry = { max_tries = 3, delay = "1ms" } })
	flow("child")
	task("FAKE", { fail_times = -1, fail_kind = "denied" }, { on_error = "return" })
	pcall(function() task(input.password) end)
	return tried.output`

// TestTreeIsOneTrace: a span for each execution, step and try, in the tree's order,
// and nothing of values in any byte that is sent.
func TestTreeIsOneTrace(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	r := newRig(t, t.TempDir(), settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}), map[string]string{
		"child": `task("FAKE", { password = secret("x#password"), payload = "canary" }) log.info("canary") return "canary"`,
	})
	before := time.Now()
	id := r.start(t, engine.Request{File: "main.lua", Name: "main", Text: []byte(flaky), Inputs: map[string]any{"password": password}})
	if e := r.end(t, id); e.Status != engine.Succeeded {
		t.Fatal(e.Error)
	}
	got := c.wait(t, has("flow main"))
	r.stop()
	for _, s := range got {
		if s.Trace != got[0].Trace || s.Began.Before(before.Truncate(time.Millisecond)) || s.Ended.Before(s.Began) || s.Ended.After(time.Now()) {
			t.Errorf("%s: trace %s, from %s to %s", s.Name, s.Trace, s.Began, s.Ended)
		}
	}
	if diff := cmp.Diff(wantTree(string(id)), outline(got), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, canary := range []string{"canary", password, "lua", "refused"} {
		if strings.Contains(c.bodies.String(), canary) {
			t.Errorf("%q was sent", canary)
		}
	}
	if got := c.resource.String(); !strings.Contains(got, `string_value:"weir"`) || !strings.Contains(got, "1.2.3") {
		t.Errorf("resource %s", got)
	}
}

// outline gives spans as lines: with the name of the parent, and what they came to.
func outline(all []span) []string {
	names := map[string]string{}
	for _, s := range all {
		names[s.ID] = s.Name
	}
	var lines []string
	for _, s := range all {
		line := fmt.Sprintf("%s %s %q under %q", s.Attributes["weir.execution.id"], s.Kind, s.Name, names[s.Parent])
		for _, key := range []string{"weir.call", "weir.task.type", "weir.connection", "weir.tries", "weir.try", "weir.status", "error.type"} {
			if value, ok := s.Attributes[key]; ok {
				line += fmt.Sprintf(" %v", value)
			}
		}
		lines = append(lines, strings.TrimSpace(line+" "+s.Error))
	}
	slices.Sort(lines)
	return lines
}

func wantTree(id string) []string {
	return []string{
		id + ` INTERNAL "flow main" under "" succeeded`,
		id + `.1 CLIENT "connect fake.default" under "flow main" 1 FAKE fake.default 2 succeeded`,
		id + `.1 CLIENT "try" under "connect fake.default" 1 failed unavailable error`,
		id + `.1 CLIENT "try" under "connect fake.default" 2 succeeded`,
		id + `.2 INTERNAL "flow child" under "flow main" succeeded`,
		id + `.2.1 CLIENT "task FAKE" under "flow child" 1 FAKE 1 succeeded`,
		id + `.3 CLIENT "task FAKE" under "flow main" 3 FAKE 1 failed denied error`,
		id + `.4 CLIENT "task" under "flow main" 4 1 failed invalid error`,
	}
}

// TestTreeOverRestarts: what goes on in another process, after a failure too, is in the
// same trace, and knows its beginning.
func TestTreeOverRestarts(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	dir := t.TempDir()
	traced := settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL})
	first := newRig(t, dir, traced, nil)
	id := first.start(t, engine.Request{File: "main.lua", Name: "main", Text: []byte(`
		task("FAKE", {})
		ask{ title = "go on?", schema = { word = { type = "string" } } }
		task("FAKE", { counter = "c", fail_times = 1 })`)})
	before := c.wait(t, has("task FAKE"))
	begun, err := first.store.Executions().Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	first.stop()

	second := newRig(t, dir, traced, nil)
	order(t, second, journal.Order{Execution: id, Verb: journal.VerbAnswer, Value: map[string]any{"word": "yes"}})
	if e := second.end(t, id); e.Status != engine.Failed {
		t.Fatalf("%+v", e)
	}
	failed := named(c.wait(t, has("flow main")), "flow main")
	second.stop()

	third := newRig(t, dir, traced, nil)
	order(t, third, journal.Order{Execution: id, Verb: journal.VerbRetry})
	all := c.wait(t, func(all []span) bool { return len(named(all, "flow main")) == 2 })
	retried := named(all, "flow main")[1]
	if got, want := failed[0].Began, begun.Created; !got.Equal(want) {
		t.Errorf("it began at %s, want %s", got, want)
	}
	if failed[0].Error == "" || retried.Error != "" || retried.Parent != failed[0].ID || retried.Attributes["weir.execution.retry"] != int64(1) {
		t.Errorf("got %+v, want it below %+v", retried, failed[0])
	}
	if retried.Began.Before(failed[0].Ended) {
		t.Errorf("the retry began at %s, before %s", retried.Began, failed[0].Ended)
	}
	ids := map[string]bool{}
	for _, s := range all {
		if s.Trace != before[0].Trace || ids[s.ID] {
			t.Errorf("%s: trace %s, span %s", s.Name, s.Trace, s.ID)
		}
		ids[s.ID] = true
	}
	if steps := named(all, "task FAKE"); len(steps) != 3 || steps[0].Parent != failed[0].ID || steps[2].Parent != retried.ID {
		t.Errorf("steps %+v", steps)
	}
}

// TestRetriedChild: a child flow that is retried has spans of its own, and no other.
func TestRetriedChild(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	r := newRig(t, t.TempDir(), settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}), map[string]string{
		"child": `task("FAKE", { counter = "c", fail_times = 1 })`,
	})
	id := r.start(t, engine.Request{File: "main.lua", Name: "main", Text: []byte(`flow("child") pcall(function() flow("none") end)`)})
	if e := r.end(t, id); e.Status != engine.Failed {
		t.Fatalf("%+v", e)
	}
	order(t, r, journal.Order{Execution: id, Verb: journal.VerbRetry})
	all := c.wait(t, func(all []span) bool { return len(named(all, "flow main")) == 2 })
	ids := map[string]bool{}
	for _, s := range all {
		if ids[s.ID] {
			t.Errorf("span %s is there twice", s.ID)
		}
		ids[s.ID] = true
	}
	if got := [3]int{len(named(all, "flow child")), len(named(all, "flow")), len(named(all, "task FAKE"))}; got != [3]int{2, 1, 2} {
		t.Errorf("got %v spans of the child, of flows that never were, and of tasks: %+v", got, all)
	}
}

func order(t *testing.T, r *rig, o journal.Order) {
	t.Helper()
	o.At = time.Now()
	if err := r.store.Executions().Order(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// TestRequests: a request is in the caller's trace, and so is all that it starts.
func TestRequests(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traced := settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL})
	e, _ := run(t, trace.Config{Settings: traced})
	const caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	began := time.Now()
	at, end := e.Begin(caller)
	end(trace.Request{ID: "r1", Method: "POST", Route: "/v1/executions", Status: 200, Began: began, Ended: began.Add(time.Second)})
	r := newRig(t, t.TempDir(), traced, map[string]string{"child": "return 1"})
	id := r.start(t, engine.Request{File: "main.lua", Name: "main", Text: []byte(`flow("child")`), Trace: at})
	r.end(t, id)
	all := c.wait(t, has("POST /v1/executions", "flow main", "flow child"))
	request, flow, child := named(all, "POST /v1/executions")[0], named(all, "flow main")[0], named(all, "flow child")[0]
	if request.Parent != "00f067aa0ba902b7" || flow.Parent != request.ID || child.Parent != flow.ID || request.Ended.Sub(request.Began) != time.Second {
		t.Errorf("request %+v\nflow %+v\nchild %+v", request, flow, child)
	}
	for _, s := range all {
		if s.Trace != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("%s is in trace %s", s.Name, s.Trace)
		}
	}
	if got := request.Attributes["http.response.status_code"]; got != int64(200) {
		t.Errorf("status %v", got)
	}
}

// TestNotSampled: what a caller does not want traced is not, nor what the sampler
// leaves out.
func TestNotSampled(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	traced := settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL})
	e, stop := run(t, trace.Config{Settings: traced})
	at, end := e.Begin("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	end(trace.Request{Method: "GET", Began: time.Now(), Ended: time.Now()})
	r := newRig(t, t.TempDir(), traced, nil)
	r.end(t, r.start(t, engine.Request{File: "main.lua", Text: []byte(`task("FAKE", {})`), Trace: at}))
	r.stop()
	off := newRig(t, t.TempDir(), settings(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0",
	}), nil)
	off.end(t, off.start(t, engine.Request{File: "main.lua", Text: []byte(`task("FAKE", {})`)}))
	off.stop()
	stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) > 0 {
		t.Errorf("sent %+v", plain(c.spans))
	}
}

// TestBadTraceparents: they are as none.
func TestBadTraceparents(t *testing.T) {
	t.Parallel()
	e, _ := run(t, trace.Config{Settings: settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})})
	for _, text := range []string{
		"", "x", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
		"00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01", strings.Repeat("-", 55),
	} {
		if at, _ := e.Begin(text); strings.Contains(at, "4bf92f3577b34da6a3ce929d0e0e4736") || len(at) != 55 || !strings.HasSuffix(at, "-01") {
			t.Errorf("%q gives %q", text, at)
		}
	}
	later := "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"
	if at, _ := e.Begin(later); !strings.HasPrefix(at, "00-4bf92f3577b34da6a3ce929d0e0e4736-") {
		t.Errorf("%q gives %q", later, at)
	}
}

// change is the beginning of an execution.
func change(n int) journal.Change {
	id := engine.ID(fmt.Sprintf("e%d", n))
	return journal.Change{
		ID: id, Create: &journal.Row{ID: id, Root: id, Name: "many"},
		Events: []journal.Event{&journal.Begun{At: time.Now()}, &journal.Finished{At: time.Now(), Status: engine.Succeeded}},
	}
}

// TestCollectorThatHangs: nobody waits for it. What finds no room is dropped, and the
// end comes all the same.
func TestCollectorThatHangs(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	hang := make(chan struct{})
	defer close(hang)
	c.answer = func(int, http.ResponseWriter) bool { <-hang; return false }
	e, stop := run(t, trace.Config{
		Settings: settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_EXPORTER_OTLP_TIMEOUT": "60000"}), Patience: time.Millisecond,
	})
	const many = 100_000
	for i := range many {
		e.Committed([]journal.Change{change(i)})
	}
	stop()
	if sent, dropped := e.Counts(); sent != 0 || dropped != many {
		t.Errorf("sent %d, dropped %d", sent, dropped)
	}
}

// TestCollectorThatFails: spans are posted again as long as there is hope, and the log
// says once that they are not taken, without anything that went with them.
func TestCollectorThatFails(t *testing.T) {
	t.Parallel()
	const key = "canary-of-a-key"
	for name, test := range map[string]struct {
		answer    func(post int, w http.ResponseWriter) bool
		sent      int
		want, not string
	}{
		"comes back": {func(post int, w http.ResponseWriter) bool {
			if post < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return post >= 3
		}, 1, "503 Service Unavailable", ""},
		"refuses": {func(_ int, w http.ResponseWriter) bool {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("unknown key " + key))
			return false
		}, 0, "see OTEL_EXPORTER_OTLP_HEADERS", ""},
		"sends elsewhere": {func(_ int, w http.ResponseWriter) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/"+key)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return false
		}, 0, "307", "127.0.0.1:1/"},
		"takes some": {func(_ int, w http.ResponseWriter) bool {
			_, _ = w.Write([]byte{0x0a, 0x02, 0x08, 0x01}) // one span is rejected
			return false
		}, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t)
			answered := make(chan struct{}, 100)
			c.answer = func(post int, w http.ResponseWriter) bool {
				defer func() { answered <- struct{}{} }()
				return test.answer(post, w)
			}
			var log said
			e, stop := run(t, trace.Config{
				Settings: settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL + "?key=" + key, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=" + key}),
				Log:      slog.New(slog.NewTextHandler(&log, nil)), Delay: time.Millisecond,
			})
			e.Committed([]journal.Change{change(1)})
			<-answered
			if test.sent > 0 {
				c.wait(t, has("flow many"))
			}
			stop()
			if sent, dropped := e.Counts(); sent != test.sent || dropped != 1-test.sent {
				t.Errorf("sent %d, dropped %d", sent, dropped)
			}
			text := log.String()
			if strings.Contains(text, key) || strings.Count(text, "cannot send traces") > 1 || !strings.Contains(text, test.want) || (test.not != "" && strings.Contains(text, test.not)) {
				t.Errorf("the log says %s", text)
			}
		})
	}
}

// TestNobodyListens: the log says where nobody listens, and the end does not wait.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	var log said
	e, stop := run(t, trace.Config{
		Settings: settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}),
		Log:      slog.New(slog.NewTextHandler(&log, nil)), Patience: time.Hour, Delay: time.Hour,
	})
	e.Committed([]journal.Change{change(1)})
	stop()
	if got := log.String(); !strings.Contains(got, "http://127.0.0.1:1/v1/traces") || !strings.Contains(got, "refused") {
		t.Errorf("the log says %s", got)
	}
}

// TestNoHTTP: what does not speak HTTP is told of without what it said.
func TestNoHTTP(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Read(make([]byte, 10))
			_, _ = connection.Write([]byte("canary of an answer\r\n\r\n"))
			_ = connection.Close()
		}
	}()
	var log said
	e, stop := run(t, trace.Config{
		Settings: settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + listener.Addr().String()}),
		Log:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	e.Committed([]journal.Change{change(1)})
	stop()
	if got := log.String(); !strings.Contains(got, "cannot send traces") || strings.Contains(got, "canary") {
		t.Errorf("the log says %s", got)
	}
}

// TestLostTellings: what was dropped is read from the store when the execution goes on.
func TestLostTellings(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	begun := time.Now().Add(-time.Hour)
	e, _ := run(t, trace.Config{
		Settings: settings(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}),
		Load: func(_ context.Context, id engine.ID) (journal.History, error) {
			if id != "e1" {
				return journal.History{}, &engine.Error{Kind: engine.NotFound}
			}
			return journal.History{Row: journal.Row{ID: id, Root: id, Name: "many"}, Events: []journal.Event{
				&journal.Begun{At: begun}, &journal.Woken{}, &journal.Finished{At: time.Now()},
			}}, nil
		},
	})
	e.Committed([]journal.Change{{ID: "gone", First: 7, Events: []journal.Event{&journal.Finished{At: time.Now()}}}})
	e.Committed([]journal.Change{{ID: "e1", First: 2, Events: []journal.Event{&journal.Finished{At: time.Now()}}}})
	got := c.wait(t, has("flow many"))
	if !got[0].Began.Equal(begun) {
		t.Errorf("it began at %s, want %s", got[0].Began, begun)
	}
}
