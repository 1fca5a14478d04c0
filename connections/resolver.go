package connections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Types knows the task types; tasks.Registry does.
type Types interface {
	// Inputs describes the inputs of a task type.
	Inputs(taskType string) (schema.Object, bool)
	// Default gives the value of the implicit connection "<type>.default".
	Default(taskType string) (map[string]any, bool)
	// Types lists the task types.
	Types() []string
}

// ResolverConfig says what a Resolver works with.
type ResolverConfig struct {
	// Sources are asked in this order; the first that has a connection wins.
	Sources []Source
	// Secrets reads secrets; nil if there is no source of them, so that connections
	// without secrets still resolve.
	Secrets SecretReader
	Types   Types // required
	// Now is the clock for the ages that Explain shows; nil means time.Now.
	Now func() time.Time
}

// Resolver finds connections and makes valid inputs out of them. It is safe for
// concurrent use and keeps nothing from one request to the next.
type Resolver struct {
	sources []Source
	secrets SecretReader
	types   Types
	now     func() time.Time
}

// NewResolver makes a Resolver.
func NewResolver(config ResolverConfig) (*Resolver, error) {
	if config.Types == nil {
		return nil, errors.New("connections: a resolver needs the task types")
	}
	r := &Resolver{sources: slices.Clone(config.Sources), secrets: config.Secrets, types: config.Types, now: config.Now}
	if r.now == nil {
		r.now = time.Now
	}
	return r, nil
}

// Request asks for the inputs of one task.
type Request struct {
	Owner string
	// Name is the connection's; empty for a task without a stored connection.
	Name string
	// Type is the task type where Name is empty, in any case.
	Type string
	// Overrides are the flow's inputs: a tree of JSON values, whose leaves may be
	// secret.Values. They are copied.
	Overrides map[string]any
	// Execution is the one that it is for, for the account of what secrets are read;
	// may be empty.
	Execution string
}

// Resolved is what a task needs to run.
type Resolved struct {
	Connection Connection
	Inputs     schema.Inputs
	// Merged tells for each input where it came from.
	Merged Merged
	// Masked holds every secret that the inputs hold in any form.
	Masked []secret.Value
	// Pairs are what is sent joined as "user:password".
	Pairs []Pair
	// Uses lists the secrets that were read, as they were read but without their keys.
	// They are not for the eyes of whom the connection is shared with for use.
	Uses []secret.Data
	// Warnings deserve the user's attention and hold no secret.
	Warnings []string
}

// Pair is a user name and the password that is sent with it.
type Pair struct {
	User     string
	Password secret.Value
}

// Resolve gives the inputs of a task. Its errors are a *NotFoundError, a
// *PinnedError, an *InvalidError with every problem there is, one or more
// *secret.ReadError, what a source said, or the context's. After an error, only
// Masked of the result is of use.
func (r *Resolver) Resolve(ctx context.Context, request Request) (Resolved, error) {
	out, err := r.resolve(ctx, request)
	if err != nil {
		return Resolved{}, err
	}
	resolved := Resolved{Masked: append(out.merged.masked(), out.veiled...)}
	if err := out.failure(); err != nil {
		return resolved, err
	}
	resolved.Connection = out.connection
	resolved.Inputs = out.inputs
	resolved.Merged = out.merged
	resolved.Pairs = out.pairs()
	resolved.Warnings = out.warnings()
	for i := range out.reads {
		used := out.reads[i].Data
		used.Keys = nil
		resolved.Uses = append(resolved.Uses, used)
	}
	return resolved, nil
}

// outcome is all that is known after an attempt to resolve, successful or not.
type outcome struct {
	connection Connection
	object     schema.Object
	known      bool // the task type is
	reads      []Read
	merged     Merged
	inputs     schema.Inputs
	problems   []schema.Problem
	veiled     []secret.Value // no secrets, but not to be shown either
}

// resolve is shared by Resolve and Explain. Its error means that not even a
// connection was found.
func (r *Resolver) resolve(ctx context.Context, request Request) (*outcome, error) {
	out := new(outcome)
	if request.Name == "" {
		out.connection = Connection{Type: request.Type, Owner: request.Owner}
	} else {
		c, err := r.find(ctx, request.Owner, request.Name)
		if err != nil {
			return nil, err
		}
		out.connection = c
	}
	out.connection.Type = strings.ToUpper(out.connection.Type)
	out.object, out.known = r.types.Inputs(out.connection.Type)
	if !out.known {
		out.problems = append(out.problems, r.unknownType(out.connection))
	}
	if out.connection.Shared != "" {
		out.connection.Pinned = withDestinations(out.connection.Pinned, out.object)
	}
	out.reads = readAll(ctx, ReaderFor(r.secrets, Reading{
		User: request.Owner, Owner: out.connection.Owner, Connection: out.connection.ownName(), Execution: request.Execution,
	}), Refs(out.connection))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out.merged, out.problems = mergeInto(out, request.Overrides)
	if out.connection.Shared == RightUse {
		out.veil()
	}
	return out, nil
}

func mergeInto(out *outcome, flow map[string]any) (Merged, []schema.Problem) {
	merged, problems := Merge(out.object, out.connection, out.reads, flow)
	if !out.known {
		return merged, out.problems // nothing else can be judged
	}
	inputs, faults := out.object.Decode(merged.Inputs)
	out.inputs = inputs
	for _, p := range faults {
		_, given := merged.Inputs[p.Input]
		if merged.broken[p.Input] || !given && out.unread() {
			continue // told already, or perhaps in a secret that could not be read
		}
		problems = append(problems, p)
	}
	return merged, problems
}

func (out *outcome) unread() bool {
	return slices.ContainsFunc(out.reads, func(r Read) bool { return r.Err != nil })
}

func (r *Resolver) unknownType(c Connection) schema.Problem {
	known := r.types.Types()
	hint := schema.DidYouMean(c.Type, known)
	if hint == "" {
		hint = "known task types: " + strings.Join(known, ", ")
	}
	return schema.Problem{Pos: c.Origin.Pos, Message: "unknown task type " + strconv.Quote(c.Type), Hint: hint}
}

// failure gives the error of an outcome. Secrets that could not be read come
// first: they say most about the rest.
func (out *outcome) failure() error {
	name := out.connection.Name
	var failed []error
	for i := range out.reads {
		if err := out.reads[i].Err; err != nil {
			failed = append(failed, err)
		}
	}
	switch {
	case !out.known:
		return &InvalidError{Connection: name, Problems: out.problems}
	case len(out.merged.Overridden) > 0:
		return &PinnedError{Connection: name, Inputs: out.merged.Overridden, shared: out.connection.Shared == RightUse}
	case len(failed) == 1:
		return fmt.Errorf("connection %q: %w", name, failed[0])
	case len(failed) > 1:
		return fmt.Errorf("connection %q: %w", name, errors.Join(failed...))
	case len(out.problems) > 0:
		return &InvalidError{Connection: name, Problems: out.problems}
	}
	return nil
}

// readAll reads each secret once, side by side.
func readAll(ctx context.Context, reader SecretReader, refs []secret.Ref) []Read {
	if len(refs) == 0 {
		return nil
	}
	const atOnce = 8
	reads := make([]Read, len(refs))
	if len(refs) == 1 {
		reads[0] = readOne(ctx, reader, refs[0])
		return reads
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, ref := range refs {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			reads[i] = readOne(ctx, reader, ref)
		})
	}
	group.Wait()
	return reads
}

func readOne(ctx context.Context, reader SecretReader, ref secret.Ref) Read {
	if reader == nil {
		return Read{Ref: ref, Err: &secret.ReadError{
			Ref: ref, Reason: secret.Invalid,
			Detail: "no source of secrets is configured",
			Hint:   "add a Vault configuration, or a file of secrets for development",
		}}
	}
	data, err := reader.ReadSecret(ctx, ref)
	return Read{Ref: ref, Data: data, Err: err}
}

// masked gives every secret that became part of the inputs.
func (m *Merged) masked() []secret.Value {
	masked := make([]secret.Value, 0, len(m.parts)+4)
	for _, p := range m.parts {
		masked = append(masked, p.secret)
	}
	for _, in := range m.Inputs {
		if !in.Secret {
			continue
		}
		leaves(in.Value, func(leaf any) {
			if s, ok := leaf.(secret.Value); ok {
				masked = append(masked, s)
			}
		})
	}
	return masked
}

func (out *outcome) pairs() []Pair {
	var pairs []Pair
	for i := range out.object.Fields {
		f := &out.object.Fields[i]
		if f.PairedWith == "" || !f.Sensitive || !out.inputs.Has(f.Name) {
			continue
		}
		if user, ok := out.inputs.Any(f.PairedWith).(string); ok {
			pairs = append(pairs, Pair{User: user, Password: out.inputs.Secret(f.Name)})
		}
	}
	return pairs
}

// warnings tells of secrets that may be outdated and then, in the order of the
// fields, of secrets too short to be masked and of secrets in plain files.
func (out *outcome) warnings() []string {
	var warnings []string
	if out.connection.Shared == RightUse {
		return nil // they are for those who can mend it
	}
	for i := range out.reads {
		if warning := out.reads[i].Data.Warning(); warning != "" {
			warnings = append(warnings, warning)
		}
	}
	for i := range out.object.Fields {
		f := &out.object.Fields[i]
		in, ok := out.merged.Inputs[f.Name]
		if !ok || !in.Secret {
			continue
		}
		if f.Sensitive && in.Origin.Layer == schema.LayerValue && out.connection.Origin.Source == SourceFile {
			warnings = append(warnings, fmt.Sprintf("%s: %q stands in a file as plain text; attach a secret instead", in.Origin.Pos, f.Name))
		}
		if f.Type != schema.Bool && out.anyShort(f.Name, in) {
			warnings = append(warnings, fmt.Sprintf("%q (%s) holds a secret shorter than 6 bytes: it is not masked where it appears", f.Name, in.Origin))
		}
	}
	return warnings
}

// anyShort tells whether an input holds a secret that is too short to be masked.
func (out *outcome) anyShort(name string, in schema.Input) bool {
	short := false
	look := func(leaf any) {
		s, ok := leaf.(secret.Value)
		short = short || ok && !s.Maskable() && !s.Equal(secret.New(""))
	}
	leaves(in.Value, look)
	for _, p := range out.merged.parts {
		if p.input == name && in.Origin.Layer == schema.LayerSecret {
			look(p.secret)
		}
	}
	return short
}
