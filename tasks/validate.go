package tasks

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/schema"
)

// Validate tells what is wrong with a Spec, everything at once. A Spec that
// passes can drive help, forms, JSON Schema and redaction.
func (s Spec) Validate() error {
	var c checker
	c.check(regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`).MatchString(s.Type), "the type %q is not in upper case letters and digits", s.Type)
	c.check(strings.TrimSpace(s.Doc) != "", "the type has no doc")
	seen := map[string]bool{}
	for _, f := range s.Inputs.Fields {
		c.check(!seen[f.Name], "input %q is declared twice", f.Name)
		seen[f.Name] = true
		c.field(s, f)
	}
	for _, group := range s.Inputs.Conflicts {
		c.declared(s, "a conflict", group)
	}
	c.operations(s)
	for name := range s.Default {
		f, ok := s.Inputs.Field(name)
		c.check(ok, "the default connection gives %q, which is not declared", name)
		c.check(!f.Sensitive, "the default connection gives %q, which is sensitive", name)
	}
	return errors.Join(c.problems...)
}

// Check gives the operation that the inputs select, and an *Error of kind
// Invalid if an input that it requires is missing. in has been validated.
func (s Spec) Check(in schema.Inputs) (Operation, error) {
	op, ok := s.Operation(in)
	if !ok && s.Selector == "" {
		return Operation{}, &Error{
			Kind: Invalid, Message: fmt.Sprintf("%s: no input says what to do", s.Type),
			Hint: "give one of " + strings.Join(s.operationNames(), ", "),
		}
	}
	if !ok {
		return Operation{}, &Error{
			Kind: Invalid, Input: s.Selector,
			Message: fmt.Sprintf("choose what to do: input %q is missing", s.Selector),
			Hint:    "one of " + strings.Join(s.operationNames(), ", "),
		}
	}
	for _, name := range op.Required {
		if !in.Has(name) {
			return Operation{}, &Error{
				Kind: Invalid, Input: name,
				Message: fmt.Sprintf("%s %s: input %q is missing", s.Type, op.Name, name),
			}
		}
	}
	return op, nil
}

func (s Spec) operationNames() []string {
	names := make([]string, len(s.Operations))
	for i, o := range s.Operations {
		names[i] = o.Name
	}
	return names
}

// checker collects what is wrong.
type checker struct{ problems []error }

func (c *checker) check(ok bool, format string, args ...any) {
	if !ok {
		c.problems = append(c.problems, fmt.Errorf(format, args...))
	}
}

func (c *checker) declared(s Spec, who string, names []string) {
	for _, name := range names {
		_, ok := s.Inputs.Field(name)
		c.check(ok, "%s names input %q, which is not declared", who, name)
	}
}

func (c *checker) field(s Spec, f schema.Field) {
	c.check(regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(f.Name), "the name of input %q is not snake_case", f.Name)
	c.check(strings.TrimSpace(f.Doc) != "", "input %q has no doc", f.Name)
	c.check(knownType(f.Type), "input %q has the unknown type %q", f.Name, f.Type)
	if f.Elem != "" {
		c.check(f.Type == schema.List || f.Type == schema.Map, "input %q has elements but is neither list nor map", f.Name)
		c.check(knownType(f.Elem), "input %q has elements of the unknown type %q", f.Name, f.Elem)
	}
	c.check(f.Enum == nil || f.Type == schema.String, "input %q has an enum but is no string", f.Name)
	if f.Default != nil {
		c.check(holds(f.Type, f.Default), "the default of input %q is a %T, not a %s", f.Name, f.Default, f.Type)
		c.check(!f.Required, "input %q is required and has a default", f.Name)
		if text, ok := f.Default.(string); ok && f.Enum != nil {
			c.check(slices.Contains(f.Enum, text), "the default of input %q is not in its enum", f.Name)
		}
	}
	if f.Sensitive {
		c.check(f.Type == schema.String, "input %q is sensitive but no string", f.Name)
		c.check(!f.Public, "input %q is both sensitive and public", f.Name)
		c.check(f.Default == nil, "input %q is sensitive and has a default", f.Name)
	}
	if f.PairedWith != "" {
		c.check(f.Sensitive, "input %q is paired but not sensitive", f.Name)
		c.declared(s, fmt.Sprintf("input %q", f.Name), []string{f.PairedWith})
	}
}

func (c *checker) operations(s Spec) {
	c.check(len(s.Operations) > 0, "it has no operation")
	c.selector(s)
	seen := map[string]bool{}
	for _, o := range s.Operations {
		who := fmt.Sprintf("operation %q", o.Name)
		c.check(o.Name != "" && !seen[o.Name], "%s is unnamed or there twice", who)
		seen[o.Name] = true
		c.check(strings.TrimSpace(o.Doc) != "", "%s has no doc", who)
		c.declared(s, who, o.Inputs)
		c.declared(s, who, o.Required)
		keys := map[string]bool{}
		for _, f := range o.Output {
			c.check(f.Name != "" && !keys[f.Name], "%s has output %q twice or unnamed", who, f.Name)
			keys[f.Name] = true
			c.check(knownType(f.Type), "output %q of %s has the unknown type %q", f.Name, who, f.Type)
			c.check(strings.TrimSpace(f.Doc) != "", "output %q of %s has no doc", f.Name, who)
		}
	}
}

func (c *checker) selector(s Spec) {
	if s.Selector == "" {
		names := s.operationNames()
		c.declared(s, "the choice of an operation", names)
		exclusive := func(group []string) bool {
			return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(group, name) })
		}
		c.check(len(names) < 2 || slices.ContainsFunc(s.Inputs.Conflicts, exclusive),
			"the inputs %s, which choose the operation, do not exclude each other", strings.Join(names, ", "))
		for _, name := range names {
			f, _ := s.Inputs.Field(name)
			c.check(f.Default == nil, "input %q chooses an operation and has a default", name)
		}
		return
	}
	selector, ok := s.Inputs.Field(s.Selector)
	c.check(ok, "the selector %q is not declared", s.Selector)
	c.check(selector.Type == schema.String && slices.Equal(selector.Enum, s.operationNames()),
		"the selector %q is not an enum of the operations %s", s.Selector, strings.Join(s.operationNames(), ", "))
}

func knownType(t schema.Type) bool {
	switch t {
	case schema.String, schema.Int, schema.Number, schema.Bool, schema.Duration, schema.List, schema.Map, schema.Any:
		return true
	}
	return false
}

// holds tells whether v has the Go type in which Inputs holds a value of type t.
func holds(t schema.Type, v any) bool {
	switch v.(type) {
	case string:
		return t == schema.String || t == schema.Any
	case int64:
		return t == schema.Int || t == schema.Any
	case float64:
		return t == schema.Number || t == schema.Any
	case bool:
		return t == schema.Bool || t == schema.Any
	case time.Duration:
		return t == schema.Duration
	case []any:
		return t == schema.List || t == schema.Any
	case map[string]any:
		return t == schema.Map || t == schema.Any
	}
	return false
}
