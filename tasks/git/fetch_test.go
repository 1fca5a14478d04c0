package git_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/git"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// recorder keeps the requests for packs.
type recorder struct {
	mu       sync.Mutex
	requests []string
	received int
}

func (r *recorder) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			next.ServeHTTP(w, req)
			return
		}
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, req)
		r.mu.Lock()
		r.requests = append(r.requests, string(body))
		r.received += answer.Body.Len()
		r.mu.Unlock()
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

func TestNoMoreIsFetchedThanNeeded(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	first := cli(t, work, "rev-parse", "HEAD~")
	for name, tt := range map[string]struct {
		config []string
		inputs map[string]any
		want   []string // in one request each
		never  string
	}{
		"metadata":             {[]string{"allowFilter"}, nil, []string{"deepen 1"}, ""},
		"metadata with filter": {[]string{"allowFilter"}, nil, []string{"filter tree:0"}, "filter blob:none"},
		"metadata without":     {nil, nil, []string{"deepen 1"}, "filter"},
		"list without sizes":   {[]string{"allowFilter"}, map[string]any{"command": "list", "sizes": false}, []string{"filter blob:none"}, ""},
		"list":                 {[]string{"allowFilter"}, map[string]any{"command": "list"}, []string{"deepen 1"}, "filter"},
		"get":                  {[]string{"allowFilter", "allowAnySHA1InWant"}, map[string]any{"command": "get"}, []string{"deepen 1"}, "filter"},
		"get paths":            {[]string{"allowFilter", "allowAnySHA1InWant"}, map[string]any{"command": "get", "paths": []any{"docs"}}, []string{"filter blob:none", "want " + cli(t, work, "rev-parse", "HEAD:docs/a.md")}, ""},
		"get paths without":    {[]string{"allowFilter"}, map[string]any{"command": "get", "paths": []any{"docs"}}, []string{"deepen 1"}, "filter"},
		"log":                  {nil, map[string]any{"command": "log", "max_count": 1}, []string{"deepen 1"}, ""},
		"commit":               {[]string{"allowFilter"}, change("", "main", "x"), []string{"filter blob:none"}, ""},
		"old sha":              {[]string{"allowReachableSHA1InWant"}, map[string]any{"ref": first}, []string{"want " + first}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bare := newBare(t, work)
			for _, key := range tt.config {
				cli(t, bare, "config", "uploadpack."+key, "true")
			}
			r := &recorder{}
			server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), Wrap: r.wrap})
			must(t, with(tt.inputs, "repository_url", server.URL+"/library.git"))
			all := strings.Join(r.requests, "\n")
			for _, want := range tt.want {
				if !strings.Contains(all, want) {
					t.Errorf("no request has %q: %q", want, r.requests)
				}
			}
			if tt.never != "" && strings.Contains(all, tt.never) {
				t.Errorf("a request has %q: %q", tt.never, r.requests)
			}
			for _, request := range r.requests {
				if strings.Contains(request, "want ") && !strings.Contains(request, "deepen 1") && strings.Count(request, "want ") > 5 {
					t.Errorf("everything is fetched: %q", request)
				}
			}
		})
	}
}

func TestCommitsThatNoReferenceNames(t *testing.T) {
	t.Parallel()
	work := newHistory(t)
	old := cli(t, work, "rev-parse", "HEAD~2^2~1")
	for name, config := range map[string][]string{
		"plain server":   nil,
		"filter":         {"allowFilter"},
		"any":            {"allowAnySHA1InWant"},
		"filter and any": {"allowFilter", "allowAnySHA1InWant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bare := newBare(t, work)
			for _, key := range config {
				cli(t, bare, "config", "uploadpack."+key, "true")
			}
			server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare)})
			url := server.URL + "/library.git"
			for _, ref := range []string{old, old[:10]} {
				if got := must(t, map[string]any{"repository_url": url, "ref": ref}); got["commit_sha"] != old || got["ref"] != old {
					t.Errorf("%s: got %v", ref, got)
				}
				got := must(t, map[string]any{"command": "get", "repository_url": url, "ref": ref})
				want := []any{
					map[string]any{"name": "a.txt", "content": "MQ=="},
					map[string]any{"name": "dir/b.txt", "content": "MQ=="},
				}
				if diff := cmp.Diff(want, got["files"]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", ref, diff)
				}
			}
			for _, ref := range []string{strings.Repeat("0123456789", 4), "0123456"} {
				_, err := run(t, map[string]any{"repository_url": url, "ref": ref})
				wantError(t, err, tasks.NotFound, "no branch, tag or commit")
			}
		})
	}
}

// Azure DevOps refuses clients that do not offer multi_ack, which go-git never
// does. The server here has that rule, but not its name.
func TestAzureDevOps(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method == http.MethodPost && !bytes.Contains(body, []byte(" multi_ack")) {
				http.Error(w, "TF401035: The object does not exist.", http.StatusBadRequest)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(w, r)
		})
	}})
	for _, command := range []string{"metadata", "get", "log"} {
		for host, works := range map[string]bool{"dev.azure.com": true, "org.visualstudio.com": true, "example.com": false} {
			e := taskstest.NewExecution(t)
			d := git.New(git.Config{})
			s, err := d.Open(t.Context(), taskstest.Decode(t, d, map[string]any{"command": command, "repository_url": server.URL + "/library.git"}), e.Env())
			if err != nil {
				t.Fatal(err)
			}
			git.Pretend(s, host)
			if _, err := s.Do(t.Context()); (err == nil) != works {
				t.Errorf("%s from %s: %v", command, host, err)
			}
			s.Close()
		}
	}
}

// TestDeltas gets files that the server sends as differences from each other, in
// long chains.
func TestDeltas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cli(t, dir, "init", "-q", "-b", "main")
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 20000)
	for i := range text {
		text[i] = byte('a' + random.IntN(26))
	}
	want := map[string]string{}
	for i := range 60 {
		text[random.IntN(len(text))] = '#'
		want[fmt.Sprintf("d%d/f%02d", i%3, i)] = string(text)
	}
	write(t, dir, want)
	cli(t, dir, "add", "-A")
	cli(t, dir, "commit", "-q", "-m", "similar")
	cli(t, dir, "repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=60")
	r := &recorder{}
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: dir, Wrap: r.wrap})
	e := taskstest.NewExecution(t)
	if _, err := runIn(t, e, map[string]any{"command": "get", "repository_url": server.URL + "/.git", "files_path": "."}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, readAll(t, e.Dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.received > 200_000 {
		t.Errorf("%d bytes were sent: there were no deltas", r.received)
	}
	for _, entry := range must(t, map[string]any{"command": "list", "repository_url": server.URL + "/.git"})["entries"].([]any) {
		if size := entry.(map[string]any)["size"]; size != int64(len(text)) {
			t.Errorf("a file has the size %v", size)
		}
	}
}
