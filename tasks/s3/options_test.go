package s3_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// objectOptions are all that an object can be given, and headers the request that
// gives them.
func objectOptions() (inputs, map[string]string) {
	return inputs{
			"content_type": "text/x", "cache_control": "max-age=60", "content_disposition": "inline", "content_encoding": "gzip",
			"metadata": map[string]any{"origin": "weir"}, "tags": map[string]any{"team": "a b"}, "storage_class": "STANDARD_IA",
			"encryption": "aws:kms", "kms_key_id": "arn:aws:kms:us-east-1:1:key/k", "expected_bucket_owner": "111122223333",
		}, map[string]string{
			"Content-Type": "text/x", "Cache-Control": "max-age=60", "Content-Disposition": "inline", "Content-Encoding": "gzip",
			"X-Amz-Meta-Origin": "weir", "X-Amz-Tagging": "team=a+b", "X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "arn:aws:kms:us-east-1:1:key/k", "X-Amz-Expected-Bucket-Owner": "111122223333",
		}
}

// TestObjectOptions shows that each option reaches the service with every request
// that makes an object.
func TestObjectOptions(t *testing.T) {
	t.Parallel()
	var request http.Header
	m := newMemory(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut || r.Method == http.MethodPost {
			request = r.Header.Clone()
			fail(w, http.StatusForbidden, "AccessDenied")
			return true
		}
		return false
	})
	m.store("memory/k", bytes.Repeat([]byte("x"), 11<<20))
	options, headers := objectOptions()
	in := m.at().with(options)
	e := taskstest.NewExecution(t)
	write(t, e, "large", random(t, 6<<20))
	write(t, e, "folder/small", []byte("x"))
	for name, c := range map[string]struct {
		driver tasks.Driver
		in     inputs
	}{
		"upload":          {driver(), in.with(inputs{"command": "upload", "key": "k", "content": "x"})},
		"upload in parts": {driver(), in.with(inputs{"command": "upload", "key": "k", "file": "large", "part_size": 5 << 20})},
		"copy":            {driver(), in.with(inputs{"command": "copy", "key": "k", "to_key": "l"})},
		"copy in parts":   {s3.New(s3.WithCopyLimits(5<<20, 5<<20)), in.with(inputs{"command": "copy", "key": "k", "to_key": "l"})},
		"sync":            {driver(), in.with(inputs{"command": "sync", "direction": "up", "folder": "folder"})},
	} {
		if _, err := e.Run(t.Context(), t, c.driver, c.in); kindOf(err) != tasks.Denied {
			t.Errorf("%s: got %v", name, err)
		}
		got := map[string]string{}
		for header := range headers {
			got[header] = strings.TrimSuffix(request.Get(header), ",aws-chunked")
		}
		if diff := cmp.Diff(headers, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestTags reads an object's tags as anybody would, also those of its copies.
func TestTags(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	e := taskstest.NewExecution(t)
	write(t, e, "large", random(t, 6<<20))
	mustIn(t, e, driver(), in.with(inputs{"command": "upload", "key": "k", "file": "large", "part_size": 5 << 20, "tags": map[string]any{"team": "a b+c", "x": "ü"}}))
	from := in.with(inputs{"command": "copy", "key": "k"})
	mustIn(t, e, driver(), from.with(inputs{"to_key": "at once"}))
	mustIn(t, e, s3.New(s3.WithCopyLimits(5<<20, 5<<20)), from.with(inputs{"to_key": "in parts"}))
	for _, key := range []string{"k", "at once", "in parts"} {
		out, err := sdkClient(in).GetObjectTagging(t.Context(), &sdk.GetObjectTaggingInput{Bucket: aws.String(in["bucket"].(string)), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, tag := range out.TagSet {
			got[*tag.Key] = *tag.Value
		}
		if diff := cmp.Diff(map[string]string{"team": "a b+c", "x": "ü"}, got); diff != "" {
			t.Errorf("%s:\n%s", key, diff)
		}
	}
}

// TestConditionsInParts refuses large uploads as well, and leaves nothing behind.
func TestConditionsInParts(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"command": "upload", "key": "k", "file": "large", "part_size": 5 << 20})
	e := taskstest.NewExecution(t)
	write(t, e, "large", random(t, 6<<20))
	first := mustIn(t, e, driver(), in.with(inputs{"only_if_absent": true}))
	mustIn(t, e, driver(), in.with(inputs{"only_if_etag": first["etag"], "content_type": "text/x"}))
	write(t, e, "large", random(t, 6<<20))
	mustIn(t, e, driver(), in)
	for name, condition := range map[string]inputs{"only_if_absent": {"only_if_absent": true}, "only_if_etag": {"only_if_etag": first["etag"]}} {
		if _, err := e.Run(t.Context(), t, driver(), in.with(condition)); kindOf(err) != tasks.Conflict {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestBatches deletes 1,000 objects with one request, and tells of each that stays.
func TestBatches(t *testing.T) {
	t.Parallel()
	var sizes []int
	var mu sync.Mutex
	m := newMemory(t, nil)
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		mu.Lock()
		sizes = append(sizes, strings.Count(body.String(), "<Key>"))
		mu.Unlock()
		answer := "<DeleteResult>"
		for _, key := range []string{"k0007", "k2345"} {
			if strings.Contains(body.String(), "<Key>"+key+"</Key>") {
				answer += "<Error><Key>" + key + "</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
			}
		}
		_, _ = w.Write([]byte(answer + "</DeleteResult>"))
		return true
	}
	var keys []any
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("k%04d", i))
	}
	e := taskstest.NewExecution(t)
	_, err := e.Run(t.Context(), t, driver(), m.at().with(inputs{"command": "delete", "keys": keys}))
	if kindOf(err) != tasks.Denied || !strings.Contains(err.Error(), "2 of 2500 were not deleted") {
		t.Errorf("got %v", err)
	}
	slices.Sort(sizes)
	if diff := cmp.Diff([]int{500, 1000, 1000}, sizes); diff != "" {
		t.Error(diff)
	}
	for _, warning := range []string{"not deleted: k0007: AccessDenied no", "not deleted: k2345: AccessDenied no"} {
		if !slices.Contains(e.Said(), warning) {
			t.Errorf("nobody said %q, but %q", warning, e.Said())
		}
	}
}

// TestContainsStops reads no more pages than allowed, and goes on from there.
func TestContainsStops(t *testing.T) {
	t.Parallel()
	m := newMemory(t, nil)
	for i := range 3500 {
		m.keys = append(m.keys, fmt.Sprintf("memory/k%04d", i))
	}
	in := m.at().with(inputs{"command": "list", "contains": "99", "max_pages": 2, "limit": 0})
	first := must(t, driver(), in)
	second := must(t, driver(), in.with(inputs{"start_after": first["next"]}))
	if first["truncated"] != true || first["scanned"] != int64(2000) || second["truncated"] != false || second["scanned"] != int64(1500) {
		t.Errorf("got %v of %v, then %v of %v", first["count"], first["scanned"], second["count"], second["scanned"])
	}
	if n := first["count"].(int64) + second["count"].(int64); n != 62 { // 35 end with 99, 30 have it in the middle, 3 are both
		t.Errorf("found %d", n)
	}
}

// TestInlineLimit keeps large contents out of outputs.
func TestInlineLimit(t *testing.T) {
	t.Parallel()
	m := newMemory(t, nil)
	m.store("memory/k", make([]byte, 16<<20+1))
	in := m.at().with(inputs{"command": "download", "key": "k"})
	if e := failure(t, in); e.Kind != tasks.Invalid || e.Input != "file" || !strings.Contains(e.Hint, "`range`") {
		t.Errorf("got %s at %q: %s; %s", e.Kind, e.Input, e.Message, e.Hint)
	}
	if got := must(t, driver(), in.with(inputs{"range": "-3"})); got["content"] != "\x00\x00\x00" {
		t.Errorf("got %q", got["content"])
	}
}

// TestBucketPages lists more buckets than one answer has.
func TestBucketPages(t *testing.T) {
	t.Parallel()
	m := newMemory(t, func(w http.ResponseWriter, r *http.Request) bool {
		next, name := "<ContinuationToken>more</ContinuationToken>", "first"
		if r.URL.Query().Get("continuation-token") == "more" {
			next, name = "", "second"
		}
		_, _ = fmt.Fprintf(w, `<ListAllMyBucketsResult><Buckets><Bucket><Name>%s</Name><CreationDate>2026-01-02T03:04:05.000Z</CreationDate><BucketRegion>eu-west-1</BucketRegion></Bucket></Buckets>%s</ListAllMyBucketsResult>`, name, next)
		return true
	})
	want := []any{
		map[string]any{"name": "first", "created": "2026-01-02T03:04:05Z", "region": "eu-west-1"},
		map[string]any{"name": "second", "created": "2026-01-02T03:04:05Z", "region": "eu-west-1"},
	}
	if diff := cmp.Diff(map[string]any{"buckets": want, "count": int64(2)}, must(t, driver(), m.at().with(inputs{"command": "list_buckets"}))); diff != "" {
		t.Error(diff)
	}
}

// TestVerifyOff warns with every run that a certificate is not checked.
func TestVerifyOff(t *testing.T) {
	t.Parallel()
	server := servers.NewS3(t, servers.S3Config{TLS: true})
	in := at(server).with(inputs{"command": "list_buckets", "tls_verify": false})
	for range 2 {
		e := taskstest.NewExecution(t)
		mustIn(t, e, driver(), in)
		if said := e.Said(); len(said) != 1 || !strings.Contains(said[0], "tls_verify is off") {
			t.Errorf("it said %q", said)
		}
	}
}

// TestVersionToFile downloads a version that is not the newest, in parts.
func TestVersionToFile(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"key": "k", "part_size": 5 << 20})
	must(t, driver(), in.with(inputs{"command": "create_bucket", "versioning": true}))
	e := taskstest.NewExecution(t)
	content := random(t, 11<<20)
	write(t, e, "old", content)
	old := mustIn(t, e, driver(), in.with(inputs{"command": "upload", "file": "old"}))
	put(t, in, "k", "new")
	got := mustIn(t, e, driver(), in.with(inputs{"command": "download", "file": "back", "version_id": old["version_id"]}))
	if got["version_id"] != old["version_id"] || !bytes.Equal(read(t, e, "back"), content) {
		t.Errorf("got version %v of %v", got["version_id"], old["version_id"])
	}
}

// TestAbortUploads ends an upload whose state was lost with its process.
func TestAbortUploads(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	e := taskstest.NewExecution(t)
	write(t, e, "large", random(t, 60<<20))
	interrupt(t, e, in.with(inputs{"command": "upload", "key": "a ü/large", "file": "large", "part_size": 5 << 20, "concurrency": 1}), 20<<20)
	lost := taskstest.NewExecution(t)
	abort := in.with(inputs{"command": "abort_uploads"})
	for name, c := range map[string]struct {
		in   inputs
		want int64
	}{
		"begun within a day": {inputs{}, 0}, "another prefix": {inputs{"older_than": 0, "prefix": "b"}, 0},
		"dry": {inputs{"older_than": 0, "dry_run": true}, 1},
	} {
		out := mustIn(t, lost, driver(), abort.with(c.in))
		if out["count"] != c.want {
			t.Errorf("%s: got %v", name, out)
		}
		if name == "dry" && out["uploads"].([]any)[0].(map[string]any)["key"] != "a ü/large" {
			t.Errorf("it would end %v", out["uploads"])
		}
	}
	if left := leftovers(t, lost, in); len(left) != 1 {
		t.Fatalf("there are %v", left)
	}
	if out := mustIn(t, lost, driver(), abort.with(inputs{"older_than": 0, "prefix": "a ü/"})); out["count"] != int64(1) {
		t.Errorf("ended %v", out)
	}
	if left := leftovers(t, lost, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// The upload itself begins anew if it is made again.
	if out := mustIn(t, e, driver(), in.with(inputs{"command": "upload", "key": "a ü/large", "file": "large", "part_size": 5 << 20, "concurrency": 1})); out["resumed"] != nil {
		t.Errorf("resumed after %v", out["resumed"])
	}
}

// TestUploadPages finds more unfinished uploads than one answer has, and ends those
// that are old enough.
func TestUploadPages(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ended []string
	m := newMemory(t, func(w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		if r.Method == http.MethodDelete {
			mu.Lock()
			defer mu.Unlock()
			if name := r.URL.Path + " " + q.Get("uploadId"); !slices.Contains(ended, name) {
				ended = append(ended, name)
				w.WriteHeader(http.StatusNoContent)
			} else {
				fail(w, http.StatusNotFound, "NoSuchUpload")
			}
			return true
		}
		next, upload := "<IsTruncated>true</IsTruncated><NextKeyMarker>a%20b</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>",
			"<Key>a%20b</Key><UploadId>1</UploadId><Initiated>2026-01-02T03:04:05.000Z</Initiated>"
		if q.Get("key-marker") == "a b" && q.Get("upload-id-marker") == "1" {
			next, upload = "", "<Key>c</Key><UploadId>2</UploadId><Initiated>2026-01-02T03:04:05.000Z</Initiated>"
		}
		_, _ = fmt.Fprintf(w, "<ListMultipartUploadsResult><EncodingType>url</EncodingType>%s<Upload>%s</Upload>"+
			"<Upload><Key>new</Key><UploadId>3</UploadId><Initiated>2999-01-02T03:04:05.000Z</Initiated></Upload></ListMultipartUploadsResult>", next, upload)
		return true
	})
	in := m.at().with(inputs{"command": "abort_uploads"})
	dry := must(t, driver(), in.with(inputs{"dry_run": true, "limit": 1}))
	want := map[string]any{"count": int64(2), "dry_run": true, "uploads": []any{map[string]any{"key": "a b", "upload_id": "1", "begun": "2026-01-02T03:04:05Z"}}}
	if diff := cmp.Diff(want, dry); diff != "" || len(ended) > 0 {
		t.Errorf("ended %v;\n%s", ended, diff)
	}
	out := must(t, driver(), in)
	slices.Sort(ended)
	if diff := cmp.Diff([]string{"/memory/a b 1", "/memory/c 2"}, ended); diff != "" || out["count"] != int64(2) {
		t.Errorf("got %v;\n%s", out, diff)
	}
}
