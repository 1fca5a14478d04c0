package local_test

import (
	"testing"

	"github.com/weir-engine/weir/engine"
)

func TestSettingsWithoutAStore(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"child.lua": `
		local s = setting("counter")
		local fence = s:lock()
		local n = s:get() or 0
		sleep(0.001)
		s:set(n + 1)
		s:unlock()
		return fence`})
	e := r.end(t, `
		local children = {}
		for i = 1, 5 do children[i] = flow("child", {}, { wait = false }) end
		wait_all(children)
		return setting("counter"):get()`)
	wantOutput(t, e, 5)
}

func TestALockThatIsNotFreed(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{
		"holder.lua": `setting("x"):lock() setting("locked"):set(true) sleep("1h")`,
		"waiter.lua": `setting("x"):lock("10ms")`,
	})
	e := r.end(t, `
		local holder = flow("holder", {}, { wait = false })
		while not setting("locked"):get() do sleep(0.001) end
		local ok, err = pcall(flow, "waiter")
		holder:cancel()
		local fence = setting("x"):lock(1)
		return { ok = ok, kind = err.kind, fence = fence }`)
	wantOutput(t, e, map[string]any{"ok": false, "kind": string(engine.Timeout), "fence": 2})
}

func TestNobodyIsAskedWithoutAStore(t *testing.T) {
	t.Parallel()
	e := newRig(t, nil).end(t, `ask{ title = "Deploy?" }`)
	wantKind(t, e, engine.Failed, engine.Invalid, "nobody can be asked")
}

// To the store all branches of a flow are one holder; the lock keeps them apart
// nevertheless.
func TestALockKeepsBranchesApart(t *testing.T) {
	t.Parallel()
	e := newRig(t, nil).end(t, `
		local s = setting("n")
		local inside, most = 0, 0
		local function count()
			s:lock()
			inside = inside + 1
			most = math.max(most, inside)
			sleep(0.001)
			s:set((s:get() or 0) + 1)
			inside = inside - 1
			s:unlock()
		end
		parallel(count, count, count, count)
		local ok, err
		parallel(
			function() s:lock() while ok == nil do sleep(0.001) end s:unlock() end,
			function() ok, err = pcall(s.lock, s, 0.001) end)
		return { n = s:get(), most = most, ok = ok, kind = err.kind }`)
	wantOutput(t, e, map[string]any{"n": 4, "most": 1, "ok": false, "kind": string(engine.Timeout)})
}

func TestALimitWithAnAnswerUnderWay(t *testing.T) {
	t.Parallel()
	e := newRig(t, nil).end(t, `parallel(
		function() time.now() end,
		function() local t = {} while true do t[#t + 1] = ("x"):rep(1000000) .. #t end end)`)
	wantKind(t, e, engine.Failed, engine.Limit, "")
}
