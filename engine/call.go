package engine

import (
	"context"
	"errors"
	"time"
)

// ID names an execution. It is unique for ever and safe to show.
type ID string

// SecretRef is an opaque handle on one key of a secret, "path#key" or
// "vault:path#key", as a script's secret() gives it. It is a reference, not the
// secret: it may be printed and recorded. Dispatch puts the secret in its place.
type SecretRef string

// CallKind says what a script asks its host for.
type CallKind string

// The kinds of calls. The comment says which fields of Call and Reply they use.
const (
	CallConnect CallKind = "connect"  // Name: connection; Inputs, Options. Reply: Executions[0]
	CallTask    CallKind = "task"     // Name: task type; Inputs, Options. Reply: Executions[0]
	CallFlow    CallKind = "flow"     // Name: flow; Inputs, Options. Reply: Executions[0]
	CallWaitAll CallKind = "wait_all" // Executions. Reply: all of them, ended, in the order asked
	CallWaitAny CallKind = "wait_any" // Executions. Reply: the first that ended
	CallCancel  CallKind = "cancel"   // Executions. Reply: all of them, ended
	CallSleep   CallKind = "sleep"    // Duration, or Until if it is not zero
	CallNow     CallKind = "now"      // Reply: Time
	CallSource  CallKind = "source"   // Name: flow or module; From: file of the caller. Reply: File, Text

	// Name: title; Inputs: the fields of the form by name, each an object with type
	// (string, int, number, bool), required, order (from 1), and where they were given
	// default, enum (a list of texts), description. Reply: Value, an object.
	CallAsk CallKind = "ask"

	// A lock excludes other executions, and the other branches of its own.
	CallSettingGet    CallKind = "setting_get"    // Name: setting. Reply: Value; nil for one that is not set
	CallSettingSet    CallKind = "setting_set"    // Name: setting; Inputs["value"]
	CallSettingLock   CallKind = "setting_lock"   // Name: setting; Duration: how long to wait, 0 for ever. Reply: Fence
	CallSettingUnlock CallKind = "setting_unlock" // Name: setting
)

// ErrAbandoned is what a host answers when it drops a run, to play it again
// later: nothing more of the script is run, not even its deferred functions.
var ErrAbandoned = errors.New("the run was abandoned")

// Call is one request of a script to its host. A runner may record calls and
// answer them from the record, so a script must make the same calls in the same
// order within one Branch whenever it gets the same replies.
type Call struct {
	// Branch tells the branches of parallel() apart: "" outside of any, else a
	// path such as "2.1" (first branch of the second parallel()), "2.1.1.2" within
	// it; "defer" for the deferred functions.
	Branch     string
	Kind       CallKind
	Name       string
	Inputs     map[string]any
	Options    Options
	Executions []ID
	Duration   time.Duration
	Until      time.Time
	// From is the file of the flow or module that makes the call.
	From string
	// Where is the caller's place, "flow.lua:12", for errors and displays. It is
	// no part of the call's identity.
	Where string
}

// Options are the third argument of connect, task and flow.
type Options struct {
	// NoWait starts the execution and returns at once.
	NoWait bool
	// Timeout ends the execution with kind timeout; 0 means none. It spans all tries.
	Timeout time.Duration
	// Retry says how often a failed try is repeated; the zero Retry means one try.
	Retry Retry
	// Name is shown instead of the connection's or flow's name; may be empty.
	Name string
	// IdempotencyKey marks the operation as safe to repeat and is handed to the
	// driver, which passes it on where the other system knows such keys.
	IdempotencyKey string
}

// Retry repeats failed tries of one execution whose error's kind is
// [Kind.Retryable].
type Retry struct {
	MaxTries int           // 0 and 1 mean no repetition
	Delay    time.Duration // before the second try; 0 means 1s
	Backoff  float64       // factor from delay to delay; 0 means 2
	MaxDelay time.Duration // 0 means 1m
}

// Reply answers a Call; which fields are set depends on the call's kind.
type Reply struct {
	Executions []Execution
	Time       time.Time
	File       string // source: the file's name as errors should show it
	Text       []byte // source: the file's text
	Value      any    // a tree of values
	Fence      int64  // of a lock: larger than that of all who held it before
}

// Host is all that a running script can reach.
//
// A script runs on one goroutine at a time. It calls its host from the goroutine
// that runs it; while that one is inside Call or Parallel the host may let another
// go on, and it decides which of several that could. So a host that answers calls
// in the same order has the script do the same things in the same order.
type Host interface {
	// Call carries out one call and blocks until it is done. A child that failed
	// is no error of Call: the execution in the reply says so. The error is an
	// *Error for a call that could not be carried out at all, ctx's error after
	// cancellation, or ErrAbandoned.
	Call(ctx context.Context, call Call) (Reply, error)
	// Parallel runs parts of the script, each on a goroutine of its own, and
	// blocks until all have returned. They start in their order.
	Parallel(parts []func())
	// Emit sends a log line or a progress report. The host sets Time and
	// Execution, masks secrets, and never blocks for long.
	Emit(Event)
}
