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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// TestThousandStreams opens 1,000 streams of events at once, of ten users: each gets
// every line of its user's once and in order, and the server has time for others.
func TestThousandStreams(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	const streams, users, lines = 1000, 10, 20
	tokens := []string{s.token, s.other}
	for n := len(tokens); n < users; n++ {
		tokens = append(tokens, s.user(fmt.Sprint("user-", n), engine.RoleUser))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: -1}}
	var opened, read sync.WaitGroup
	faults := make(chan error, streams)
	for n := range streams {
		opened.Add(1)
		read.Go(func() {
			if err := readStream(ctx, client, s.address+"/v1/events", tokens[n%users], lines, opened.Done); err != nil {
				faults <- err
			}
		})
	}
	opened.Wait()
	for _, token := range tokens {
		e := s.run(s.client(token), api.Start{Text: fmt.Sprintf(`for i = 1, %d do log.info("line", { n = i }) end`, lines)})
		if e.Status != "succeeded" {
			t.Errorf("got %+v", e)
		}
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
// started again. Each flow is there once and ends once, and whoever watches one, or all
// of them, sees each line once, in order, whatever happened between.
func TestRestarts(t *testing.T) {
	t.Parallel()
	const watchers, lines, restarts, followers = 500, 5, 10, 5
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
	for range followers {
		go func(token string) { outcomes <- followAll(ctx, "http://"+address, token, watchers*lines) }(d.token)
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
	for range watchers + followers {
		if err := <-outcomes; err != nil {
			t.Error(err)
		}
	}
	page, err := client.ListExecutions(ctx, api.ExecutionFilter{Limit: 1000})
	if err != nil || len(page.Executions) != watchers {
		t.Errorf("there are %d executions, want %d: %v", len(page.Executions), watchers, err)
	}
	d.stop()
	endedOnce(t, data, page.Executions)
}

// endedOnce looks into the journals of executions: each has one end, and each step has
// one result.
func endedOnce(t *testing.T, data string, executions []api.Execution) {
	t.Helper()
	opened, err := store.Open(t.Context(), store.Config{Dir: data})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close() //nolint:errcheck // it was only read
	for _, e := range executions {
		h, err := opened.Executions().Load(t.Context(), engine.ID(e.ID))
		if err != nil {
			t.Fatal(err)
		}
		ends, results := 0, map[journal.Address]int{}
		for _, event := range h.Events {
			switch event := event.(type) {
			case *journal.Finished:
				ends++
			case *journal.Returned:
				results[event.Address]++
			}
		}
		if ends != 1 || h.Status != engine.Succeeded {
			t.Errorf("execution %s is %s, and has %d ends", e.ID, h.Status, ends)
		}
		for address, n := range results {
			if n != 1 {
				t.Errorf("step %s of execution %s has %d results", address, e.ID, n)
			}
		}
	}
}

// followAll reads the stream of all executions of a user, and takes it up where it was
// when it breaks off, until there were so many lines "line". None is lost, seen twice or
// out of order.
func followAll(ctx context.Context, address, token string, lines int) error {
	last, seen := int64(0), map[string]bool{}
	for len(seen) < lines {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/events", nil)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Last-Event-ID", fmt.Sprint(last))
		response, err := http.DefaultClient.Do(r)
		if err == nil && response.StatusCode == http.StatusOK {
			err = followOnce(response, &last, seen, lines)
		} else if err == nil {
			_ = response.Body.Close()
		}
		if ctx.Err() != nil || errors.Is(err, errOutOfOrder) {
			return fmt.Errorf("after line %d, with %d of %d: %w", last, len(seen), lines, errors.Join(err, ctx.Err()))
		}
		again := time.NewTimer(20 * time.Millisecond)
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
	return nil
}

var errOutOfOrder = errors.New("a line is out of order, or was seen before")

// followOnce reads one stream until it breaks off.
func followOnce(response *http.Response, last *int64, seen map[string]bool, lines int) error {
	defer response.Body.Close() //nolint:errcheck // it was only read
	scanner := bufio.NewScanner(response.Body)
	id := int64(0)
	for len(seen) < lines && scanner.Scan() {
		field, value, _ := strings.Cut(scanner.Text(), ": ")
		switch field {
		case "id":
			id, _ = strconv.ParseInt(value, 10, 64)
		case "data":
			var line api.Line
			if id == 0 || json.Unmarshal([]byte(value), &line) != nil {
				continue // a state, or half an event at the end
			}
			name := fmt.Sprint(line.Execution, " ", line.Fields["n"])
			if line.Position != id || id <= *last || seen[name] {
				return fmt.Errorf("%w: %s with id %d after %d", errOutOfOrder, name, id, *last)
			}
			*last, seen[name], id = id, true, 0
		}
	}
	return scanner.Err()
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
