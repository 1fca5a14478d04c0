package tasks

import "github.com/weir-engine/weir/connections/schema"

// Spec declares a task type.
type Spec struct {
	Type string // "GIT"
	Doc  string // one sentence for lists, then paragraphs
	// Inputs describes every input of every operation.
	Inputs schema.Object
	// Selector names the input whose text names the operation. It is an enum of
	// the operations' names. "" means that each operation is chosen by giving the
	// input that has its name, at most one of which may be given.
	Selector   string
	Operations []Operation
	// Default is the value of the implicit connection "<type>.default"; nil means
	// that there is none.
	Default map[string]any
}

// Operation is one thing that a task type can do.
type Operation struct {
	Name string
	Doc  string
	// Idempotent operations may be repeated without any further effect, so a try
	// whose fate is unknown is made again.
	Idempotent bool
	// Inputs names the inputs it looks at, beside those that every operation does.
	Inputs []string
	// Required names the inputs that it cannot do without.
	Required []string
	// Output maps each key of its output to what it holds.
	Output []OutputField
}

// OutputField documents one key of an operation's output.
type OutputField struct {
	Name string
	Type schema.Type
	Doc  string
}

// Operation gives the operation that the inputs select. in has been validated.
func (s Spec) Operation(in schema.Inputs) (Operation, bool) {
	for _, o := range s.Operations {
		if s.Selector == "" && in.Has(o.Name) || s.Selector != "" && in.String(s.Selector) == o.Name {
			return o, true
		}
	}
	return Operation{}, false
}
