package git_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/git"
	"github.com/weir-engine/weir/tasks/taskstest"
)

// run performs one operation in a files directory of its own.
func run(t testing.TB, inputs map[string]any) (map[string]any, error) {
	t.Helper()
	return runIn(t, taskstest.NewExecution(t), inputs)
}

func runIn(t testing.TB, e *taskstest.Execution, inputs map[string]any) (map[string]any, error) {
	t.Helper()
	// The home directory is not this machine's user's.
	return e.Run(t.Context(), t, git.New(git.Config{Home: e.Dir, AgentSocket: "/nowhere"}), inputs)
}

// must performs an operation that succeeds.
func must(t testing.TB, inputs map[string]any) map[string]any {
	t.Helper()
	out, err := run(t, inputs)
	if err != nil {
		t.Fatalf("%v: %v (%v)", inputs["command"], err, errors.Unwrap(err))
	}
	return out
}

// wantError checks kind and message of an error.
func wantError(t testing.TB, err error, kind tasks.Kind, parts ...string) *tasks.Error {
	t.Helper()
	var e *tasks.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an error of kind %s", err, kind)
	}
	if e.Kind != kind {
		t.Errorf("got kind %s, want %s: %s (%v)", e.Kind, kind, e.Message, e.Err)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message+"\n"+e.Hint, part) {
			t.Errorf("got %q with hint %q, want %q in there", e.Message, e.Hint, part)
		}
	}
	return e
}

// cli runs the real git program.
func cli(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return cliAt(t, dir, "2026-01-02T03:04:06+01:00", args...)
}

// cliAt runs it with a date for commits.
func cliAt(t testing.TB, dir, date string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05+01:00",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.com", "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// write makes files.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// newWork gives a repository with a worktree, two commits on main, the branch
// feature and the tags v1 (annotated) and light. It is a copy of one that all
// tests share.
func newWork(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "work")
	if out, err := exec.Command("cp", "-a", template(t), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

var (
	templateOnce sync.Once
	templateDir  string
)

// template makes the repository that newWork copies, once.
func template(t testing.TB) string {
	t.Helper()
	templateOnce.Do(func() {
		dir, err := os.MkdirTemp("", "weir-git-test")
		if err != nil {
			t.Fatal(err)
		}
		fill(t, dir)
		templateDir = dir
	})
	return templateDir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if templateDir != "" {
		_ = os.RemoveAll(templateDir)
	}
	os.Exit(code)
}

func fill(t testing.TB, dir string) {
	t.Helper()
	cli(t, dir, "init", "-q", "-b", "main")
	write(t, dir, map[string]string{
		"README.md":         "first\n",
		"docs/a.md":         "A\n",
		"docs/deep/b.md":    "B\n",
		"bin/tool":          "#!/bin/sh\n",
		"data/binary.bin":   "\x00\x01\xff",
		"src/main.go":       "package main\n",
		"src/lib/lib.go":    "package lib\n",
		"lfs.bin":           "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
		"name with \" \t é": "odd\n",
	})
	if err := os.Chmod(filepath.Join(dir, "bin/tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../README.md", filepath.Join(dir, "docs/link")); err != nil {
		t.Fatal(err)
	}
	cli(t, dir, "add", "-A")
	cli(t, dir, "commit", "-q", "-m", "first commit")
	cli(t, dir, "tag", "-a", "-m", "version 1", "v1")
	write(t, dir, map[string]string{"README.md": "second\n"})
	cli(t, dir, "commit", "-q", "-a", "-m", "second commit\n\nwith a body")
	cli(t, dir, "tag", "light")
	cli(t, dir, "branch", "feature", "v1")
}

// newBare makes a bare clone of it.
func newBare(t testing.TB, work string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "library.git")
	cli(t, work, "clone", "-q", "--bare", work, dir)
	return dir
}

// What belongs to the machine is refused to a task that may not use it.
func TestNothingOfTheMachine(t *testing.T) {
	t.Parallel()
	for input, inputs := range map[string]map[string]any{
		"repository_url is a path": {"command": "metadata", "repository_url": newWork(t)},
		"repository_url":           {"command": "metadata", "repository_url": "."},
		"is a path on the machine": {"command": "metadata", "repository_url": "file:///etc"},
		"auth_method":              {"command": "metadata", "repository_url": "ssh://git.invalid/x", "auth_method": "default"},
		"auth_method default":      {"command": "metadata", "repository_url": "https://git.invalid/x", "auth_method": "default"},
	} {
		in := taskstest.Decode(t, git.New(git.Config{}), inputs)
		env := taskstest.NewExecution(t).Env()
		env.Machine = false
		_, err := git.New(git.Config{}).Open(t.Context(), in, env)
		wantError(t, err, tasks.Denied, input, "not for this connection")
	}
}
