package journal

import "time"

// SettingVerb says what is done with a setting.
type SettingVerb string

// The verbs.
const (
	// SettingGet reads the value; it is nil if the setting was never set.
	SettingGet SettingVerb = "get"
	// SettingSet writes the value. It is refused while another execution holds the
	// lock, and if the lock of number Fence was lost meanwhile.
	SettingSet SettingVerb = "set"
	// SettingLock takes the lock for the time of Lease, or prolongs it if the
	// execution holds it.
	SettingLock SettingVerb = "lock"
	// SettingUnlock releases the lock. The value is whether the execution held it still.
	SettingUnlock SettingVerb = "unlock"
)

// SettingCall is what a flow does with a setting, a value that the flows of an
// owner share. A lock is a lease: it ends when it is released, when its holder
// ends ([Change.Unlock]) or when its time is up. Whoever gets a lock gets a
// fencing number with it, which is higher than all before it.
//
// A store carries the call out in the same piece as the change it is part of, and
// appends Observed, with the result in it, after the change's events. Then it
// sets Done, before it tells that the change is on disk.
type SettingCall struct {
	Verb  SettingVerb
	Owner string
	Name  string
	Value any           // set: a tree of values
	Lease time.Duration // lock: for how long; at least a millisecond
	// Fence is the number of the lock that the flow believes to hold; 0 for none.
	Fence int64
	// Observed has the address and identity of the flow's call. The store fills in
	// Value, Fence, or Error of kind conflict for a call that was refused.
	Observed *Observed
	// Waiting becomes the execution's state if the lock is held by another. Its
	// Waits is "lock NAME"; the store brings Wake forward to the end of the other's
	// lease. Nothing else of the change is written then. If it is nil, nothing is.
	Waiting *State

	// Done tells that Observed was appended. If it is false after the change is on
	// disk, another holds the lock, and Until is when its lease ends.
	Done  bool
	Until time.Time
}

// WaitsForLock is the [State.Waits] of an execution that waits for a setting's lock.
func WaitsForLock(name string) string { return "lock " + name }
