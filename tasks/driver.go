package tasks

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Driver is a task type. It is safe for concurrent use, and stateless but for idle
// connections.
type Driver interface {
	Spec() Spec
	// Open checks what can be checked without I/O and prepares a session. in has
	// been validated against the Spec.
	Open(ctx context.Context, in schema.Inputs, env Env) (Session, error)
}

// Session performs operations with one set of inputs. It is used by one
// goroutine at a time.
type Session interface {
	// Do performs the operation that the inputs select.
	Do(ctx context.Context) (Result, error)
	// Close frees everything; it may be called more than once.
	Close() error
}

// Tester is implemented by sessions that can try the connection without any
// effect on the other system.
type Tester interface {
	// Test reports each stage as it ends ("dns", "tcp", "tls", "authenticate", and
	// the name of one harmless operation) and stops at the first that failed,
	// whose error it returns.
	Test(ctx context.Context, report func(Stage)) error
}

// Stage is one step of a test.
type Stage struct {
	Name   string
	Detail string // what was found: an address, a certificate's subject and end
	Err    error  // nil if it works
}

// Env is what an execution lends to a driver.
type Env struct {
	// Files is the execution's files directory. Every path a task reads or writes
	// is opened through it, so that none leads out of it. Never nil.
	Files *os.Root
	// Progress reports bytes or items; total 0 means not known. Never nil; it may
	// be called from any goroutine until Do returns.
	Progress func(done, total int64, message string)
	// Warn tells the user of something that deserves attention, such as a
	// disabled TLS check. Never nil.
	Warn func(message string)
	// Mask has secrets masked wherever the execution is shown. The sensitive inputs
	// are masked already; it is for what the driver itself comes to know, such as
	// temporary credentials. Never nil.
	Mask func(...secret.Value)
	// Machine tells whether the task may use what belongs to the machine that it runs
	// on and to whoever runs the engine there: credentials in the environment, in files
	// and from the cloud, agents, credential helpers, proxies of the environment, local
	// paths outside of Files. If not, an input that asks for them is an Error of kind
	// denied that names it, and nothing of it is used unasked.
	Machine bool
	// CredentialTTL is for how long temporary credentials that the driver gets for
	// this connection may serve other sessions too; 0 means for none.
	CredentialTTL time.Duration
	// IdempotencyKey is passed to systems that know such keys; may be empty.
	IdempotencyKey string
}

// Again tells whether a context ended because the engine did, so that the operation
// is made again by the next one. What can be gone on with then should stay. It ended
// so if its cause has a method Again that says so.
func Again(ctx context.Context) bool {
	var cause interface{ Again() bool }
	return errors.As(context.Cause(ctx), &cause) && cause.Again()
}

// Result is what an operation gives.
type Result struct {
	// Output is a tree of nil, bool, float64, int64, json.Number, string, []any
	// and map[string]any. The driver gives it away and keeps no reference.
	Output map[string]any
}
