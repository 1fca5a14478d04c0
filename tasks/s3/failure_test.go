package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

func TestFailures(t *testing.T) {
	t.Parallel()
	server := servers.S3(t)
	in := bucket(t)
	put(t, in, "here", "x")
	user := in.with(inputs{"access_key_id": server.UserKey, "secret_access_key": server.UserSecret})
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html><body>hello")) }))
	t.Cleanup(page.Close)
	missing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(missing.Close)
	secure := servers.NewS3(t, servers.S3Config{TLS: true})
	for name, c := range map[string]struct {
		in    inputs
		kind  tasks.Kind
		auth  bool
		input string
		says  string
	}{
		"wrong key":          {in.with(inputs{"access_key_id": "nobody"}), tasks.Denied, true, "access_key_id", "does not know the access key id"},
		"wrong secret":       {in.with(inputs{"secret_access_key": "wrong"}), tasks.Denied, true, "secret_access_key", "does not belong"},
		"wrong secret, HEAD": {in.with(inputs{"secret_access_key": "wrong", "command": "metadata", "key": "here"}), tasks.Denied, true, "secret_access_key", "does not belong"},
		"no bucket":          {in.with(inputs{"bucket": "nowhere"}), tasks.NotFound, false, "bucket", "no such bucket"},
		"no bucket, HEAD":    {in.with(inputs{"bucket": "nowhere", "command": "metadata", "key": "a"}), tasks.NotFound, false, "bucket", "no such bucket"},
		"no key":             {in.with(inputs{"command": "metadata", "key": "nothing"}), tasks.NotFound, false, "key", "no such object"},
		"denied list":        {user, tasks.Denied, false, "", "s3:ListBucket on " + in["bucket"].(string)},
		"denied read":        {user.with(inputs{"command": "download", "key": "here"}), tasks.Denied, false, "", "s3:GetObject on " + in["bucket"].(string) + "/here"},
		"denied write":       {user.with(inputs{"command": "upload", "key": "k", "content": "x"}), tasks.Denied, false, "", "s3:PutObject on " + in["bucket"].(string) + "/k"},
		"denied delete":      {user.with(inputs{"command": "delete", "keys": []any{"a", "b"}}), tasks.Denied, false, "", "s3:DeleteObject"},
		"bad bucket":         {in.with(inputs{"bucket": "a/b"}), tasks.Invalid, false, "bucket", "no name of a bucket"},
		"a web page":         {in.with(inputs{"endpoint": page.URL}), tasks.Permanent, false, "endpoint", "does not speak S3"},
		"nothing there":      {in.with(inputs{"endpoint": missing.URL}), tasks.Permanent, false, "endpoint", "does not speak S3"},
		"https where http":   {in.with(inputs{"endpoint": "https" + strings.TrimPrefix(server.Endpoint, "http")}), tasks.Permanent, false, "endpoint", "does not speak TLS"},
		"unknown authority":  {in.with(inputs{"endpoint": secure.Endpoint}), tasks.Denied, false, "ca_cert", "not trusted"},
		"no host":            {in.with(inputs{"endpoint": "http://nowhere.invalid"}), tasks.Unavailable, false, "endpoint", "nowhere.invalid"},
		"no URL":             {in.with(inputs{"endpoint": "minio:9000"}), tasks.Invalid, false, "endpoint", "https://"},
		"credentials in it":  {in.with(inputs{"endpoint": "https://u:p@minio"}), tasks.Invalid, false, "endpoint", "credentials"},
		"bucket in it":       {in.with(inputs{"bucket": "space", "endpoint": "https://space.nyc3.digitaloceanspaces.com"}), tasks.Invalid, false, "endpoint", "begins with the bucket's name"},
		"no proxy":           {in.with(inputs{"proxy": "http://127.0.0.1:1", "endpoint": "https://192.0.2.1"}), tasks.Unavailable, false, "proxy", "proxy"},
		"no role":            {in.with(inputs{"auth_method": "assume_role"}), tasks.Invalid, false, "role_arn", "role_arn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, given := c.in["command"]; !given {
				c.in = c.in.with(inputs{"command": "list"})
			}
			e := failure(t, c.in)
			if e.Kind != c.kind || e.Auth != c.auth || e.Input != c.input || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %s (auth %v) at %q: %s\nhint: %s\ncause: %v", e.Kind, e.Auth, e.Input, e.Message, e.Hint, e.Err)
			}
		})
	}
}

// TestServiceErrors covers what a real server does not say on demand.
func TestServiceErrors(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		status int
		kind   tasks.Kind
		auth   bool
		says   string
	}{
		"RequestTimeTooSkewed": {http.StatusForbidden, tasks.Denied, false, "clock"},
		"ExpiredToken":         {http.StatusBadRequest, tasks.Denied, true, "ended"},
		"SlowDown":             {http.StatusServiceUnavailable, tasks.Unavailable, false, "busy"},
		"InternalError":        {http.StatusInternalServerError, tasks.Unavailable, false, "busy"},
		"NotImplemented":       {http.StatusNotImplemented, tasks.Permanent, false, "cannot"},
		"SomethingNew":         {http.StatusBadRequest, tasks.Permanent, false, "SomethingNew"},
		"BucketAlreadyExists":  {http.StatusConflict, tasks.Conflict, false, "another owner"},
		"InvalidObjectState":   {http.StatusForbidden, tasks.Conflict, false, "archive"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, func(w http.ResponseWriter, _ *http.Request) bool { fail(w, c.status, code); return true })
			e := failure(t, m.at().with(inputs{"command": "list"}))
			if e.Kind != c.kind || e.Auth != c.auth || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %s (auth %v): %s", e.Kind, e.Auth, e.Message)
			}
		})
	}
}

// refusing is a service that knows no checksums, like many that are not AWS.
func refusing(w http.ResponseWriter, r *http.Request) bool {
	for name := range r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-amz-checksum-") || name == "x-amz-sdk-checksum-algorithm" || name == "x-amz-trailer" {
			fail(w, http.StatusNotImplemented, "NotImplemented")
			return true
		}
	}
	if q := r.URL.Query(); (q.Has("delete") || q.Has("versioning")) && r.Header.Get("Content-Md5") == "" {
		fail(w, http.StatusBadRequest, "MissingContentMD5")
		return true
	}
	return false
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	m := newMemory(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.Header.Get("Authorization"), "accept-encoding") || r.Header.Get("Accept-Encoding") != "" {
			t.Error("Google's service changes the header Accept-Encoding")
		}
		return refusing(w, r)
	})
	for _, checksums := range []string{"auto", "required"} {
		in := m.at().with(inputs{"checksums": checksums})
		put(t, in, "k", "text")
		if got := must(t, driver(), in.with(inputs{"command": "download", "key": "k"})); got["content"] != "text" {
			t.Errorf("%s: got %q", checksums, got["content"])
		}
		e := taskstest.NewExecution(t)
		if mustIn(t, e, driver(), in.with(inputs{"command": "download", "key": "k", "file": "f"})); string(read(t, e, "f")) != "text" {
			t.Errorf("%s: the file differs", checksums)
		}
		must(t, driver(), in.with(inputs{"command": "create_bucket", "versioning": true}))
		put(t, in, "l", "text")
		if got := must(t, driver(), in.with(inputs{"command": "delete", "keys": []any{"k", "l"}})); got["count"] != int64(2) {
			t.Errorf("%s: deleted %v", checksums, got["count"])
		}
	}
	e := failure(t, m.at().with(inputs{"command": "upload", "key": "k", "content": "text", "checksums": "always"}))
	if e.Kind != tasks.Permanent || !strings.Contains(e.Hint, "checksums") {
		t.Errorf("always: got %s: %s; %s", e.Kind, e.Message, e.Hint)
	}
	in := bucket(t).with(inputs{"checksums": "always"})
	put(t, in, "k", "text")
	got := must(t, driver(), in.with(inputs{"command": "metadata", "key": "k"}))
	if sums, ok := got["checksums"].(map[string]any); !ok || sums["crc32"] == nil {
		t.Errorf("the object has the checksums %v", got["checksums"])
	}
}

// TestDamagedUpload shows that the service refuses what changed on its way to it.
func TestDamagedUpload(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	service, err := url.Parse(in["endpoint"].(string))
	if err != nil {
		t.Fatal(err)
	}
	way := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(service)
		r.Out.Host = r.In.Host // which is signed
		if r.In.Method == http.MethodPut {
			r.Out.Body = &damaged{r.In.Body}
		}
	}})
	t.Cleanup(way.Close)
	e := taskstest.NewExecution(t)
	write(t, e, "f", bytes.Repeat([]byte("x"), 6<<20))
	for _, checksums := range []string{"auto", "always"} {
		for name, more := range map[string]inputs{"at once": {}, "in parts": {"part_size": 5 << 20}} {
			_, err := e.Run(t.Context(), t, driver(), in.with(inputs{"endpoint": way.URL, "command": "upload", "key": "k", "file": "f", "checksums": checksums}).with(more))
			if kindOf(err) != tasks.Unavailable || !strings.Contains(err.Error(), "changed on its way") {
				t.Errorf("%s, %s: got %v (%v)", checksums, name, err, errors.Unwrap(err))
			}
		}
	}
	if e := failure(t, in.with(inputs{"command": "metadata", "key": "k"})); e.Kind != tasks.NotFound {
		t.Errorf("the object: %v", e)
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestLostAnswer completes an upload without being told so: it is found out.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	service, err := url.Parse(in["endpoint"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var lost atomic.Int32
	way := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(service)
			r.Out.Host = r.In.Host // which is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodPost && r.Request.URL.Query().Has("uploadId") && lost.Load() < 2 {
				lost.Add(1)
				panic(http.ErrAbortHandler)
			}
			return nil
		},
	})
	t.Cleanup(way.Close)
	e := taskstest.NewExecution(t)
	for i, more := range []inputs{{}, {"only_if_absent": true}} {
		lost.Store(0)
		write(t, e, "f", random(t, 6<<20))
		key := fmt.Sprint("k", i)
		out := mustIn(t, e, driver(), in.with(inputs{"endpoint": way.URL, "command": "upload", "key": key, "file": "f", "part_size": 5 << 20}).with(more))
		got := must(t, driver(), in.with(inputs{"command": "metadata", "key": key}))
		if got["etag"] != out["etag"] || lost.Load() != 2 {
			t.Errorf("%v: uploaded %v, there is %v; %d answers were lost", more, out["etag"], got["etag"], lost.Load())
		}
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// damaged turns each x of a content into a y.
type damaged struct{ io.ReadCloser }

func (d *damaged) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	copy(p[:n], bytes.ReplaceAll(p[:n], []byte("xxxx"), []byte("xxxy")))
	return n, err
}

// TestDamagedDownload shows that what changed on its way never gets the file's name.
func TestDamagedDownload(t *testing.T) {
	t.Parallel()
	var damaged atomic.Bool
	m := newMemory(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		damaged.Store(true)
		w.Header().Set("ETag", etagOf([]byte("content")))
		_, _ = w.Write([]byte("c0ntent"))
		return true
	})
	m.store("memory/k", []byte("content"))
	e := taskstest.NewExecution(t)
	_, err := e.Run(t.Context(), t, driver(), m.at().with(inputs{"command": "download", "key": "k", "file": "f", "checksums": "always"}))
	if err == nil || !damaged.Load() || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("got %v", err)
	}
	if _, err := e.Env().Files.Stat("f"); err == nil {
		t.Error("the damaged file got its name")
	}
}

// TestBrokenDownload breaks every answer off in the middle: the rest is asked for.
func TestBrokenDownload(t *testing.T) {
	t.Parallel()
	content := string(random(t, 1000))
	var breaks atomic.Int32
	m := newMemory(t, nil)
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || breaks.Load() == 3 {
			return false
		}
		from := 300 * (int(breaks.Add(1)) - 1)
		w.Header().Set("ETag", etagOf([]byte(content)))
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes "+strings.TrimPrefix(r.Header.Get("Range"), "bytes=")+"/1000")
			w.Header().Set("Content-Length", strconv.Itoa(1000-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", "1000")
		}
		_, _ = w.Write([]byte(content[from : from+300]))
		panic(http.ErrAbortHandler)
	}
	m.store("memory/k", []byte(content))
	e := taskstest.NewExecution(t)
	mustIn(t, e, driver(), m.at().with(inputs{"command": "download", "key": "k", "file": "f"}))
	if got := string(read(t, e, "f")); got != content || breaks.Load() != 3 {
		t.Errorf("after %d breaks, what came differs", breaks.Load())
	}
}

// TestRegion follows AWS to the region that a bucket is in, and nobody else.
func TestRegion(t *testing.T) {
	t.Parallel()
	var hosts []string
	m := newMemory(t, nil)
	m.before = func(w http.ResponseWriter, r *http.Request) bool {
		hosts = append(hosts, r.Host)
		if strings.Contains(r.Header.Get("Authorization"), "/us-east-1/") {
			w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
			fail(w, http.StatusMovedPermanently, "PermanentRedirect")
			return true
		}
		return false
	}
	in := m.at().with(inputs{"command": "upload", "key": "k", "content": "text"})
	must(t, driver(), in.with(inputs{"endpoint": "http://s3.us-east-1.amazonaws.com", "proxy": m.url}))
	if diff := cmp.Diff([]string{"s3.us-east-1.amazonaws.com", "s3.eu-central-1.amazonaws.com"}, hosts); diff != "" {
		t.Error(diff)
	}
	if got := string(m.objects["memory/k"]); got != "text" {
		t.Errorf("uploaded %q", got)
	}
	if e := failure(t, in); e.Kind != tasks.Invalid || e.Input != "region" {
		t.Errorf("not AWS: got %s at %q: %s", e.Kind, e.Input, e.Message)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	server := servers.NewS3(t, servers.S3Config{TLS: true})
	in := bucketOnTLS(t, server)
	user := in.with(inputs{"access_key_id": server.UserKey, "secret_access_key": server.UserSecret})
	denied := newMemory(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/" {
			fail(w, http.StatusForbidden, "AccessDenied")
		}
		return true
	})
	for name, c := range map[string]struct {
		in   inputs
		want []string
		kind tasks.Kind
	}{
		"all well":         {in, []string{"tcp", "tls", "authenticate", "list_buckets"}, ""},
		"a user":           {user, []string{"tcp", "tls", "authenticate", "list_buckets"}, ""},
		"wrong secret":     {in.with(inputs{"secret_access_key": "wrong"}), []string{"tcp", "tls", "authenticate!"}, tasks.Denied},
		"no authority":     {in.with(inputs{"ca_cert": nil}), []string{"tcp", "tls!"}, tasks.Denied},
		"nobody there":     {in.with(inputs{"endpoint": "http://127.0.0.1:1"}), []string{"tcp!"}, tasks.Unavailable},
		"no such host":     {in.with(inputs{"endpoint": "http://nowhere.invalid"}), []string{"dns!"}, tasks.Unavailable},
		"no right to list": {denied.at(), []string{"tcp", "authenticate", "head_bucket"}, ""},
		"and no bucket":    {denied.at().with(inputs{"bucket": nil}), []string{"tcp", "authenticate", "list_buckets!"}, tasks.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stages, err := taskstest.NewExecution(t).Test(context.Background(), t, driver(), c.in)
			var got []string
			for _, s := range stages {
				if s.Err != nil {
					s.Name += "!"
				}
				got = append(got, s.Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != (c.kind == "") {
				t.Errorf("got error %v and stages\n%s", err, diff)
			}
		})
	}
}
