package s3_test

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// inputs are those of a task.
type inputs map[string]any

// with gives the inputs with others over them; nil takes one away.
func (in inputs) with(more inputs) inputs {
	all := maps.Clone(in)
	for k, v := range more {
		if v == nil {
			delete(all, k)
			continue
		}
		all[k] = v
	}
	return all
}

// at gives what it takes to reach a server as its owner, on a busy machine too.
func at(s *servers.S3Server) inputs {
	return inputs{"connect_timeout": "1m", "endpoint": s.Endpoint, "access_key_id": s.AccessKey, "secret_access_key": s.SecretKey}
}

// bucketOn gives the inputs for a new bucket on a server.
func bucketOn(t testing.TB, s *servers.S3Server) inputs {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text())
	in := at(s).with(inputs{"bucket": name})
	must(t, s3.New(s3.Config{}), in.with(inputs{"command": "create_bucket"}))
	return in
}

// bucket gives the inputs for a new bucket on the shared server.
func bucket(t testing.TB) inputs { return bucketOn(t, servers.S3(t)) }

// must runs a task that has to succeed, in a files directory of its own.
func must(t testing.TB, d tasks.Driver, in inputs) map[string]any {
	t.Helper()
	return mustIn(t, taskstest.NewExecution(t), d, in)
}

func mustIn(t testing.TB, e *taskstest.Execution, d tasks.Driver, in inputs) map[string]any {
	t.Helper()
	out, err := e.Run(t.Context(), t, d, in)
	if err != nil {
		t.Fatalf("%v: %v (%v)", in["command"], err, errors.Unwrap(err))
	}
	return out
}

// driver is the driver as it is used, but for pauses before a request is tried again.
func driver() tasks.Driver { return s3.New(s3.Impatient(s3.Config{})) }

// put uploads a text.
func put(t testing.TB, in inputs, key, text string) map[string]any {
	t.Helper()
	return must(t, driver(), in.with(inputs{"command": "upload", "key": key, "content_base64": base64.StdEncoding.EncodeToString([]byte(text))}))
}

// failure runs a task that has to fail.
func failure(t testing.TB, in inputs) *tasks.Error {
	t.Helper()
	out, err := taskstest.NewExecution(t).Run(t.Context(), t, driver(), in)
	var e *tasks.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v: got %v and %v, want a *tasks.Error", in["command"], out, err)
	}
	return e
}

func TestConformance(t *testing.T) {
	server := servers.NewS3(t, servers.S3Config{AccessKey: taskstest.Canary + "-id", SecretKey: taskstest.Canary})
	in := bucketOn(t, server)
	put(t, in, "docs/a.txt", "hello")
	put(t, in, "docs/deep/b.txt", "deep")
	taskstest.Run(t, taskstest.Suite{
		Driver: driver(),
		Working: map[string]map[string]any{
			"list_buckets":  in.with(inputs{"command": "list_buckets"}),
			"list":          in.with(inputs{"command": "list", "prefix": "docs/"}),
			"list to file":  in.with(inputs{"command": "list", "file": "lists/all.jsonl", "recursive": true}),
			"metadata":      in.with(inputs{"command": "metadata", "key": "docs/a.txt"}),
			"download":      in.with(inputs{"command": "download", "key": "docs/a.txt"}),
			"to file":       in.with(inputs{"command": "download", "key": "docs/a.txt", "file": "x/a.txt"}),
			"upload":        in.with(inputs{"command": "upload", "key": "up.txt", "content": "text", "metadata": map[string]any{"a": "b"}}),
			"delete":        in.with(inputs{"command": "delete", "key": "nothing"}),
			"copy":          in.with(inputs{"command": "copy", "key": "docs/a.txt", "to_key": "copy.txt"}),
			"presign":       in.with(inputs{"command": "presign", "key": "docs/a.txt"}),
			"versions":      in.with(inputs{"command": "versions"}),
			"sync":          in.with(inputs{"command": "sync", "direction": "down", "folder": "all"}),
			"create_bucket": in.with(inputs{"command": "create_bucket"}),
		},
		Failing: map[string]taskstest.Failure{
			"no bucket":    {Inputs: in.with(inputs{"command": "list", "bucket": "not-there"}), Kind: tasks.NotFound},
			"no key":       {Inputs: in.with(inputs{"command": "download", "key": "not-there", "file": "f"}), Kind: tasks.NotFound},
			"wrong secret": {Inputs: in.with(inputs{"command": "list", "secret_access_key": taskstest.Canary + "x"}), Kind: tasks.Denied, Auth: true},
			"wrong key":    {Inputs: in.with(inputs{"command": "metadata", "key": "a", "access_key_id": taskstest.Canary}), Kind: tasks.Denied, Auth: true},
			"outside":      {Inputs: in.with(inputs{"command": "download", "key": "docs/a.txt", "file": "../a"}), Kind: tasks.Invalid},
			"nobody there": {Inputs: in.with(inputs{"command": "list", "endpoint": "http://127.0.0.1:1"}), Kind: tasks.Unavailable},
			"no file":      {Inputs: in.with(inputs{"command": "upload", "key": "a", "file": "none"}), Kind: tasks.NotFound},
			"not empty":    {Inputs: in.with(inputs{"command": "delete_bucket"}), Kind: tasks.Conflict},
			"no secret":    {Inputs: in.with(inputs{"secret_access_key": nil}), Kind: tasks.Invalid},
		},
		Hanging: map[string]map[string]any{
			"a server that says nothing": in.with(inputs{"command": "list", "endpoint": "http://" + silent(t)}),
			"an upload to it":            in.with(inputs{"command": "upload", "key": "a", "content": "text", "endpoint": "http://" + silent(t)}),
			"a sync with it":             in.with(inputs{"command": "sync", "direction": "down", "folder": "x", "endpoint": "https://" + silent(t)}),
		},
	})
}

// silent is the address of a server that takes connections and says nothing.
func silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// write makes a file in the files directory.
func write(t testing.TB, e *taskstest.Execution, name string, content []byte) {
	t.Helper()
	file := filepath.Join(e.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, e *taskstest.Execution, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(e.Dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// random gives bytes that no two tests share.
func random(t testing.TB, size int) []byte {
	t.Helper()
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return content
}

// bucketOnTLS gives the inputs for a new bucket on a server with TLS.
func bucketOnTLS(t testing.TB, s *servers.S3Server) inputs {
	t.Helper()
	in := at(s).with(inputs{"bucket": "secure", "ca_cert": s.CACert})
	must(t, driver(), in.with(inputs{"command": "create_bucket"}))
	return in
}
