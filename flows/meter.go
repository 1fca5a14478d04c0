package flows

import (
	"context"
	"time"

	"github.com/weir-engine/weir/engine"
)

// Limits bound what a script may consume. None of them depends on a clock: a
// script that exceeds one does so at the same place every time.
type Limits struct {
	// Instructions of the virtual machine, of all branches together; 0 means
	// 200,000,000, which is 5 to 20 seconds of pure computing. Work inside
	// functions of the library (patterns, long strings) is counted in the same unit.
	Instructions int64
	// Memory in bytes that the values of the script may take, as counted by the
	// sandbox; 0 means 128 MiB. The count runs behind by half of that at most,
	// and the Go heap holds garbage as well until it is collected.
	Memory int64
}

const (
	defaultInstructions = 200_000_000
	defaultMemory       = 128 << 20
	deferInstructions   = 10_000_000 // of all deferred functions together
	deferMemory         = 16 << 20   // in addition
	maxDeferred         = 1000       // functions
	deferTime           = 30 * time.Second

	// slice is how many instructions may pass before cancellation is noticed.
	slice = 64
	// bytesPerInstruction is charged for every instruction, since the sandbox
	// does not see what a single one allocates. See memory.go.
	bytesPerInstruction = 192
	// bytesPerCapture is charged instead for each variable that a function of the
	// program captures, where that is more: making a function takes 72 bytes for
	// each of them, and needs 5 instructions to be made again and again.
	bytesPerCapture = 16
	// stepsPerThread is what making a thread costs, for a coroutine or for a
	// protected call within another one.
	stepsPerThread = 100
	// stepsPerProtected is what a protected call costs, stepsPerRaised what it
	// costs in addition if it catches an error.
	stepsPerProtected = 20
	stepsPerRaised    = 300
	// stepsPerEvent is what a log line or a progress report costs.
	stepsPerEvent = 100
	// bytesPerStep is the length of text that a library function works through
	// in about the time of one instruction.
	bytesPerStep = 32
)

// meter counts. It is the context of every Lua state of a run: the virtual
// machine asks Done before each instruction, so counting there needs no clock
// and no hook, and a closed channel ends the script.
type meter struct {
	run    *runtime
	rate   int64 // bytes for each instruction
	slice  int   // instructions until the next look at everything else
	left   int64 // instructions, without those of the slice
	since  int64 // bytes charged since the last census
	max    int64 // bytes
	closed chan struct{}
}

func newMeter(r *runtime, l Limits) *meter {
	m := &meter{run: r, rate: bytesPerInstruction, left: l.Instructions, max: l.Memory, closed: make(chan struct{})}
	if m.left <= 0 {
		m.left = defaultInstructions
	}
	if m.max <= 0 {
		m.max = defaultMemory
	}
	close(m.closed)
	return m
}

// Done is called before each instruction.
func (m *meter) Done() <-chan struct{} {
	if m.slice--; m.slice >= 0 {
		return nil
	}
	return m.refill()
}

func (m *meter) refill() <-chan struct{} {
	m.slice = -1
	if m.run.fatal != nil {
		return m.closed
	}
	if m.run.ctx.Err() != nil {
		m.run.stop(m.run.interrupted())
		return m.closed
	}
	if m.left <= 0 {
		m.run.stop(withHint(newError(engine.Limit, "the flow exceeded its budget of instructions"),
			"look for an endless loop, or move the computing into a task"))
		return m.closed
	}
	m.left -= slice
	if !m.take(slice * m.rate) {
		return m.closed
	}
	m.slice = slice - 1
	return nil
}

// take accounts for bytes that the script is about to get. It reports false, and
// stops the run, if that is more than the run may have.
func (m *meter) take(bytes int64) bool {
	if m.run.fatal != nil {
		return false
	}
	if m.since += bytes; m.since <= m.max/2 {
		return true
	}
	if bytes <= m.max && bytes+m.run.census(m.max-bytes) <= m.max {
		m.since = bytes
		return true
	}
	m.run.stop(withHint(newError(engine.Limit, "the flow needs more than its %s of memory", size(m.max)),
		"work on less at a time, or let a task write to a file"))
	return false
}

// work accounts for library functions that go through n bytes or values.
func (m *meter) work(n int) { m.left -= int64(n) / bytesPerStep }

// step accounts for one unit of work, and reports false when the run is over.
func (m *meter) step() bool { return m.Done() == nil }

// admit adjusts the meter to a program that is about to run.
func (m *meter) admit(p *Program) { m.rate = max(m.rate, int64(p.captures)*bytesPerCapture) }

// grant gives the deferred functions something of their own to consume.
func (m *meter) grant(instructions, bytes int64) {
	m.left, m.slice, m.max = instructions, -1, m.max+bytes
}

// Err is asked after Done gave a closed channel.
func (m *meter) Err() error {
	if m.run.fatal != nil {
		return m.run.fatal
	}
	return m.run.ctx.Err()
}

// Deadline and Value complete the interface of a context.
func (m *meter) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value gives nothing: nothing in a script may depend on the context.
func (m *meter) Value(any) any { return nil }

var _ context.Context = (*meter)(nil)
