package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine/api"
)

// shape is a time line as a text: the steps' addresses, those of child flows in brackets.
func shape(d api.Detail) string {
	var b strings.Builder
	for _, step := range d.Steps {
		b.WriteString(step.Step + " ")
		if step.Flow != nil {
			b.WriteString("[" + shape(*step.Flow) + "] ")
		}
	}
	return b.String()
}

// TestTimelinePages reads the time line of a tree page by page, with pages of each size:
// it comes to the same as at once. So does the list of the tree.
func TestTimelinePages(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	c := s.client(s.other)
	const child = `for i = 1, 5 do task("FAKE", { payload = i }) end`
	texts := []api.FlowText{
		{Name: "leaf", Text: child}, {Name: "middle", Text: `flow("leaf") task("FAKE") flow("leaf")`},
		{Name: "top", Text: `task("FAKE") flow("middle") flow("leaf") task("FAKE")`},
	}
	if _, err := c.ApplyFlows(t.Context(), texts); err != nil {
		t.Fatal(err)
	}
	e := s.run(c, api.Start{Flow: "top"})
	if e.Status != "succeeded" {
		t.Fatalf("got %+v", e)
	}
	whole, err := c.Timeline(t.Context(), e.ID, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	want := "1 2 [1 [1 2 3 4 5 ] 2 3 [1 2 3 4 5 ] ] 3 [1 2 3 4 5 ] 4 "
	if got := shape(whole); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for limit := 1; limit < 25; limit++ {
		page, err := c.Timeline(t.Context(), e.ID, "", limit)
		if err != nil {
			t.Fatal(err)
		}
		s.rest(c, &page, limit)
		if got := shape(page); got != want {
			t.Errorf("in pages of %d steps: got %q, want %q", limit, got, want)
		}
	}
	all, err := c.ExecutionTree(t.Context(), e.ID, "", 0)
	if err != nil || len(all.Executions) != 5 {
		t.Fatalf("got %+v, %v", all, err)
	}
	var paged []api.Execution
	for after := ""; ; {
		page, err := c.ExecutionTree(t.Context(), e.ID, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, page.Executions...)
		if after = page.Next; after == "" {
			break
		}
	}
	if diff := cmp.Diff(all.Executions, paged); diff != "" {
		t.Errorf("in pages of 2 (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/timeline?after=7", "/timeline?limit=0", "/timeline?limit=100000", "/tree?after=" + noID, "/tree?limit=-1"} {
		if got := s.do(http.MethodGet, "/v1/executions/"+e.ID+path, s.other, nil); got.status/100 != 4 || got.failure().Hint == "" {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
	}
}

// rest reads the pages after the first one, as somebody does who has the document only.
func (s *apiSite) rest(c *api.Client, d *api.Detail, limit int) {
	s.t.Helper()
	for seen := 0; ; {
		for ; seen < len(d.Steps); seen++ {
			if d.Steps[seen].Flow != nil {
				s.rest(c, d.Steps[seen].Flow, limit)
			}
		}
		if !d.More {
			return
		}
		after := ""
		if seen > 0 {
			after = d.Steps[seen-1].Step
		}
		page, err := c.Timeline(s.t.Context(), d.ID, after, limit)
		if err != nil || len(page.Steps) == 0 {
			s.t.Fatalf("the page after %q has %+v, %v", after, page, err)
		}
		d.Steps, d.More = append(d.Steps, page.Steps...), page.More
	}
}

// TestLargeTimeline reads a step after which a page is full, because of its size.
func TestLargeTimeline(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	c := s.client(s.other)
	e := s.run(c, api.Start{Text: `local large = string.rep("x", 3 * 1024 * 1024) for i = 1, 8 do task("FAKE", { payload = large }) end`})
	if e.Status != "succeeded" {
		t.Fatalf("got %+v", e)
	}
	page, err := c.Timeline(t.Context(), e.ID, "", 1000)
	if err != nil || !page.More || len(page.Steps) < 2 || len(page.Steps) > 7 {
		t.Errorf("a page has %d steps, more %v, %v", len(page.Steps), page.More, err)
	}
	whole, err := c.Timeline(t.Context(), e.ID, "", 0)
	if err != nil || len(whole.Steps) != 8 {
		t.Errorf("all pages have %d steps, %v", len(whole.Steps), err)
	}
}

// TestNumbersStayExact sends numbers that no float64 holds in all places that take
// values, and reads them again.
func TestNumbersStayExact(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	c := s.client(s.other)
	const numbers = `[9007199254740993,-9007199254740993,123456789012345678901234567890,0.123456789012345678901234567891,1e+400,0.1,3]`
	same := func(what, body string) {
		t.Helper()
		if !strings.Contains(body, numbers) {
			t.Errorf("%s: got %s", what, body)
		}
	}
	get := func(path string) string { return s.do(http.MethodGet, path, s.other, nil).body }
	text := `local given = task("FAKE", { payload = input.n }).output.inputs.payload
		log.info("n", { n = given })
		setting("n"):set(given)
		return { output = given, answer = ask{ title = "n", schema = { n = "integer" } }.n }`
	started, err := c.Start(t.Context(), api.Start{Text: text, Inputs: json.RawMessage(`{"n":` + numbers + `}`)})
	if err != nil {
		t.Fatal(err)
	}
	asks := s.await(c, started.ID, func(e api.Execution) bool { return e.Waits != "" || e.HasEnded() })
	if asks.HasEnded() {
		t.Fatalf("got %s", get("/v1/executions/"+asks.ID+"/timeline"))
	}
	answer := []byte(`{"values":{"n":9007199254740993}}`)
	if got := s.do(http.MethodPost, "/v1/executions/"+asks.ID+"/answer", s.other, answer); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	s.await(c, asks.ID, api.Execution.HasEnded)
	timeline := get("/v1/executions/" + asks.ID + "/timeline")
	if n := strings.Count(timeline, numbers); n < 4 || !strings.Contains(timeline, `"answer":9007199254740993`) {
		t.Errorf("the time line has them %d times: %s", n, timeline)
	}
	same("the log", get("/v1/executions/"+asks.ID+"/log"))
	same("the setting", get("/v1/settings/n"))
	put := []byte(`{"value":` + numbers + `}`)
	if got := s.do(http.MethodPut, "/v1/settings/m", s.other, put); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	same("a setting that was sent", get("/v1/settings/m"))
	if _, err := c.CreateConnection(t.Context(), api.ConnectionText{Document: "name: n\ntype: FAKE\n"}); err != nil {
		t.Fatal(err)
	}
	override := []byte(`{"inputs":{"payload":` + numbers + `}}`)
	same("an explanation", s.do(http.MethodPost, "/v1/connections/n/explain", s.other, override).body)
}

// await waits until an execution is as it is wanted.
func (s *apiSite) await(c *api.Client, id string, wanted func(api.Execution) bool) (last api.Execution) {
	s.t.Helper()
	err := c.Watch(s.t.Context(), id, 0, func(e api.Event) error {
		if e.State != nil && e.State.ID == id && wanted(*e.State) {
			last = *e.State
			return errSeen
		}
		return nil
	}, nil)
	if last.ID == "" {
		s.t.Fatalf("execution %s: %v", id, err)
	}
	return last
}

// TestNamesThatCannotBeShown: a name does nothing to the terminal of who lists it.
func TestNamesThatCannotBeShown(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	for _, name := range []string{"a\x00b", "a\x1b[31m", "a\nb", "a\u202eb", "\u0085"} {
		text, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		for path, body := range map[string]string{
			"POST /v1/executions":                            fmt.Sprintf(`{"text":"return 1","name":%s}`, text),
			"PUT /v1/flows":                                  fmt.Sprintf(`{"flows":[{"name":%s,"text":"return 1"}]}`, text),
			"POST /v1/users":                                 fmt.Sprintf(`{"name":%s}`, text),
			"POST /v1/users/mallory/tokens":                  fmt.Sprintf(`{"name":%s}`, text),
			"POST /v1/connections":                           fmt.Sprintf(`{"document":%q}`, "name: "+string(text)+"\ntype: FAKE\n"),
			"PUT /v1/settings/" + url.PathEscape(name):       `{"value":1}`,
			"PUT /v1/vaults/" + url.PathEscape(name):         `{"configuration":{"address":"http://127.0.0.1:1","auth":"token","token":"x"}}`,
			"DELETE /v1/connections/" + url.PathEscape(name): ``,
		} {
			method, path, _ := strings.Cut(path, " ")
			got := s.do(method, path, s.token, []byte(body))
			if got.status/100 != 4 || got.failure().Message == "" || strings.ContainsAny(got.failure().Message, name[1:2]) && name[1] < ' ' {
				t.Errorf("%s %q: status %d, %s", method, path, got.status, got.body)
			}
		}
	}
}
