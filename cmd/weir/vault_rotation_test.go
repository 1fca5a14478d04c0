package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/testdata/servers"
)

// newTestApp gives weir as a command has it, with this environment alone. Its
// directory is its home, and holds these files.
func newTestApp(t *testing.T, env, files map[string]string) (a *app, dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a = &app{wired: &wired{}, process: process{
		in: strings.NewReader(""), out: t.Output(), err: t.Output(),
		getenv:   func(name string) string { return env[name] },
		home:     func() (string, error) { return dir, nil },
		terminal: func(any) bool { return false },
	}}
	a.flags.connections = []string{dir}
	a.flags.dataDir = filepath.Join(dir, "data")
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	return a, dir
}

// TestRotation changes the password of a Git server and its secret while weir has
// the old one at hand: the task is refused, reads the secret afresh, and succeeds.
// Its record shows both versions, and the log tells of it.
func TestRotation(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	var wanted atomic.Value
	rotate := func(password string) {
		vault.PutKV(t, mount, "git", map[string]any{"username": "weir", "password": password})
		wanted.Store(password)
	}
	rotate("the-first-password")
	vault.PutMetadata(t, mount, "git", map[string]string{"owner": "platform"})
	git := servers.GitHTTP(t, servers.GitHTTPOptions{Root: newServedRepository(t), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != wanted.Load() {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	a, dir := newTestApp(t, map[string]string{"VAULT_ADDR": vault.Address, "VAULT_TOKEN": vault.RootToken}, map[string]string{
		"team.yaml": fmt.Sprintf("name: team\ntype: GIT\nvalue: {repository_url: %s/team.git}\nsecrets: [{path: %s/data/git}]\n", git.URL, mount),
	})
	before := runWatched(t, a, dir)
	if len(before.used) != 1 || before.used[0].Version != 1 || before.tries != 1 {
		t.Errorf("before the rotation: got %+v, want one try with version 1", before)
	}
	rotate("the-second-password")
	got := runWatched(t, a, dir)
	path := mount + "/data/git"
	for i, used := range got.used {
		if age := time.Since(used.Created); age < -time.Minute || age > time.Hour {
			t.Errorf("version %d was written at %s", i+1, used.Created)
		}
		got.used[i].Created = time.Time{}
	}
	owner := map[string]string{"owner": "platform"}
	want := []engine.SecretUse{{Path: path, Version: 1, Metadata: owner}, {Path: path, Version: 2, Metadata: owner}}
	if diff := cmp.Diff(want, got.used); diff != "" || got.tries != 2 {
		t.Errorf("%d tries, uses (-want +got):\n%s", got.tries, diff)
	}
	if !strings.Contains(got.told, `trying again with secret "`+path+`@2"`) || strings.Contains(got.told, "-password") {
		t.Errorf("the log does not tell of it, or tells too much:\n%s", got.told)
	}
	after := runWatched(t, a, dir)
	if len(after.used) != 1 || after.used[0].Version != 2 || after.tries != 1 {
		t.Errorf("after the rotation: got %+v, want one try with version 2", after)
	}
}

// watched is what is seen of a flow with one connect.
type watched struct {
	used  []engine.SecretUse
	tries int
	told  string
}

// runWatched runs a flow that connects to team, and must succeed.
func runWatched(t *testing.T, a *app, dir string) (seen watched) {
	t.Helper()
	runner, err := a.runner(nil)
	if err != nil {
		t.Fatal(err)
	}
	finished, err := runner.Run(t.Context(), engine.Request{
		File: "flow.lua", Text: []byte(`return connect("team").output.commit_sha`), Files: dir,
		Watch: func(e engine.Event) {
			seen.told += e.Message + "\n"
			if e.State != nil && e.State.Kind == engine.CallConnect && e.State.Status.Ended() {
				seen.used, seen.tries = e.State.Uses.Secrets, e.State.Tries
			}
		},
	})
	if err != nil || finished.Execution.Error != nil {
		t.Fatal(err, finished.Execution.Error)
	}
	return seen
}
