package flows_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// dropping is a host that drops the run at a call: it answers this one, those that
// wait and all later ones with ErrAbandoned. Whoever calls it has the turn, before
// and after.
type dropping struct {
	*host
	at      int           // the call, from 1; 0 for none
	made    []string      // calls, in their order
	dropped chan struct{} // closed when the run is dropped
	told    bool          // the script knows
	late    []string      // what it did all the same
}

// newDropping makes one that cancels the run by itself when it connects to "cancel".
func newDropping(at int, cancel func()) *dropping {
	d := &dropping{host: &host{shelf: newShelf()}, at: at, dropped: make(chan struct{})}
	d.reply = func(ctx context.Context, c engine.Call) (any, error) {
		if c.Name == "cancel" {
			cancel()
		}
		wait, _ := c.Inputs["wait"].(int64)
		select {
		case <-time.After(time.Duration(wait) * time.Second):
		case <-d.dropped:
		case <-ctx.Done():
		}
		return nil, nil
	}
	d.answer = func(engine.Call) any { return map[string]any{} }
	return d
}

func (d *dropping) Call(ctx context.Context, c engine.Call) (engine.Reply, error) {
	made := strings.TrimSpace(c.Branch + " " + string(c.Kind) + " " + c.Name)
	d.made = append(d.made, made)
	if d.told {
		d.late = append(d.late, made)
	}
	if len(d.made) == d.at {
		close(d.dropped)
	}
	reply, err := d.host.Call(ctx, c)
	select {
	case <-d.dropped:
		d.told = true
		return engine.Reply{}, engine.ErrAbandoned
	default:
		return reply, err
	}
}

func (d *dropping) Emit(e engine.Event) {
	if d.told {
		d.late = append(d.late, "log "+e.Message)
	}
	d.host.Emit(e)
}

// everywhere makes calls from all places of a script from which one can be made,
// and leaves a mark wherever it goes on after one.
const everywhere = `
	local function step(name, wait)
		log.info("before " .. name)
		connect(name, {wait = wait or 1})
		log.info("after " .. name)
	end
	defer(function(e) step("deferred first") log.info("end of the first") end)
	defer(function()
		pcall(step, "deferred last")
		log.info("caught while deferred")
		defer(function() step("deferred by deferred") end)
		parallel{function() step("deferred branch") end, function() pcall(step, "other deferred branch", 2) end}
		local co = coroutine.wrap(function() step("deferred coroutine") end)
		co()
	end)

	pcall(step, "in pcall")
	log.info("pcall came back")
	xpcall(function() step("in xpcall") end, function() log.info("handler") end)
	pcall(function() pcall(step, "in nested pcall") log.info("inner pcall came back") end)
	local gen = coroutine.wrap(function() step("in coroutine") coroutine.yield(1) step("in coroutine, resumed") end)
	gen()
	log.info("coroutine yielded")
	gen()
	coroutine.resume(coroutine.create(step), "in resume")
	log.info("resume came back")
	retry(function(try) step("in retry") if try == 1 then error("again") end end, {delay = 1})
	table.sort({2, 1}, function(a, b) step("in sort") return a < b end)
	local _ = ("a"):gsub(".", function() step("in gsub") end)
	local t = setmetatable({}, {__index = function() step("in __index") return 1 end, __tostring = function() step("in __tostring") return "" end})
	pcall(function() return t.x .. tostring(t) end)
	log.info("metamethods came back")
	for _ in function(_, i) step("in iterator") if not i then return 1 end end do log.info("in loop") end
	sleep(1)
	time.now()
	local x = connect("started", {}, {wait = false})
	wait_all{x}
	log.info("joined")
	ask{title = "?"}
	pcall(parallel, {
		function() defer(function() step("deferred by a branch") end) step("branch 1", 3) error("branch 1 fails") end,
		function()
			pcall(step, "branch 2", 1)
			log.info("pcall in a branch came back")
			parallel{function() step("inner branch 1", 7) end, function() pcall(step, "inner branch 2", 4) end}
			log.info("inner branches joined")
		end,
		function() local s = setting("s") s:lock() step("branch 3", 6) s:unlock() end,
		function() step("branch 4", 2) local s = setting("s") pcall(s.lock, s, 2) log.info("lock came back") end,
		function() log.info("branch 5") end,
	})
	log.info("branches joined")
	if input.ending == "error" then error("the flow fails") end
	if input.ending == "cancel" then connect("cancel") end
	while input.ending == "limit" do end`

// A run that its host drops executes nothing more, wherever it is: no handler of
// an error, no function that was deferred, no other branch. The marks that it has
// left are therefore those that the whole run leaves first. No goroutine stays
// behind either, or its bubble would not end.
func TestAnAbandonedRunDoesNothingMore(t *testing.T) {
	t.Parallel()
	p, err := flows.Compile("flow.lua", []byte(everywhere))
	if err != nil {
		t.Fatal(err)
	}
	for _, ending := range []string{"return", "error", "limit", "cancel"} {
		var calls, marks []string
		for at := 0; at <= len(calls); at++ {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				d := newDropping(at, cancel)
				_, err := flows.Run(ctx, p, flows.Config{
					Host: d, Input: map[string]any{"ending": ending}, Limits: flows.Limits{Instructions: 200_000},
				})
				got := d.logged()
				if at == 0 { // the whole run
					calls, marks = d.made, got
					return
				}
				if !errors.Is(err, engine.ErrAbandoned) {
					t.Errorf("%s, dropped at %q: got %v", ending, calls[at-1], err)
				}
				if len(d.late) > 0 {
					t.Errorf("%s, dropped at %q: it went on to %v", ending, calls[at-1], d.late)
				}
				if len(got) > len(marks) {
					t.Fatalf("%s, dropped at %q: left %d marks of %d", ending, calls[at-1], len(got), len(marks))
				}
				if diff := cmp.Diff(marks[:len(got)], got); diff != "" {
					t.Errorf("%s, dropped at %q: %s", ending, calls[at-1], diff)
				}
			})
		}
		if len(calls) < 36 || len(marks) < 67 {
			t.Errorf("%s: the whole run made %d calls and left %d marks: %q", ending, len(calls), len(marks), marks)
		}
	}
}
