package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/weir-engine/weir/engine"
)

// Digest names the text of a flow or module: the SHA-256 of it in hex.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Row is what a store keeps of an execution in the clear, to find it by.
type Row struct {
	ID      engine.ID
	Root    engine.ID // of the tree; the execution itself for a root
	Parent  engine.ID // empty for a root
	Owner   string    // "" is the only user of a local store
	Name    string    // of the flow, or what its options call it
	Created time.Time
	State
}

// State is what a store knows of an execution besides its journal.
type State struct {
	Status engine.Status
	// Wake is when an engine must look at the execution; zero means that nothing
	// but another execution's end, an answer or an order brings it on. An
	// execution that an engine has in memory has none.
	Wake time.Time
	// Waits names what the execution waits for, if others may bring it: a
	// setting's lock, see [WaitsForLock], or a person. Empty otherwise.
	Waits string
	Ended time.Time   // zero until it ended
	Kind  engine.Kind // of its error; empty if there is none
}

// What an execution may wait for that a person brings.
const (
	WaitsForAnswer = "answer" // to a question of the flow
	// WaitsForDecision: what is to become of steps of which it is not known whether
	// they took effect.
	WaitsForDecision = "decision"
	WaitsForResume   = "resume" // an engine could not go on with it
)

// Change is what is written of one execution in one piece.
type Change struct {
	ID engine.ID
	// Create is set when the execution comes to be.
	Create *Row
	// First is the number of the first of Events. The store refuses events of a
	// number that is there already, as a kind conflict: two engines at work.
	First  int
	Events []Event
	// State replaces what the store knows; nil leaves it.
	State *State
	// Texts of flows and modules that the events name, by [Digest].
	Texts map[string][]byte
	// Traces by which secrets of the tree are masked after a restart; the store
	// ignores those that it has.
	Traces [][]byte
	// Lines are appended to the log of the execution.
	Lines []Line
	// Wake are executions that are looked at now if they wait.
	Wake []engine.ID
	// Done are orders that this change carries out; they are removed.
	Done []int64
	// Unlock releases all locks of settings that the execution holds, and wakes who
	// waits for them.
	Unlock bool
	// Setting reads or changes a setting in the same piece; nil for none.
	Setting *SettingCall
}

// Line is one line of an execution's log.
type Line struct {
	// Number counts the lines of one flow and its steps, from 1, in the order in
	// which they came.
	Number int
	// Ordinal counts the lines that the script itself wrote, from 1; 0 for a line
	// of a task. When the flow is run again, lines up to the last one that was
	// written are not written again.
	Ordinal int
	Event   engine.Event // masked; of kind log
}

// History is all that an engine needs to take an execution up.
type History struct {
	Row
	Events []Event
	// Lines and Ordinal are the numbers of the last line of the log; 0 if there is none.
	Lines, Ordinal int
	// Traces are those of the whole tree. TraceKey is the key that they are made with.
	Traces   [][]byte
	TraceKey [32]byte
}

// Verb is what an order asks of an engine.
type Verb string

// The verbs.
const (
	VerbCancel Verb = "cancel"
	VerbPause  Verb = "pause"
	VerbResume Verb = "resume"
	VerbRetry  Verb = "retry"
	// VerbAnswer answers a question of the flow, or what is to become of a step of
	// which it is not known whether it took effect.
	VerbAnswer Verb = "answer"
)

// Order is a request to the engine that works on a store, by whoever reached the
// store.
type Order struct {
	Number    int64 // given by the store
	Execution engine.ID
	Verb      Verb
	// Step is the question or step that an answer is for; it may be left empty
	// if there is just one.
	Step  string
	Value any    // of an answer
	By    string // the user; empty on a local store
	At    time.Time
}
