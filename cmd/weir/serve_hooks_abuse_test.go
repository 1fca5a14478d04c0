package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine/api"
)

// plenty is a limit that no test comes to.
var plenty = api.WebhookLimits{PerMinute: 1_000_000, Timeout: 600}

// hookClient has as many connections as there are calls at once.
func hookClient(t testing.TB, calls int) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: calls}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestThousandDeliveries sends one delivery a thousand times at once, and then a thousand
// deliveries at once: each becomes one execution.
func TestThousandDeliveries(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	const calls = 1000
	client := hookClient(t, calls)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, c := range []struct {
		name, mode string
		id         func(n int) string
		taken      func(got answer) bool
		executions int
	}{
		{"once", "sync", func(int) string { return "the same" }, func(got answer) bool { return got.body == `"the same"`+"\n" }, 1},
		{"each", "async", func(n int) string { return fmt.Sprint("delivery ", n) }, func(got answer) bool { return !got.delivery().Repeated }, calls},
	} {
		secret := s.hook(s.token, `return input.delivery`, api.NewWebhook{Name: c.name, Auth: "hmac", Mode: c.mode, WebhookLimits: plenty})
		var all sync.WaitGroup
		faults := make(chan string, calls)
		for n := range calls {
			all.Go(func() {
				got, err := callHook(ctx, client, s.address+"/v1/hooks/admin/"+c.name, standard(secret, c.id(n), time.Now(), "x"), "x")
				if err != nil || got.status != http.StatusOK && got.status != http.StatusAccepted || !c.taken(got) {
					faults <- fmt.Sprintf("call %d: %v, status %d: %s", n, err, got.status, got.body)
				}
			})
		}
		all.Wait()
		close(faults)
		for fault := range faults {
			t.Fatal(fault)
		}
		list, err := s.client(s.token).ListExecutions(ctx, api.ExecutionFilter{Flow: c.name, Limit: 1000})
		if err != nil || len(list.Executions) != c.executions || list.Next != "" && c.executions != 1000 {
			t.Errorf("%s: there are %d executions, want %d; %v", c.name, len(list.Executions), c.executions, err)
		}
	}
}

// TestBodiesOfWebhooks sends bodies that break off, or never come: they start nothing,
// and others do not notice.
func TestBodiesOfWebhooks(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	key := s.hook(s.token, `return 1`, api.NewWebhook{Name: "keyed", Mode: "sync", WebhookLimits: plenty})
	dial := func() net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.address, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "POST /v1/hooks/admin/keyed HTTP/1.1\r\nHost: x\r\nX-Webhook-Key: "+key+"\r\nContent-Length: 100\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for range 200 {
		dial()
	}
	for range 20 {
		broken := dial()
		tcp, ok := broken.(*net.TCPConn)
		if !ok {
			t.Fatal("no TCP")
		}
		if err := tcp.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(broken)
		if err != nil || !strings.HasPrefix(string(said), "HTTP/1.1 400 ") {
			t.Errorf("a body that broke off: %v, %s", err, said)
		}
	}
	if got := s.call("admin/keyed", withKey(key), ""); got.status != http.StatusOK {
		t.Errorf("beside them: status %d: %s", got.status, got.body)
	}
	if list, err := s.client(s.token).ListExecutions(t.Context(), api.ExecutionFilter{}); err != nil || len(list.Executions) != 1 {
		t.Errorf("there are %d executions: %v", len(list.Executions), err)
	}
}

// TestKilledWhileDeliveriesArrive has senders send each delivery until it is acknowledged,
// while the daemon is killed again and again: each delivery is one execution, the same
// one whenever it is sent, and ends.
func TestKilledWhileDeliveriesArrive(t *testing.T) {
	t.Parallel()
	const senders, each, kills = 20, 25, 5
	dir, address := t.TempDir(), freeAddress(t)
	data := filepath.Join(dir, "data")
	start := func() *runningDaemon {
		d, err := startDaemon(t, dir, data, "--listen", address, "--grace", "0s")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := start()
	s := &apiSite{runningDaemon: d}
	secret := s.hook(d.token, `task("FAKE", { delay = "5ms" }) return input.delivery`, api.NewWebhook{Name: "push", Auth: "github", WebhookLimits: plenty})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := hookClient(t, senders)
	url := d.address + "/v1/hooks/admin/push"
	acknowledged := make(chan string, senders*each)
	var mu sync.Mutex
	executions := map[string]string{}
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d-%d", sender, n)
				got := sendUntilTaken(ctx, client, url, github(secret, id, id), id)
				mu.Lock()
				executions[id] = got.Execution
				mu.Unlock()
				acknowledged <- id
			}
		})
	}
	for range kills {
		for range senders*each/(kills+1) + rand.IntN(10) - 5 { //nolint:gosec // any moment is as good
			select {
			case <-acknowledged:
			case <-ctx.Done():
				t.Fatal("nothing goes on any more")
			}
		}
		_ = d.cmd.Process.Kill()
		<-d.read
		_ = d.cmd.Wait()
		d = start()
		s.runningDaemon = d
	}
	all.Wait()
	t.Cleanup(d.stop)
	known := map[string]bool{}
	for id, execution := range executions {
		if got := sendUntilTaken(ctx, client, url, github(secret, id, id), id); got.Execution != execution || !got.Repeated || execution == "" {
			t.Errorf("delivery %s was acknowledged as %q, and is %+v", id, execution, got)
		}
		known[execution] = true
	}
	ended := s.until("the end of all", func(all []api.Execution) bool { return len(all) >= senders*each }, api.ExecutionFilter{Status: "succeeded", Limit: 1000})
	if len(known) != senders*each || len(ended) != senders*each {
		t.Errorf("%d deliveries are %d executions, of which %d have ended", senders*each, len(known), len(ended))
	}
}

// sendUntilTaken sends a delivery until it is acknowledged.
func sendUntilTaken(ctx context.Context, client *http.Client, url string, header map[string]string, body string) (d api.Delivery) {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		got, err := callHook(ctx, client, url, header, body)
		if err == nil && got.status == http.StatusAccepted && json.Unmarshal([]byte(got.body), &d) == nil {
			return d
		}
		<-pause.C
	}
	return d
}

// BenchmarkWebhook calls an async webhook: one at a time, and many at once, with a
// delivery id and without.
func BenchmarkWebhook(b *testing.B) {
	for _, c := range []struct {
		name        string
		parallelism int
		id          bool
	}{{"one", 0, false}, {"one with id", 0, true}, {"64 at once", 32, false}, {"64 at once with id", 32, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := newAPISite(b)
			key := s.hook(s.token, `return 1`, api.NewWebhook{Name: "push", WebhookLimits: plenty})
			client := hookClient(b, 64)
			call := func() {
				header := withKey(key)
				if c.id {
					header["Idempotency-Key"] = fmt.Sprint(rand.Uint64()) //nolint:gosec // it is no secret
				}
				got, err := callHook(b.Context(), client, s.address+"/v1/hooks/admin/push", header, "x")
				if err != nil || got.status != http.StatusAccepted {
					b.Error(err, got.status, got.body)
				}
			}
			b.ResetTimer()
			if c.parallelism == 0 {
				for b.Loop() {
					call()
				}
				return
			}
			b.SetParallelism(c.parallelism)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					call()
				}
			})
		})
	}
}
