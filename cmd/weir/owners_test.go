package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

// site is a store with the users root (the owner of the machine), ann and bob, as
// commands and the engine put it together.
type site struct {
	*app
	store  *store.Store
	runner *local.Runner
	files  string
	said   bytes.Buffer
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string) string {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	s := &site{files: t.TempDir()}
	env := map[string]string{
		"WEIR_DATA_DIR": filepath.Join(dir, "data"), "WEIR_CONNECTION_PATH": filepath.Join(dir, "connections"),
		"WEIR_SECRETS": put("secrets.yaml", "secret/db:\n  password: password-of-root\n"),
	}
	put("connections/filed.yaml", "name: filed\ntype: FAKE\nvalue: {user: of-root}\n")
	put("flows/shelved.lua", `return "of root's directory"`)
	s.app = &app{wired: &wired{}, process: process{
		in: strings.NewReader(""), out: &s.said, err: &s.said, getenv: func(key string) string { return env[key] },
		home: func() (string, error) { return dir, nil }, terminal: func(any) bool { return false },
	}}
	t.Cleanup(func() { _ = s.close() })
	var err error
	if s.store, err = s.app.store(t.Context()); err == nil {
		s.runner, err = s.app.runner([]string{filepath.Join(dir, "flows")})
	}
	for _, name := range []string{"root", "ann", "bob"} {
		role := engine.RoleUser
		if name == "root" {
			role = engine.RoleAdmin
		}
		if err == nil {
			_, err = s.store.Users().Create(t.Context(), localActor(), name, role)
		}
	}
	for _, owner := range []string{"", "ann", "bob"} {
		c := connections.Connection{Owner: owner, Name: "same", Type: "FAKE", Text: "user: of-" + owner + "\nhost: host-of-" + owner + ".example.com\n"}
		if err == nil {
			_, err = s.store.Connections().Create(t.Context(), c)
		}
		c.Name, c.Secrets = "vaulted", []connections.AttachedSecret{{Path: "secret/db"}}
		if err == nil {
			_, err = s.store.Connections().Create(t.Context(), c)
		}
		for name, text := range map[string]string{"child": `return "child of ` + owner + `"`, "module": `return { name = "module of ` + owner + `" }`} {
			if err == nil {
				_, _, err = s.store.Flows().Apply(t.Context(), owner, name, []byte(text))
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a flow as an owner and gives its output, or its error, as text.
func (s *site) run(t *testing.T, owner, text string) string {
	t.Helper()
	finished, err := s.runner.Run(t.Context(), engine.Request{
		Owner: owner, File: local.StoredFile("main", 1), Text: []byte(text), Files: s.files,
	})
	if err != nil {
		t.Fatal(err)
	}
	if failure := finished.Execution.Error; failure != nil {
		return string(failure.Kind) + ": " + failure.Error() + " " + failure.Hint
	}
	out, err := json.Marshal(finished.Execution.Output)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestFlowsRunAsTheirOwner runs the same text for each owner, all of whom have things
// of the same names.
func TestFlowsRunAsTheirOwner(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, owner := range []string{"", "ann", "bob"} {
		got := s.run(t, owner, `
			local before = setting("same"):get()
			setting("same"):set("set")
			local a, b = connect("same"), flow("child")
			return { a.output.inputs.user, b.output, require("module").name, tostring(before) }`)
		want := `["of-` + owner + `","child of ` + owner + `","module of ` + owner + `","nil"]`
		if got != want {
			t.Errorf("%q: got %s, want %s", owner, got, want)
		}
	}
}

// TestMachineIsItsOwners: files of connections and flows, and secrets, that the
// command line and the environment name are for whose machine it is.
func TestMachineIsItsOwners(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for text, want := range map[string]string{
		`return connect("filed").output.inputs.user`:                              "of-root",
		`return flow("shelved").output`:                                           "of root's directory",
		`return connect("vaulted", { leak = "output" }).output.leaked`:            "password-of-root",
		`return task("fake", { password = secret("secret/db#password") }).status`: "succeeded",
	} {
		if got := s.run(t, "", text); !strings.Contains(got, want) {
			t.Errorf("%s for root: got %s", text, got)
		}
		got := s.run(t, "bob", text)
		if strings.Contains(got, want) || strings.Contains(got, "shelved.lua") || strings.Contains(got, "did you mean") {
			t.Errorf("%s for bob: got %s", text, got)
		}
	}
	for text, input := range map[string]string{
		`return task("git", { repository_url = "." })`:                                                                      "repository_url is a path on the machine",
		`return task("git", { repository_url = "https://git.invalid/x", auth_method = "default" })`:                         "auth_method default would take credentials of the machine",
		`return connect("git.default", { repository_url = "https://git.invalid/x" })`:                                       "auth_method default would take credentials of the machine",
		`return connect("s3.default", { command = "list_buckets" })`:                                                        "auth_method default would take credentials of the machine",
		`return task("s3", { auth_method = "aws_cli", command = "list_buckets" })`:                                          "auth_method aws_cli would take credentials of the machine",
		`return task("s3", { auth_method = "web_identity", role_arn = "arn:aws:iam::1:role/x", command = "list_buckets" })`: "auth_method web_identity would take",
	} {
		if got := s.run(t, "bob", text); !strings.HasPrefix(got, "denied: ") || !strings.Contains(got, input) {
			t.Errorf("%s for bob: got %s", text, got)
		}
	}
	if got := s.run(t, "", `return task("git", { repository_url = "." })`); strings.HasPrefix(got, "denied: ") {
		t.Errorf("a path for root: got %s", got)
	}
	if got := s.run(t, "bob", `return connect("vaulted")`); !strings.Contains(got, `no Vault configuration "default"`) {
		t.Errorf("bob's secret: got %s", got)
	}
	for text, want := range map[string]string{
		"name: default\nfile: /etc/passwd\n":                                                                  `denied: .*"file" of Vault configuration`,
		"name: default\naddress: http://127.0.0.1:1\nauth: token_file\ntoken_file: /etc/passwd\n":             `"token_file" of Vault configuration`,
		"name: default\naddress: http://127.0.0.1:1\nauth: jwt\njwt_file: /proc/self/environ\n":               `"jwt_file" of Vault configuration`,
		"name: default\naddress: http://127.0.0.1:1\nauth: kubernetes\nrole: x\n":                             `"auth" of Vault configuration`,
		"name: default\naddress: http://127.0.0.1:1\nauth: cert\nclient_cert_file: /a\nclient_key_file: /b\n": `"client_key_file" of Vault configuration`,
	} {
		if err := s.store.Documents(vaultDocuments).Put(t.Context(), "bob", "default", text); err != nil {
			t.Fatal(err)
		}
		want := strings.TrimPrefix(want, "denied: .*")
		if got := s.run(t, "bob", `return connect("vaulted")`); !strings.HasPrefix(got, "denied: ") || !strings.Contains(got, want) {
			t.Errorf("bob's configuration %q: got %s", text, got)
		}
	}
}

// TestSharedConnections has bob use what root shares with him, until it is taken back.
func TestSharedConnections(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const use = `return connect("root/vaulted", { payload = 1 }).status`
	missing := s.run(t, "bob", `return connect("root/nonesuch").status`)
	if got := s.run(t, "bob", use); got != strings.ReplaceAll(missing, "nonesuch", "vaulted") {
		t.Errorf("not shared: got %s, what is not there: %s", got, missing)
	}
	share := connections.Share{Owner: "", Connection: "vaulted", With: "bob", Right: connections.RightUse}
	if err := s.store.Shares().Grant(t.Context(), localActor(), share); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t, "bob", use); got != `"succeeded"` {
		t.Errorf("shared: got %s", got)
	}
	for text, want := range map[string]string{
		`return connect("root/vaulted", { host = "bobs.example.com" })`:                      `may not override "host"`,
		`return connect("root/vaulted", { host = "bobs.example.com", password = "my-own" })`: `may not override "host"`,
		`return connect("root/vaulted", { leak = "error" })`:                                 "***",
	} {
		got := s.run(t, "bob", text)
		if !strings.Contains(got, want) || strings.Contains(got, "password-of-root") || strings.Contains(got, "secret/db") || strings.Contains(got, "host-of-") {
			t.Errorf("%s: got %s", text, got)
		}
	}
	// What the owner of the machine lends does not lend the machine, nor what is lent to them.
	lent := connections.Connection{Owner: "", Name: "local", Type: "GIT", Text: "repository_url: .\n"}
	theirs := lent
	theirs.Owner = "bob"
	for _, c := range []connections.Connection{lent, theirs} {
		_, err := s.store.Connections().Create(t.Context(), c)
		if err == nil {
			with := map[string]string{"": "bob", "bob": ""}[c.Owner]
			err = s.store.Shares().Grant(t.Context(), localActor(), connections.Share{Owner: c.Owner, Connection: c.Name, With: with, Right: connections.RightUse})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for owner, name := range map[string]string{"bob": "root/local", "": "bob/local"} {
		if got := s.run(t, owner, `return connect("`+name+`")`); !strings.HasPrefix(got, "denied: ") {
			t.Errorf("%s for %q: got %s", name, owner, got)
		}
	}
	if got := s.run(t, "ann", use); !strings.HasPrefix(got, "notfound: ") {
		t.Errorf("for ann: got %s", got)
	}
	if err := s.store.Shares().Revoke(t.Context(), localActor(), "", "vaulted", "bob"); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t, "bob", use); got != strings.ReplaceAll(missing, "nonesuch", "vaulted") {
		t.Errorf("taken back: got %s", got)
	}
}

// TestReadingsAreOnRecord looks for an event of each reading of a secret.
func TestReadingsAreOnRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	share := connections.Share{Owner: "", Connection: "vaulted", With: "bob", Right: connections.RightUse}
	if err := s.store.Shares().Grant(t.Context(), localActor(), share); err != nil {
		t.Fatal(err)
	}
	s.run(t, "", `for i = 1, 3 do connect("vaulted") end return task("fake", { password = secret("secret/db#password") }).id`)
	s.run(t, "bob", `return connect("root/vaulted").id`)
	s.run(t, "bob", `return connect("vaulted").id`) // which is refused
	read := func(filter store.AuditFilter) (all []string) {
		events, err := s.store.Audit().List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.What == engine.AuditSecretRead {
				if e.Execution == "" {
					t.Errorf("%+v is of no execution", e)
				}
				all = append(all, strings.Join([]string{e.Owner, e.Connection, e.ConnectionOwner, e.Path}, "|"))
			}
		}
		slices.Reverse(all)
		return all
	}
	own := "|vaulted||secret/db"
	want := []string{own, own, own, "|||secret/db", "bob|vaulted||secret/db"}
	if got := read(store.AuditFilter{All: true}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := read(store.AuditFilter{Owner: ""}); !slices.Equal(got, want) {
		t.Errorf("root sees %q, want %q", got, want)
	}
	if got, want := read(store.AuditFilter{Owner: "bob"}), []string{"bob|vaulted||"}; !slices.Equal(got, want) {
		t.Errorf("bob sees %q, want %q", got, want)
	}
}

// managedSite is a site where bob may do something with root's connection pw.
func managedSite(t *testing.T, right connections.Right) (s *site, view *app) {
	t.Helper()
	s = newSite(t)
	_, err := s.store.Connections().Create(t.Context(), connections.Connection{Owner: "", Name: "pw", Type: "FAKE", Text: managedValue})
	if err == nil {
		err = s.store.Shares().Grant(t.Context(), localActor(), connections.Share{Connection: "pw", With: "bob", Right: right})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, s.as("bob", &s.said)
}

const managedValue = "host: db.example.com # mine\nuser: of-root\npassword: password-of-root\n"

// edited has somebody edit root's pw as an editor would.
func (a *app) edited(t *testing.T, replace ...string) error {
	t.Helper()
	from, c, err := a.stored(t.Context(), "root/pw")
	if err != nil {
		return err
	}
	session := &editSession{app: a, store: from, stored: c}
	shown, err := session.shown()
	if err != nil || strings.Contains(string(shown), "password-of-root") {
		t.Errorf("bob is shown %s, %v", shown, err)
	}
	_, err = session.save(t.Context(), []byte(strings.NewReplacer(replace...).Replace(string(shown))), 0)
	return err
}

// TestManagedConnection has bob edit what root shares with him for manage.
func TestManagedConnection(t *testing.T) {
	t.Parallel()
	s, bob := managedSite(t, connections.RightManage)
	if err := bob.edited(t, "of-root", "of-bob"); err != nil {
		t.Errorf("another user name: %v", err)
	}
	got, err := s.store.Connections().Get(t.Context(), "", "pw")
	if want := strings.Replace(managedValue, "of-root", "of-bob", 1); err != nil || got.Text != want || got.Revision != 2 {
		t.Errorf("root has revision %d, %q, %v; want %q", got.Revision, got.Text, err, want)
	}
	if err := bob.edited(t, "db.example.com", "bobs.example.com"); exitCode(err) != exitDenied || !strings.Contains(err.Error(), `"host" changes where`) {
		t.Errorf("another host: %v", err)
	}
	if err := bob.edited(t, "user: of-bob", "user: vault.secret(secret/db.password)"); exitCode(err) != exitDenied {
		t.Errorf("a placeholder: %v", err)
	}
	if err := bob.edited(t, "db.example.com", "bobs.example.com", "'***'", "password-of-bob"); err != nil {
		t.Errorf("another host with a password of his own: %v", err)
	}
}

func TestManagedConnectionStaysItsOwners(t *testing.T) {
	t.Parallel()
	_, bob := managedSite(t, connections.RightManage)
	from, _, err := bob.stored(t.Context(), "root/pw")
	if err != nil {
		t.Fatal(err)
	}
	_, revisions := from.Revisions(t.Context(), "bob", "pw")
	_, exported := bob.exported(t.Context(), []string{"root/pw"}, 0)
	_, used := managedSite(t, connections.RightUse)
	for what, err := range map[string]error{
		"deletes it": from.Delete(t.Context(), "bob", "pw"), "sees revisions": revisions, "exports it": exported,
		"edits what he may use": used.edited(t, "of-bob", "of-eve"),
	} {
		if !errors.Is(err, connections.ErrReadOnly) {
			t.Errorf("bob %s: %v", what, err)
		}
	}
	if c, err := used.connectionAt(t.Context(), "root/pw", 0); err != nil || c.Text != "" || len(c.Value.Entries) > 0 {
		t.Errorf("bob is shown %+v, %v", c, err)
	}
}
