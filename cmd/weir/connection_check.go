package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// checkConnection tells what is wrong with a connection that is to be stored, as
// far as can be told without its secrets, and which required inputs it leaves open.
func (a *app) checkConnection(c connections.Connection) (open []string, err error) {
	spec, err := a.taskSpec(c.Type)
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	merged, problems := connections.Merge(spec.Inputs, c, nil, nil)
	_, faults := spec.Inputs.Decode(merged.Inputs)
	for _, p := range faults {
		switch in, given := merged.Inputs[p.Input]; {
		case !given:
			open = append(open, p.Input)
		case in.Value == nil: // it waits for a secret
		default:
			problems = append(problems, p)
		}
	}
	for _, e := range c.Value.Entries {
		if isMask(e.Value) {
			problems = append(problems, maskProblem(e))
		}
	}
	if len(problems) > 0 {
		return nil, &connections.InvalidError{Connection: c.Name, Problems: problems}
	}
	if len(c.Secrets) > 0 {
		open = nil // the secrets may give them
	}
	return open, nil
}

func maskProblem(e schema.Entry) schema.Problem {
	return schema.Problem{
		Pos: e.Pos, Input: e.Key,
		Message: fmt.Sprintf("%q is %s, which stands for a secret that is not shown", e.Key, secret.Mask),
		Hint:    "give the secret itself, or leave it out and attach one from Vault",
	}
}

// sayOpen tells of required inputs that are left to secrets and flows.
func (a *app) sayOpen(c connections.Connection, open []string) {
	if len(open) > 0 {
		a.say("note: %s: required and not given here: %s; attach a secret or give it in the flow", c.Name, strings.Join(open, ", "))
	}
}

// hiddenKeys gives the keys of a connection's value that hold secrets in plain
// text: sensitive inputs, and unknown ones, which may be mistyped.
func (a *app) hiddenKeys(c connections.Connection) []string {
	var fields schema.Object
	if registry, err := a.tasks(); err == nil {
		fields, _ = registry.Inputs(c.Type)
	}
	placeholder := regexp.MustCompile(`^\s*vault\.secret\([^()]*\)\s*$`)
	var keys []string
	for _, e := range c.Value.Entries {
		f, known := fields.Field(e.Key)
		if known && !f.Sensitive {
			continue
		}
		if e.Value.Kind == schema.ScalarNode && (e.Value.Scalar.Value == nil || placeholder.MatchString(e.Value.Scalar.Text)) {
			continue
		}
		keys = append(keys, e.Key)
	}
	return keys
}

// sensitiveNames gives the sensitive inputs of a task type.
func (a *app) sensitiveNames(taskType string) []string {
	spec, err := a.taskSpec(taskType)
	if err != nil {
		return nil
	}
	return fieldNames(spec, func(f schema.Field) bool { return f.Sensitive })
}

// maskedText gives a connection's value as it may be shown, and the keys that are
// masked in it.
func (a *app) maskedText(c connections.Connection) (valueText, []string) {
	keys := a.hiddenKeys(c)
	return newValueText(c.Text).masked(keys).maskComments(a.sensitiveNames(c.Type)), keys
}
