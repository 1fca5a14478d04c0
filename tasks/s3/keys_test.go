package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// fileKeys are keys that a server which keeps files can hold as well.
func fileKeys() []string {
	return []string{
		"plain", "with space", "ünïcode ☃ 中文", "plus+plus", "100%", "%2F", "a&b=c?d#e", `quote"s'`, "<xml>&amp;", "new\nline", "tab\tin", "semi;colon,",
		"back\\slash", "~tilde", strings.Repeat("long/", 204) + "ends" /* 1,024 bytes */, "trailing ", "...", "-rf",
	}
}

// oddKeys are those that no file can have.
func oddKeys() []string {
	return []string{
		"/leading", "double//slash", "../up", "a/../b", "./here", "dir/", "//", "bell\a", "cr\rin", strings.Repeat("k", 1024), ".", "..",
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	m := newMemory(t, nil)
	real := at(servers.S3(t)).with(inputs{"bucket": bucket(t)["bucket"]})
	for name, c := range map[string]struct {
		in   inputs
		keys []string
	}{
		"a real server": {real, fileKeys()},
		"any key":       {m.at(), append(fileKeys(), oddKeys()...)},
	} {
		for _, key := range c.keys {
			put(t, c.in, key, "content of "+key)
			if got := must(t, driver(), c.in.with(inputs{"command": "download", "key": key})); got["content"] != "content of "+key {
				t.Errorf("%s: %q came back as %q", name, key, got["content"])
			}
		}
		var got []string
		for _, e := range must(t, driver(), c.in.with(inputs{"command": "list", "recursive": true}))["entries"].([]any) {
			got = append(got, e.(map[string]any)["key"].(string))
		}
		want := slices.Sorted(slices.Values(c.keys))
		slices.Sort(got) // a server that keeps files has an order of its own
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the list differs:\n%s", name, diff)
		}
		for i, key := range c.keys {
			if i%2 == 0 {
				must(t, driver(), c.in.with(inputs{"command": "delete", "key": key}))
			}
		}
		var rest []any
		for i, key := range c.keys {
			if i%2 == 1 {
				rest = append(rest, key)
			}
		}
		must(t, driver(), c.in.with(inputs{"command": "delete", "keys": rest}))
		if left := must(t, driver(), c.in.with(inputs{"command": "list", "recursive": true})); left["count"] != int64(0) {
			t.Errorf("%s: there are %v left", name, left["entries"])
		}
	}
	for _, key := range []string{"", strings.Repeat("k", 1025), "\xff"} {
		if e := failure(t, m.at().with(inputs{"command": "metadata", "key": key})); e.Kind != tasks.Invalid {
			t.Errorf("%.10q: got %s: %s", key, e.Kind, e.Message)
		}
	}
}

// TestOddKeysStayInside syncs keys down that would lead elsewhere as paths.
func TestOddKeysStayInside(t *testing.T) {
	t.Parallel()
	m := newMemory(t, nil)
	for _, key := range append(oddKeys(), "fine", "deep/er", "deep", "deep/er/still") {
		m.store("memory/"+key, []byte(key))
	}
	e := taskstest.NewExecution(t)
	out := mustIn(t, e, driver(), m.at().with(inputs{"command": "sync", "direction": "down", "folder": "in"}))
	if got := read(t, e, "in/deep/er/still"); string(got) != "deep/er/still" {
		t.Errorf("got %q", got)
	}
	// "bell" and "cr" are names of files; "dir/" and "//" mark folders, 1,024 bytes are too many, and
	// what is a folder can be no file.
	if out["transferred"] != int64(4) || len(out["skipped"].([]any)) != 10 {
		t.Errorf("transferred %v, skipped %v", out["transferred"], out["skipped"])
	}
}

// TestLinksStayInside syncs through links that lead elsewhere.
func TestLinksStayInside(t *testing.T) {
	t.Parallel()
	m := newMemory(t, nil)
	m.store("memory/link/x", []byte("x"))
	e := taskstest.NewExecution(t)
	outside := t.TempDir()
	write(t, e, "in/kept", []byte("x"))
	if err := errors.Join(os.WriteFile(filepath.Join(outside, "theirs"), nil, 0o600), os.Symlink(outside, filepath.Join(e.Dir, "in", "link"))); err != nil {
		t.Fatal(err)
	}
	sync := m.at().with(inputs{"command": "sync", "folder": "in", "delete": true})
	if _, err := e.Run(t.Context(), t, driver(), sync.with(inputs{"direction": "down"})); kindOf(err) != tasks.Invalid {
		t.Errorf("down: got %v", err)
	}
	mustIn(t, e, driver(), sync.with(inputs{"direction": "up"}))
	if diff := cmp.Diff([]string{"memory/kept"}, m.keys); diff != "" {
		t.Errorf("up:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"theirs"}, tree(t, outside)); diff != "" {
		t.Errorf("outside:\n%s", diff)
	}
}

// TestManyKeys lists 100,000 objects into a file, within little memory.
func TestManyKeys(t *testing.T) { // not parallel: others take memory too
	const count = 100_000
	var first, last runtime.MemStats // after the 10th page, and the 100th
	pages := 0
	m := newMemory(t, func(http.ResponseWriter, *http.Request) bool {
		switch pages++; pages {
		case 10:
			runtime.GC()
			runtime.ReadMemStats(&first)
		case 100:
			runtime.GC()
			runtime.ReadMemStats(&last)
		}
		return false
	})
	for i := range count {
		m.keys = append(m.keys, fmt.Sprintf("memory/folder-with-a-name/object-%06d", i))
	}
	e := taskstest.NewExecution(t)
	out := mustIn(t, e, driver(), m.at().with(inputs{"command": "list", "recursive": true, "file": "all"}))
	if grown := int64(last.HeapAlloc) - int64(first.HeapAlloc); grown > 8<<20 {
		t.Errorf("90,000 objects took %d bytes of memory", grown)
	}
	if out["count"] != int64(count) || m.largest != 1000 {
		t.Errorf("listed %v, %d in a page", out["count"], m.largest)
	}
	if lines := strings.Count(string(read(t, e, "all")), "\n"); lines != count {
		t.Errorf("there are %d lines", lines)
	}
}
