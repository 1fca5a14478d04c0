package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/store"
)

// apiSite is a server with two users, of whom the first has things that the second
// must learn nothing of.
type apiSite struct {
	*runningDaemon
	store *store.Store // the same that the server has
	other string       // the second user's token
}

// newAPISite starts a server. Its store is open here, too, as for the command line.
func newAPISite(t testing.TB, args ...string) *apiSite {
	t.Helper()
	dir := t.TempDir()
	d, err := startDaemon(t, dir, filepath.Join(dir, "data"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	opened, err := store.Open(t.Context(), store.Config{Dir: d.data})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	s := &apiSite{runningDaemon: d, store: opened}
	s.other = s.user("mallory", engine.RoleUser)
	return s
}

// user makes a user, and gives a token.
func (s *apiSite) user(name string, role engine.Role) string {
	s.t.Helper()
	if _, err := s.store.Users().Create(s.t.Context(), engine.Actor{}, name, role); err != nil {
		s.t.Fatal(err)
	}
	_, text, err := s.store.Users().CreateToken(s.t.Context(), engine.Actor{}, name, "", time.Time{})
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// answer is what the server answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) failure() (f api.Error) {
	_ = json.Unmarshal([]byte(a.body), &f)
	return f
}

func (s *apiSite) do(method, path, token string, body any) answer {
	s.t.Helper()
	var text []byte
	switch body := body.(type) {
	case nil:
	case []byte:
		text = body
	default:
		var err error
		if text, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.address+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.Header.Get("Content-Type") == "text/event-stream" {
		return answer{response.StatusCode, response.Header, ""}
	}
	got, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(got)}
}

// client gives a client for the holder of a token.
func (s *apiSite) client(token string) *api.Client {
	s.t.Helper()
	c, err := api.NewClient(s.address, token)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// run starts a flow and gives its execution when it has ended.
func (s *apiSite) run(c *api.Client, start api.Start) api.Execution {
	s.t.Helper()
	started, err := c.Start(s.t.Context(), start)
	if err != nil {
		s.t.Fatal(err)
	}
	ended := started
	_ = c.Watch(s.t.Context(), started.ID, 0, func(e api.Event) error {
		if e.State != nil && e.State.ID == started.ID && e.State.HasEnded() {
			ended = *e.State
			return errSeen
		}
		return nil
	}, nil)
	return ended
}

// operation is one of the OpenAPI document.
type operation struct {
	method, path, id string
	parameters       []string // of the query that are required
	hasBody          bool
}

// operations reads the OpenAPI document.
func (s *apiSite) operations() []operation {
	s.t.Helper()
	return s.operationsOf([]byte(s.do(http.MethodGet, "/openapi.json", "", nil).body))
}

func (s *apiSite) operationsOf(text []byte) []operation {
	s.t.Helper()
	var document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []struct {
				Name, In string
				Required bool
			}
			RequestBody any
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		s.t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1.") {
		s.t.Errorf("the document is of OpenAPI %q", document.OpenAPI)
	}
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(document.Paths[path])) {
			o := document.Paths[path][method]
			op := operation{method: strings.ToUpper(method), path: path, id: o.OperationID, hasBody: o.RequestBody != nil}
			for _, p := range o.Parameters {
				if p.In == "query" && p.Required {
					op.parameters = append(op.parameters, p.Name)
				}
			}
			all = append(all, op)
		}
	}
	if len(all) < 19 {
		s.t.Fatalf("the document has %d operations only", len(all))
	}
	return all
}

// secrets of the first user: none of them may come to the second one in any way.
const (
	hisFlow       = "his-flow"
	hisName       = "his-execution"
	hisInput      = "his-input-value"
	hisOutput     = "his-output-value"
	hisLine       = "his-log-line"
	hisConnection = "his-connection"
	hisSetting    = "his-setting"
)

// furnish gives the first user things, and the id of an execution that has ended and of
// one that asks something.
func (s *apiSite) furnish() (ended, asks string) {
	s.t.Helper()
	ctx := s.t.Context()
	c := s.client(s.token)
	text := fmt.Sprintf("log.info(%q)\nif input.ask then return ask{ title = %q } end\nreturn %q", hisLine, hisLine, hisOutput)
	if _, err := c.ApplyFlows(ctx, []api.FlowText{{Name: hisFlow, Text: text}}); err != nil {
		s.t.Fatal(err)
	}
	first := s.run(c, api.Start{Flow: hisFlow, Name: hisName, Inputs: json.RawMessage(`{"value":"` + hisInput + `"}`), Key: "his key"})
	if first.Status != "succeeded" {
		s.t.Fatalf("the flow came to %+v", first)
	}
	second, err := c.Start(ctx, api.Start{Flow: hisFlow, Name: hisName, Inputs: json.RawMessage(`{"ask":true}`)})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.Settings().Set(ctx, "", hisSetting, hisInput); err != nil {
		s.t.Fatal(err)
	}
	document := "name: " + hisConnection + "\ntype: FAKE\nvalue: {host: " + hisInput + ", password: " + hisInput + "}\nsecrets: [{path: secret/" + hisOutput + "}]\n"
	if _, err := c.CreateConnection(ctx, api.ConnectionText{Document: document}); err != nil {
		s.t.Fatal(err)
	}
	put := map[string]any{"configuration": map[string]any{"address": "http://" + hisInput + ":8200", "auth": "token", "token": hisInput}}
	if got := s.do(http.MethodPut, "/v1/vaults/"+hisConnection, s.token, put); got.status != http.StatusOK {
		s.t.Fatalf("status %d: %s", got.status, got.body)
	}
	timed := map[string]any{"name": hisConnection, "flow": hisFlow, "cron": "0 0 1 1 *", "inputs": map[string]any{"value": hisInput}}
	if got := s.do(http.MethodPost, "/v1/schedules", s.token, timed); got.status != http.StatusOK {
		s.t.Fatalf("status %d: %s", got.status, got.body)
	}
	hook := map[string]any{"name": hisConnection, "flow": hisFlow}
	if got := s.do(http.MethodPost, "/v1/webhooks", s.token, hook); got.status != http.StatusOK {
		s.t.Fatalf("status %d: %s", got.status, got.body)
	}
	return first.ID, second.ID
}

// bodies are valid requests, by operation, so that it is no mistake in a body that
// keeps somebody out.
func bodies() map[string]any {
	return map[string]any{
		"start-execution":  map[string]any{"flow": hisFlow},
		"answer-execution": map[string]any{"values": map[string]any{"answer": "x"}},
		"apply-flows":      map[string]any{"flows": []any{map[string]any{"name": "mine", "text": "return 1"}}},

		"create-connection":        map[string]any{"document": "name: mine\ntype: FAKE\n", "keep": true},
		"apply-connections":        map[string]any{"document": "name: mine\ntype: FAKE\n"},
		"edit-connection":          map[string]any{"document": "name: " + hisConnection + "\ntype: FAKE\n"},
		"change-connection-secret": map[string]any{"secret": map[string]any{"path": "secret/mine"}},
		"explain-connection":       map[string]any{},
		"test-connection":          map[string]any{},
		"set-setting":              map[string]any{"value": "mine"},
		"put-vault":                map[string]any{"configuration": map[string]any{"address": "http://127.0.0.1:1", "auth": "token", "token": "mine"}, "replace": true},
		"test-vault":               map[string]any{},
		"create-user":              map[string]any{"name": "eve"},
		"create-token":             map[string]any{},
		"share-connection":         map[string]any{"right": "manage"},
		"create-schedule":          map[string]any{"name": "mine", "flow": hisFlow, "cron": "@daily"},
		"change-schedule":          map[string]any{"enabled": false},
		"create-webhook":           map[string]any{"name": "mine", "flow": hisFlow},
		"change-webhook":           map[string]any{"enabled": false},
		"rotate-webhook":           map[string]any{},
		"call-webhook":             map[string]any{"mine": "x"},
	}
}

// address gives the path of an operation that means a thing of the first user, or one
// that is not there.
func (o operation) address(id, name string) string {
	user := name
	if name == hisConnection || name == hisFlow || name == hisSetting {
		user = firstUser
	}
	path := strings.NewReplacer("{id}", id, "{name}", name, "{user}", user, "{token}", "none", "{type}", "FAKE").Replace(o.path)
	for i, p := range o.parameters {
		path += map[bool]string{true: "?", false: "&"}[i == 0] + p + "=" + name
	}
	return path
}

// What is not there.
const (
	nothing = "no-such-thing"
	noID    = "0123456789abbbbbbbbbbbb"
)

// compare looks for a difference between two refusals, but for the names that were sent.
func (s *apiSite) compare(o operation, theirs, missing answer, unnamed, unnamedToo *strings.Replacer) {
	s.t.Helper()
	f, none := theirs.failure(), missing.failure()
	got := strings.Join([]string{f.Code, f.Kind, unnamed.Replace(f.Message), unnamed.Replace(f.Hint)}, "|")
	want := strings.Join([]string{none.Code, none.Kind, unnamedToo.Replace(none.Message), unnamedToo.Replace(none.Hint)}, "|")
	if got != want {
		s.t.Errorf("%s: the answers differ: %s, %s", o.id, theirs.body, missing.body)
	}
}

// withoutToken calls an operation with no token, or a wrong one.
func (s *apiSite) withoutToken(o operation, path string, body any) {
	s.t.Helper()
	for _, token := range []string{"", "weir_wrong"} {
		// Wrong tokens are throttled; that is no part of this test.
		if token != "" && o.id != "list-executions" {
			continue
		}
		got := s.do(o.method, path, token, body)
		if f := got.failure(); got.status != http.StatusUnauthorized || f.Code != api.CodeUnauthenticated {
			s.t.Errorf("%s with token %q: status %d, %s", o.id, token, got.status, got.body)
		}
	}
}

// asAnother calls an operation as another user, for what is somebody's and for what is
// not there.
func (s *apiSite) asAnother(o operation, name, id string, body any) {
	s.t.Helper()
	theirs := s.do(o.method, o.address(id, name), s.other, body)
	missing := s.do(o.method, o.address(noID, nothing), s.other, body)
	if theirs.status != missing.status {
		s.t.Errorf("%s: status %d for what is somebody else's, %d for what is not there: %s", o.id, theirs.status, missing.status, theirs.body)
	}
	s.compare(o, theirs, missing, strings.NewReplacer(name, "X", id, "X", hisFlow, "X"), strings.NewReplacer(nothing, "X", noID, "X", hisFlow, "X"))
	for _, text := range []string{hisName, hisInput, hisOutput, hisLine, hisFlow, hisConnection, hisSetting} {
		if text != name && !strings.Contains(fmt.Sprint(body), text) && strings.Contains(theirs.body, text) {
			s.t.Errorf("%s tells another user %q: %s", o.id, text, theirs.body)
		}
	}
}

// TestEveryRouteKeepsOthersOut walks all routes of the OpenAPI document: without a
// token there is one answer for all, and another user gets for what is somebody's what
// they get for what is not there. A route that is new is tried without a change here.
func TestEveryRouteKeepsOthersOut(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	ended, asks := s.furnish()
	for _, o := range s.operations() {
		if strings.ContainsAny(o.address("x", "x"), "{}") {
			t.Errorf("%s %s: this test does not know what to put in its path", o.method, o.path)
			continue
		}
		body := bodies()[o.id]
		if o.hasBody && body == nil {
			t.Errorf("%s: this test has no body for it", o.id)
			continue
		}
		s.withoutToken(o, o.address(ended, hisFlow), body)
		for name, id := range map[string]string{hisFlow: ended, hisConnection: asks, hisSetting: asks} {
			s.asAnother(o, name, id, body)
		}
	}
	// What the other one did has changed nothing.
	c := s.client(s.token)
	if e, err := c.Execution(t.Context(), asks); err != nil || e.HasEnded() {
		t.Errorf("the execution that asks: got %+v, %v", e, err)
	}
	if f, err := c.Flow(t.Context(), hisFlow, 0); err != nil || f.Version != 1 {
		t.Errorf("the flow: got version %d, %v", f.Version, err)
	}
	if f, err := c.Connection(t.Context(), hisConnection, 0); err != nil || f.Revision != 1 {
		t.Errorf("the connection: got revision %d, %v", f.Revision, err)
	}
	if got := s.do(http.MethodGet, "/v1/settings/"+hisSetting, s.token, nil); !strings.Contains(got.body, hisInput) {
		t.Errorf("the setting: got %s", got.body)
	}
	for _, path := range []string{"/v1/connections", "/v1/connections/" + hisConnection, "/v1/vaults", "/v1/connection-export", "/v1/webhooks", "/v1/schedules"} {
		if got := s.do(http.MethodGet, path, s.token, nil); !strings.Contains(got.body, hisConnection) || strings.Contains(got.body, `"password":"`+hisInput) {
			t.Errorf("%s: got %s", path, got.body)
		}
	}
}

// TestSameNamesOfTwoUsers gives two users flows of one name and the same idempotency
// key: each has their own.
func TestSameNamesOfTwoUsers(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	ended, _ := s.furnish()
	c := s.client(s.other)
	texts := []api.FlowText{{Name: hisFlow, Text: `return flow("child").output`}, {Name: "child", Text: `return "mine"`}}
	if _, err := c.ApplyFlows(t.Context(), texts); err != nil {
		t.Fatal(err)
	}
	e := s.run(c, api.Start{Flow: hisFlow, Key: "his key"})
	if e.ID == ended || e.Status != "succeeded" {
		t.Fatalf("got %+v", e)
	}
	d, err := c.Timeline(t.Context(), e.ID, "", 0)
	if err != nil || d.Output != "mine" {
		t.Errorf("got output %v, %v", d.Output, err)
	}
	list, err := c.ListExecutions(t.Context(), api.ExecutionFilter{Children: true})
	if err != nil || len(list.Executions) != 2 {
		t.Errorf("got %+v, %v", list, err)
	}
	events := s.do(http.MethodGet, "/v1/executions/"+ended+"/events", s.other, nil)
	if events.status != http.StatusNotFound {
		t.Errorf("events: status %d", events.status)
	}
}

// TestRequestsThatAreNone sends what is no request of the API. All errors have one
// shape, and none repeats what was sent.
func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	const canary = "canary-8d1f6e"
	deep := []byte(strings.Repeat("[", 200_000))
	for name, c := range map[string]struct {
		method, path, token string
		body                any
		status              int
		code                string
	}{
		"no route":          {http.MethodGet, "/v1/" + canary, s.token, nil, 404, api.CodeNoRoute},
		"no route, nobody":  {http.MethodGet, "/v1/" + canary, "", nil, 401, api.CodeUnauthenticated},
		"method":            {http.MethodPatch, "/v1/executions", s.token, nil, 405, api.CodeMethod},
		"no JSON":           {http.MethodPost, "/v1/executions", s.token, []byte(canary), 400, api.CodeBadRequest},
		"deep JSON":         {http.MethodPost, "/v1/executions", s.token, deep, 400, api.CodeBadRequest},
		"type":              {http.MethodPost, "/v1/executions", s.token, map[string]any{"version": canary}, 422, api.CodeBadRequest},
		"unknown field":     {http.MethodPost, "/v1/executions", s.token, map[string]any{"flow": "x", "more": canary}, 422, api.CodeBadRequest},
		"nothing to start":  {http.MethodPost, "/v1/executions", s.token, map[string]any{}, 400, "invalid"},
		"inputs":            {http.MethodPost, "/v1/executions", s.token, map[string]any{"text": "return 1", "inputs": canary}, 400, "invalid"},
		"too large":         {http.MethodPost, "/v1/executions", s.token, bytes.Repeat([]byte(canary), 1<<20), 413, api.CodeTooLarge},
		"unknown parameter": {http.MethodGet, "/v1/executions?more=" + canary, s.token, nil, 422, api.CodeBadRequest},
		"limit":             {http.MethodGet, "/v1/executions?limit=1000000", s.token, nil, 422, api.CodeBadRequest},
		"cursor":            {http.MethodGet, "/v1/executions?after=x", s.token, nil, 400, "invalid"},
		"token in the path": {http.MethodGet, "/v1/executions?token=" + s.token, "", nil, 401, api.CodeUnauthenticated},
	} {
		got := s.do(c.method, c.path, c.token, c.body)
		f := got.failure()
		if got.status != c.status || f.Code != c.code || f.Message == "" || f.RequestID == "" || f.RequestID != got.header.Get("X-Request-Id") {
			t.Errorf("%s: status %d, %s", name, got.status, got.body)
		}
		if ct := got.header.Get("Content-Type"); ct != "application/json" {
			t.Errorf("%s: content type %q", name, ct)
		}
		if strings.Contains(got.body, canary) && name != "cursor" || strings.Contains(got.body, s.token) {
			t.Errorf("%s: the answer repeats what was sent: %s", name, got.body)
		}
	}
	s.stop()
	for _, text := range []string{canary, s.token, s.other} {
		if strings.Contains(s.said.String(), text) {
			t.Errorf("the log has %q", text)
		}
	}
}

// TestTokensAreTried tries tokens: whoever does is slowed down, whoever is in is not;
// what is revoked or disabled is so at once.
func TestTokensAreTried(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	if got := s.do(http.MethodGet, "/v1/flows", s.other, nil); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	throttled := 0
	for i := range 40 {
		got := s.do(http.MethodGet, "/v1/flows", fmt.Sprintf("weir_%dwrong", i), nil)
		switch f := got.failure(); got.status {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			throttled++
			if f.Code != api.CodeThrottled || got.header.Get("Retry-After") == "" {
				t.Errorf("got %s", got.body)
			}
		default:
			t.Errorf("status %d: %s", got.status, got.body)
		}
	}
	if throttled < 20 {
		t.Errorf("%d of 40 attempts were refused without a look", throttled)
	}
	if got := s.do(http.MethodGet, "/v1/flows", s.other, nil); got.status != http.StatusOK {
		t.Errorf("who was in is kept out: status %d", got.status)
	}
	if got := s.do(http.MethodGet, "/v1/flows", s.token, nil); got.status != http.StatusOK {
		t.Errorf("who was not in yet is kept out: status %d", got.status)
	}
	audit, err := s.client(s.token).ListAudit(t.Context(), api.AuditFilter{All: true, Limit: 1000})
	refused := slices.DeleteFunc(audit.Events, func(e api.AuditEvent) bool { return e.What != string(engine.AuditLoginDenied) })
	if err != nil || len(refused) < 5 || len(refused) > 40-throttled {
		t.Errorf("%d refusals are recorded, of %d that were not throttled: %v", len(refused), 40-throttled, err)
	}
	if err := s.store.Users().SetDisabled(t.Context(), engine.Actor{}, "mallory", true); err != nil {
		t.Fatal(err)
	}
	got := s.do(http.MethodGet, "/v1/flows", s.other, nil)
	if got.status != http.StatusUnauthorized && got.status != http.StatusTooManyRequests {
		t.Errorf("a disabled user: status %d", got.status)
	}
}

// TestSlowClient sends a request byte by byte, and a body that never comes: the server
// lets go of them, and others do not notice.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	host := strings.TrimPrefix(s.address, "http://")
	var slow []net.Conn
	for range 200 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // it is given up
		if _, err := io.WriteString(conn, "POST /v1/executions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+s.token+
			"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
	}
	if e := s.run(s.client(s.token), api.Start{Text: "return 1"}); e.Status != "succeeded" {
		t.Errorf("got %+v", e)
	}
	if len(slow) != 200 {
		t.Error("they are kept open until here")
	}
}

// TestFirstStart makes the first user once, and a file that nobody else can read; the
// token is nowhere else.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	first, err := startDaemon(t, dir, data)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(data, firstTokenFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the token: %v, %v", info.Mode(), err)
	}
	first.stop()
	if strings.Contains(first.said.String(), first.token) || first.token == "" {
		t.Error("the token was said")
	}
	if !strings.Contains(first.said.String(), "WEIR_TOKEN=$(cat "+filepath.Join(data, firstTokenFile)+")") {
		t.Errorf("it is not said how to reach it:\n%s", first.said)
	}
	second, err := startDaemon(t, dir, data)
	if err != nil {
		t.Fatal(err)
	}
	second.stop()
	if second.token != first.token || strings.Contains(second.said.String(), "WEIR_TOKEN") {
		t.Errorf("the second start made a user again:\n%s", second.said)
	}
}

// TestListening refuses addresses where tokens would be seen by others.
func TestListening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		_, err := startDaemon(t, dir, filepath.Join(dir, "data"), "--listen", address)
		if err == nil || !strings.Contains(err.Error(), "tokens in the clear") || !strings.Contains(err.Error(), "--tls-cert") {
			t.Errorf("%s: got %v", address, err)
		}
	}
	d, err := startDaemon(t, dir, filepath.Join(dir, "data"), "--listen", "0.0.0.0:0", "--plain-http")
	if err != nil {
		t.Fatal(err)
	}
	d.stop()
}
