package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/testdata/servers"
)

// transfer is how many MiB TestKilledTransfer moves. As much as people do:
//
//	go test ./cmd/weir -run TestKilledTransfer -v -transfer 1024
var transfer = flag.Int("transfer", 48, "how many MiB TestKilledTransfer moves")

// gate is the way to a server, which is closed when so many bytes have passed since
// it was opened.
type gate struct {
	net.Listener
	to string

	mu     sync.Mutex
	left   int           // bytes that may pass
	opened chan struct{} // closed when more may
	closed chan struct{} // closed when none may
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	g := &gate{Listener: listener, to: to}
	g.open(1 << 62)
	go g.serve()
	return g
}

// open lets so many more bytes pass, and gives what tells that they have.
func (g *gate) open(bytes int) (passed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
	}
	g.left, g.opened, g.closed = bytes, make(chan struct{}), make(chan struct{})
	return g.closed
}

func (g *gate) serve() {
	for {
		outer, err := g.Accept()
		if err != nil {
			return
		}
		inner, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", g.to)
		if err != nil {
			_ = outer.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{inner, outer}, {outer, inner}} {
			go func() {
				_, _ = io.Copy(&passage{g, pair[0]}, pair[1])
				_, _ = pair[0].Close(), pair[1].Close()
			}()
		}
	}
}

// passage is one direction of a connection.
type passage struct {
	gate *gate
	to   net.Conn
}

func (p *passage) Write(b []byte) (int, error) {
	for !p.gate.pass(len(b)) {
	}
	return p.to.Write(b)
}

// pass takes bytes from what may pass. It waits if there are none.
func (g *gate) pass(n int) bool {
	g.mu.Lock()
	if g.left > 0 {
		if g.left -= n; g.left <= 0 {
			close(g.closed)
		}
		g.mu.Unlock()
		return true
	}
	opened := g.opened
	g.mu.Unlock()
	<-opened
	return false
}

// transferSite is a user with an engine that does not live long, and a bucket behind
// a gate.
type transferSite struct {
	user   userOf
	gate   *gate
	engine *exec.Cmd
	log    crashLog
}

func newTransferSite(t *testing.T) *transferSite {
	t.Helper()
	server := servers.S3(t)
	s := &transferSite{user: userOf{t, t.TempDir()}, gate: newGate(t, strings.TrimPrefix(server.Endpoint, "http://"))}
	for _, name := range []string{"conn", "files"} {
		if err := os.Mkdir(filepath.Join(s.user.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	value, err := json.Marshal(map[string]any{
		"endpoint": "http://" + s.gate.Addr().String(), "bucket": "b-" + strings.ToLower(rand.Text()), "part_size": 5 << 20, "concurrency": 2,
		"access_key_id": server.AccessKey, "secret_access_key": server.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.user.write("conn/files.yaml", "name: files\ntype: S3\nvalue: "+string(value)+"\n")
	s.user.write("task.lua", `return connect("files", input).output`)
	t.Cleanup(func() { s.end(os.Kill) })
	return s
}

func (s *transferSite) serve() {
	s.user.t.Helper()
	s.engine = s.user.command("serve", "--grace", "0s", "--connections", "conn")
	s.engine.Stderr = &s.log
	if err := s.engine.Start(); err != nil {
		s.user.t.Fatal(err)
	}
}

func (s *transferSite) end(signal os.Signal) {
	if s.engine != nil {
		_ = s.engine.Process.Signal(signal)
		_ = s.engine.Wait()
		s.engine = nil
	}
}

// start starts a task, and gives the id of its execution.
func (s *transferSite) start(task map[string]any) string {
	s.user.t.Helper()
	inputs, err := json.Marshal(task)
	if err != nil {
		s.user.t.Fatal(err)
	}
	s.user.write("inputs.json", string(inputs))
	var started struct{ ID string }
	out := s.user.weir("execution", "start", "task.lua", "--input-file", "inputs.json", "--files", "files", "-o", "json")
	if err := json.Unmarshal([]byte(out), &started); err != nil {
		s.user.t.Fatalf("%v: %s", err, out)
	}
	return started.ID
}

// startUpTo starts a task, and waits until so many bytes have passed the gate, which
// is closed then.
func (s *transferSite) startUpTo(task map[string]any, bytes int) string {
	s.user.t.Helper()
	passed := s.gate.open(bytes)
	id := s.start(task)
	select {
	case <-passed:
	case <-time.After(5 * time.Minute):
		s.user.t.Fatalf("%s did not begin:\n%s", task["command"], s.log.String())
	}
	return id
}

// output gives the output of an execution that ends well.
func (s *transferSite) output(id string) map[string]any {
	s.user.t.Helper()
	return s.await(id, "succeeded")
}

// await waits for the end of an execution, and gives its output.
func (s *transferSite) await(id, end string) map[string]any {
	s.user.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	var shown struct {
		Status string
		Output map[string]any
		Error  any
	}
	for start := time.Now(); time.Since(start) < 2*time.Minute; <-again.C {
		out := s.user.weir("execution", "show", id, "-o", "json")
		if err := json.Unmarshal([]byte(out), &shown); err != nil {
			s.user.t.Fatalf("%v: %s", err, out)
		}
		switch shown.Status {
		case end:
			return shown.Output
		case "succeeded", "failed", "cancelled":
			s.user.t.Fatalf("it has %s: %v\n%s", shown.Status, shown.Error, s.log.String())
		}
	}
	s.user.t.Fatalf("it is %s:\n%s", shown.Status, s.log.String())
	return nil
}

// left names the temporary files.
func (s *transferSite) left() []string {
	left, _ := filepath.Glob(filepath.Join(s.user.dir, "files", ".weir-*"))
	return left
}

// TestKilledTransfer ends the engine in the middle of an upload and of a download, as
// a power cut does and as an upgrade does. The next one goes on from there, and
// nothing is left.
func TestKilledTransfer(t *testing.T) {
	t.Parallel()
	s := newTransferSite(t)
	size := *transfer << 20
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	s.user.write("files/large", string(content))
	s.serve()
	s.output(s.start(map[string]any{"command": "create_bucket"}))
	for _, signal := range []os.Signal{os.Kill, os.Interrupt} {
		for _, task := range []map[string]any{
			{"command": "upload", "file": "large", "key": fmt.Sprint("large ", signal)},
			{"command": "download", "file": fmt.Sprint("back ", signal), "key": fmt.Sprint("large ", signal)},
		} {
			id := s.startUpTo(task, size/2)
			s.end(signal)
			if len(s.left()) == 0 {
				t.Errorf("%s: nothing was kept of %s", signal, task["command"])
			}
			s.gate.open(1 << 62)
			begun := time.Now()
			s.serve()
			out := s.output(id)
			t.Logf("%s: %s of %d MiB went on after %.0f, and took %s more", signal, task["command"], size>>20, mebi(out["resumed"]), time.Since(begun).Round(time.Millisecond))
			if mebi(out["resumed"]) < float64(*transfer)/8 { // two parts may not be noted yet
				t.Errorf("%s: %s went on after %v of %d bytes", signal, task["command"], out["resumed"], size)
			}
			if left := s.left(); len(left) > 0 {
				t.Errorf("%s: %s left %v", signal, task["command"], left)
			}
		}
		back, err := os.ReadFile(filepath.Join(s.user.dir, "files", fmt.Sprint("back ", signal)))
		if err != nil || !bytes.Equal(back, content) {
			t.Errorf("%s: what came back is not what was uploaded (%v)", signal, err)
		}
	}
	s.cancelled(map[string]any{"command": "upload", "file": "large", "key": "cancelled"}, size/2)
	if out := s.output(s.start(map[string]any{"command": "abort_uploads", "older_than": 0, "dry_run": true})); out["count"] != 0.0 {
		t.Errorf("parts were left: %v", out)
	}
}

// cancelled cancels a task when so many bytes have passed, and finds nothing of it.
func (s *transferSite) cancelled(task map[string]any, bytes int) {
	s.user.t.Helper()
	id := s.startUpTo(task, bytes)
	s.user.weir("execution", "cancel", id)
	s.gate.open(1 << 62)
	s.await(id, "cancelled")
	if left := s.left(); len(left) > 0 {
		s.user.t.Errorf("%s left %v", task["command"], left)
	}
}

// mebi gives a number of bytes in MiB, 0 if there is none.
func mebi(n any) float64 {
	bytes, _ := n.(float64)
	return bytes / (1 << 20)
}

// telling is a flow that shows a presigned URL in every way that it can, and keeps a
// copy where nobody masks anything: in the bucket.
const telling = `
local link = connect("files", { command = "presign", key = "k" }).output
connect("files", { command = "upload", key = "link", content = link.url })
local signature = link.url:match("X%-Amz%-Signature=(%x+)")
log.info("the link is " .. link.url, { url = link.url, signature = signature, [signature] = true })
log.warn(link.url:match("%?(.*)"))
log.warn(base64.encode(link.url) .. json.encode({ link.url }))
progress(1, 2, link.url)
output{ link = link, signature = signature }
connect("files", { command = "metadata", key = link.url }, { on_error = "return" })
connect("files", { command = "list", bucket = link.url }, { on_error = "return" })
if input.fail then error(link.url) end
return { link = link, again = { signature } }
`

// TestPresignedURL looks for presigned URLs, which are as good as passwords, in all
// that is shown and kept.
func TestPresignedURL(t *testing.T) {
	t.Parallel()
	s, canary := newTransferSite(t), newCanarySite(t)
	value := read(t, filepath.Join(s.user.dir, "conn", "files.yaml"))
	canary.write("conn/files.yaml", value)
	canary.look("", "run", canary.write("work/fill.lua", `
connect("files", { command = "create_bucket" })
connect("files", { command = "upload", key = "k", content = "text" })`))
	flow := canary.write("work/telling.lua", telling)
	engine := canary.serve()
	for _, args := range [][]string{
		{"run", flow}, {"run", flow, "-i", "fail=true", "-o", "json"}, {"execution", "start", flow, "--wait"}, {"execution", "start", flow, "-i", "fail=true", "-f"},
	} {
		out := canary.look("", args...)
		// What nobody may see is in the bucket, and from there comes into a file.
		outside := t.TempDir()
		fetch := s.user.command("run", flow[:len(flow)-len("telling.lua")]+"fetch.lua", "--connections", "conn", "--files", outside)
		canary.write("work/fetch.lua", `connect("files", { command = "download", key = "link", file = "link" })`)
		if text, err := fetch.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		link := read(t, filepath.Join(outside, "link"))
		_, query, _ := strings.Cut(link, "?")
		_, signature, ok := strings.Cut(query, "X-Amz-Signature=")
		signature, _, _ = strings.Cut(signature, "&")
		if !ok || len(signature) != 64 {
			t.Fatalf("the link is %q", link)
		}
		name := strings.Join(args[:2], " ")
		canary.spells["the URL of "+name], canary.spells["the signature of "+name] = spellings(link), spellings(signature)
		canary.search("weir "+strings.Join(args, " "), []byte(out))
		if !strings.Contains(out, "***") {
			t.Errorf("nothing is masked in\n%s", out)
		}
	}
	for _, id := range canary.ids() {
		canary.show(id)
	}
	engine.end(os.Kill)
	engine = canary.serve() // which knows the URLs by their traces alone
	for _, id := range canary.ids() {
		canary.show(id)
	}
	canary.run("", "store", "backup", "copy.db")
	engine.end(os.Interrupt)
}
