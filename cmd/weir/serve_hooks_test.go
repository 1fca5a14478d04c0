package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// hook makes a flow and a webhook of the same name for it, and gives its secret.
func (s *apiSite) hook(token, text string, w api.NewWebhook) string {
	s.t.Helper()
	c := s.client(token)
	w.Flow = w.Name
	if _, err := c.ApplyFlows(s.t.Context(), []api.FlowText{{Name: w.Flow, Text: text}}); err != nil {
		s.t.Fatal(err)
	}
	made, err := c.CreateWebhook(s.t.Context(), w)
	if err != nil {
		s.t.Fatal(err)
	}
	return made.Secret
}

// call calls a webhook of a user.
func (s *apiSite) call(path string, header map[string]string, body string) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	got, err := callHook(ctx, http.DefaultClient, s.address+"/v1/hooks/"+path, header, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func callHook(ctx context.Context, client *http.Client, url string, header map[string]string, body string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

func (a answer) delivery() (d api.Delivery) {
	_ = json.Unmarshal([]byte(a.body), &d)
	return d
}

// withKey shows a key.
func withKey(key string) map[string]string { return map[string]string{"X-Webhook-Key": key} }

// standard signs as Standard Webhooks has it. It is on purpose no code that the server uses.
func standard(secret, id string, at time.Time, body string) map[string]string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, seconds, body)
	return map[string]string{
		"webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": "v1a,bm9uZQ== v1,bm9uZQ== v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
	}
}

// github signs as GitHub does.
func github(secret, id, body string) map[string]string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(body))
	return map[string]string{"X-GitHub-Delivery": id, "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil))}
}

const echoInputs = `return input`

// TestWebhookInputs calls webhooks in all ways, and looks at what their flows get.
func TestWebhookInputs(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	key := s.hook(s.other, echoInputs, api.NewWebhook{Name: "keyed", Mode: "sync"})
	signed := s.hook(s.other, echoInputs, api.NewWebhook{Name: "signed", Mode: "sync", Auth: "hmac"})
	forge := s.hook(s.other, echoInputs, api.NewWebhook{Name: "forge", Mode: "sync", Auth: "github", Secret: "It's a Secret to Everybody"})
	exact := `{"big":12345678901234567890,"cents":0.10,"long":3.14159265358979323846264338,"none":null,"list":[],"object":{}}`
	for name, c := range map[string]struct {
		path, body string
		header     map[string]string
		want       string // of body, encoding, delivery and query
	}{
		"json": {"keyed", exact, merged(withKey(key), "Content-Type", "application/json; charset=utf-8", "Idempotency-Key", "7"),
			`{"body":{"big":12345678901234567890,"cents":0.1,"list":[],"long":3.14159265358979323846264338,"none":null,"object":{}},"delivery":"7","encoding":"json","query":{}}`},
		"bearer": {"keyed?a=1&a=2&key=x", `[1]`, map[string]string{"Authorization": "Bearer " + key, "Content-Type": "application/vnd.x+json"},
			`{"body":[1],"delivery":"","encoding":"json","query":{"a":["1","2"],"key":["x"]}}`},
		"text":   {"keyed", `a=1;b=é`, withKey(key), `{"body":"a=1;b=é","delivery":"","encoding":"text","query":{}}`},
		"binary": {"keyed", "\xff\x00", withKey(key), `{"body":"/wA=","delivery":"","encoding":"base64","query":{}}`},
		"empty":  {"keyed", "", merged(withKey(key), "Content-Type", "application/json"), `{"body":"","delivery":"","encoding":"text","query":{}}`},
		"hmac":   {"signed", `{"test": 2432232314}`, standard(signed, "msg_1", time.Now(), `{"test": 2432232314}`), `{"body":"{\"test\": 2432232314}","delivery":"msg_1","encoding":"text","query":{}}`},
		"github": {"forge", `{"ref":"main"}`, merged(github(forge, "d-1", `{"ref":"main"}`), "Content-Type", "application/json"), `{"body":{"ref":"main"},"delivery":"d-1","encoding":"json","query":{}}`},
	} {
		header := merged(c.header, "X-Event-Key", "repo:push", "Cookie", "a=b", "X-Gitlab-Token", "t", "X-Api-Key", "k")
		got := s.call("mallory/"+c.path, header, c.body)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
			continue
		}
		var inputs map[string]json.RawMessage
		if err := json.Unmarshal([]byte(got.body), &inputs); err != nil {
			t.Fatal(err)
		}
		var headers map[string]string
		if err := json.Unmarshal(inputs["headers"], &headers); err != nil {
			t.Fatal(err)
		}
		for header := range headers {
			for _, part := range []string{"cookie", "token", "auth", "signature", "webhook-key", "api-key"} {
				if strings.Contains(header, part) {
					t.Errorf("%s: the flow got the header %s", name, header)
				}
			}
		}
		if headers["x-event-key"] != "repo:push" || string(inputs["method"]) != `"POST"` || len(inputs) != 7 {
			t.Errorf("%s: got %s", name, got.body)
		}
		delete(inputs, "headers")
		delete(inputs, "method")
		delete(inputs, "webhook")
		text, err := json.Marshal(inputs)
		if diff := cmp.Diff(c.want, string(text)); err != nil || diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// merged gives headers with others, which go before those of the same name.
func merged(header map[string]string, more ...string) map[string]string {
	all := map[string]string{}
	for name, value := range header {
		all[http.CanonicalHeaderKey(name)] = value
	}
	for i := 0; i+1 < len(more); i += 2 {
		all[http.CanonicalHeaderKey(more[i])] = more[i+1]
	}
	return all
}

// TestWebhooksTellNothing: whatever keeps a call out, its caller gets the same answer.
func TestWebhooksTellNothing(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	key := s.hook(s.token, `return "his"`, api.NewWebhook{Name: "keyed"})
	off := s.hook(s.token, `return 1`, api.NewWebhook{Name: "off"})
	signed := s.hook(s.token, `return 1`, api.NewWebhook{Name: "signed", Auth: "hmac"})
	theirs := s.hook(s.other, `return "theirs"`, api.NewWebhook{Name: "keyed", Mode: "sync"})
	gone := s.user("gone", engine.RoleUser)
	left := s.hook(gone, `return 1`, api.NewWebhook{Name: "keyed"})
	no := false
	if _, err := s.client(s.token).ChangeWebhook(t.Context(), "off", api.WebhookChange{Enabled: &no}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Users().SetDisabled(t.Context(), engine.Actor{}, "gone", true); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	refused := map[string]answer{}
	for name, c := range map[string]struct {
		path   string
		header map[string]string
	}{
		"no such user":         {"nobody/keyed", withKey(key)},
		"no such webhook":      {"admin/nothing", withKey(key)},
		"disabled":             {"admin/off", withKey(off)},
		"its owner disabled":   {"gone/keyed", withKey(left)},
		"wrong key":            {"admin/keyed", withKey("wrong")},
		"another's key":        {"mallory/keyed", withKey(key)},
		"a token":              {"admin/keyed", map[string]string{"Authorization": "Bearer " + s.token}},
		"wrong signature":      {"admin/signed", standard(signed, "m", now, "other")},
		"signature for a key":  {"admin/signed", withKey(signed)},
		"signature of nothing": {"admin/signed", merged(standard(signed, "m", now, "body"), "Webhook-Timestamp", "soon")},
	} {
		got := s.call(c.path, c.header, "body")
		got.body = strings.Replace(got.body, got.header.Get("X-Request-Id"), "ID", 1)
		got.header.Del("X-Request-Id")
		got.header.Del("Date")
		refused[name] = got
	}
	want := refused["no such user"]
	for name, got := range refused {
		if diff := cmp.Diff(want.header, got.header); got.status != http.StatusUnauthorized || got.body != want.body || diff != "" {
			t.Errorf("%s: status %d, %s%s", name, got.status, got.body, diff)
		}
	}
	if got := s.call("mallory/keyed", withKey(theirs), ""); got.body != `"theirs"`+"\n" {
		t.Errorf("what another calls the same: %d %s", got.status, got.body)
	}
	if list, err := s.client(s.token).ListExecutions(t.Context(), api.ExecutionFilter{}); err != nil || len(list.Executions) != 0 {
		t.Errorf("something was started: %+v, %v", list, err)
	}
	s.tried(key)
}

// tried calls with wrong keys until that is slowed down. Who has the right one is let in.
func (s *apiSite) tried(key string) {
	s.t.Helper()
	slowed := 0
	for i := range 40 {
		got := s.call([]string{"admin/keyed", "nobody/nothing"}[i%2], withKey(fmt.Sprint("wrong", i)), "")
		if got.status == http.StatusTooManyRequests && got.failure().Code == api.CodeThrottled && got.header.Get("Retry-After") != "" {
			slowed++
		} else if got.status != http.StatusUnauthorized {
			s.t.Errorf("status %d: %s", got.status, got.body)
		}
	}
	if slowed < 20 {
		s.t.Errorf("%d of 40 attempts were slowed down", slowed)
	}
	if got := s.call("admin/keyed", withKey(key), ""); got.status != http.StatusAccepted {
		s.t.Errorf("the right key: status %d: %s", got.status, got.body)
	}
	audit := s.do(http.MethodGet, "/v1/audit?all=true", s.token, nil)
	if n := strings.Count(audit.body, `"webhook.denied"`); n < 8 || n > 30 {
		s.t.Errorf("the audit has %d refusals", n)
	}
}

// TestWebhookCalls are refused for what is wrong with them, once they are let in.
func TestWebhookCalls(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	key := s.hook(s.token, echoInputs, api.NewWebhook{Name: "keyed", WebhookLimits: api.WebhookLimits{MaxBody: 100}})
	signed := s.hook(s.token, echoInputs, api.NewWebhook{Name: "signed", Auth: "hmac", WebhookLimits: api.WebhookLimits{ReplayWindow: 60}})
	few := s.hook(s.token, echoInputs, api.NewWebhook{Name: "few", WebhookLimits: api.WebhookLimits{PerMinute: 2}})
	now := time.Now()
	for name, c := range map[string]struct {
		path   string
		header map[string]string
		body   string
		status int
		code   string
	}{
		"no credential":        {"admin/keyed", nil, "", 401, api.CodeUnauthenticated},
		"key in the address":   {"admin/keyed?key=" + key, nil, "", 400, api.CodeBadRequest},
		"key in both":          {"admin/keyed?x=" + key, withKey(key), "", 400, api.CodeBadRequest},
		"too large":            {"admin/keyed", withKey(key), strings.Repeat("x", 101), 413, api.CodeTooLarge},
		"too large for weir":   {"admin/keyed", withKey(key), strings.Repeat("x", 5<<20), 413, api.CodeTooLarge},
		"no JSON":              {"admin/keyed", merged(withKey(key), "Content-Type", "application/json"), `{"a":`, 400, api.CodeBadRequest},
		"two JSONs":            {"admin/keyed", merged(withKey(key), "Content-Type", "application/json"), `{} {}`, 400, api.CodeBadRequest},
		"deep JSON":            {"admin/signed", deepJSON(signed, now), deep, 400, api.CodeBadRequest},
		"signed long ago":      {"admin/signed", standard(signed, "m", now.Add(-5*time.Minute), ""), "", 401, api.CodeStale},
		"signed in the future": {"admin/signed", standard(signed, "m", now.Add(5*time.Minute), ""), "", 401, api.CodeStale},
		"a long id":            {"admin/signed", standard(signed, strings.Repeat("m", 300), now, ""), "", 400, api.CodeBadRequest},
	} {
		got := s.call(c.path, c.header, c.body)
		if f := got.failure(); got.status != c.status || f.Code != c.code || f.RequestID == "" || strings.Contains(got.body, key) {
			t.Errorf("%s: status %d, %s", name, got.status, got.body)
		}
	}
	for i, want := range []int{202, 202, 429} {
		if got := s.call("admin/few", withKey(few), ""); got.status != want || want == 429 && got.header.Get("Retry-After") != "31" {
			t.Errorf("call %d: status %d, %v", i, got.status, got.header)
		}
	}
	if err := s.store.Flows().Delete(t.Context(), "", "keyed"); err != nil {
		t.Fatal(err)
	}
	if got := s.call("admin/keyed", withKey(key), ""); got.status != http.StatusInternalServerError || got.failure().Code != api.CodeNotStarted || strings.Contains(got.failure().Message, "keyed") {
		t.Errorf("without its flow: %d %s", got.status, got.body)
	}
	s.stop()
	if strings.Contains(s.said.String(), key) {
		t.Error("the log has a key")
	}
}

var deep = strings.Repeat("[", 200_000)

func deepJSON(secret string, at time.Time) map[string]string {
	return merged(standard(secret, "deep", at, deep), "Content-Type", "application/json")
}

// TestSyncWebhooks waits for flows that end in all ways.
func TestSyncWebhooks(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	if _, err := s.client(s.token).CreateConnection(t.Context(), api.ConnectionText{Document: "name: db\ntype: FAKE\nvalue: {password: hunter22-of-the-database}\n"}); err != nil {
		t.Fatal(err)
	}
	key := s.hook(s.token, `
		local how = input.body
		if how == "told" then error({ message = "no such order", internal = "x" }) end
		if how == "text" then error("the internals") end
		if how == "step" then task("FAKE", { fail_times = -1, fail_kind = "denied" }) end
		if how == "leak" then return connect("db", { leak = "output" }).output end
		if how == "slow" then task("FAKE", { block = true }) end
		if how == "ask" then ask{ title = "well?" } end
		return nil`, api.NewWebhook{Name: "sync", Mode: "sync", WebhookLimits: api.WebhookLimits{Timeout: 60}})
	for how, want := range map[string]struct {
		status int
		text   string
	}{
		"nothing": {200, "null\n"},
		"told":    {500, `"message":"no such order"`},
		"text":    {500, `"message":"the flow failed"`},
		"step":    {500, `"message":"the flow failed"`},
		"leak":    {200, "***"},
	} {
		got := s.call("admin/sync", withKey(key), how)
		if got.status != want.status || !strings.Contains(got.body, want.text) || strings.Contains(got.body, "hunter22") || strings.Contains(got.body, "internal") {
			t.Errorf("%s: status %d: %s", how, got.status, got.body)
		}
		if f := got.failure(); want.status == 500 && (f.Code != api.CodeFlowFailed || f.Where != "") {
			t.Errorf("%s: got %s", how, got.body)
		}
	}
	one := 1
	if _, err := s.client(s.token).ChangeWebhook(t.Context(), "sync", api.WebhookChange{Timeout: &one}); err != nil {
		t.Fatal(err)
	}
	got := s.call("admin/sync", withKey(key), "ask")
	if got.status != http.StatusAccepted || got.delivery().Execution == "" {
		t.Errorf("what takes too long: %d %s", got.status, got.body)
	}
	s.whileItWaits(key)
}

// whileItWaits deletes a webhook while somebody waits for what it started, cancels what
// it started, and goes away.
func (s *apiSite) whileItWaits(key string) {
	s.t.Helper()
	c := s.client(s.token)
	minutes := 600
	if _, err := c.ChangeWebhook(s.t.Context(), "sync", api.WebhookChange{Timeout: &minutes}); err != nil {
		s.t.Fatal(err)
	}
	leave, goAway := context.WithCancel(s.t.Context())
	defer goAway()
	left := make(chan error, 1)
	go func() {
		_, err := callHook(leave, http.DefaultClient, s.address+"/v1/hooks/admin/sync", merged(withKey(key), "Idempotency-Key", "left"), "slow")
		left <- err
	}()
	waits := make(chan answer, 1)
	go func() {
		got, _ := callHook(s.t.Context(), http.DefaultClient, s.address+"/v1/hooks/admin/sync", merged(withKey(key), "Idempotency-Key", "stays"), "slow")
		waits <- got
	}()
	running := s.until("two that run", func(all []api.Execution) bool { return len(all) == 2 }, api.ExecutionFilter{Status: "running"})
	goAway()
	if err := <-left; err == nil {
		s.t.Error("the caller that went away has an answer")
	}
	if deleted, err := c.DeleteWebhook(s.t.Context(), "sync"); err != nil || deleted.Result != "deleted" {
		s.t.Errorf("got %+v, %v", deleted, err)
	}
	for _, e := range running {
		if _, err := c.Order(s.t.Context(), e.ID, api.Order{Verb: "cancel"}); err != nil {
			s.t.Error(err)
		}
	}
	if got := <-waits; got.status != http.StatusInternalServerError || got.failure().Code != api.CodeFlowFailed || got.failure().Kind != string(engine.Canceled) {
		s.t.Errorf("who waited for what was cancelled: %d %s", got.status, got.body)
	}
	if got := s.call("admin/sync", withKey(key), "nothing"); got.status != http.StatusUnauthorized {
		s.t.Errorf("after it was deleted: %d %s", got.status, got.body)
	}
}

// until waits until the list of executions is as it should be, and gives it.
func (s *apiSite) until(what string, is func([]api.Execution) bool, filter api.ExecutionFilter) []api.Execution {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	c := s.client(s.token)
	for start := time.Now(); ; <-tick.C {
		list, err := c.ListExecutions(s.t.Context(), filter)
		if err != nil {
			s.t.Fatal(err)
		}
		if is(list.Executions) {
			return list.Executions
		}
		if time.Since(start) > 2*time.Minute {
			s.t.Fatalf("it does not come to %s: %+v", what, list)
		}
	}
}

// TestWebhookLimitsAreChecked sends what is no webhook.
func TestWebhookLimitsAreChecked(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	s.hook(s.token, echoInputs, api.NewWebhook{Name: "x"})
	for name, body := range map[string]any{
		"body":    map[string]any{"max_body": 5 << 20},
		"mode":    map[string]any{"mode": "later"},
		"timeout": map[string]any{"timeout_seconds": 601},
		"flow":    map[string]any{"flow": ""},
		"auth":    map[string]any{"auth": "hmac"},
	} {
		if got := s.do(http.MethodPatch, "/v1/webhooks/x", s.token, body); got.status < 400 || got.status >= 500 {
			t.Errorf("%s: status %d: %s", name, got.status, got.body)
		}
	}
	var shown bytes.Buffer
	if got := s.do(http.MethodGet, "/v1/webhooks/x", s.token, nil); json.Indent(&shown, []byte(got.body), "", " ") != nil || strings.Contains(got.body, "secret") {
		t.Errorf("got %s", got.body)
	}
}

// TestWebhookCall calls webhooks from the command line.
func TestWebhookCall(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	for _, auth := range []string{"key", "hmac", "github"} {
		secret := s.hook(s.token, `return { body = input.body, delivery = input.delivery }`, api.NewWebhook{Name: auth, Auth: auth, Mode: "sync"})
		weir := func(secret string, args ...string) (string, error) {
			cmd := exec.CommandContext(t.Context(), weirBinary(t), append([]string{"webhook", "call", auth, "--secret-file", "-"}, args...)...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "WEIR_ADDR=" + s.address, "WEIR_TOKEN=" + s.token}
			cmd.Stdin = strings.NewReader(secret + "\n")
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		if out, err := weir(secret, "--id", "7"); err != nil || !strings.Contains(out, `"delivery": "7"`) || !strings.Contains(out, `"body": {}`) {
			t.Errorf("%s: %v\n%s", auth, err, out)
		}
		if out, err := weir("d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc="); err == nil || !strings.Contains(out, "there is no such webhook, or it is not called as it wants to be") {
			t.Errorf("%s with a wrong secret: %v\n%s", auth, err, out)
		}
	}
}
