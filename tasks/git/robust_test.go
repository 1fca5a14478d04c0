package git_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/git"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// TestStalledTransfersObeyTheContext ends operations whose server has taken the
// request and does not go on.
func TestStalledTransfersObeyTheContext(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	root := filepath.Dir(bare)
	stop := filepath.Join(t.TempDir(), "stop")
	hook := "#!/bin/sh\n: > '" + stop + ".began'\nwhile [ ! -e '" + stop + "' ]; do sleep 0.05; done\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bare, "hooks", "pre-receive"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	private, public := keyPair(t, "")
	shell := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}})
	plain := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root})
	released := make(chan struct{})
	var release sync.Once
	stalled := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				<-released
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	// Before the servers end, which wait for what they serve.
	t.Cleanup(func() {
		release.Do(func() { close(released) })
		write(t, filepath.Dir(stop), map[string]string{"stop": ""})
	})
	for name, inputs := range map[string]map[string]any{
		"fetch over http": {"repository_url": stalled.URL + "/library.git"},
		"push over http":  change(plain.URL+"/library.git", "a", "x"),
		"push over ssh":   with(change(shell.URL+"/library.git", "b", "x"), "ssh_key", private, "known_hosts", shell.KnownHosts),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		start := time.Now()
		_, err := taskstest.NewExecution(t).Run(ctx, t, git.New(git.Config{}), inputs)
		cancel()
		wantError(t, err, tasks.Timeout, "not done in time")
		if took := time.Since(start); took > 1700*time.Millisecond {
			t.Errorf("%s: it took %v", name, took)
		}
	}
}

func TestRedirectsGetNoCredentials(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	var leaked atomic.Bool
	other := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				leaked.Store(true)
			}
			next.ServeHTTP(w, r)
		})
	}})
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusMovedPermanently)
	}))
	t.Cleanup(first.Close)
	got := must(t, map[string]any{"repository_url": first.URL + "/library.git", "username": "ada", "password": password})
	if got["ref"] != "refs/heads/main" {
		t.Errorf("got %v", got)
	}
	if leaked.Load() {
		t.Error("the other server got the credentials")
	}
}

func TestLocalOddities(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	sha := cli(t, work, "rev-parse", "HEAD")
	dir := t.TempDir()

	cli(t, dir, "clone", "-q", "--shared", work, "shared")
	if got := must(t, map[string]any{"repository_url": filepath.Join(dir, "shared")}); got["commit_sha"] != sha {
		t.Errorf("with alternates: got %v", got)
	}

	cli(t, dir, "clone", "-q", work, "packed")
	packed := filepath.Join(dir, "packed")
	cli(t, packed, "gc", "-q")
	cli(t, packed, "checkout", "-q", "--detach")
	if got := must(t, map[string]any{"repository_url": packed}); got["ref"] != sha || got["commit_sha"] != sha {
		t.Errorf("with a detached HEAD: got %v", got)
	}
	if got := must(t, map[string]any{"repository_url": packed, "ref": "origin/feature"}); got["ref"] != "refs/remotes/origin/feature" {
		t.Errorf("with a remote's branch: got %v", got)
	}
	_, err := run(t, map[string]any{"command": "commit", "repository_url": packed, "message": "m", "files": map[string]any{"x": "x"}})
	wantError(t, err, tasks.Invalid, "HEAD names no branch")
	must(t, change(packed, "main", "x")) // not checked out any more

	// Extensions that do not matter here.
	cli(t, packed, "config", "core.repositoryformatversion", "1")
	cli(t, packed, "config", "extensions.worktreeConfig", "true")
	must(t, map[string]any{"repository_url": packed})

	cli(t, work, "config", "uploadpack.allowFilter", "true")
	cli(t, dir, "clone", "-q", "--bare", "--filter=blob:none", "file://"+work, "partial")
	_, err = run(t, map[string]any{"command": "get", "repository_url": filepath.Join(dir, "partial")})
	wantError(t, err, tasks.Permanent, "lacks an object", "partial clone")

	cli(t, work, "symbolic-ref", "HEAD", "refs/heads/gone")
	_, err = run(t, map[string]any{"repository_url": work})
	wantError(t, err, tasks.NotFound, "HEAD names gone, which does not exist", "branches: feature, main")

	write(t, dir, map[string]string{"broken/.git": "rubbish"})
	_, err = run(t, map[string]any{"repository_url": filepath.Join(dir, "broken")})
	wantError(t, err, tasks.NotFound, "names no repository")
}

// A relative path starts at the files directory, as that of a file does.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	e := taskstest.NewExecution(t)
	cli(t, e.Dir, "clone", "-q", "--bare", newWork(t), "library.git")
	for _, url := range []string{"library.git", "./library.git"} {
		if _, err := runIn(t, e, map[string]any{"repository_url": url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestServersSayTheirWord(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	// A message of the protocol, in place of references.
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000" + "0026ERR closed for maintenance " + password[:7]))
		})
	}})
	_, err := run(t, map[string]any{"repository_url": server.URL + "/library.git", "username": "u", "password": password[:7]})
	var e *tasks.Error
	if e = wantError(t, err, tasks.Permanent, "closed for maintenance"); strings.Contains(e.Message, password[:7]) {
		t.Errorf("the password is seen in %q", e.Message)
	}
}
