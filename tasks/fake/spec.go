package fake

import (
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// Names of operations and inputs that the driver looks at.
const (
	opEcho  = "echo"
	opCount = "count"

	leakError    = "error"
	leakWarning  = "warning"
	leakProgress = "progress"
	leakOutput   = "output"
	leakPanic    = "panic"
)

func spec() tasks.Spec {
	return tasks.Spec{
		Type: "FAKE",
		Doc: `Does what its own inputs say, and reaches no other system: for trying out connections and flows.

It takes the inputs that most task types have (host, port, user, password) and
can be told to be slow, to fail, to block, to panic or to leak its password.`,
		Inputs:     schema.Object{Fields: append(targetFields(), scriptFields()...)},
		Selector:   "operation",
		Operations: operations(),
		Default:    map[string]any{"operation": opEcho},
	}
}

func targetFields() []schema.Field {
	return []schema.Field{
		{Name: "operation", Type: schema.String, Default: opEcho, Enum: []string{opEcho, opCount}, Public: true,
			Doc: "What to do."},
		{Name: "host", Type: schema.String, Default: "localhost", Public: true, Destination: true,
			Doc: "The host it would connect to.", Examples: []string{"db.example.com"}},
		{Name: "port", Type: schema.Int, Default: int64(1234), Public: true, Destination: true,
			Doc: "The port it would connect to."},
		{Name: "user", Type: schema.String, Public: true,
			Doc: "The user it would log in as."},
		{Name: "password", Type: schema.String, Sensitive: true, PairedWith: "user",
			Doc: "The password it would log in with."},
		{Name: "payload", Type: schema.Any,
			Doc: "Any value; it is given back unchanged."},
	}
}

func scriptFields() []schema.Field {
	return []schema.Field{
		{Name: "delay", Type: schema.Duration, Default: time.Duration(0),
			Doc: "How long to work before anything else happens."},
		{Name: "block", Type: schema.Bool, Default: false,
			Doc: "Work until cancelled."},
		{Name: "counter", Type: schema.String,
			Doc:      "A file in the files directory to which each try adds one byte, so that its size counts them, across processes too.",
			Examples: []string{"tries"}},
		{Name: "fail_times", Type: schema.Int, Default: int64(0),
			Doc: "How many tries fail before one succeeds, as counted by `counter`; -1 fails always and needs no counter."},
		{Name: "fail_kind", Type: schema.String, Default: string(tasks.Unavailable), Enum: kinds(),
			Doc: "The kind of those failures."},
		{Name: "fail_auth", Type: schema.Bool, Default: false,
			Doc: "Say that the credentials were refused, so that they are read afresh."},
		{Name: "panic", Type: schema.Bool, Default: false,
			Doc: "Panic, as a defective driver would."},
		{Name: "size", Type: schema.Int, Default: int64(0),
			Doc: "Add a text of so many bytes to the output."},
		{Name: "steps", Type: schema.Int, Default: int64(0),
			Doc: "Report progress in so many steps."},
		{Name: "leak", Type: schema.String, Enum: []string{leakError, leakWarning, leakProgress, leakOutput, leakPanic},
			Doc: "Where to put the password, as a defective driver would."},
	}
}

func kinds() []string {
	var names []string
	for _, k := range []tasks.Kind{tasks.Invalid, tasks.Denied, tasks.NotFound, tasks.Conflict, tasks.Unavailable, tasks.Timeout, tasks.Permanent} {
		names = append(names, string(k))
	}
	return names
}

func operations() []tasks.Operation {
	script := []string{"payload", "delay", "block", "counter", "fail_times", "fail_kind", "fail_auth", "panic", "size", "steps", "leak"}
	output := []tasks.OutputField{
		{Name: "inputs", Type: schema.Map, Doc: "The inputs as the driver got them, defaults included, without the sensitive ones."},
		{Name: "count", Type: schema.Int, Doc: "The number of tries that `counter` has counted; left out without it."},
		{Name: "data", Type: schema.String, Doc: "The text of `size` bytes; left out if that is 0."},
		{Name: "leaked", Type: schema.String, Doc: "The password, with `leak: output`."},
	}
	return []tasks.Operation{
		{Name: opEcho, Idempotent: true, Inputs: script, Output: output,
			Doc: "Gives its inputs back. It may be repeated."},
		{Name: opCount, Inputs: script, Required: []string{"counter"}, Output: output,
			Doc: "The same, but it must not be repeated: each try leaves its trace in `counter`."},
	}
}
