package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-engine/weir/engine/api"
)

const sharedPath = "/v1/connections/admin%2Fdb"

// newSharedSite has a connection of the first user's, with whom it shares it later.
func newSharedSite(t *testing.T) (s *apiSite, admin, mallory *api.Client) {
	t.Helper()
	s = newAPISite(t)
	admin, mallory = s.client(s.token), s.client(s.other)
	document := "name: db\ntype: FAKE\nvalue: {host: his-host.example.com, user: his-user, password: his-password}\ndescription: the books\n"
	if _, err := admin.CreateConnection(t.Context(), api.ConnectionText{Document: document}); err != nil {
		t.Fatal(err)
	}
	return s, admin, mallory
}

// TestSharedForUseOverTheAPI has mallory use a connection of the first user, and looks
// in every answer for what is not hers.
func TestSharedForUseOverTheAPI(t *testing.T) {
	t.Parallel()
	s, admin, mallory := newSharedSite(t)
	const path = sharedPath
	missing := s.do(http.MethodGet, "/v1/connections/admin%2Fxx", s.other, nil)
	hidden := s.do(http.MethodGet, path, s.other, nil)
	if hidden.status != http.StatusNotFound || strings.ReplaceAll(hidden.failure().Message, "admin/db", "admin/xx") != missing.failure().Message {
		t.Errorf("not shared: %d %s; not there: %s", hidden.status, hidden.body, missing.body)
	}
	shared, err := admin.ShareConnection(t.Context(), "db", "mallory", api.NewShare{})
	if err != nil || shared.Called != "admin/db" || shared.Right != "use" {
		t.Fatalf("shared %+v, %v", shared, err)
	}
	for _, request := range []struct {
		method, path string
		body         any
		want         int
		text         string
	}{
		{http.MethodGet, "/v1/connections", nil, 200, `"admin/db"`},
		{http.MethodGet, path, nil, 200, "the books"},
		{http.MethodPost, path + "/explain", map[string]any{"inputs": map[string]any{"user": "mine"}}, 200, "mine"},
		{http.MethodPost, path + "/explain", map[string]any{"inputs": map[string]any{"host": "mine"}}, 200, "may not override"},
		{http.MethodPost, path + "/test", map[string]any{}, 200, "resolve"},
		{http.MethodGet, path + "/revisions", nil, 400, ""},
		{http.MethodGet, "/v1/connection-export?name=admin%2Fdb", nil, 400, ""},
		{http.MethodPut, path, map[string]any{"document": "name: db\ntype: FAKE\n"}, 400, ""},
		{http.MethodDelete, path, nil, 400, ""},
		{http.MethodPut, path + "/shares/mallory", map[string]any{}, 400, ""},
		{http.MethodGet, "/v1/shares", nil, 200, "[]"},
	} {
		got := s.do(request.method, request.path, s.other, request.body)
		if (got.status >= 400) != (request.want >= 400) || !strings.Contains(got.body, request.text) {
			t.Errorf("%s %s: status %d, %s", request.method, request.path, got.status, got.body)
		}
		for _, his := range []string{"his-host", "his-user", "his-password"} {
			if strings.Contains(got.body, his) {
				t.Errorf("%s %s tells %s: %s", request.method, request.path, his, got.body)
			}
		}
	}
	use := api.Start{File: "use.lua", Text: `return connect("admin/db").status`}
	if e := s.run(mallory, use); e.Status != "succeeded" {
		t.Errorf("mallory's flow came to %+v", e)
	}
	elsewhere := api.Start{File: "steal.lua", Text: `return connect("admin/db", { host = "hers", password = "hers-alone" }).status`}
	if e := s.run(mallory, elsewhere); e.ErrorKind != "denied" {
		t.Errorf("mallory's flow came to %+v", e)
	}
	if _, err := admin.UnshareConnection(t.Context(), "db", "mallory"); err != nil {
		t.Fatal(err)
	}
	if e := s.run(mallory, use); e.ErrorKind != "notfound" {
		t.Errorf("taken back, mallory's flow came to %+v", e)
	}
}

// TestSharedForManageOverTheAPI has her edit it.
func TestSharedForManageOverTheAPI(t *testing.T) {
	t.Parallel()
	s, admin, mallory := newSharedSite(t)
	if _, err := admin.ShareConnection(t.Context(), "db", "mallory", api.NewShare{Right: "manage"}); err != nil {
		t.Fatal(err)
	}
	if got := s.do(http.MethodGet, sharedPath, s.other, nil); !strings.Contains(got.body, "his-host") || strings.Contains(got.body, "his-password") {
		t.Errorf("to manage it: %s", got.body)
	}
	for _, edit := range []struct {
		document string
		kind     string
	}{
		{"name: db\ntype: FAKE\nvalue: {host: hers.example.com, user: his-user, password: '***'}\n", "denied"},
		{"name: db\ntype: FAKE\nvalue: {host: his-host.example.com, user: her-user, password: '***'}\n", ""},
	} {
		_, err := mallory.EditConnection(t.Context(), "admin/db", api.ConnectionText{Document: edit.document})
		if got := string(kindOf(err)); got != edit.kind {
			t.Errorf("%s: got %v", edit.document, err)
		}
	}
	if c, err := admin.Connection(t.Context(), "db", 0); err != nil || c.Revision != 2 || !strings.Contains(c.Document, "her-user") {
		t.Errorf("the owner has %+v, %v", c, err)
	}
	audit, err := admin.ListAudit(t.Context(), api.AuditFilter{})
	text, _ := json.Marshal(audit)
	if err != nil || !strings.Contains(string(text), `"what":"connection.manage"`) || strings.Contains(string(text), "his-password") {
		t.Errorf("the audit is %s, %v", text, err)
	}
}
