package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	token  = "weir_token-of-ann"
	canary = "canary-4be2"
)

// world is what a server is tested with: one user, flows that fail in every way, and a
// log of executions in memory.
type world struct {
	mu      sync.Mutex
	lines   []httpapi.NewsLine
	status  string // of all executions; running if empty
	refused string // a user whose token does not count any more
}

// tokenOf is the token of a user.
func tokenOf(user string) string { return "weir_token-of-" + user }

// refuse has the token of a user not count any more.
func (w *world) refuse(user string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = user
}

// execution gives an execution as it is.
func (w *world) execution(id string) api.Execution {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := api.Execution{ID: id, Status: "running"}
	if w.status != "" {
		e.Status = w.status
	}
	return e
}

func (w *world) Authenticate(_ context.Context, text, _ string, _ bool) (engine.User, engine.Token, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, user := range []string{"ann", "bob"} {
		if text == tokenOf(user) && user != w.refused {
			return engine.User{Name: user, Owner: user, Role: engine.RoleUser}, engine.Token{ID: "t1"}, nil
		}
	}
	return engine.User{}, engine.Token{}, &engine.Error{Kind: engine.Denied, Message: "the token is not valid"}
}

func (w *world) Position(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.lines)), nil
}

func (w *world) Lines(_ context.Context, after int64, limit int) ([]httpapi.NewsLine, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := min(after+int64(limit), int64(len(w.lines)))
	return append([]httpapi.NewsLine{}, w.lines[after:end]...), nil
}

func (w *world) Execution(_ context.Context, id engine.ID) (api.Execution, string, error) {
	return w.execution(string(id)), "ann", nil
}

// flowsOf is a service that fails as it is asked to.
type flowsOf struct{ httpapi.Flows }

func (flowsOf) Flow(_ context.Context, name string, _ int) (api.Flow, error) {
	switch name {
	case "panic":
		panic("it is " + canary)
	case "defect":
		return api.Flow{}, errors.New("defect with " + canary)
	case "conflict":
		return api.Flow{}, &engine.Error{Kind: engine.Conflict, Message: "it was changed", Hint: "look again"}
	}
	return api.Flow{Name: name}, nil
}

// executionsOf is a service with one execution.
type executionsOf struct {
	httpapi.Executions
	world *world
}

func (e executionsOf) Execution(_ context.Context, id string) (api.Execution, error) {
	return e.world.execution(id), nil
}

func (e executionsOf) Log(ctx context.Context, _ string, after int64, limit int) (api.Log, error) {
	lines, err := e.world.Lines(ctx, after, limit)
	log := api.Log{Next: after}
	for _, l := range lines {
		log.Lines = append(log.Lines, l.Line)
	}
	return log, err
}

func explain(err error) *api.Error {
	var failure *engine.Error
	if errors.As(err, &failure) {
		return &api.Error{Kind: string(failure.Kind), Message: failure.Message, Hint: failure.Hint}
	}
	return &api.Error{Kind: string(engine.Internal), Message: err.Error()}
}

// start serves a world.
func start(t *testing.T, w *world, log io.Writer) (*httpapi.Server, *httpapi.Hub, string) {
	t.Helper()
	return startWith(t, w, log, func(*httpapi.Config) {})
}

// startWith serves a world with other settings.
func startWith(t *testing.T, w *world, log io.Writer, change func(*httpapi.Config)) (*httpapi.Server, *httpapi.Hub, string) {
	t.Helper()
	hub := httpapi.NewHub(w)
	config := httpapi.Config{
		Authenticator: w, Explain: explain, Hub: hub, BodyPatience: 200 * time.Millisecond,
		Services: func(httpapi.Caller) httpapi.Services {
			return httpapi.Services{Flows: flowsOf{}, Executions: executionsOf{world: w}}
		},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	change(&config)
	server, err := httpapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { hub.Run(ctx) })
	work.Go(func() {
		if err := server.Serve(ctx, listener, time.Second); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		work.Wait()
	})
	return server, hub, "http://" + listener.Addr().String()
}

// TestFailures: whatever goes wrong in a service, the answer has the one shape, and a
// defect tells nothing of what it was about.
func TestFailures(t *testing.T) {
	t.Parallel()
	server, _, _ := start(t, &world{}, io.Discard)
	for name, want := range map[string]api.Error{
		"panic":    {Status: 500, Code: "internal", Kind: "internal"},
		"defect":   {Status: 500, Code: "internal", Kind: "internal"},
		"conflict": {Status: 409, Code: "conflict", Kind: "conflict", Hint: "look again"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/flow?name="+name, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		var got api.Error
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Errorf("%s: %v: %s", name, err, answer.Body)
		}
		if answer.Code != want.Status || got.Code != want.Code || got.Kind != want.Kind || got.RequestID == "" || want.Hint != "" && got.Hint != want.Hint {
			t.Errorf("%s: status %d, %s", name, answer.Code, answer.Body)
		}
		if strings.Contains(answer.Body.String(), canary) {
			t.Errorf("%s: the answer tells too much: %s", name, answer.Body)
		}
	}
}

// lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestLogHasNoValues: the log names routes; tokens, query values, paths and bodies are
// not in it, nor what a panic was about.
func TestLogHasNoValues(t *testing.T) {
	t.Parallel()
	log := &lockedBuffer{}
	server, _, _ := start(t, &world{}, log)
	for _, target := range []string{"/v1/flow?name=" + canary, "/v1/flow?name=panic", "/v1/executions/" + canary, "/" + canary} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, strings.NewReader(canary))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-"+canary, canary)
		server.ServeHTTP(httptest.NewRecorder(), r)
	}
	r := httptest.NewRequestWithContext(t.Context(), canary, "/", nil)
	r.Header.Set("Authorization", "Bearer "+canary)
	server.ServeHTTP(httptest.NewRecorder(), r)
	got := log.String()
	if strings.Contains(got, canary) || strings.Contains(got, token) {
		t.Errorf("the log has values:\n%s", got)
	}
	if !strings.Contains(got, `route="GET /v1/flow"`) || !strings.Contains(got, "a request panicked") {
		t.Errorf("the log lacks lines:\n%s", got)
	}
}

// TestBodyThatNeverComes: the server lets go of a client that does not send its body,
// and of a sender to a webhook, of whom it knows nothing before.
func TestBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	_, _, address := startWith(t, &world{}, io.Discard, func(c *httpapi.Config) { c.Hooks = hooksOf{} })
	for _, header := range []string{
		"PUT /v1/flows HTTP/1.1\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n",
		"POST /v1/hooks/ann/x HTTP/1.1\r\nX-Webhook-Key: right\r\n",
	} {
		t.Run(header[:4], func(t *testing.T) {
			t.Parallel()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(address, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // it is given up
			if _, err := io.WriteString(conn, header+"Host: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn) // to the end: the server closes
			if err != nil || !strings.Contains(string(answer), " 408 ") || !strings.Contains(string(answer), api.CodeSlow) {
				t.Errorf("got %q, %v", answer, err)
			}
		})
	}
}

// TestWatchGoesOn: a stream that ends is taken up where it was, and no line is lost or
// seen twice, also while lines come in faster than anybody reads.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	w := &world{}
	_, hub, address := start(t, w, io.Discard)
	client, err := api.NewClient(address, token)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const lines = 5000
	write := func(from, to int) {
		w.mu.Lock()
		for n := from; n < to; n++ {
			w.lines = append(w.lines, httpapi.NewsLine{Owner: "ann", Flow: "x", Line: api.Line{Position: int64(n + 1), Level: "info", Message: "m"}})
		}
		w.mu.Unlock()
		hub.Committed([]journal.Change{{ID: "x"}}, time.Millisecond)
	}
	write(0, 100)
	seen := errors.New("all were seen")
	next := int64(1)
	err = client.Watch(t.Context(), "x", 0, func(e api.Event) error {
		if e.Line == nil {
			return nil
		}
		if e.Line.Position != next {
			t.Errorf("got line %d, want %d", e.Line.Position, next)
		}
		if next++; next == 50 {
			go write(100, lines) // more at once than a stream may be behind
		}
		if next > lines {
			return seen
		}
		return nil
	}, nil)
	if !errors.Is(err, seen) {
		t.Errorf("got %v", err)
	}
}

// TestTokenGoesNowhereElse: a client does not follow a redirect.
func TestTokenGoesNowhereElse(t *testing.T) {
	t.Parallel()
	asked := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer other.Close()
	first := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer first.Close()
	client, err := api.NewClient(first.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ListFlows(t.Context()); err == nil || asked {
		t.Errorf("the redirect was followed: %v", err)
	}
	for _, address := range []string{"", "ftp://x", "http://user:password@x", "http://x?token=1"} {
		if _, err := api.NewClient(address, token); err == nil || strings.Contains(err.Error(), "password@") {
			t.Errorf("%q: got %v", address, err)
		}
	}
}

// TestEndComesLast opens a stream of an execution that has just ended, of which the hub
// has not handed out more lines than a stream may be behind: its end is not told before
// they are seen.
func TestEndComesLast(t *testing.T) {
	t.Parallel()
	w := &world{status: "running"}
	_, hub, address := start(t, w, io.Discard)
	client, err := api.NewClient(address, token)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	listens := make(chan struct{})
	go func() { // so that the hub does not begin at the last line
		first := sync.OnceFunc(func() { close(listens) })
		_ = client.Watch(t.Context(), "other", 0, func(api.Event) error { first(); return nil }, nil)
	}()
	<-listens
	const lines = 3000
	w.mu.Lock()
	for n := range lines {
		w.lines = append(w.lines, httpapi.NewsLine{Owner: "ann", Flow: "x", Line: api.Line{Position: int64(n + 1), Level: "info"}})
	}
	w.status = "succeeded"
	w.mu.Unlock()
	seen, ended := 0, errors.New("it has ended")
	err = client.Watch(t.Context(), "x", 0, func(e api.Event) error {
		if e.Line != nil {
			seen++
			return nil
		}
		if e.State.HasEnded() {
			return ended
		}
		return nil
	}, nil)
	if !errors.Is(err, ended) || seen != lines {
		t.Errorf("the end came after %d lines of %d: %v", seen, lines, err)
	}
	hub.Committed(nil, 0)
}
