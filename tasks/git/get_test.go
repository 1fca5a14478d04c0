package git_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// readAll gives the files below dir with their modes.
func readAll(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.Type() == fs.ModeSymlink {
			target, err := os.Readlink(path)
			all[name] = "-> " + target
			return err
		}
		text, err := os.ReadFile(path)
		info, _ := d.Info()
		if info.Mode()&0o100 != 0 {
			name += "*"
		}
		all[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestGetIntoFiles(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	bare := newBare(t, work)
	want := readAll(t, work)
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare)})
	for name, url := range map[string]string{"local": work, "http": server.URL + "/library.git"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := taskstest.NewExecution(t)
			write(t, e.Dir, map[string]string{"out/README.md": "old", "out/other": "kept"})
			got, err := runIn(t, e, map[string]any{"command": "get", "repository_url": url, "files_path": "out"})
			if err != nil {
				t.Fatal(err)
			}
			files := readAll(t, filepath.Join(e.Dir, "out"))
			if files["other"] != "kept" {
				t.Error("a file that is not the repository's was changed")
			}
			delete(files, "other")
			if diff := cmp.Diff(want, files); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if got["count"] != int64(9) || got["files"] != nil {
				t.Errorf("got %v", got)
			}
			if diff := cmp.Diff([]any{"lfs.bin"}, got["lfs"]); diff != "" {
				t.Errorf("lfs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]any{map[string]any{"name": "docs/link", "target": "../README.md", "written": true}}, got["symlinks"]); diff != "" {
				t.Errorf("symlinks (-want +got):\n%s", diff)
			}
			if said := strings.Join(e.Said(), "\n"); !strings.Contains(said, "LFS pointers") {
				t.Errorf("no warning of LFS pointers in %q", said)
			}
		})
	}
}

func TestGetPaths(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	for pattern, want := range map[string][]string{
		"README.md":    {"README.md"},
		"docs":         {"docs/a.md", "docs/deep/b.md"},
		"docs/":        {"docs/a.md", "docs/deep/b.md"},
		"./docs/deep":  {"docs/deep/b.md"},
		"**/*.md":      {"README.md", "docs/a.md", "docs/deep/b.md"},
		"*.md":         {"README.md"},
		"docs/*":       {"docs/a.md", "docs/deep/b.md"},
		"src/**":       {"src/lib/lib.go", "src/main.go"},
		"src/*.go":     {"src/main.go"},
		"{bin,src}/*l": {"bin/tool"},
		".":            {"README.md", "bin/tool", "data/binary.bin", "docs/a.md", "docs/deep/b.md", "lfs.bin", "name with \" \t é", "src/lib/lib.go", "src/main.go"},
	} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			got := must(t, map[string]any{"command": "get", "repository_url": work, "paths": []any{pattern}})
			var names []string
			for _, f := range got["files"].([]any) {
				names = append(names, f.(map[string]any)["name"].(string))
			}
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, err := run(t, map[string]any{"command": "get", "repository_url": work, "paths": []any{"nope", "*.txt"}})
	wantError(t, err, tasks.NotFound, "matches nope, *.txt")
	for _, bad := range []string{"", "/etc", "../x", "[", "a/../../b"} {
		_, err := run(t, map[string]any{"command": "get", "repository_url": work, "paths": []any{bad}})
		wantError(t, err, tasks.Invalid, "no path or pattern")
	}
}

func TestGetTooMuchForAnOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cli(t, dir, "init", "-q", "-b", "main")
	big := make([]byte, 17<<20)
	_, _ = rand.Read(big)
	write(t, dir, map[string]string{"big.bin": string(big), "small.txt": "small\n"})
	cli(t, dir, "add", "-A")
	cli(t, dir, "commit", "-q", "-m", "big")
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: dir})
	inputs := map[string]any{"command": "get", "repository_url": server.URL + "/.git"}
	_, err := run(t, inputs)
	wantError(t, err, tasks.Invalid, "17825798 bytes", "at most 16777216", "files_path")

	// It is larger than what is kept in memory, and arrives whole.
	e := taskstest.NewExecution(t)
	if _, err := runIn(t, e, with(inputs, "files_path", ".")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(e.Dir, "big.bin"))
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("the file has %d bytes (%v)", len(got), err)
	}
	left, _ := os.ReadDir(e.Dir)
	if len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestGetStaysInTheFilesDirectory(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	outside := t.TempDir()
	e := taskstest.NewExecution(t)
	if err := os.Symlink(outside, filepath.Join(e.Dir, "way-out")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"..", "../x", "/tmp/x", "a/../../x", "way-out", "way-out/x"} {
		_, err := runIn(t, e, map[string]any{"command": "get", "repository_url": work, "files_path": path})
		wantError(t, err, tasks.Invalid, "leads out of the files directory")
	}
	// A link within files_path is not followed either, wherever it leads.
	write(t, e.Dir, map[string]string{"mine/x": "x"})
	if err := os.Mkdir(filepath.Join(e.Dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../mine", filepath.Join(e.Dir, "out", "docs")); err != nil {
		t.Fatal(err)
	}
	_, err := runIn(t, e, map[string]any{"command": "get", "repository_url": work, "files_path": "out"})
	wantError(t, err, tasks.Conflict, `"docs" in files_path is no directory`)
	write(t, e.Dir, map[string]string{"dir/README.md/x": "x"})
	_, err = runIn(t, e, map[string]any{"command": "get", "repository_url": work, "files_path": "dir"})
	wantError(t, err, tasks.Conflict, `"README.md" in files_path is a directory`)
	for _, dir := range []string{outside, filepath.Join(e.Dir, "mine")} {
		if entries, _ := os.ReadDir(dir); len(entries) > 1 {
			t.Errorf("something was written to %s: %v", dir, entries)
		}
	}
}

func TestSymlinksOfTheRepository(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cli(t, dir, "init", "-q", "-b", "main")
	links := map[string]bool{
		"ok":            true,
		"sub/up":        true,
		"absolute":      false,
		"up":            false,
		"sub/way-up":    false,
		"through":       false,
		"sub/dot":       true,
		"file/deep/lnk": true,
	}
	for name, target := range map[string]string{
		"ok": "file/a", "sub/up": "../file/a", "absolute": "/etc/passwd", "up": "../x", "sub/way-up": "../../x",
		"through": "sub/up/../../..", "sub/dot": "..", "file/deep/lnk": "../../ok",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, map[string]string{"file/a": "a"})
	cli(t, dir, "add", "-A")
	cli(t, dir, "commit", "-q", "-m", "links")
	e := taskstest.NewExecution(t)
	got, err := runIn(t, e, map[string]any{"command": "get", "repository_url": dir, "files_path": "out"})
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, l := range got["symlinks"].([]any) {
		l := l.(map[string]any)
		written[l["name"].(string)] = l["written"].(bool)
		_, err := os.Lstat(filepath.Join(e.Dir, "out", l["name"].(string)))
		if (err == nil) != l["written"].(bool) {
			t.Errorf("%v: %v", l, err)
		}
	}
	if diff := cmp.Diff(links, written); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Once more, over what is there.
	if _, err := runIn(t, e, map[string]any{"command": "get", "repository_url": dir, "files_path": "out"}); err != nil {
		t.Error(err)
	}
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cli(t, dir, "init", "-q", "-b", "main")
	write(t, dir, map[string]string{"x": "x"})
	blob := cli(t, dir, "hash-object", "-w", "x")
	for i, name := range []string{"..", ".git", ".GIT", ".", "a/b"} {
		raw := fmt.Sprintf("100644 %s\x00", name)
		for j := 0; j < len(blob); j += 2 {
			var b byte
			fmt.Sscanf(blob[j:j+2], "%02x", &b)
			raw += string([]byte{b})
		}
		write(t, dir, map[string]string{"tree": raw})
		tree := cli(t, dir, "hash-object", "-t", "tree", "-w", "--literally", "tree")
		commit := cli(t, dir, "commit-tree", tree, "-m", "hostile")
		cli(t, dir, "branch", fmt.Sprintf("hostile%d", i), commit)
		_, err := run(t, map[string]any{"command": "get", "repository_url": dir, "ref": fmt.Sprintf("hostile%d", i), "files_path": "out"})
		wantError(t, err, tasks.Permanent, "forbidden name")
	}
}

func TestSubmodulesAreListed(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	sha := cli(t, work, "rev-parse", "HEAD")
	cli(t, work, "update-index", "--add", "--cacheinfo", "160000,"+sha+",sub/module")
	cli(t, work, "commit", "-q", "-m", "submodule")
	want := []any{map[string]any{"name": "sub/module", "sha": sha}}
	for _, more := range []string{"", "."} {
		inputs := map[string]any{"command": "get", "repository_url": work}
		if more != "" {
			inputs["files_path"] = more
		}
		if diff := cmp.Diff(want, must(t, inputs)["submodules"]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	bare := newBare(t, work)
	cli(t, bare, "config", "uploadpack.allowFilter", "true")
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare)})
	var want []string
	for _, line := range strings.Split(cli(t, work, "ls-tree", "-r", "-l", "-z", "HEAD"), "\x00") {
		if fields := strings.Fields(line); len(fields) > 3 {
			_, name, _ := strings.Cut(line, "\t")
			want = append(want, strings.Join([]string{fields[0], fields[2], fields[3], name}, " "))
		}
	}
	for _, url := range []string{work, server.URL + "/library.git"} {
		var got, names []string
		for _, e := range must(t, map[string]any{"command": "list", "repository_url": url})["entries"].([]any) {
			e := e.(map[string]any)
			got = append(got, fmt.Sprintf("%v %v %v %v", e["mode"], e["sha"], e["size"], e["name"]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", url, diff)
		}
		for _, e := range must(t, map[string]any{"command": "list", "repository_url": url, "sizes": false, "paths": []any{"bin", "docs/link"}})["entries"].([]any) {
			e := e.(map[string]any)
			names = append(names, fmt.Sprint(e["name"], " ", e["type"], " ", e["size"]))
		}
		if diff := cmp.Diff([]string{"bin/tool executable <nil>", "docs/link symlink <nil>"}, names); diff != "" {
			t.Errorf("%s without sizes: (-want +got):\n%s", url, diff)
		}
	}
}
