package s3_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
)

// counts are the numbers of a sync.
func counts(out map[string]any) [3]any {
	return [3]any{out["transferred"], out["deleted"], out["unchanged"]}
}

func plan(out map[string]any) []string {
	var lines []string
	for _, a := range out["plan"].([]any) {
		a := a.(map[string]any)
		lines = append(lines, a["action"].(string)+" "+a["name"].(string)+": "+a["reason"].(string))
	}
	slices.Sort(lines)
	return lines
}

func TestSync(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"command": "sync", "prefix": "site", "folder": "web", "part_size": 5 << 20})
	e := taskstest.NewExecution(t)
	large := random(t, 11<<20)
	for name, content := range map[string][]byte{
		"web/index.html": []byte("<html>"), "web/a b/ü.txt": []byte("x"), "web/empty": {}, "web/large.bin": large, "beside": []byte("no"),
	} {
		write(t, e, name, content)
	}
	if err := os.Symlink("index.html", filepath.Join(e.Dir, "web", "link")); err != nil {
		t.Fatal(err)
	}
	up := in.with(inputs{"direction": "up", "delete": true})
	dry := mustIn(t, e, driver(), up.with(inputs{"dry_run": true}))
	if diff := cmp.Diff([]string{"upload a b/ü.txt: new", "upload empty: new", "upload index.html: new", "upload large.bin: new"}, plan(dry)); diff != "" {
		t.Error(diff)
	}
	if got := must(t, driver(), in.with(inputs{"command": "list"})); got["count"] != int64(0) {
		t.Errorf("a dry run uploaded %v", got["entries"])
	}
	first := mustIn(t, e, driver(), up)
	if diff := cmp.Diff([3]any{int64(4), int64(0), int64(0)}, counts(first)); diff != "" || len(first["skipped"].([]any)) != 1 {
		t.Errorf("up: %s\nskipped %v", diff, first["skipped"])
	}
	for _, compare := range []string{"size_mtime", "checksum"} {
		if diff := cmp.Diff([3]any{int64(0), int64(0), int64(4)}, counts(mustIn(t, e, driver(), up.with(inputs{"compare": compare})))); diff != "" {
			t.Errorf("again by %s: %s", compare, diff)
		}
	}
	kind := must(t, driver(), in.with(inputs{"command": "metadata", "key": "site/index.html"}))
	if kind["content_type"] != "text/html; charset=utf-8" {
		t.Errorf("the page is %v", kind["content_type"])
	}

	down := in.with(inputs{"direction": "down", "folder": "copy", "delete": true})
	write(t, e, "copy/stale", []byte("x"))
	got := mustIn(t, e, driver(), down)
	if diff := cmp.Diff([3]any{int64(4), int64(1), int64(0)}, counts(got)); diff != "" {
		t.Errorf("down: %s", diff)
	}
	if !slices.Equal(read(t, e, "copy/large.bin"), large) || string(read(t, e, "copy/a b/ü.txt")) != "x" {
		t.Error("what came down differs")
	}
	if diff := cmp.Diff([]string{"a b", "a b/ü.txt", "empty", "index.html", "large.bin"}, tree(t, filepath.Join(e.Dir, "copy"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([3]any{int64(0), int64(0), int64(4)}, counts(mustIn(t, e, driver(), down))); diff != "" {
		t.Errorf("down again: %s", diff)
	}
}

func TestSyncChanges(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"command": "sync", "folder": "."})
	e := taskstest.NewExecution(t)
	for _, name := range []string{"same", "size", "newer", "content", "gone"} {
		write(t, e, name, []byte("1"))
	}
	up := in.with(inputs{"direction": "up"})
	mustIn(t, e, driver(), up)
	past := time.Now().Add(-time.Hour)
	write(t, e, "size", []byte("22"))
	write(t, e, "newer", []byte("2"))
	write(t, e, "content", []byte("2"))
	later := time.Now().Add(time.Hour)
	for name, at := range map[string]time.Time{"newer": later, "content": past, "same": past} {
		if err := os.Chtimes(filepath.Join(e.Dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(e.Dir, "gone")); err != nil {
		t.Fatal(err)
	}
	dry := up.with(inputs{"dry_run": true, "delete": true})
	if diff := cmp.Diff([]string{"delete gone: not in the folder", "upload newer: newer", "upload size: size"}, plan(mustIn(t, e, driver(), dry))); diff != "" {
		t.Errorf("by size and time: %s", diff)
	}
	if diff := cmp.Diff([]string{"delete gone: not in the folder", "upload content: content", "upload newer: content", "upload size: size"},
		plan(mustIn(t, e, driver(), dry.with(inputs{"compare": "checksum"})))); diff != "" {
		t.Errorf("by checksum: %s", diff)
	}
	if out := mustIn(t, e, driver(), up.with(inputs{"delete": true})); out["deleted"] != int64(1) {
		t.Errorf("deleted %v", out["deleted"])
	}
	if e := failure(t, in.with(inputs{"direction": "up", "folder": "not-there"})); e.Kind != tasks.NotFound || e.Input != "folder" {
		t.Errorf("no folder: got %s at %q: %s", e.Kind, e.Input, e.Message)
	}
	if e := failure(t, in.with(inputs{"direction": "down", "folder": "../x"})); e.Kind != tasks.Invalid {
		t.Errorf("outside: got %s: %s", e.Kind, e.Message)
	}
}

// tree lists what is in a directory.
func tree(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(file string, _ fs.DirEntry, err error) error {
		if name, _ := filepath.Rel(dir, file); name != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
