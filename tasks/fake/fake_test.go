package fake_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/fake"
	"github.com/weir-engine/weir/tasks/taskstest"
)

// It is not parallel: the suite counts goroutines.
func TestConformance(t *testing.T) {
	failing := map[string]taskstest.Failure{
		"no counter":     {Inputs: map[string]any{"fail_times": 1}, Kind: tasks.Invalid},
		"counter abroad": {Inputs: map[string]any{"counter": "../tries"}, Kind: tasks.Invalid},
		"refused":        {Inputs: map[string]any{"fail_times": -1, "fail_kind": "denied", "fail_auth": true, "password": taskstest.Canary}, Kind: tasks.Denied, Auth: true},
		"huge":           {Inputs: map[string]any{"size": 1 << 40}, Kind: tasks.Invalid},
	}
	for _, kind := range []tasks.Kind{tasks.Invalid, tasks.NotFound, tasks.Conflict, tasks.Unavailable, tasks.Timeout, tasks.Permanent} {
		failing[string(kind)] = taskstest.Failure{Inputs: map[string]any{"fail_times": -1, "fail_kind": string(kind)}, Kind: kind}
	}
	taskstest.Run(t, taskstest.Suite{
		Driver: fake.New(),
		Working: map[string]map[string]any{
			"echo":  {"user": "ada", "password": taskstest.Canary, "payload": map[string]any{"a": []any{1, nil}}},
			"count": {"operation": "count", "counter": "tries", "size": 3, "steps": 2, "delay": "1ms"},
		},
		Failing: failing,
		Hanging: map[string]map[string]any{
			"block": {"block": true},
			"delay": {"delay": "1h"},
		},
	})
}

func TestEcho(t *testing.T) {
	t.Parallel()
	got, err := taskstest.NewExecution(t).Run(t.Context(), t, fake.New(), map[string]any{
		"port": 9, "user": "ada", "password": "hunter2", "delay": "2ms", "payload": []any{"x", nil},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"inputs": map[string]any{
		"operation": "echo", "host": "localhost", "port": int64(9), "user": "ada", "payload": []any{"x", nil},
		"delay": "2ms", "block": false, "fail_times": int64(0), "fail_kind": "unavailable", "fail_auth": false,
		"panic": false, "size": int64(0), "steps": int64(0),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTriesAreCountedOutsideOfTheDriver(t *testing.T) {
	t.Parallel()
	e := taskstest.NewExecution(t)
	inputs := map[string]any{"counter": "tries", "fail_times": 2, "fail_kind": "conflict"}
	for try := range 2 {
		_, err := e.Run(t.Context(), t, fake.New(), inputs)
		if err == nil || !strings.Contains(err.Error(), "kind conflict") {
			t.Errorf("try %d: got %v", try+1, err)
		}
	}
	got, err := e.Run(t.Context(), t, fake.New(), inputs)
	if err != nil || got["count"] != int64(3) {
		t.Errorf("try 3: got %v, %v", got, err)
	}
}

func TestEachTryHasItsNumber(t *testing.T) {
	t.Parallel()
	const tries = 50
	e := taskstest.NewExecution(t)
	var group sync.WaitGroup
	counts := make(chan any, tries)
	for range tries {
		group.Go(func() {
			got, err := e.Run(t.Context(), t, fake.New(), map[string]any{"operation": "count", "counter": "tries"})
			if err != nil {
				t.Error(err)
				return
			}
			counts <- got["count"]
		})
	}
	group.Wait()
	close(counts)
	seen := map[any]bool{}
	for n := range counts {
		seen[n] = true
	}
	if len(seen) != tries {
		t.Errorf("got %d different numbers of %d tries", len(seen), tries)
	}
}

func TestLeaks(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	for _, where := range []string{"error", "warning", "progress", "output"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			e := taskstest.NewExecution(t)
			out, err := e.Run(t.Context(), t, fake.New(), map[string]any{"leak": where, "password": password})
			seen := strings.Join(e.Said(), " ")
			if err != nil {
				seen += err.Error()
			}
			if leaked, _ := out["leaked"].(string); leaked != "" {
				seen += leaked
			}
			if !strings.Contains(seen, password) {
				t.Errorf("the password is not seen in %q", seen)
			}
		})
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	for name, inputs := range map[string]map[string]any{
		"panic": {"panic": true},
		"leak":  {"leak": "panic", "password": "hunter2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			e := taskstest.NewExecution(t)
			s, err := fake.New().Open(t.Context(), taskstest.Decode(t, fake.New(), inputs), e.Env())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = s.Do(t.Context())
		})
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	start := time.Now()
	e := taskstest.NewExecution(t)
	if _, err := e.Run(t.Context(), t, fake.New(), map[string]any{"delay": "20ms", "steps": 4}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 20*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	if diff := cmp.Diff([]string{"working"}, e.Said()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}
