package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// his is in all that ann has: mallory must never see it.
const his = "canary-of-ann"

// own gives a user things of the same names that others have things of. mark is in all
// of them.
func (s *apiSite) own(token, mark string) {
	s.t.Helper()
	c, ctx := s.client(token), s.t.Context()
	documents := fmt.Sprintf("name: same\ntype: FAKE\nvalue: {host: %[1]s.example.com, user: %[1]s, password: %[1]s-password}\ndescription: %[1]s\n---\n"+
		"name: vaulted\ntype: FAKE\nvalue: {host: %[1]s.example.com}\nsecrets: [{path: secret/%[1]s}]\n", mark)
	if _, err := c.ApplyConnections(ctx, api.ConnectionText{Document: documents}); err != nil {
		s.t.Fatal(err)
	}
	flows := []api.FlowText{
		{Name: "same", Text: `log.info("` + mark + `") return { connect("same").output.inputs.user, flow("child").output, require("module").name, setting("same"):get() }`},
		{Name: "child", Text: `return "child of ` + mark + `"`}, {Name: "module", Text: `return { name = "module of ` + mark + `" }`},
	}
	if _, err := c.ApplyFlows(ctx, flows); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range [][3]string{
		{http.MethodPut, "/v1/settings/same", `{"value":"setting of ` + mark + `"}`},
		{http.MethodPut, "/v1/vaults/default", `{"configuration":{"address":"http://127.0.0.1:1","auth":"token","token":"` + mark + `-token"}}`},
		{http.MethodPost, "/v1/schedules", `{"name":"same","flow":"same","cron":"0 0 1 1 *","inputs":{"mark":"` + mark + `"}}`},
		{http.MethodPost, "/v1/webhooks", `{"name":"same","flow":"same","secret":"` + mark + `-of-the-webhook"}`},
	} {
		if got := s.do(r[0], r[1], token, []byte(r[2])); got.status != http.StatusOK {
			s.t.Fatalf("%s: status %d, %s", r[1], got.status, got.body)
		}
	}
	if e := s.run(c, api.Start{Flow: "same", Name: mark, Key: "same"}); e.Status != "succeeded" {
		s.t.Fatalf("the flow of %s came to %+v", mark, e)
	}
}

// hisThings gives ann what mallory has none of, besides, and the id of an execution that
// holds a lock of a name that both use.
func (s *apiSite) hisThings(token string) string {
	s.t.Helper()
	s.own(token, his)
	c := s.client(token)
	if _, err := c.CreateConnection(s.t.Context(), api.ConnectionText{Document: "name: hidden\ntype: FAKE\nvalue: {user: " + his + "}\n"}); err != nil {
		s.t.Fatal(err)
	}
	if _, err := c.ApplyFlows(s.t.Context(), []api.FlowText{{Name: "hidden", Text: `return "` + his + `"`}}); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range [][3]string{
		{http.MethodPut, "/v1/settings/hidden", `{"value":"` + his + `"}`},
		{http.MethodPut, "/v1/vaults/hidden", `{"configuration":{"address":"http://127.0.0.1:2","auth":"token","token":"` + his + `"}}`},
		{http.MethodPost, "/v1/schedules", `{"name":"hidden","flow":"hidden","cron":"0 0 1 1 *"}`},
		{http.MethodPost, "/v1/webhooks", `{"name":"hidden","flow":"hidden"}`},
		{http.MethodPut, "/v1/connections/hidden/shares/admin", `{}`},
	} {
		if got := s.do(r[0], r[1], token, []byte(r[2])); got.status != http.StatusOK {
			s.t.Fatalf("%s: status %d, %s", r[1], got.status, got.body)
		}
	}
	text := `setting("same"):lock() for i = 1, 40 do log.info("` + his + `") end ask{ title = "` + his + `" }`
	started, err := c.Start(s.t.Context(), api.Start{Text: text, Name: his, Key: "the key of ann"})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.await(c, started.ID, func(e api.Execution) bool { return e.Waits != "" }).ID
}

// herRequests are what mallory asks of the API: for her own things, for those of ann,
// of which id is one, and for the like of them that nobody has.
func herRequests(id string) [][3]string {
	requests := [][3]string{
		{http.MethodGet, "/v1/connections"}, {http.MethodGet, "/v1/flows"}, {http.MethodGet, "/v1/settings"}, {http.MethodGet, "/v1/vaults"},
		{http.MethodGet, "/v1/schedules"}, {http.MethodGet, "/v1/webhooks"}, {http.MethodGet, "/v1/shares"}, {http.MethodGet, "/v1/users"},
		{http.MethodGet, "/metrics"}, {http.MethodGet, "/v1/connection-export"}, {http.MethodGet, "/v1/audit?user=ann"},
		{http.MethodGet, "/v1/executions?children=true"}, {http.MethodGet, "/v1/executions?flow=" + his}, {http.MethodGet, "/v1/users/ann/tokens"},
		{http.MethodPost, "/v1/executions", `{"flow":"hidden"}`}, {http.MethodPost, "/v1/users/ann/tokens", `{}`},
		{http.MethodPost, "/v1/schedules/same/run", ``}, {http.MethodPost, "/v1/hooks/ann/same", `{}`}, {http.MethodPost, "/v1/hooks/ann/hidden", `{}`},
		{http.MethodPost, "/v1/executions/" + id + "/cancel", ``}, {http.MethodPost, "/v1/executions/" + id + "/answer", `{"values":{"answer":"x"}}`},
		{http.MethodGet, "/v1/executions/" + id + "/events"}, {http.MethodGet, "/v1/executions/" + id + ".1"},
	}
	for _, more := range []string{"", "/tree", "/timeline", "/log", "/log?after=1"} {
		requests = append(requests, [3]string{http.MethodGet, "/v1/executions/" + id + more}, [3]string{http.MethodGet, "/v1/executions/" + id[:16] + more})
	}
	for _, name := range []string{"same", "hidden", "hiden", "vaulted", "ann%2Fsame", "ann%2Fhidden", "admin%2Fsame"} {
		for _, path := range []string{
			"/v1/connections/{}", "/v1/connections/{}/revisions", "/v1/connection-export?name={}", "/v1/flow?name={}", "/v1/flow/versions?name={}",
			"/v1/settings/{}", "/v1/vaults/{}", "/v1/schedules/{}", "/v1/webhooks/{}", "/v1/shares?connection={}",
		} {
			requests = append(requests, [3]string{http.MethodGet, strings.Replace(path, "{}", name, 1)})
		}
		for _, path := range []string{"/v1/connections/" + name + "/explain", "/v1/connections/" + name + "/test", "/v1/vaults/" + name + "/test"} {
			requests = append(requests, [3]string{http.MethodPost, path, `{}`})
		}
	}
	return requests
}

// herFlows are what mallory runs.
func herFlows(id string) []string {
	return []string{
		`return connect("same").output.inputs`, `return connect("hidden")`, `return connect("hiden")`, `return connect("ann/same")`, `return connect("ann/hidden")`,
		`return flow("child").output`, `return flow("hidden")`, `return require("hidden")`, `return require("module").name`,
		`return flow("same").output`, `return connect("same", { leak = "output" }).output`, `return connect("vaulted")`,
		`return task("FAKE", { password = secret("secret/` + his + `#password") })`, `return secret("hidden:secret/x#y") and task("FAKE", { password = secret("hidden:secret/x#y") })`,
		`local s = setting("same") s:lock() local v = s:get() s:set("mine") s:unlock() return v`, `return setting("hidden"):get()`,
		`return pcall(function() return connect("` + id + `") end)`, `return log.info(input.x or "a line") or 1`,
	}
}

// herCommands are what mallory runs on the command line.
func herCommands(id string) []string {
	commands := []string{
		"connection list -v", "connection export", "flow list", "setting list", "schedule list", "webhook list", "vault list", "connection shares",
		"execution list --children", "user list", "audit --user ann", "user token list ann", "execution show " + id, "execution logs " + id, "execution cancel " + id,
		"execution retry " + id, "execution start hidden", "flow show hidden", "flow delete hidden", "setting get hidden", "setting delete hidden", "task list",
	}
	for _, name := range []string{"same", "hidden", "ann/hidden"} {
		for _, noun := range []string{"connection show", "connection explain", "connection test", "connection revisions", "schedule show", "webhook show", "vault test"} {
			commands = append(commands, noun+" "+name)
		}
	}
	return commands
}

// changing is what is different each time: ids, times, places on this machine, and the
// positions of lines and events, which are times, too.
var changing = regexp.MustCompile(`[0-9a-f]{11}[a-z2-7]{12}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.0-9]*Z?|\d\d:\d\d:\d\d[.0-9]*|` + //nolint:gochecknoglobals // read only
	`\b1\d{15}\b|"request_id":"[a-z2-7]+"|"milliseconds":\d+|\d+(\.\d+)?(ms|µs|s)\b|127\.0\.0\.1:\d{4,5}|/tmp/[^" ]*|\([0-9a-z ]*ago\)`)

var spaces = regexp.MustCompile(` +`) //nolint:gochecknoglobals // read only

// learns gives all that mallory is told, by what she did, without what is different each
// time.
func (s *apiSite) learns(id string) map[string]string {
	s.t.Helper()
	told := map[string]string{}
	plain := func(text string) string {
		text = strings.NewReplacer(id, "ID", id[:16], "ID").Replace(text)
		return spaces.ReplaceAllString(changing.ReplaceAllString(text, "~"), " ") // columns are as wide as times
	}
	c := s.client(s.other)
	e := s.run(c, api.Start{Text: "return 1", Key: "the key of ann"})
	told["the key of ann"] = plain(s.do(http.MethodGet, "/v1/executions/"+e.ID, s.other, nil).body)
	for _, r := range herRequests(id) {
		var body any
		if r[2] != "" {
			body = []byte(r[2])
		}
		got := s.do(r[0], r[1], s.other, body)
		if strings.HasSuffix(r[1], "/run") {
			var begun api.Execution
			if err := json.Unmarshal([]byte(got.body), &begun); err != nil || got.status != http.StatusOK {
				s.t.Fatalf("status %d: %s", got.status, got.body)
			}
			s.await(c, begun.ID, api.Execution.HasEnded)
			continue
		}
		told[plain(strings.Join(r[:], " "))] = plain(fmt.Sprint(got.status, " ", got.body))
	}
	for _, user := range []string{"mallory", "ann"} { // with the key of hers
		called := s.call(user+"/same", map[string]string{"X-Webhook-Key": "of-mallory-of-the-webhook"}, `{}`)
		told["call of the webhook of "+user] = plain(fmt.Sprint(called.status, " ", called.body))
		if user == "mallory" {
			s.await(c, called.delivery().Execution, api.Execution.HasEnded)
		}
	}
	for i, text := range herFlows(id) {
		e := s.run(c, api.Start{Text: text, Name: fmt.Sprint("flow-", i)})
		for _, more := range []string{"/timeline", "/log", ""} {
			told[plain(text+" "+more)] = plain(s.do(http.MethodGet, "/v1/executions/"+e.ID+more, s.other, nil).body)
		}
	}
	for _, command := range herCommands(id) {
		cmd := exec.CommandContext(s.t.Context(), weirBinary(s.t), strings.Fields(command)...) //nolint:gosec // they are the test's own
		cmd.Env = []string{"HOME=" + s.t.TempDir(), "WEIR_ADDR=" + s.address, "WEIR_TOKEN=" + s.other, "GORACE=atexit_sleep_ms=0"}
		out, err := cmd.CombinedOutput()
		told[plain("weir "+command)] = plain(fmt.Sprint(string(out), err))
	}
	told["audit"] = plain(s.do(http.MethodGet, "/v1/audit", s.other, nil).body)
	told["events"] = plain(s.events("0"))
	return told
}

// events reads mallory's stream up to the last line that she wrote.
func (s *apiSite) events(from string) string {
	s.t.Helper()
	c := s.client(s.other)
	if e := s.run(c, api.Start{Text: `log.info("the last line")`}); e.Status != "succeeded" {
		s.t.Fatalf("got %+v", e)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.address+"/v1/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.other)
	r.Header.Set("Last-Event-ID", from)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	var read []string
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "the last line") {
		read = append(read, lines.Text())
	}
	return strings.Join(read, "\n")
}

// TestNothingIsLearnt has mallory do all that she can on two servers: on one, ann has
// things of the same names as hers, and others; on the other, she has nothing at all. What
// mallory is told is the same, word for word.
func TestNothingIsLearnt(t *testing.T) {
	t.Parallel()
	alone := newAPISite(t)
	alone.user("ann", engine.RoleUser)
	alone.own(alone.other, "of-mallory")
	beside := newAPISite(t)
	id := beside.hisThings(beside.user("ann", engine.RoleUser))
	beside.own(beside.other, "of-mallory")
	want, got := alone.learns("1a1ffd79a8cabcdefghijkl"), beside.learns(id)
	if len(want) < 150 {
		t.Errorf("%d things are compared only", len(want))
	}
	for what, text := range got {
		if diff := cmp.Diff(want[what], text); diff != "" {
			t.Errorf("%s: mallory learns something (-alone +beside ann):\n%s", what, diff)
		}
		if strings.Contains(strings.ReplaceAll(text, "secret/"+his, ""), his) && !strings.Contains(what, his) {
			t.Errorf("%s: mallory is told of ann's: %s", what, text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d things are told, %d alone", len(got), len(want))
	}
	// What both did is as it was meant: hers is hers.
	var out []any
	timeline := got[`return flow("same").output /timeline`]
	if i := strings.Index(timeline, `"output":`); i < 0 || json.NewDecoder(strings.NewReader(timeline[i+len(`"output":`):])).Decode(&out) != nil ||
		!slices.Equal(out, []any{"of-mallory", "child of of-mallory", "module of of-mallory", "setting of of-mallory"}) {
		t.Errorf("her flow gave %v: %s", out, timeline)
	}
}
