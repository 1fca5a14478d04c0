package git_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/testdata/servers"
)

// change gives the inputs of a commit of one file.
func change(url, branch, text string) map[string]any {
	return map[string]any{"command": "commit", "repository_url": url, "branch": branch, "message": "change", "files": map[string]any{"file.txt": text}}
}

func TestCommit(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	bare := newBare(t, work)
	parent := cli(t, bare, "rev-parse", "main")
	got := must(t, map[string]any{
		"command": "commit", "repository_url": bare, "message": "one\n\ntwo",
		"author_name": "Zoë", "author_email": "zoe@example.com",
		"files": map[string]any{
			"README.md":    "third\n",
			"bin/tool":     "#!/bin/bash\n",
			"bin/new":      map[string]any{"content": "x", "executable": true},
			"a/b/c.bin":    map[string]any{"base64": "AAH/"},
			"src-before.z": "", // sorts before the directory src
		},
		"delete": []any{"docs/a.md", "src", "lfs.bin"},
	})
	sha := cli(t, bare, "rev-parse", "main")
	if got["commit_sha"] != sha || got["ref"] != "refs/heads/main" || got["commit_message"] != "one\n\ntwo" {
		t.Errorf("got %v", got)
	}
	if at := cli(t, bare, "log", "-1", "--format=%P %an %ae %cn %B"); at != parent+" Zoë zoe@example.com Zoë one\n\ntwo" {
		t.Errorf("the commit is %s", at)
	}
	want := strings.Join([]string{"D\tdocs/a.md", "D\tlfs.bin", "D\tsrc/lib/lib.go", "D\tsrc/main.go", "M\tREADME.md", "M\tbin/tool", "A\tbin/new", "A\ta/b/c.bin", "A\tsrc-before.z"}, "\n")
	status := strings.Split(cli(t, bare, "diff", "--no-renames", "--name-status", parent, sha), "\n")
	if diff := cmp.Diff(set(strings.Split(want, "\n")), set(status)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if modes := cli(t, bare, "ls-tree", "main", "bin/tool", "bin/new"); strings.Count(modes, "100755") != 2 {
		t.Errorf("modes: %s", modes)
	}
	cli(t, bare, "fsck", "--strict")
}

func set(list []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

func TestCommitToNewBranchesAndEmptyRepositories(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	empty := filepath.Join(root, "empty.git")
	cli(t, root, "init", "-q", "--bare", "-b", "main", "empty.git")
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root})
	for i, url := range []string{empty, server.URL + "/empty.git"} {
		branch := []string{"main", "other"}[i]
		got := must(t, change(url, branch, "first"))
		if at := cli(t, empty, "log", "--format=%H", branch); at != got["commit_sha"] {
			t.Errorf("the branch is %s", at)
		}
		cli(t, empty, "update-ref", "-d", "refs/heads/"+branch) // empty again
		_, err := run(t, change(url, "", "x"))
		wantError(t, err, tasks.Invalid, `"" is no name of a branch`)
		inputs := change(url, "", "x")
		delete(inputs, "branch")
		_, err = run(t, inputs)
		wantError(t, err, tasks.Invalid, "the repository is empty", "`branch`")
	}

	work := newWork(t)
	bare := newBare(t, work)
	must(t, with(change(bare, "topic/one", "new"), "ref", "v1"))
	if parent := cli(t, bare, "rev-parse", "topic/one~"); parent != cli(t, bare, "rev-parse", "v1^{commit}") {
		t.Error("the branch does not start at ref")
	}
	_, err := run(t, change(bare, "topic", "x"))
	wantError(t, err, tasks.Conflict, "topic cannot be there beside topic/one")
	_, err = run(t, change(bare, "topic/one/two", "x"))
	wantError(t, err, tasks.Conflict, "cannot be there beside")
}

func TestCommitRefuses(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	bare := newBare(t, work)
	_, err := run(t, change(work, "main", "x"))
	wantError(t, err, tasks.Permanent, "main is checked out")
	must(t, change(work, "side", "x"))

	for name, tt := range map[string]struct {
		inputs map[string]any
		kind   tasks.Kind
		want   string
	}{
		"nothing":         {map[string]any{"files": nil}, tasks.Invalid, "nothing to commit"},
		"the same":        {map[string]any{"files": map[string]any{"README.md": "second\n"}}, tasks.Conflict, "nothing to commit: main has these files"},
		"outside":         {map[string]any{"files": map[string]any{"../x": "x"}}, tasks.Invalid, "no path within"},
		"absolute":        {map[string]any{"files": map[string]any{"/x": "x"}}, tasks.Invalid, "no path within"},
		"in .git":         {map[string]any{"files": map[string]any{"a/.GIT/hooks/x": "x"}}, tasks.Invalid, "own directory"},
		"twice":           {map[string]any{"files": map[string]any{"x": "x"}, "delete": []any{"./x"}}, tasks.Invalid, "there twice"},
		"file and below":  {map[string]any{"files": map[string]any{"x": "x", "x/y": "y"}}, tasks.Invalid, "cannot be changed together"},
		"over directory":  {map[string]any{"files": map[string]any{"docs": "x"}}, tasks.Invalid, "is a directory"},
		"below a file":    {map[string]any{"files": map[string]any{"README.md/x": "x"}}, tasks.Invalid, "no directory"},
		"delete nothing":  {map[string]any{"files": nil, "delete": []any{"docs/nope"}}, tasks.NotFound, `no "docs/nope" to delete`},
		"bad base64":      {map[string]any{"files": map[string]any{"x": map[string]any{"base64": "!"}}}, tasks.Invalid, "base64 is not valid"},
		"unknown key":     {map[string]any{"files": map[string]any{"x": map[string]any{"text": "x"}}}, tasks.Invalid, "content, base64 and executable"},
		"no content":      {map[string]any{"files": map[string]any{"x": map[string]any{"executable": true}}}, tasks.Invalid, "one of content and base64"},
		"number":          {map[string]any{"files": map[string]any{"x": 7}}, tasks.Invalid, "neither a text nor a mapping"},
		"author":          {map[string]any{"author_name": "a\nb"}, tasks.Invalid, "line break"},
		"branch name":     {map[string]any{"branch": "a..b"}, tasks.Invalid, "no name of a branch"},
		"missing message": {map[string]any{"message": nil}, tasks.Invalid, `input "message" is missing`},
		"missing ref":     {map[string]any{"ref": "mian"}, tasks.NotFound, `did you mean "main"?`},
		"stale ref":       {map[string]any{"ref": "v1"}, tasks.Conflict, "which `ref` names"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inputs := change(bare, "main", "x")
			for k, v := range tt.inputs {
				inputs[k] = v
			}
			_, err := run(t, inputs)
			wantError(t, err, tt.kind, tt.want)
		})
	}
}

func TestCommitWhenTheRemoteMoves(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	var once sync.Once
	// Somebody else pushes between reading and writing.
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack") {
				once.Do(func() { cli(t, bare, "update-ref", "refs/heads/main", "v1^{commit}") })
			}
			next.ServeHTTP(w, r)
		})
	}})
	_, err := run(t, change(server.URL+"/library.git", "main", "x"))
	wantError(t, err, tasks.Conflict, "refused main", "nothing was written")
	if at := cli(t, bare, "rev-parse", "main"); at != cli(t, bare, "rev-parse", "v1^{commit}") {
		t.Errorf("the branch was moved to %s", at)
	}
}

func TestCommitsAtTheSameTime(t *testing.T) {
	t.Parallel()
	const many = 6
	bare := newBare(t, newWork(t))
	var group sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for i := range many {
		group.Go(func() {
			_, err := run(t, change(bare, "main", strings.Repeat("x", i+1)))
			if err != nil {
				wantError(t, err, tasks.Conflict)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			done++
		})
	}
	group.Wait()
	if n := len(strings.Fields(cli(t, bare, "rev-list", "main"))); n != 2+done || done == 0 {
		t.Errorf("%d commits succeeded, and %d are there", done, n-2)
	}
	cli(t, bare, "fsck", "--strict")
	locks, _ := filepath.Glob(filepath.Join(bare, "refs", "heads", "*.lock"))
	if len(locks) > 0 {
		t.Errorf("left behind: %v", locks)
	}
}

func TestCommitRespectsGitsLock(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	write(t, bare, map[string]string{"refs/heads/main.lock": ""})
	_, err := run(t, change(bare, "main", "x"))
	wantError(t, err, tasks.Conflict, "another program")
}

func TestProtectedBranch(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	hook := "#!/bin/sh\necho 'You are not allowed to push to main.' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bare, "hooks", "pre-receive"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	private, public := keyPair(t, "")
	overHTTP := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare)})
	overSSH := servers.GitSSH(t, servers.GitSSHOptions{Root: filepath.Dir(bare), Keys: []string{public}})
	for _, inputs := range []map[string]any{
		change(overHTTP.URL+"/library.git", "main", "x"),
		with(change(overSSH.URL+"/library.git", "main", "x"), "ssh_key", private, "known_hosts", overSSH.KnownHosts),
	} {
		_, err := run(t, inputs)
		e := wantError(t, err, tasks.Denied, "refused main", "pre-receive hook declined", "You are not allowed to push to main.")
		if e.Auth {
			t.Error("a protected branch is no matter of credentials")
		}
	}
}

func TestTag(t *testing.T) {
	t.Parallel()
	for name, inputs := range transports(t, newBare(t, newWork(t))) {
		if name == "ssh ecdsa" || name == "token" || name == "ssh password" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suffix := strings.ReplaceAll(name, " ", "-")
			tag := with(inputs, "command", "tag", "tag", "light-"+suffix)
			if got := must(t, tag); got["created"] != true {
				t.Errorf("got %v", got)
			}
			if got := must(t, tag); got["created"] != false {
				t.Errorf("again: got %v", got)
			}
			_, err := run(t, with(tag, "ref", "v1"))
			wantError(t, err, tasks.Conflict, "exists already", "force")
			got := must(t, with(tag, "ref", "v1", "force", true, "message", "moved"))
			if got["created"] != true {
				t.Errorf("forced: got %v", got)
			}
			meta := must(t, with(inputs, "ref", "light-"+suffix))
			if meta["commit_sha"] != got["commit_sha"] {
				t.Errorf("the tag names %v, not %v", meta["commit_sha"], got["commit_sha"])
			}
			_, err = run(t, with(tag, "tag", "-x"))
			wantError(t, err, tasks.Invalid, "no name of a tag")
		})
	}
}
