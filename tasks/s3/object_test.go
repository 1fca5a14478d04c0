package s3_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
)

func TestUploadTellsAllAboutAnObject(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"key": "reports/august.csv"})
	up := must(t, driver(), in.with(inputs{
		"command": "upload", "content": "a,b\n", "metadata": map[string]any{"origin": "weir"}, "tags": map[string]any{"team": "a b+c"},
		"cache_control": "max-age=60", "content_disposition": `attachment; filename="x.csv"`, "content_encoding": "identity",
	}))
	got := must(t, driver(), in.with(inputs{"command": "metadata"}))
	if _, err := time.Parse(time.RFC3339, got["modified"].(string)); err != nil {
		t.Error(err)
	}
	delete(got, "modified")
	delete(got, "storage_class")
	want := map[string]any{
		"bucket": in["bucket"], "key": "reports/august.csv", "size": int64(4), "etag": up["etag"], "content_type": "text/csv; charset=utf-8",
		"content_disposition": `attachment; filename="x.csv"`, "cache_control": "max-age=60", "content_encoding": "identity",
		"metadata": map[string]any{"origin": "weir"},
	}
	delete(got, "checksums")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	down := must(t, driver(), in.with(inputs{"command": "download"}))
	if down["content"] != "a,b\n" || down["content_base64"] != base64.StdEncoding.EncodeToString([]byte("a,b\n")) {
		t.Errorf("downloaded %q", down["content"])
	}
}

// TestContentType guesses by name first, and then by content.
func TestContentType(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	for name, c := range map[string][2]string{
		"a.csv": {"x", "text/csv; charset=utf-8"}, "b.JSON": {"<html>", "application/json"}, "c.of-nobody": {"<html>", "text/html; charset=utf-8"},
		"d": {"\x89PNG\r\n\x1a\n", "image/png"}, "e": {"", "application/octet-stream"}, "f": {"\x00\x01", "application/octet-stream"},
	} {
		put(t, in, name, c[0])
		if got := must(t, driver(), in.with(inputs{"command": "metadata", "key": name}))["content_type"]; got != c[1] {
			t.Errorf("%s: got %v, want %s", name, got, c[1])
		}
	}
}

func TestDownloadRanges(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"key": "digits"})
	put(t, in, "digits", "0123456789")
	for text, want := range map[string]string{"0-0": "0", "2-4": "234", "7-": "789", "-2": "89", "8-100": "89"} {
		got := must(t, driver(), in.with(inputs{"command": "download", "range": text}))
		if got["content"] != want || got["size"] != int64(10) {
			t.Errorf("%s: got %q of %v, want %q", text, got["content"], got["size"], want)
		}
		e := taskstest.NewExecution(t)
		mustIn(t, e, driver(), in.with(inputs{"command": "download", "range": text, "file": "d/x"}))
		if content := read(t, e, "d/x"); string(content) != want {
			t.Errorf("%s: the file has %q, want %q", text, content, want)
		}
	}
	for _, text := range []string{"", "-", "a-b", "5-2", "1", "-0", "+1-2"} {
		if e := failure(t, in.with(inputs{"command": "download", "range": text})); e.Kind != tasks.Invalid || e.Input != "range" {
			t.Errorf("%q: got %s at %q", text, e.Kind, e.Input)
		}
	}
	if e := failure(t, in.with(inputs{"command": "download", "range": "20-30"})); e.Kind != tasks.Invalid || e.Input != "range" {
		t.Errorf("behind the end: got %s at %q: %s", e.Kind, e.Input, e.Message)
	}
}

// TestSizes shows that every size survives the way up and down, around the limit
// between one request and parts, with and without checksums.
func TestSizes(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	const part = 5 << 20
	for _, checksums := range []string{"auto", "always"} {
		for _, size := range []int{0, 1, part - 1, part, part + 1, 3*part + 7} {
			e := taskstest.NewExecution(t)
			content := random(t, size)
			write(t, e, "up.bin", content)
			one := in.with(inputs{"key": fmt.Sprint(checksums, size), "part_size": part, "checksums": checksums, "concurrency": 3})
			up := mustIn(t, e, driver(), one.with(inputs{"command": "upload", "file": "up.bin"}))
			if up["size"] != int64(size) {
				t.Errorf("%s, %d: uploaded %v", checksums, size, up["size"])
			}
			down := mustIn(t, e, driver(), one.with(inputs{"command": "download", "file": "deep/down.bin"}))
			if down["size"] != int64(size) || down["etag"] != up["etag"] || !bytes.Equal(read(t, e, "deep/down.bin"), content) {
				t.Errorf("%s, %d: what came back differs: %v", checksums, size, down)
			}
			if left, _ := filepath.Glob(filepath.Join(e.Dir, "*", ".weir-*")); len(left) > 0 {
				t.Errorf("%s, %d: %v was left", checksums, size, left)
			}
			if left, _ := filepath.Glob(filepath.Join(e.Dir, ".weir-*")); len(left) > 0 {
				t.Errorf("%s, %d: %v was left", checksums, size, left)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"command": "upload", "key": "lock", "content": "mine"})
	first := must(t, driver(), in.with(inputs{"only_if_absent": true}))
	if e := failure(t, in.with(inputs{"only_if_absent": true})); e.Kind != tasks.Conflict {
		t.Errorf("only_if_absent: got %s: %s", e.Kind, e.Message)
	}
	second := must(t, driver(), in.with(inputs{"only_if_etag": first["etag"], "content": "still mine"}))
	if e := failure(t, in.with(inputs{"only_if_etag": first["etag"]})); e.Kind != tasks.Conflict {
		t.Errorf("only_if_etag: got %s: %s", e.Kind, e.Message)
	}
	if got := must(t, driver(), in.with(inputs{"command": "metadata", "content": nil})); got["etag"] != second["etag"] {
		t.Errorf("a refused upload changed the object")
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"key": "doc"})
	must(t, driver(), in.with(inputs{"command": "create_bucket", "versioning": true}))
	old := put(t, in, "doc", "old")
	put(t, in, "doc", "new")
	put(t, in, "document", "another")
	must(t, driver(), in.with(inputs{"command": "delete"}))
	if e := failure(t, in.with(inputs{"command": "download"})); e.Kind != tasks.NotFound {
		t.Errorf("a deleted object: got %s: %s", e.Kind, e.Message)
	}
	got := must(t, driver(), in.with(inputs{"command": "download", "version_id": old["version_id"]}))
	if got["content"] != "old" {
		t.Errorf("the old version is %q", got["content"])
	}
	listed := must(t, driver(), in.with(inputs{"command": "versions"}))
	versions := listed["versions"].([]any)
	if listed["count"] != int64(3) || !versions[0].(map[string]any)["deleted"].(bool) || versions[2].(map[string]any)["version_id"] != old["version_id"] {
		t.Errorf("got versions %v", versions)
	}
	if e := failure(t, in.with(inputs{"command": "download", "version_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})); e.Kind != tasks.NotFound || e.Input != "version_id" {
		t.Errorf("no such version: got %s at %q: %s", e.Kind, e.Input, e.Message)
	}
	gone := must(t, driver(), in.with(inputs{"command": "delete", "all_versions": true}))
	left := must(t, driver(), in.with(inputs{"command": "versions", "key": nil}))
	if gone["count"] != int64(3) || left["count"] != int64(1) {
		t.Errorf("deleted %v versions, and %v are left", gone["count"], left["count"])
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	for _, key := range []string{"a/1", "a/2", "a/3", "b/1", "c"} {
		put(t, in, key, key)
	}
	in = in.with(inputs{"command": "delete"})
	dry := must(t, driver(), in.with(inputs{"prefix": "a/", "dry_run": true}))
	if diff := cmp.Diff(map[string]any{"count": int64(3), "dry_run": true, "keys": []any{"a/1", "a/2", "a/3"}}, dry); diff != "" {
		t.Error(diff)
	}
	if got := must(t, driver(), in.with(inputs{"prefix": "a/"})); got["count"] != int64(3) {
		t.Errorf("deleted %v", got["count"])
	}
	if got := must(t, driver(), in.with(inputs{"keys": []any{"b/1", "not-there", "c"}})); got["count"] != int64(3) {
		t.Errorf("deleted %v", got["count"])
	}
	if got := must(t, driver(), in.with(inputs{"command": "list", "recursive": true})); got["count"] != int64(0) {
		t.Errorf("there are %v left", got["entries"])
	}
	for name, bad := range map[string]inputs{
		"nothing": {}, "two": {"key": "a", "prefix": "b"}, "everything": {"prefix": ""}, "a version of many": {"keys": []any{"a"}, "version_id": "1"},
	} {
		if e := failure(t, in.with(bad)); e.Kind != tasks.Invalid {
			t.Errorf("%s: got %s: %s", name, e.Kind, e.Message)
		}
	}
	if got := must(t, driver(), in.with(inputs{"command": "delete_bucket"})); got["deleted"] != true {
		t.Errorf("got %v", got)
	}
}

func TestCopyAndMove(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	other := bucket(t)["bucket"]
	const part = 5 << 20
	content := random(t, 2*part+3)
	e := taskstest.NewExecution(t)
	write(t, e, "f", content)
	mustIn(t, e, driver(), in.with(inputs{"command": "upload", "key": "a b+c/ü%.bin", "file": "f", "metadata": map[string]any{"x": "1"}, "content_type": "text/x"}))
	in = in.with(inputs{"key": "a b+c/ü%.bin"})
	for name, d := range map[string]tasks.Driver{"at once": driver(), "in parts": s3.New(s3.WithCopyLimits(part, part))} {
		out := must(t, d, in.with(inputs{"command": "copy", "to_bucket": other, "to_key": name}))
		if out["size"] != int64(len(content)) || out["bucket"] != other {
			t.Errorf("%s: got %v", name, out)
		}
		there := in.with(inputs{"bucket": other, "key": name})
		mustIn(t, e, driver(), there.with(inputs{"command": "download", "file": "g"}))
		got := must(t, driver(), there.with(inputs{"command": "metadata"}))
		if !bytes.Equal(read(t, e, "g"), content) || got["content_type"] != "text/x" || !cmp.Equal(got["metadata"], map[string]any{"x": "1"}) {
			t.Errorf("%s: the copy differs: %v", name, got)
		}
	}
	must(t, driver(), in.with(inputs{"command": "copy", "to_key": "a b+c/ü%.bin", "metadata": map[string]any{"y": "2"}}))
	got := must(t, driver(), in.with(inputs{"command": "metadata"}))
	if !cmp.Equal(got["metadata"], map[string]any{"y": "2"}) || got["content_type"] != "text/x" {
		t.Errorf("a copy onto itself with other metadata: got %v", got)
	}
	must(t, driver(), in.with(inputs{"command": "move", "to_key": "moved"}))
	if e := failure(t, in.with(inputs{"command": "metadata"})); e.Kind != tasks.NotFound {
		t.Errorf("the original: got %s: %s", e.Kind, e.Message)
	}
	must(t, driver(), in.with(inputs{"command": "metadata", "key": "moved"}))
	if e := failure(t, in.with(inputs{"command": "move", "key": "moved", "to_key": "moved"})); e.Kind != tasks.Invalid {
		t.Errorf("onto itself: got %s: %s", e.Kind, e.Message)
	}
}

func TestPresign(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"command": "presign", "key": "a b+ü.txt"})
	e := taskstest.NewExecution(t)
	up := mustIn(t, e, driver(), in.with(inputs{"method": "put", "content_type": "text/x", "expires": "5m"}))
	request := func(out map[string]any, body string) (string, *http.Response) {
		r, err := http.NewRequestWithContext(t.Context(), out["method"].(string), out["url"].(string), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		headers, _ := out["headers"].(map[string]any)
		for name, value := range headers {
			r.Header.Set(name, value.(string))
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close() //nolint:errcheck // only read
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), answer
	}
	if text, answer := request(up, "presigned"); answer.StatusCode != http.StatusOK {
		t.Fatalf("put: %s: %s", answer.Status, text)
	}
	down := mustIn(t, e, driver(), in)
	if text, answer := request(down, ""); text != "presigned" || answer.Header.Get("Content-Type") != "text/x" {
		t.Errorf("got %s: %q", answer.Status, text)
	}
	for _, out := range []map[string]any{up, down} {
		if !e.Masked(out["url"].(string)) {
			t.Error("the URL is not masked")
		}
	}
	until, err := time.Parse(time.RFC3339, down["expires"].(string))
	if d := time.Until(until); err != nil || d < 50*time.Minute || d > time.Hour {
		t.Errorf("it is valid for %v (%v)", d, err)
	}
	if e := failure(t, in.with(inputs{"expires": "169h"})); e.Kind != tasks.Invalid {
		t.Errorf("8 days: got %s", e.Kind)
	}
}

// TestProgress tells how far transfers are, up to their end.
func TestProgress(t *testing.T) {
	t.Parallel()
	const size, part = 23 << 20, 5 << 20
	in := bucket(t).with(inputs{"part_size": part, "key": "k"})
	e := taskstest.NewExecution(t)
	write(t, e, "f", random(t, size))
	write(t, e, "folder/f", random(t, size))
	for _, task := range []inputs{
		{"command": "upload", "file": "f"}, {"command": "download", "file": "g"}, {"command": "copy", "to_key": "l"},
		{"command": "sync", "direction": "up", "folder": "folder", "prefix": "p"}, {"command": "sync", "direction": "down", "folder": "back", "prefix": "p"},
	} {
		var mu sync.Mutex
		most, told, env := int64(0), 0, e.Env()
		env.Progress = func(done, total int64, _ string) {
			mu.Lock()
			defer mu.Unlock()
			if total == 0 {
				return // comparing
			}
			if told++; total != size || done > total {
				t.Errorf("%s: %d of %d", task["command"], done, total)
			}
			most = max(most, done)
		}
		if err := run(t, s3.New(s3.WithCopyLimits(part, part)), in.with(task), env); err != nil {
			t.Fatal(err)
		}
		if most != size || told < 2 {
			t.Errorf("%s: told %d times, up to %d", task["command"], told, most)
		}
	}
}

// TestFilesStayInside shows that nothing leads out of the files directory, and that
// a download that fails leaves what was there.
func TestFilesStayInside(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"key": "k"})
	put(t, in, "k", "content")
	e := taskstest.NewExecution(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(e.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	write(t, e, "kept", []byte("as it was"))
	for _, name := range []string{"../x", "/tmp/x", "link/x", "a/../../x", "", ".", "dir/"} {
		_, err := e.Run(t.Context(), t, driver(), in.with(inputs{"command": "download", "file": name}))
		if err == nil {
			t.Errorf("%q: it was written", name)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside there is %v", left)
	}
	if _, err := e.Run(t.Context(), t, driver(), in.with(inputs{"command": "download", "key": "no", "file": "kept"})); err == nil {
		t.Error("an object that is not there was downloaded")
	}
	if got := read(t, e, "kept"); string(got) != "as it was" {
		t.Errorf("the file has %q", got)
	}
	mustIn(t, e, driver(), in.with(inputs{"command": "download", "file": "kept"}))
	if got := read(t, e, "kept"); string(got) != "content" {
		t.Errorf("the file has %q", got)
	}
}
