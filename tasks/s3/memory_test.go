package s3_test

import (
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memory is a small S3 service for what the real one cannot do: it takes every key
// there can be, which a server that keeps files does not, and it fails on demand.
// It believes everybody.
type memory struct {
	url string
	// before may answer instead; it tells whether it did. Requests are counted by
	// their method and the name of what they are about.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu      sync.Mutex
	objects map[string][]byte // by bucket/key
	keys    []string          // sorted
	largest int               // the most keys in one page
}

func newMemory(t testing.TB, before func(w http.ResponseWriter, r *http.Request) bool) *memory {
	t.Helper()
	m := &memory{objects: map[string][]byte{}, before: before}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

// at gives what it takes to reach a bucket of the service.
func (m *memory) at() inputs {
	return inputs{"connect_timeout": "1m", "endpoint": m.url, "access_key_id": "some-key-id", "secret_access_key": "some-secret-key", "bucket": "memory"}
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.before != nil && m.before(w, r) {
		return
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	key, err := url.PathUnescape(key)
	if err != nil {
		fail(w, http.StatusBadRequest, "InvalidURI")
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case key == "" && r.Method == http.MethodGet:
		m.list(w, bucket, r.URL.Query())
	case key == "" && r.Method == http.MethodPost:
		m.deleteMany(w, bucket, r.Body)
	case r.Method == http.MethodPut:
		m.put(w, bucket+"/"+key, r)
	case r.Method == http.MethodDelete:
		m.remove(bucket + "/" + key)
		w.WriteHeader(http.StatusNoContent)
	default:
		m.get(w, bucket+"/"+key, r)
	}
}

// fail answers as S3 does.
func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>so it is</Message></Error>`, code)
}

func etagOf(content []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(content)) }

func (m *memory) put(w http.ResponseWriter, name string, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m.store(name, content)
	w.Header().Set("ETag", etagOf(content))
}

func (m *memory) store(name string, content []byte) {
	if i, there := slices.BinarySearch(m.keys, name); !there {
		m.keys = slices.Insert(m.keys, i, name)
	}
	m.objects[name] = content
}

func (m *memory) remove(name string) {
	if i, there := slices.BinarySearch(m.keys, name); there {
		m.keys = slices.Delete(m.keys, i, i+1)
	}
	delete(m.objects, name)
}

func (m *memory) get(w http.ResponseWriter, name string, r *http.Request) {
	content, there := m.objects[name]
	if !there {
		fail(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	w.Header().Set("ETag", etagOf(content))
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(string(content)))
}

type listed struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	Contents              []struct {
		Key, ETag, LastModified string
		Size                    int
	}
}

func (m *memory) list(w http.ResponseWriter, bucket string, q url.Values) {
	out := listed{EncodingType: q.Get("encoding-type")}
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	most := 1000
	if n, err := strconv.Atoi(q.Get("max-keys")); err == nil {
		most = n
	}
	at, _ := slices.BinarySearch(m.keys, bucket+"/"+max(after, q.Get("prefix")))
	for _, name := range m.keys[at:] {
		key, ok := strings.CutPrefix(name, bucket+"/")
		if !ok || !strings.HasPrefix(key, q.Get("prefix")) {
			break
		}
		if key == after {
			continue
		}
		if out.IsTruncated = len(out.Contents) == most; out.IsTruncated {
			break
		}
		out.NextContinuationToken = key
		content := m.objects[name]
		out.Contents = append(out.Contents, struct {
			Key, ETag, LastModified string
			Size                    int
		}{url.QueryEscape(key), etagOf(content), "2026-01-02T03:04:05.000Z", len(content)})
	}
	m.largest = max(m.largest, len(out.Contents))
	if !out.IsTruncated {
		out.NextContinuationToken = ""
	}
	_ = xml.NewEncoder(w).Encode(out)
}

func (m *memory) deleteMany(w http.ResponseWriter, bucket string, body io.Reader) {
	var in struct {
		Object []struct{ Key string }
	}
	if err := xml.NewDecoder(body).Decode(&in); err != nil {
		fail(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	for _, o := range in.Object {
		m.remove(bucket + "/" + o.Key)
	}
	_, _ = io.WriteString(w, `<DeleteResult/>`)
}
