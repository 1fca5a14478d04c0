package engine

import "time"

// Status is the state of an execution.
type Status string

// The states. Succeeded, Failed and Cancelled are final.
const (
	Pending   Status = "pending"
	Running   Status = "running"
	Waiting   Status = "waiting"
	Paused    Status = "paused"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Ended tells whether s is final.
func (s Status) Ended() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Execution is one run of a flow or a task. Executions form a tree.
type Execution struct {
	ID     ID
	Parent ID       // empty for a root
	Kind   CallKind // connect, task or flow
	Name   string   // of the connection, the task type or the flow; or Options.Name
	Type   string   // the task type behind a connection; "FLOW" for a flow
	Status Status
	// Output is a tree of values, nil until the execution succeeded. It is exact:
	// a secret that a task put into its output is not masked here.
	Output  any
	Error   *Error // set when Failed or Cancelled
	Started time.Time
	Ended   time.Time // zero until the execution ended
	Tries   int
	Uses    Uses
}

// Uses records what a task was run with, all tries together and without any value
// of a secret.
type Uses struct {
	Connection string // empty for task()
	Revision   int64  // of the stored connection; 0 for one from a file
	// Secrets are in the order of their first use. One that was rotated while the
	// task was tried is there once for each version.
	Secrets []SecretUse
}

// SecretUse is one version of one secret that a task was run with.
type SecretUse struct {
	Path     string            // "vault:path" for a Vault configuration other than the default
	Version  int               // 0 where the source keeps no versions
	Created  time.Time         // when this version was written; zero if the source does not say
	Metadata map[string]string // the secret's custom metadata, which is public; may be nil
}
