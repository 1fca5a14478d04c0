package git_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/testdata/servers"
)

// newHistory makes a repository with branches and merges, a minute between
// commits.
func newHistory(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	cli(t, dir, "init", "-q", "-b", "main")
	minute := 0
	commit := func(name, text string) {
		minute++
		write(t, dir, map[string]string{name: text})
		cli(t, dir, "add", "-A")
		date := "2026-02-01T10:" + string([]byte{'0' + byte(minute/10), '0' + byte(minute%10)}) + ":00Z"
		cliAt(t, dir, date, "commit", "-q", "-m", name+" "+text)
	}
	commit("a.txt", "1")
	commit("dir/b.txt", "1")
	cli(t, dir, "checkout", "-q", "-b", "side")
	commit("dir/b.txt", "2")
	cli(t, dir, "checkout", "-q", "main")
	commit("a.txt", "2")
	minute++
	cliAt(t, dir, "2026-02-01T10:05:00Z", "merge", "-q", "--no-ff", "-m", "merge", "side")
	commit("dir/c.md", "1")
	commit("a.txt", "3")
	return dir
}

func TestLog(t *testing.T) {
	t.Parallel()
	work := newHistory(t)
	bare := newBare(t, work)
	cli(t, bare, "config", "uploadpack.allowFilter", "true")
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare)})
	shallow := filepath.Join(t.TempDir(), "shallow")
	cli(t, work, "clone", "-q", "--depth", "3", "file://"+work, shallow)

	for name, tt := range map[string]struct {
		inputs map[string]any
		args   []string
	}{
		"all":        {map[string]any{"max_count": 0}, nil},
		"default":    {nil, nil},
		"three":      {map[string]any{"max_count": 3}, []string{"-3"}},
		"one":        {map[string]any{"max_count": 1}, []string{"-1"}},
		"since":      {map[string]any{"since": "2026-02-01T10:04:00Z"}, []string{"--since=2026-02-01T10:04:00Z"}},
		"since all":  {map[string]any{"since": "2026-02-01T10:04:00Z", "max_count": 0}, []string{"--since=2026-02-01T10:04:00Z"}},
		"branch":     {map[string]any{"ref": "side"}, []string{"side"}},
		"file":       {map[string]any{"paths": []any{"a.txt"}}, []string{"--", "a.txt"}},
		"directory":  {map[string]any{"paths": []any{"dir"}}, []string{"--", "dir"}},
		"glob":       {map[string]any{"paths": []any{"**/*.txt"}, "max_count": 2}, []string{"-2", "--", ":(glob)**/*.txt"}},
		"two":        {map[string]any{"paths": []any{"dir/c.md", "nope"}}, []string{"--", "dir/c.md", "nope"}},
		"no such":    {map[string]any{"paths": []any{"nope"}}, []string{"--", "nope"}},
		"by old sha": {map[string]any{"ref": cli(t, work, "rev-parse", "HEAD~2")}, []string{"HEAD~2"}},
	} {
		for where, url := range map[string]string{"local": work, "http": server.URL + "/library.git"} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				want := strings.Fields(cli(t, work, append([]string{"log", "--format=%H"}, tt.args...)...))
				inputs := with(tt.inputs, "command", "log", "repository_url", url)
				if diff := cmp.Diff(want, ids(must(t, inputs)), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
	t.Run("shallow clone", func(t *testing.T) {
		t.Parallel()
		want := strings.Fields(cli(t, shallow, "log", "--format=%H"))
		if diff := cmp.Diff(want, ids(must(t, map[string]any{"command": "log", "repository_url": shallow}))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	_, err := run(t, map[string]any{"command": "log", "repository_url": work, "since": "yesterday"})
	wantError(t, err, tasks.Invalid, "since is no date")
	_, err = run(t, map[string]any{"command": "log", "repository_url": work, "max_count": -1})
	wantError(t, err, tasks.Invalid, "negative")
}

func ids(output map[string]any) []string {
	var ids []string
	for _, c := range output["commits"].([]any) {
		ids = append(ids, c.(map[string]any)["commit_sha"].(string))
	}
	return ids
}
