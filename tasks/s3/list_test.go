package s3_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks/taskstest"
)

// keysOf gives type and key of each entry.
func keysOf(out map[string]any) []string {
	var keys []string
	for _, e := range out["entries"].([]any) {
		entry := e.(map[string]any)
		keys = append(keys, fmt.Sprintf("%s %s", entry["type"], entry["name"]))
	}
	return keys
}

func TestList(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	for _, key := range []string{"a.txt", "docs/guide.md", "docs/img/a.png", "docs/img/b.png", "docs/index.md", "docs-old", "z"} {
		put(t, in, key, key)
	}
	in = in.with(inputs{"command": "list"})
	for name, c := range map[string]struct {
		inputs inputs
		want   []string
	}{
		"the top":       {inputs{}, []string{"object a.txt", "object docs-old", "folder docs/", "object z"}},
		"a folder":      {inputs{"prefix": "docs/"}, []string{"object guide.md", "folder img/", "object index.md"}},
		"recursive":     {inputs{"prefix": "docs/", "recursive": true}, []string{"object guide.md", "object img/a.png", "object img/b.png", "object index.md"}},
		"search":        {inputs{"prefix": "docs/", "search": "i"}, []string{"folder img/", "object index.md"}},
		"half a prefix": {inputs{"prefix": "docs/g"}, []string{"object guide.md"}},
		"contains":      {inputs{"contains": "IMG", "recursive": true}, []string{"object docs/img/a.png", "object docs/img/b.png"}},
		"nothing":       {inputs{"prefix": "nothing/"}, nil},
	} {
		got := must(t, driver(), in.with(c.inputs))
		if diff := cmp.Diff(c.want, keysOf(got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if got["truncated"] != false || got["count"] != int64(len(c.want)) {
			t.Errorf("%s: truncated %v, count %v", name, got["truncated"], got["count"])
		}
	}
	if got := must(t, driver(), in.with(inputs{"contains": "img", "recursive": true})); got["scanned"] != int64(7) {
		t.Errorf("contains: scanned %v", got["scanned"])
	}
}

func TestListInPieces(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	for _, key := range []string{"a", "b/1", "b/2", "c/1", "d"} {
		put(t, in, key, key)
	}
	in = in.with(inputs{"command": "list", "limit": 1})
	var got []string
	for range 10 {
		out := must(t, driver(), in)
		got = append(got, keysOf(out)...)
		if out["truncated"] == false {
			break
		}
		in = in.with(inputs{"start_after": out["next"]})
	}
	if diff := cmp.Diff([]string{"object a", "folder b/", "folder c/", "object d"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestListToFile(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	put(t, in, "a", "1")
	put(t, in, "b", "22")
	e := taskstest.NewExecution(t)
	out := mustIn(t, e, driver(), in.with(inputs{"command": "list", "limit": 1, "file": "out/list.jsonl"}))
	if diff := cmp.Diff(map[string]any{"count": int64(2), "size": int64(3), "truncated": false, "file": "out/list.jsonl"}, out); diff != "" {
		t.Error(diff)
	}
	lines := bytes.Split(bytes.TrimSpace(read(t, e, "out/list.jsonl")), []byte("\n"))
	var last map[string]any
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil || len(lines) != 2 || last["key"] != "b" || last["size"] != 2.0 {
		t.Errorf("got %d lines, the last %v (%v)", len(lines), last, err)
	}
}

func TestListBuckets(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	out := must(t, driver(), in.with(inputs{"command": "list_buckets"}))
	for _, b := range out["buckets"].([]any) {
		if b.(map[string]any)["name"] == in["bucket"] {
			return
		}
	}
	t.Errorf("%v is not among %v", in["bucket"], out["buckets"])
}

func TestCreateBucketAgain(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	out := must(t, driver(), in.with(inputs{"command": "create_bucket"}))
	if out["created"] != false {
		t.Errorf("got %v", out)
	}
}
