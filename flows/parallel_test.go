package flows_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
)

func TestBranchesRunSideBySide(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &host{reply: func(ctx context.Context, c engine.Call) (any, error) {
			select {
			case <-time.After(time.Duration(c.Inputs["wait"].(int64)) * time.Second):
			case <-ctx.Done():
			}
			return c.Name, ctx.Err()
		}}
		start := time.Now()
		got, err := run(t, h, `
			local order = array{}
			local function branch(name, wait)
				return function()
					local x = connect(name, {wait = wait})
					order[#order + 1] = name
					return x.output
				end
			end
			return {results = parallel{branch("a", 30), branch("b", 10), branch("c", 20), function() end}, order = order}`)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"results": []any{"a", "b", "c", nil}, "order": []any{"b", "c", "a"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v, want that of the slowest branch", took)
		}
	})
}

func TestBranchesHavePaths(t *testing.T) {
	t.Parallel()
	h := &host{}
	got, err := run(t, h, `
		connect("root")
		parallel(function() connect("a") end)
		local r = parallel{
			function() return parallel{function() connect("b") return 1 end, function() connect("c") return 2 end} end,
			function() connect("d") parallel{function() connect("e") end} connect("f") return 3 end,
		}
		connect("end")
		assert(#parallel{} == 0)
		return r`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]any{[]any{int64(1), int64(2)}, int64(3)}, got); d != "" {
		t.Error(d)
	}
	paths := map[string]string{}
	for _, c := range h.calls {
		paths[c.Name] = c.Branch
	}
	want := map[string]string{"root": "", "a": "1.1", "b": "2.1.1.1", "c": "2.1.1.2", "d": "2.2", "e": "2.2.1.1", "f": "2.2", "end": ""}
	if d := cmp.Diff(want, paths); d != "" {
		t.Error(d)
	}
}

func TestTheFirstFailingBranchInOrderIsRaised(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ended := 0
		h := &host{reply: func(_ context.Context, c engine.Call) (any, error) {
			<-time.After(time.Duration(c.Inputs["wait"].(int64)) * time.Second)
			mu.Lock()
			defer mu.Unlock()
			ended++
			if c.Name == "good" {
				return nil, nil
			}
			return nil, &engine.Error{Kind: engine.Conflict, Message: "is taken"}
		}}
		e := fails(t, h, `
			parallel{
				function() connect("good", {wait = 3}) end,
				function() connect("late", {wait = 2}) end,
				function() connect("soon", {wait = 1}) end,
			}`)
		if e.Kind != engine.Conflict || e.Error() != `flow.lua:4: branch 2: connect "late": is taken` || e.Cause == nil {
			t.Errorf("got %s: %v", e.Kind, e)
		}
		if ended != 3 {
			t.Errorf("%d of 3 calls ended before parallel did", ended)
		}
	})
	got := eval(t, `
		local ok, e = pcall(parallel, function() return 1 end, function() error("text") end)
		local ok2, e2 = pcall(parallel, function() error({code = 9}) end)
		return {tostring(e), e.kind, e2.code}`)
	if d := cmp.Diff([]any{"flow.lua:2: branch 2: text", "script", int64(9)}, got); d != "" {
		t.Error(d)
	}
}

// When one branch ends the run, the calls of the others are called off.
func TestALimitInABranchEndsTheOthers(t *testing.T) {
	t.Parallel()
	waiting := make(chan bool)
	h := &host{reply: func(ctx context.Context, c engine.Call) (any, error) {
		if c.Name == "go" {
			<-waiting
			return nil, nil
		}
		close(waiting)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	e := fails(t, h, "pcall(parallel,\n function() connect('wait') end,\n function() connect('go') while true do end end)", small)
	if e.Kind != engine.Limit || e.Where != "flow.lua:3" {
		t.Errorf("got %s: %v", e.Kind, e)
	}
}

// Only one branch at a time is in Lua, so shared variables need no lock.
func TestBranchesShareVariables(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local n, list = 0, {}
		for i = 1, 200 do
			list[i] = function()
				for j = 1, 20 do
					local before = n
					pcall(function() error("x") end)
					n = before + 1
					sleep(0)
				end
				local co = coroutine.wrap(function() sleep(0) coroutine.yield(1) end)
				return co()
			end
		end
		local sum = 0
		for _, v in ipairs(parallel(list)) do sum = sum + v end
		return {n = n, sum = sum}`)
	if d := cmp.Diff(map[string]any{"n": int64(4000), "sum": int64(200)}, got); d != "" {
		t.Error(d)
	}
}

func TestACoroutineBelongsToWhoRunsIt(t *testing.T) {
	t.Parallel()
	got := eval(t, `
		local co = coroutine.create(function() sleep(1) return "co" end)
		return parallel{
			function() return select(2, coroutine.resume(co)) end,
			function() return {select(2, coroutine.resume(co)), coroutine.status(co)} end,
		}`)
	if d := cmp.Diff([]any{"co", []any{"cannot resume non-suspended coroutine", "normal"}}, got); d != "" {
		t.Error(d)
	}
}

// A branch makes the same calls in the same order, whatever the others do.
func TestBranchesAreDeterministic(t *testing.T) {
	t.Parallel()
	script := `
		local m = require("m")
		return parallel{
			function() connect("a") local x = require("n") return {uuid(), math.random(1e9), connect("b") and 1} end,
			function() local x = require("n") connect("c") return {uuid(), math.random(1e9)} end,
		}`
	record := func(delay string) (any, map[string][]string) {
		h := &host{sources: map[string]string{"m": "return 1", "n": "return 2"}}
		release := make(chan bool)
		h.reply = func(_ context.Context, c engine.Call) (any, error) {
			switch {
			case delay == "a" && c.Name == "a", delay == "c" && c.Name == "c":
				<-release
			case delay == "a" && c.Name == "c", delay == "c" && c.Name == "b":
				close(release)
			}
			return nil, nil
		}
		out, err := run(t, h, script)
		if err != nil {
			t.Fatal(err)
		}
		byBranch := map[string][]string{}
		for _, c := range h.calls {
			byBranch[c.Branch] = append(byBranch[c.Branch], fmt.Sprint(c.Kind, " ", c.Name))
		}
		return out, byBranch
	}
	out1, calls1 := record("a")
	out2, calls2 := record("c")
	if d := cmp.Diff(out1, out2); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(calls1, calls2); d != "" {
		t.Error(d)
	}
}
