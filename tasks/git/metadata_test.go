package git_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	sha := cli(t, work, "rev-parse", "HEAD")
	want := map[string]any{
		"ref": "refs/heads/main", "commit_sha": sha, "short_sha": sha[:7],
		"author_name": "Ada", "author_email": "ada@example.com",
		"commit_message":  "second commit\n\nwith a body",
		"commit_date_iso": "2026-01-02T03:04:06+01:00", "commit_date_unix": int64(1767319446),
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	cli(t, work, "clone", "-q", "--depth", "1", "file://"+work, shallow)
	worktree := filepath.Join(t.TempDir(), "tree")
	cli(t, work, "worktree", "add", "-q", worktree, "-b", "linked")
	linked := map[string]any{}
	for k, v := range want {
		linked[k] = v
	}
	linked["ref"] = "refs/heads/linked"

	for name, tt := range map[string]struct {
		url  string
		want map[string]any
	}{
		"worktree":        {work, want},
		"bare":            {newBare(t, work), want},
		"file URL":        {"file://" + work, want},
		"git directory":   {work + "/.git", want},
		"shallow clone":   {shallow, want},
		"linked worktree": {worktree, linked},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := must(t, map[string]any{"repository_url": tt.url})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// It is not parallel: it changes the working directory, which is what the files
// directory is relative to in "weir run".
func TestMetadataOfTheRepositoryAroundTheWorkingDirectory(t *testing.T) {
	t.Chdir(filepath.Join(newWork(t), "docs", "deep"))
	if _, err := runIn(t, taskstest.In(t, "."), map[string]any{"repository_url": "."}); err != nil {
		t.Error(err)
	}
}

func TestMetadataOfTheRepositoryAround(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	e := taskstest.In(t, filepath.Join(work, "docs", "deep"))
	got, err := runIn(t, e, map[string]any{"repository_url": "."})
	if err != nil {
		t.Fatal(err)
	}
	if got["ref"] != "refs/heads/main" {
		t.Errorf("got %v", got)
	}
	_, err = run(t, map[string]any{"repository_url": "."})
	wantError(t, err, tasks.NotFound, "no repository around")
}

func TestRefs(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	first, second := cli(t, work, "rev-parse", "HEAD~"), cli(t, work, "rev-parse", "HEAD")
	for ref, want := range map[string][2]string{
		"main":               {"refs/heads/main", second},
		"feature":            {"refs/heads/feature", first},
		"v1":                 {"refs/tags/v1", first},
		"light":              {"refs/tags/light", second},
		"refs/tags/v1":       {"refs/tags/v1", first},
		"HEAD":               {"refs/heads/main", second},
		first:                {first, first},
		first[:7]:            {first, first},
		first[:12] + "":      {first, first},
		second[:9]:           {second, second},
		"refs/heads/feature": {"refs/heads/feature", first},
	} {
		t.Run(ref, func(t *testing.T) {
			t.Parallel()
			got := must(t, map[string]any{"repository_url": work, "ref": ref})
			if got["ref"] != want[0] || got["commit_sha"] != want[1] {
				t.Errorf("got %v at %v, want %v at %v", got["ref"], got["commit_sha"], want[0], want[1])
			}
		})
	}
}

func TestMissingRef(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	_, err := run(t, map[string]any{"repository_url": work, "ref": "faeture"})
	wantError(t, err, tasks.NotFound, `no branch, tag or commit "faeture"`, `did you mean "feature"?`)
	_, err = run(t, map[string]any{"repository_url": work, "ref": "0123456789"})
	wantError(t, err, tasks.NotFound, "branches: feature, main")
	_, err = run(t, map[string]any{"repository_url": work, "ref": "a..b"})
	wantError(t, err, tasks.Invalid, "no name of a reference")
	tree := cli(t, work, "rev-parse", "HEAD^{tree}")
	cli(t, work, "tag", "tree", tree)
	_, err = run(t, map[string]any{"repository_url": work, "ref": "tree"})
	wantError(t, err, tasks.Invalid, "names a tree, not a commit")
}

func TestLocalRepositoriesThatAreNot(t *testing.T) {
	t.Parallel()
	_, err := run(t, map[string]any{"repository_url": "/no/such/directory"})
	wantError(t, err, tasks.NotFound, "no such directory")
	_, err = run(t, map[string]any{"repository_url": t.TempDir()})
	wantError(t, err, tasks.NotFound, "is no repository")

	empty := t.TempDir()
	cli(t, empty, "init", "-q", "-b", "main")
	_, err = run(t, map[string]any{"repository_url": empty})
	wantError(t, err, tasks.NotFound, "the repository is empty")

	sha256 := t.TempDir()
	cli(t, sha256, "init", "-q", "--object-format=sha256")
	_, err = run(t, map[string]any{"repository_url": sha256})
	wantError(t, err, tasks.Permanent, "objectformat sha256", "only sha1 is")
}
