package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weir-engine/weir/engine/api"
)

// TestAnswersAreAsDescribed holds the answers of all routes that read against the
// OpenAPI document, so that a client made from it can read them.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	ended, asks := s.furnish()
	c := s.client(s.token)
	failed := s.run(c, api.Start{Text: `task("FAKE", { fail_times = -1, fail_kind = "denied" })`})
	parent := s.run(c, api.Start{Text: `return flow("` + hisFlow + `").output`})
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(s.do(http.MethodGet, "/openapi.json", "", nil).body))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range s.operations() {
		if o.method != http.MethodGet || strings.HasSuffix(o.path, "/events") {
			continue
		}
		pointer := "openapi.json#/paths/" + strings.ReplaceAll(o.path, "/", "~1") + "/get/responses/200/content/application~1json/schema"
		described, err := compiler.Compile(strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer))
		if err != nil {
			t.Errorf("%s: %v", o.id, err)
			continue
		}
		for _, id := range []string{ended, asks, failed.ID, parent.ID} {
			for _, name := range []string{hisFlow, hisConnection, hisSetting} {
				got := s.do(o.method, o.address(id, name), s.token, nil)
				if got.status != http.StatusOK {
					continue // this name is of something else
				}
				checked++
				body, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
				if err == nil {
					err = described.Validate(body)
				}
				if err != nil {
					t.Errorf("%s: %v\n%s", o.id, err, got.body)
				}
			}
		}
	}
	if checked < 60 {
		t.Errorf("%d answers were checked only", checked)
	}
	var failure api.Error
	if err := json.Unmarshal([]byte(s.do(http.MethodGet, "/v1/executions/"+nothing, s.token, nil).body), &failure); err != nil || failure.Code != "notfound" {
		t.Errorf("got %+v, %v", failure, err)
	}
}
