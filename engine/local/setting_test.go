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
		"holder.lua": `setting("x"):lock() sleep("1h")`,
		"waiter.lua": `setting("x"):lock("10ms")`,
	})
	e := r.end(t, `
		local holder = flow("holder", {}, { wait = false })
		sleep(0.01)
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
