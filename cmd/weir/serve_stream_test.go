package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine/api"
)

// TestThousandStreams opens 1,000 streams of events at once: each gets every line once
// and in order, and the server has time for others.
func TestThousandStreams(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	const streams, lines = 1000, 20
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: -1}}
	var opened, read sync.WaitGroup
	faults := make(chan error, streams)
	for range streams {
		opened.Add(1)
		read.Go(func() {
			if err := readStream(ctx, client, s.address+"/v1/events", s.token, lines, opened.Done); err != nil {
				faults <- err
			}
		})
	}
	opened.Wait()
	e := s.run(s.client(s.token), api.Start{Text: fmt.Sprintf(`for i = 1, %d do log.info("line", { n = i }) end`, lines)})
	if e.Status != "succeeded" {
		t.Errorf("got %+v", e)
	}
	read.Wait()
	close(faults)
	for err := range faults {
		t.Fatal(err)
	}
	metrics := s.do(http.MethodGet, "/metrics", s.token, nil)
	for _, name := range []string{"weir_http_streams", "weir_commit_seconds_count", `weir_executions{status="succeeded"}`, "process_resident_memory_bytes"} {
		i := strings.Index(metrics.body, "\n"+name)
		if i < 0 {
			t.Errorf("there is no %s", name)
			continue
		}
		line, _, _ := strings.Cut(metrics.body[i+1:], "\n")
		t.Log(line)
	}
}

// readStream reads so many lines n=1, 2, ... of a stream.
func readStream(ctx context.Context, client *http.Client, address, token string, lines int, opened func()) error {
	opened = sync.OnceFunc(opened)
	defer opened()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	scanner := bufio.NewScanner(response.Body)
	next := 1
	for scanner.Scan() {
		opened() // the first line says that the stream is open
		data, ok := strings.CutPrefix(scanner.Text(), "data: ")
		if !ok {
			continue
		}
		var line api.Line
		if err := json.Unmarshal([]byte(data), &line); err != nil {
			return err
		}
		if line.Message != "line" {
			continue // a state
		}
		if n, _ := line.Fields["n"].(float64); int(n) != next {
			return fmt.Errorf("got line %v, want %d", line.Fields["n"], next)
		}
		if next++; next > lines {
			return nil
		}
	}
	return fmt.Errorf("the stream ended before line %d: %w", next, scanner.Err())
}

// freeAddress gives an address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it was not used
	return listener.Addr().String()
}

// TestRestarts starts flows through the API while the daemon is drained, killed and
// started again. Each flow is there once and ends once, and whoever watches one sees
// each of its lines once, in order, whatever happened between.
func TestRestarts(t *testing.T) {
	t.Parallel()
	const watchers, lines, restarts = 500, 5, 10
	dir, address := t.TempDir(), freeAddress(t)
	data := filepath.Join(dir, "data")
	start := func() *runningDaemon {
		d, err := startDaemon(t, dir, data, "--listen", address, "--grace", "100ms")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := start()
	client, err := api.NewClient(d.address, d.token)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	seen := make(chan struct{}, watchers*lines)
	outcomes := make(chan error, watchers)
	for i := range watchers {
		go func() { outcomes <- watchOne(ctx, client, i, lines, seen) }()
	}
	for i := range restarts {
		for range watchers * lines / (restarts + 2) {
			select {
			case <-seen:
			case <-ctx.Done():
				t.Fatal("nothing goes on any more")
			}
		}
		if i%2 == 0 {
			_ = d.cmd.Process.Kill()
			<-d.read
			_ = d.cmd.Wait()
		} else {
			d.stop()
		}
		d = start()
	}
	for range watchers {
		if err := <-outcomes; err != nil {
			t.Error(err)
		}
	}
	page, err := client.ListExecutions(ctx, api.ExecutionFilter{Limit: 1000})
	if err != nil || len(page.Executions) != watchers {
		t.Errorf("there are %d executions, want %d: %v", len(page.Executions), watchers, err)
	}
	d.stop()
}

// watchOne starts a flow, and watches it to its end.
func watchOne(ctx context.Context, client *api.Client, number, lines int, seen chan<- struct{}) error {
	text := fmt.Sprintf(`for i = 1, %d do log.info("line", { n = i }); task("FAKE", { delay = "20ms" }) end return input.number`, lines)
	request := api.Start{Text: text, Inputs: fmt.Appendf(nil, `{"number":%d}`, number), Key: fmt.Sprint("start ", number)}
	var started api.Execution
	for {
		var err error
		if started, err = client.Start(ctx, request); err == nil {
			break
		}
		var failure *api.Error
		if !errors.As(err, &failure) || failure.Kind != "unavailable" {
			return fmt.Errorf("start %d: %w", number, err)
		}
	}
	var got []string
	err := client.Watch(ctx, started.ID, 0, func(e api.Event) error {
		if e.Line != nil {
			got = append(got, fmt.Sprint(e.Line.Fields["n"]))
			seen <- struct{}{}
			return nil
		}
		if e.State.ID != started.ID || !e.State.HasEnded() {
			return nil
		}
		if e.State.Status != "succeeded" {
			return fmt.Errorf("execution %s has %s", started.ID, e.State.Status)
		}
		return errSeen
	}, nil)
	if !errors.Is(err, errSeen) {
		return fmt.Errorf("watch %d: %w", number, err)
	}
	var want []string
	for n := range lines {
		want = append(want, fmt.Sprint(n+1))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("execution %s: got lines %v, want %v", started.ID, got, want)
	}
	return nil
}
