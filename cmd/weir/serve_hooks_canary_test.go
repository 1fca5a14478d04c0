package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine/api"
)

// TestWebhookCanary calls webhooks that have secrets, in all ways, right and wrong, and
// looks for the secrets, in any of their spellings, in all that the server says and keeps:
// answers, events, metrics, traces, the audit, the log, and the store's files.
func TestWebhookCanary(t *testing.T) {
	t.Parallel()
	sink := newTraceSink(t)
	s := newAPISite(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+sink.URL)
	const password, prescribed, tried = "canary-of-a-password", "canary-of-a-key-for-a-webhook", "canary-of-what-was-tried"
	document := "name: db\ntype: FAKE\nvalue: {host: db.example.com, password: " + password + "}\n"
	if _, err := s.client(s.token).CreateConnection(t.Context(), api.ConnectionText{Document: document}); err != nil {
		t.Fatal(err)
	}
	text := `
		local out = connect("db", { leak = input.body }, { on_error = "return" })
		log.info("got it", { inputs = json.encode(input) })
		if out.error then error({ message = tostring(out.error) }) end
		return { out = out.output, inputs = input }`
	keyed := s.hook(s.token, text, api.NewWebhook{Name: "keyed", Mode: "sync"})
	given := s.hook(s.token, text, api.NewWebhook{Name: "given", Mode: "sync", Secret: prescribed})
	signed := s.hook(s.token, text, api.NewWebhook{Name: "signed", Mode: "sync", Auth: "hmac"})
	forge := s.hook(s.token, text, api.NewWebhook{Name: "forge", Auth: "github", Secret: prescribed})
	if given != prescribed || forge != prescribed {
		t.Error("a prescribed secret was replaced")
	}
	forbidden := map[string][]string{"token": {s.token, s.other}}
	for _, secret := range []string{password, prescribed, tried, keyed, signed, strings.TrimPrefix(signed, "whsec_")} {
		forbidden[secret] = slices.Collect(maps.Values(spellings(secret)))
	}
	var said strings.Builder
	s.callAll(&said, map[string]map[string]string{
		"keyed": withKey(keyed), "given": {"Authorization": "Bearer " + prescribed}, "signed": nil, "forge": nil,
	}, signed, forge)
	for _, path := range []string{"admin/keyed?key=" + tried, "admin/keyed?token=" + keyed, "admin/" + tried, tried + "/keyed"} {
		said.WriteString(s.call(path, nil, "").body)
		said.WriteString(s.call(path, withKey(tried), "").body)
	}
	said.WriteString(s.call("admin/keyed?x="+keyed, withKey(keyed), "").body)
	list, err := s.client(s.token).ListExecutions(t.Context(), api.ExecutionFilter{})
	if err != nil || len(list.Executions) < 8 {
		t.Fatalf("there are %d executions, %v", len(list.Executions), err)
	}
	for _, e := range list.Executions {
		for _, path := range []string{"", "/timeline", "/log"} {
			said.WriteString(s.do(http.MethodGet, "/v1/executions/"+e.ID+path, s.token, nil).body)
		}
		_ = s.client(s.token).Watch(t.Context(), e.ID, 0, func(event api.Event) error {
			text, err := json.Marshal(event)
			said.Write(text)
			if err == nil && event.State != nil {
				err = errSeen
			}
			return err
		}, nil)
	}
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/keyed", "/v1/webhooks/signed", "/v1/audit?all=true", "/metrics", "/v1/executions"} {
		said.WriteString(s.do(http.MethodGet, path, s.token, nil).body)
	}
	if !strings.Contains(said.String(), "***") || !strings.Contains(said.String(), "webhook.denied") {
		t.Error("nothing was masked, or nothing refused: the test proves nothing")
	}
	s.stop()
	said.WriteString(s.said.String())
	if !strings.Contains(sink.bodies(), "POST /v1/hooks/{user}/{name}") {
		t.Error("calls of webhooks are not traced")
	}
	said.WriteString(sink.bodies())
	for name, texts := range forbidden {
		for _, text := range texts {
			if i := strings.Index(said.String(), text); i >= 0 {
				t.Errorf("%s is told: ...%s", name, said.String()[max(i-300, 0):i])
			}
		}
	}
	s.searchStore(forbidden)
}

// callAll calls each webhook so that its flow leaks what it has in all ways.
func (s *apiSite) callAll(said *strings.Builder, headers map[string]map[string]string, signed, forge string) {
	s.t.Helper()
	for name, header := range headers {
		for _, leak := range []string{"output", "error", "warning"} {
			switch name {
			case "signed":
				header = standard(signed, leak, time.Now(), leak)
			case "forge":
				header = github(forge, leak, leak)
			}
			got := s.call("admin/"+name, header, leak)
			if got.status == http.StatusUnauthorized {
				s.t.Errorf("%s: %s", name, got.body)
			}
			said.WriteString(got.body)
		}
	}
}
