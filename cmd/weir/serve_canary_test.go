package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// TestAPICanary has a flow use secrets in all ways there are, and looks for them, in
// any of their spellings, and for tokens, in all that the server says: the answers of
// every route that reads, events, metrics, the log, the audit, and in traces.
func TestAPICanary(t *testing.T) {
	t.Parallel()
	const password, given, setting, key = "canary-of-a-password", "canary-of-an-override", "canary-of-a-vault-token", "canary-of-a-key"
	sink := newTraceSink(t)
	s := newAPISite(t, "--"+otlpEndpoint, sink.URL+"?key="+key, "OTEL_EXPORTER_OTLP_HEADERS=api-key="+key)
	forbidden := map[string][]string{"token": {s.token, s.other}}
	for _, text := range []string{password, given, setting, key} {
		forbidden[text] = slices.Collect(maps.Values(spellings(text)))
	}
	c := s.client(s.token)
	ctx := t.Context()
	if _, err := c.CreateConnection(ctx, api.ConnectionText{Document: "name: db\ntype: FAKE\nvalue: {host: db.example.com, password: " + password + "}\n"}); err != nil {
		t.Fatal(err)
	}
	put := map[string]any{"configuration": map[string]any{"address": "http://127.0.0.1:1", "auth": "token", "token": setting}}
	if got := s.do(http.MethodPut, "/v1/vaults/default", s.token, put); got.status != http.StatusOK {
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	text := `
		local out = connect("db", { password = input.given, message = "is " .. input.given }, { on_error = "return" })
		log.info("it " .. input.given, { of = input.given })
		pcall(function() connect("db", { message = input.leak }) end)
		log.warn(input.leak)
		pcall(function() error({ what = input.given }) end)
		return { out = out.output, again = input.given, base64 = base64.encode(input.given) }`
	inputs, err := json.Marshal(map[string]any{"given": given, "leak": "x"})
	if err != nil {
		t.Fatal(err)
	}
	e := s.run(c, api.Start{Text: text, Inputs: inputs})
	var said strings.Builder
	for _, path := range []string{
		"/v1/executions", "/v1/executions/" + e.ID, "/v1/executions/" + e.ID + "/tree", "/v1/executions/" + e.ID + "/timeline",
		"/v1/executions/" + e.ID + "/log", "/v1/connections", "/v1/connections/db", "/v1/connections/db/revisions", "/v1/connection-export",
		"/v1/vaults", "/v1/vaults/default", "/v1/audit?all=true", "/v1/users", "/v1/users/admin/tokens", "/v1/me", "/v1/settings", "/metrics",
	} {
		got := s.do(http.MethodGet, path, s.token, nil)
		if got.status != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, got.status, got.body)
		}
		said.WriteString(got.body)
	}
	for _, path := range []string{"/v1/connections/db/explain", "/v1/connections/db/test", "/v1/vaults/default/test"} {
		body := map[string]any{"inputs": map[string]any{"password": given}}
		if strings.Contains(path, "vaults") {
			body = map[string]any{"path": "secret/x"}
		}
		said.WriteString(s.do(http.MethodPost, path, s.token, body).body)
	}
	_ = c.Watch(ctx, e.ID, 0, func(event api.Event) error {
		text, err := json.Marshal(event)
		said.Write(text)
		if err == nil && event.State != nil {
			err = errSeen
		}
		return err
	}, nil)
	if !strings.Contains(said.String(), "it ***") {
		t.Error("the log line of the flow is not in what was said: the test proves nothing")
	}
	s.do(http.MethodGet, "/v1/executions?token="+s.token, "", nil)
	s.stop()
	said.WriteString(s.said.String())
	if len(sink.spans()) < 10 {
		t.Error("hardly any traces were sent: the test proves nothing")
	}
	said.WriteString(sink.bodies())
	for name, texts := range forbidden {
		for _, text := range texts {
			if i := strings.Index(said.String(), text); i >= 0 {
				t.Errorf("%s is told: ...%s", name, said.String()[max(i-200, 0):i])
			}
		}
	}
	s.searchStore(forbidden)
}

// searchStore looks for what must not be in the files of the store.
func (s *apiSite) searchStore(forbidden map[string][]string) {
	s.t.Helper()
	err := filepath.WalkDir(s.data, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == firstTokenFile {
			return err
		}
		file, err := os.Open(path) //nolint:gosec // it is the test's own
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // it was only read
		content, err := io.ReadAll(file)
		for name, texts := range forbidden {
			for _, text := range texts {
				if strings.Contains(string(content), text) {
					s.t.Errorf("%s is in %s", name, entry.Name())
				}
			}
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

// TestMetricsAreForAdmins: figures of all users are not for everybody.
func TestMetricsAreForAdmins(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	for token, want := range map[string]int{"": http.StatusUnauthorized, s.other: http.StatusForbidden, s.token: http.StatusOK} {
		if got := s.do(http.MethodGet, "/metrics", token, nil); got.status != want {
			t.Errorf("status %d, want %d", got.status, want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		if got := s.do(http.MethodGet, path, "", nil); got.status != http.StatusOK {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	// Another admin manages users, and sees nothing of what is the first one's.
	ended, _ := s.furnish()
	second := s.user("root2", engine.RoleAdmin)
	if got := s.do(http.MethodGet, "/v1/users", second, nil); got.status != http.StatusOK || !strings.Contains(got.body, "mallory") {
		t.Errorf("users: %d %s", got.status, got.body)
	}
	theirs := s.do(http.MethodGet, "/v1/users/"+firstUser, second, nil)
	for _, name := range []string{hisFlow, hisConnection, hisSetting} {
		if theirs.status != http.StatusOK || !strings.Contains(theirs.body, `"`+name+`"`) {
			t.Errorf("an admin does not see that there is %s: %s", name, theirs.body)
		}
	}
	for _, text := range []string{hisName, hisInput, hisOutput, hisLine} {
		if strings.Contains(theirs.body, text) {
			t.Errorf("an admin sees %q: %s", text, theirs.body)
		}
	}
	if got := s.do(http.MethodGet, "/v1/users/"+firstUser, s.other, nil); got.status != http.StatusForbidden {
		t.Errorf("another user is told of the first: %d %s", got.status, got.body)
	}
	if got := s.do(http.MethodGet, "/v1/users/mallory", s.other, nil); got.status != http.StatusOK {
		t.Errorf("a user is not told of what is theirs: %d %s", got.status, got.body)
	}
	if got := s.do(http.MethodGet, "/v1/executions/"+ended+"/timeline", second, nil); got.status != http.StatusNotFound {
		t.Errorf("an execution: %d %s", got.status, got.body)
	}
}
