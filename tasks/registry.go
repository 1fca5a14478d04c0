package tasks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// Registry is an immutable set of drivers by task type. It is a value that is
// handed around, never a global. Its methods take a type in any case.
type Registry struct {
	drivers map[string]Driver
	specs   map[string]Spec
	types   []string
}

// NewRegistry gives the registry of these drivers. It refuses a type that is
// there twice and a Spec that [Spec.Validate] refuses.
func NewRegistry(drivers ...Driver) (*Registry, error) {
	r := &Registry{drivers: map[string]Driver{}, specs: map[string]Spec{}}
	for _, d := range drivers {
		spec := d.Spec()
		if err := spec.Validate(); err != nil {
			return nil, fmt.Errorf("register task type %s: %w", spec.Type, err)
		}
		if _, dup := r.drivers[spec.Type]; dup {
			return nil, fmt.Errorf("register task type %s: it is registered twice", spec.Type)
		}
		r.drivers[spec.Type] = d
		r.specs[spec.Type] = spec
		r.types = append(r.types, spec.Type)
	}
	slices.Sort(r.types)
	return r, nil
}

// Driver gives the driver of a task type.
func (r *Registry) Driver(taskType string) (Driver, bool) {
	d, ok := r.drivers[strings.ToUpper(taskType)]
	return d, ok
}

// Spec gives the declaration of a task type.
func (r *Registry) Spec(taskType string) (Spec, bool) {
	s, ok := r.specs[strings.ToUpper(taskType)]
	return s, ok
}

// Types lists the task types in alphabetical order.
func (r *Registry) Types() []string { return slices.Clone(r.types) }

// Inputs gives the description of a task type's inputs.
func (r *Registry) Inputs(taskType string) (schema.Object, bool) {
	s, ok := r.Spec(taskType)
	return s.Inputs, ok
}

// Close ends what the drivers keep between sessions, such as idle connections: it
// calls the method Close of those that have one. They can be used afterwards.
func (r *Registry) Close() {
	for _, d := range r.drivers {
		if keeper, ok := d.(interface{ Close() }); ok {
			keeper.Close()
		}
	}
}

// Default gives a copy of the value of the implicit connection
// "<type>.default", and false if the type has none.
func (r *Registry) Default(taskType string) (map[string]any, bool) {
	s, ok := r.Spec(taskType)
	if !ok || s.Default == nil {
		return nil, false
	}
	return cloneTree(s.Default).(map[string]any), true
}

func cloneTree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = cloneTree(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = cloneTree(e)
		}
		return c
	}
	return v
}
