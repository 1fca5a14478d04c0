package flows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
)

// shelf keeps settings and their locks. Every lock excludes every other one, also
// of the same flow.
type shelf struct {
	mu     sync.Mutex
	values map[string]any
	locked map[string]bool
	queue  map[string][]chan struct{}
	fence  int64
	// generous shelves give a lock to everybody, and that of "none" without a number.
	generous bool
}

func newShelf() *shelf {
	return &shelf{values: map[string]any{}, locked: map[string]bool{}, queue: map[string][]chan struct{}{}}
}

func (s *shelf) call(ctx context.Context, c engine.Call) (engine.Reply, error) {
	if s == nil {
		return engine.Reply{}, &engine.Error{Kind: engine.Unavailable, Message: "there are no settings"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Kind {
	case engine.CallSettingGet:
		if text, ok := s.values[c.Name].(string); ok {
			return engine.Reply{Value: strings.Clone(text)}, nil // as one that was read
		}
		return engine.Reply{Value: s.values[c.Name]}, nil
	case engine.CallSettingSet:
		s.values[c.Name] = c.Inputs["value"]
	case engine.CallSettingUnlock:
		if waiting := s.queue[c.Name]; len(waiting) > 0 {
			close(waiting[0])
			s.queue[c.Name] = waiting[1:]
		} else {
			s.locked[c.Name] = false
		}
	case engine.CallSettingLock:
		if s.generous {
			return engine.Reply{Fence: map[string]int64{"any": 1}[c.Name]}, nil
		}
		if err := s.lock(ctx, c); err != nil {
			return engine.Reply{}, err
		}
		s.fence++
		return engine.Reply{Fence: s.fence}, nil
	}
	return engine.Reply{}, nil
}

func (s *shelf) lock(ctx context.Context, c engine.Call) error {
	if !s.locked[c.Name] {
		s.locked[c.Name] = true
		return nil
	}
	mine := make(chan struct{})
	s.queue[c.Name] = append(s.queue[c.Name], mine)
	var timeUp <-chan time.Time
	if c.Duration > 0 {
		timeUp = time.After(c.Duration)
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timeUp:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.queue[c.Name] = slices.DeleteFunc(s.queue[c.Name], func(w chan struct{}) bool { return w == mine })
		return &engine.Error{Kind: engine.Timeout, Message: fmt.Sprintf("somebody else has had it for %s", c.Duration)}
	}
}

func TestSettingsAreCalls(t *testing.T) {
	t.Parallel()
	h := &host{shelf: newShelf()}
	got, err := run(t, h, `
local s = setting("release")
local before = s:get()
s:set({version = 3, list = array{}, none = null, big = decimal("12345678901234567890")})
local v = s:get()
s:set(nil)
local gone = s:get()
s:set(null)
s:set(false)
local fence, held = s:lock("5m"), s.fence
s:unlock()
local again = setting("release"):lock()
setting("release"):unlock()
s:lock(0)
return {before = before == nil, v = v, gone = gone == nil, no = s:get(), fence = fence, held = held, again = again,
  last = s.fence, free = setting("other").fence == nil, text = tostring(s), joined = "x " .. s, type = type(s)}`)
	if err != nil {
		t.Fatal(err)
	}
	value := map[string]any{"version": int64(3), "list": []any{}, "none": nil, "big": json.Number("12345678901234567890")}
	want := map[string]any{
		"before": true, "v": value, "gone": true, "no": false, "fence": int64(1), "held": int64(1), "again": int64(2),
		"last": int64(3), "free": true, "text": "setting(release)", "joined": "x setting(release)", "type": "setting",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	call := func(line int, kind engine.CallKind, change func(*engine.Call)) engine.Call {
		c := engine.Call{Kind: kind, Name: "release", From: "flow.lua", Where: fmt.Sprintf("flow.lua:%d", line)}
		if change != nil {
			change(&c)
		}
		return c
	}
	set := func(v any) func(*engine.Call) {
		return func(c *engine.Call) { c.Inputs = map[string]any{"value": v} }
	}
	wait := func(d time.Duration) func(*engine.Call) { return func(c *engine.Call) { c.Duration = d } }
	calls := []engine.Call{
		call(3, engine.CallSettingGet, nil), call(4, engine.CallSettingSet, set(value)), call(5, engine.CallSettingGet, nil),
		call(6, engine.CallSettingSet, set(nil)), call(7, engine.CallSettingGet, nil),
		call(8, engine.CallSettingSet, set(nil)), call(9, engine.CallSettingSet, set(false)),
		call(10, engine.CallSettingLock, wait(5*time.Minute)), call(11, engine.CallSettingUnlock, nil),
		call(12, engine.CallSettingLock, nil), call(13, engine.CallSettingUnlock, nil),
		call(14, engine.CallSettingLock, wait(1)), call(15, engine.CallSettingGet, nil),
	}
	if d := cmp.Diff(calls, h.calls); d != "" {
		t.Error(d)
	}
}

func TestSettingsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	for script, want := range map[string][2]string{
		`setting()`:                                             {"setting: the first argument is a name, not a nil", ""},
		`setting("")`:                                           {"setting: the first argument is a name, not a string", ""},
		`setting{name = "x"}`:                                   {"setting: the first argument is a name, not a table", ""},
		`setting("\255")`:                                       {"setting: the name is a text that is not valid UTF-8; use base64.encode for binary data", ""},
		`setting(("x"):rep(129))`:                               {"setting: a name has at most 128 bytes, this one has 129", ""},
		`setting("x", 5)`:                                       {`setting "x": the name is the only argument`, "write setting(name):set(value) to change it"},
		`return setting("x").value`:                             {`a setting has no field "value"`, "a setting has get, set, lock, unlock and fence"},
		`return setting("x").fense`:                             {`a setting has no field "fense"`, "did you mean fence?"},
		`setting("x").value = 5`:                                {`a setting cannot be changed`, ""},
		`setting("x").get()`:                                    {`get: a setting is needed, not a nil`, "write setting(name):get()"},
		`setting("x").set(5)`:                                   {`set: a setting is needed, not a number`, "write setting(name):set()"},
		`setting("x"):set()`:                                    {`set setting "x": a value is needed`, ":set(null) takes the value away"},
		`setting("x"):set(print)`:                               {`set setting "x": value is a function, which is no JSON value`, ""},
		`setting("x"):set({a = 0/0})`:                           {`set setting "x": value.a is NaN, which is no JSON value`, ""},
		`setting("x"):set({a = secret("p#k")})`:                 {`set setting "x": value.a is a secret, which is no JSON value`, ""},
		`setting("x"):set(setting("x"))`:                        {`set setting "x": value is a setting, which is no JSON value`, ""},
		`setting("x"):lock("soon")`:                             {`lock setting "x": timeout: "soon" is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`setting("x"):lock(-1)`:                                 {`lock setting "x": timeout: -1 is no duration`, `write "90s", "5m", "1.5h", "2d", or a number of seconds`},
		`setting("x"):lock() setting("x"):lock(1)`:              {`lock setting "x": this flow has locked it already, at flow.lua:1`, ""},
		`setting("x"):unlock()`:                                 {`unlock setting "x": it is not locked, or not any more`, unlockHint},
		`local s = setting("x") s:lock() s:unlock() s:unlock()`: {`unlock setting "x": it is not locked, or not any more`, unlockHint},
		`for i = 1, 1001 do setting("x" .. i):lock() end`:       {`lock setting "x1001": this flow holds 1000 locks, which is as many as it may`, ""},
	} {
		e := fails(t, &host{shelf: newShelf()}, script)
		if e.Kind != engine.Invalid || e.Where != "flow.lua:1" {
			t.Errorf("%s: got %s at %s", script, e.Kind, e.Where)
		}
		if d := cmp.Diff(want, [2]string{e.Message, e.Hint}); d != "" {
			t.Errorf("%s: %s", script, d)
		}
	}
	e := fails(t, &host{}, `setting("x"):get()`)
	if e.Kind != engine.Unavailable || e.Error() != `flow.lua:1: get setting "x": there are no settings` {
		t.Errorf("got %s: %v", e.Kind, e)
	}
}

const unlockHint = "the branch that locked it unlocks it, or one that was started from there"

// Somebody else has the lock: the flow gets an error that it can catch, and may go
// on without, or try again.
func TestALockIsWaitedForAsLongAsItSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		s.locked["x"] = true
		time.AfterFunc(25*time.Minute, func() {
			_, _ = s.call(t.Context(), engine.Call{Kind: engine.CallSettingUnlock, Name: "x"})
		})
		got, err := run(t, &host{shelf: s}, `
			local s = setting("x")
			local ok, e = pcall(s.lock, s, "10m")
			local none = s.fence == nil
			local now = pcall(s.lock, s, 0)
			local tries = 0
			local fence = retry(function() tries = tries + 1 return s:lock("6m") end, {delay = "1m", max_tries = 5})
			return {ok = ok, kind = e.kind, text = tostring(e), none = none, now = now, fence = fence, tries = tries}`)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"ok": false, "kind": "timeout", "text": `flow.lua:3: lock setting "x": somebody else has had it for 10m0s`,
			"none": true, "now": false, "fence": int64(1), "tries": int64(3),
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// The host of this test sleeps no time, so the branches would all read the same
// number if the lock did not hold them back.
func TestALockHoldsBackOtherBranches(t *testing.T) {
	t.Parallel()
	got, err := run(t, &host{shelf: newShelf()}, `
		local n, list, fences = setting("n"), {}, array{}
		for i = 1, 20 do
			list[i] = function()
				local fence = n:lock()
				fences[#fences + 1] = fence
				local before = n:get() or 0
				sleep(0)
				n:set(before + 1)
				assert(n.fence == fence)
				n:unlock()
				assert(n.fence == nil)
			end
		end
		parallel(list)
		for i = 2, 20 do assert(fences[i] > fences[i - 1]) end
		return n:get()`)
	if err != nil || got != int64(20) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestALockBelongsToItsBranch(t *testing.T) {
	t.Parallel()
	h := &host{shelf: newShelf()}
	got, err := run(t, h, `
		local a, b = setting("a"), setting("b")
		local seen = {}
		a:lock()
		parallel{
			function()
				seen.outer = a.fence            -- the flow's own lock is the branch's, too
				seen.again = select(2, pcall(a.lock, a)).message
				b:lock()
				parallel{function() seen.inner = b.fence end}
				while seen.refused == nil do sleep(0) end
			end,
			function()
				while not seen.inner do sleep(0) end
				seen.other = b.fence == nil     -- but not that of another branch
				seen.refused = pcall(b.unlock, b)
			end,
		}
		seen.inherited = b.fence
		b:unlock()
		parallel{function() a:unlock() end}
		seen.free = a.fence == nil
		return seen`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"outer": int64(1), "again": `lock setting "a": this flow has locked it already, at flow.lua:4`, "inner": int64(2),
		"other": true, "refused": false, "inherited": int64(2), "free": true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Deferred functions may unlock what any branch has locked, whatever ended the
// flow.
func TestDeferredFunctionsUnlock(t *testing.T) {
	t.Parallel()
	for _, end := range []string{`return 1`, `error("x")`, `while true do end`} {
		h := &host{shelf: newShelf()}
		_, _ = run(t, h, `
			local s = setting("x")
			parallel{function()
				s:lock()
				defer(function() s:unlock() end)
				`+end+`
			end}`, small)
		if d := cmp.Diff([]string{"1.1 setting_lock x", "defer setting_unlock x"}, h.called()); d != "" {
			t.Errorf("%s: %s", end, d)
		}
		if len(h.logged()) > 0 {
			t.Errorf("%s: %v", end, h.logged())
		}
	}
}

func TestASettingCountsAsMemory(t *testing.T) {
	t.Parallel()
	s := newShelf()
	s.values["x"] = strings.Repeat("x", 1<<20)
	s.values["list"] = make([]any, 200_000)
	s.values["long"] = make([]any, 1<<20)
	for script, want := range map[string]string{
		`local t = {} while true do t[#t + 1] = setting("x"):get() end`:    outOfMemory,
		`local t = {} while true do t[#t + 1] = setting("list"):get() end`: outOfMemory,
		`local t = {} for i = 1, 60 do t = {t, t} end setting("y"):set(t)`: "a value of more than",
	} {
		if e := fails(t, &host{shelf: s}, script, small); e.Kind != engine.Limit || !strings.HasPrefix(e.Message, want) {
			t.Errorf("%s: got %s: %v", script, e.Kind, e)
		}
	}
	if _, err := run(t, &host{shelf: s}, `for i = 1, 50 do setting("x"):get() end`, small); err != nil {
		t.Errorf("values that are not kept: %v", err)
	}
	if e := fails(t, &host{shelf: s}, `setting("long"):get()`); e.Message != "a list of 1048576 elements; at most 1048575 are possible" {
		t.Errorf("got %v", e)
	}
	inDepth := any("x")
	for range 200 {
		inDepth = []any{inDepth}
	}
	s.values["deep"] = inDepth
	if e := fails(t, &host{shelf: s}, `setting("deep"):get()`); e.Message != "a value is nested more than 128 levels deep" {
		t.Errorf("got %v", e)
	}
}

// A lock without a fencing number, or one that another branch has, is a defect of
// the host.
func TestALockIsOneBranchs(t *testing.T) {
	t.Parallel()
	for _, script := range []string{
		`local s = setting("none") pcall(s.lock, s) return 1`,
		`local s = setting("any") local function f() pcall(s.lock, s) connect("x") end parallel(f, f) return 1`,
	} {
		h := &host{shelf: &shelf{generous: true}}
		if e := fails(t, h, script); e.Kind != engine.Internal || !strings.HasSuffix(e.Message, ": the host gave a wrong reply") {
			t.Errorf("%s: got %s: %v", script, e.Kind, e)
		}
	}
}
