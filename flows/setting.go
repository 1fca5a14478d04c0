package flows

import (
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// setting is what a script has in hand of a value that flows share.
type setting struct{ name string }

// String says what tostring says.
func (s *setting) String() string { return "setting(" + s.name + ")" }

// lock is a lock that the run holds.
type lock struct {
	fence  int64
	branch string // that locked it
	where  string
}

const (
	maxSettingName = 128  // bytes
	maxLocks       = 1000 // that a run holds at the same time
)

// openSetting is setting(name): a handle, which asks the host nothing yet.
func (r *runtime) openSetting(L *lua.LState) int {
	name, ok := L.Get(1).(lua.LString)
	switch {
	case !ok || name == "":
		r.fail(L, "setting: the first argument is a name, not a %s", typeName(L.Get(1)))
	case len(name) > maxSettingName:
		r.fail(L, "setting: a name has at most %d bytes, this one has %d", maxSettingName, len(name))
	case L.GetTop() > 1:
		r.raise(L, withHint(newError(engine.Invalid, "setting %q: the name is the only argument", string(name)),
			"write setting(name):set(value) to change it"))
	}
	r.name(L, name, "setting", "the name") // is it valid UTF-8?
	L.Push(r.userdata(&setting{string(name)}, kindSetting))
	return 1
}

func (r *runtime) checkSetting(L *lua.LState, method string) *setting {
	if u, ok := L.Get(1).(*lua.LUserData); ok {
		if s, ok := u.Value.(*setting); ok {
			return s
		}
	}
	r.raise(L, withHint(newError(engine.Invalid, "%s: a setting is needed, not a %s", method, typeName(L.Get(1))),
		"write setting(name):"+method+"()"))
	return nil
}

func (r *runtime) settingIndex(L *lua.LState) int {
	s := r.checkSetting(L, "get")
	key, _ := L.Get(2).(lua.LString)
	switch key {
	case "get":
		L.Push(r.function(r.settingGet))
	case "set":
		L.Push(r.function(r.settingSet))
	case "lock":
		L.Push(r.function(r.settingLock))
	case "unlock":
		L.Push(r.function(r.settingUnlock))
	case "fence":
		if l := r.lockHeld(s.name); l != nil {
			L.Push(r.integer(L, l.fence))
		} else {
			L.Push(lua.LNil)
		}
	default:
		e := newError(engine.Invalid, "a setting has no field %s", quoteKey(L.Get(2)))
		e.Hint = "a setting has get, set, lock, unlock and fence"
		if near := nearest(string(key), []string{"get", "set", "lock", "unlock", "fence"}); near != "" {
			e.Hint = "did you mean " + near + "?"
		}
		r.raise(L, e)
	}
	return 1
}

// settingGet gives the value, nil if there is none.
func (r *runtime) settingGet(L *lua.LState) int {
	s := r.checkSetting(L, "get")
	reply := r.call(L, engine.Call{Kind: engine.CallSettingGet, Name: s.name})
	if reply.Value == nil {
		L.Push(lua.LNil)
		return 1
	}
	tree := map[string]any{"value": reply.Value}
	r.take(L, int(treeSize(tree)))
	defer r.hold(tree)()
	L.Push(r.toLua(L, reply.Value))
	return 1
}

// settingSet replaces the value; nil and null take it away.
func (r *runtime) settingSet(L *lua.LState) int {
	s := r.checkSetting(L, "set")
	c := engine.Call{Kind: engine.CallSettingSet, Name: s.name}
	if L.GetTop() < 2 {
		r.raise(L, withHint(newError(engine.Invalid, "%s: a value is needed", describeCall(c)), ":set(null) takes the value away"))
	}
	value, err := r.plainFromLua(L.Get(2), "value")
	if err != nil {
		r.refuseValue(L, describeCall(c), err)
	}
	c.Inputs = map[string]any{"value": value}
	defer r.hold(c.Inputs)()
	r.call(L, c)
	return 0
}

// settingLock waits for the lock, for as long as the argument says or for ever,
// and gives its fencing number.
//
// Between the branches of a run the lock excludes as between runs. Only who holds
// it already would wait for himself.
func (r *runtime) settingLock(L *lua.LState) int {
	s := r.checkSetting(L, "lock")
	c := engine.Call{Kind: engine.CallSettingLock, Name: s.name}
	if L.Get(2) != lua.LNil {
		// The host takes 0 for "for ever", the script for "do not wait".
		c.Duration = max(r.duration(L, L.Get(2), describeCall(c)+": timeout"), time.Nanosecond)
	}
	if l := r.lockHeld(s.name); l != nil {
		r.fail(L, "%s: this flow has locked it already, at %s", describeCall(c), l.where)
	}
	if len(r.locks) >= maxLocks {
		r.fail(L, "%s: this flow holds %d locks, which is as many as it may", describeCall(c), maxLocks)
	}
	where := r.where(1)
	reply := r.call(L, c)
	if reply.Fence <= 0 || r.locks[s.name] != nil { // another branch has it
		r.wrongReply(L, c)
	}
	if r.locks == nil {
		r.locks = map[string]*lock{}
	}
	r.locks[s.name] = &lock{fence: reply.Fence, branch: r.branch.path, where: where}
	L.Push(r.integer(L, reply.Fence))
	return 1
}

func (r *runtime) settingUnlock(L *lua.LState) int {
	s := r.checkSetting(L, "unlock")
	c := engine.Call{Kind: engine.CallSettingUnlock, Name: s.name}
	if r.lockHeld(s.name) == nil {
		r.raise(L, withHint(newError(engine.Invalid, "%s: it is not locked, or not any more", describeCall(c)),
			"the branch that locked it unlocks it, or one that was started from there"))
	}
	// It counts as unlocked whatever the host says. Another branch may have locked
	// it before this one goes on.
	delete(r.locks, s.name)
	r.call(L, c)
	return 0
}

// lockHeld gives the lock on a setting that the running branch holds: that it has
// locked itself, or a branch in which it was started.
func (r *runtime) lockHeld(name string) *lock {
	if l := r.locks[name]; l != nil && within(r.branch.path, l.branch) {
		return l
	}
	return nil
}

// passLocks hands the locks of branches that have ended to the one that goes on.
func (r *runtime) passLocks(from, to string) {
	for _, l := range r.locks {
		if within(l.branch, from) {
			l.branch = to
		}
	}
}

// within tells whether a branch is another one or was started in it.
func within(path, outer string) bool {
	return outer == "" || path == outer || strings.HasPrefix(path, outer+".")
}
