package connections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Explanation tells how the inputs of a task came about. It holds no secret and
// is fit to be shown as a table or as JSON.
type Explanation struct {
	Connection string `json:"connection,omitempty"`
	Type       string `json:"type"`
	// Source is where the connection was found: "file", "store" or "default".
	Source string `json:"source,omitempty"`
	// Where is the file and line, if it was found in a file.
	Where string `json:"where,omitempty"`
	// Hides lists where else a connection of this name is, which does not count.
	Hides    []string           `json:"hides,omitempty"`
	Revision int64              `json:"revision,omitempty"`
	Inputs   []ExplainedInput   `json:"inputs"`
	Secrets  []ExplainedSecret  `json:"secrets,omitempty"`
	Warnings []string           `json:"warnings,omitempty"`
	Problems []ExplainedProblem `json:"problems,omitempty"`
}

// ExplainedInput is one input, in the order of the task type's description.
type ExplainedInput struct {
	Input string `json:"input"`
	// Value is a tree of plain values; "***" stands for what is secret.
	Value  any          `json:"value"`
	Secret bool         `json:"secret,omitempty"`
	Layer  schema.Layer `json:"layer"`
	// From is the file and line, or the secret's path, version and key.
	From string `json:"from,omitempty"`
	// Shadowed lists what it replaced, newest first.
	Shadowed []string `json:"shadowed,omitempty"`
	// Pinned inputs may not be overridden by a flow.
	Pinned bool `json:"pinned,omitempty"`
}

// ExplainedSecret is one secret that the connection uses.
type ExplainedSecret struct {
	Path string `json:"path"` // "path" or "vault:path"
	// Version is the one that was read, or is pinned if none could be.
	Version int `json:"version,omitempty"`
	// Created is when this version was written; nil if that is not known.
	Created *time.Time `json:"created,omitempty"`
	// Age is the time since then in its largest unit, such as "25h".
	Age string `json:"age,omitempty"`
	// CachedUntil is until when a task gets the same without the source being asked;
	// nil if its reader does not say.
	CachedUntil *time.Time `json:"cached_until,omitempty"`
	// Metadata is its custom metadata.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Surplus lists its keys that the task type does not know and that are left out.
	Surplus []string `json:"surplus,omitempty"`
	// Reason is in a word or two why it could not be read, and Problem all of it.
	Reason  secret.Reason `json:"reason,omitempty"`
	Problem string        `json:"problem,omitempty"`
}

// ExplainedProblem is one thing that keeps the task from running.
type ExplainedProblem struct {
	Where   string `json:"where,omitempty"`
	Input   string `json:"input,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Explain tells what Resolve would do, by doing the same. It explains as much as
// is known if inputs are invalid or secrets cannot be read, and says so under
// Problems. Its error means that there is no such connection to explain.
func (r *Resolver) Explain(ctx context.Context, request Request) (Explanation, error) {
	out, err := r.resolve(ctx, request)
	if err != nil {
		return Explanation{}, err
	}
	c := out.connection
	e := Explanation{
		Connection: c.Name,
		Type:       c.Type,
		Source:     c.Origin.Source,
		Where:      c.Origin.Pos.String(),
		Revision:   c.Revision,
		Inputs:     out.explainInputs(),
		Secrets:    out.explainSecrets(r.now()),
		Warnings:   out.warnings(),
		Problems:   out.explainProblems(),
	}
	if c.Shared == RightUse {
		e.Inputs, e.Secrets = ownInputs(e.Inputs), nil
		return e, nil
	}
	if request.Name != "" {
		for _, pos := range r.hidden(ctx, c) {
			e.Hides = append(e.Hides, pos.String())
		}
	}
	return e, nil
}

func (out *outcome) explainInputs() []ExplainedInput {
	rows := []ExplainedInput{}
	for i := range out.object.Fields {
		if row, ok := out.explainField(&out.object.Fields[i]); ok {
			rows = append(rows, row)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out.merged.Inputs)) {
		if field(&out.object, name) == nil {
			rows = append(rows, out.explainInput(name, out.merged.Inputs[name], secret.Mask))
		}
	}
	return rows
}

func (out *outcome) explainField(f *schema.Field) (ExplainedInput, bool) {
	if in, given := out.merged.Inputs[f.Name]; given {
		return out.explainInput(f.Name, in, out.show(f, in)), true
	}
	removed, taken := out.merged.Removed[f.Name]
	if out.known && out.inputs.Has(f.Name) {
		in := schema.Input{Origin: schema.Origin{Layer: schema.LayerDefault}}
		if taken {
			in.Shadowed = append([]schema.Origin{removed.Origin}, removed.Shadowed...)
		}
		in.Secret = f.Sensitive
		return out.explainInput(f.Name, in, plain(out.inputs.Any(f.Name))), true
	}
	if taken {
		return out.explainInput(f.Name, removed, nil), true
	}
	return ExplainedInput{}, false
}

// show gives the value of a known input as it may be seen: decoded if it is
// neither secret nor wrong.
func (out *outcome) show(f *schema.Field, in schema.Input) any {
	switch {
	case out.merged.broken[f.Name] && in.Value == nil:
		return nil // there is nothing to hide
	case f.Sensitive:
		return secret.Mask
	case !in.Secret && out.inputs.Has(f.Name):
		return plain(out.inputs.Any(f.Name))
	}
	return plain(in.Value)
}

func (out *outcome) explainInput(name string, in schema.Input, value any) ExplainedInput {
	row := ExplainedInput{
		Input: name, Value: value, Secret: in.Secret, Layer: in.Origin.Layer,
		From:   from(in.Origin),
		Pinned: slices.Contains(out.connection.Pinned, name),
	}
	if several := out.merged.from[name]; several != nil && in.Origin.Layer == schema.LayerSecret {
		texts := make([]string, len(several))
		for i, origin := range several {
			texts[i] = from(origin)
		}
		row.From = strings.Join(texts, ", ") + " (" + in.Origin.Pos.String() + ")"
	}
	for _, origin := range in.Shadowed {
		row.Shadowed = append(row.Shadowed, origin.String())
	}
	return row
}

// from gives an origin without its layer.
func from(o schema.Origin) string {
	switch {
	case o.Layer != schema.LayerSecret:
		return o.Pos.String()
	case o.Path == "":
		return "placeholder at " + o.Pos.String()
	case o.Pos == schema.Pos{}:
		return o.Path + "#" + o.Key
	}
	return o.Path + "#" + o.Key + " (" + o.Pos.String() + ")"
}

// plain gives a tree of plain values, with what is secret masked.
func plain(v any) any {
	switch v := v.(type) {
	case secret.Value:
		return secret.Mask
	case schema.Scalar:
		return v.Value
	case time.Duration:
		return v.String()
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key := range v {
			tree[key] = plain(v[key])
		}
		return tree
	}
	return v
}

func (out *outcome) explainSecrets(now time.Time) []ExplainedSecret {
	var rows []ExplainedSecret
	masks := out.masks()
	for i := range out.reads {
		if read := &out.reads[i]; read.Err != nil {
			rows = append(rows, explainUnread(read))
		} else {
			rows = append(rows, out.explainRead(read.Data, masks, now))
		}
	}
	return rows
}

// masks knows every value that was read. Whoever wrote custom metadata may have
// thought that only Vault sees them.
func (out *outcome) masks() *secret.Redactor {
	masks := secret.NewRedactor()
	for i := range out.reads {
		leaves(out.reads[i].Data.Keys, func(leaf any) {
			if value, ok := leaf.(secret.Value); ok {
				masks.Add(value)
			}
		})
	}
	return masks
}

func (out *outcome) explainRead(data secret.Data, masks *secret.Redactor, now time.Time) ExplainedSecret {
	row := ExplainedSecret{Version: data.Ref.Version}
	row.Path = withoutVersion(data.Ref)
	if created := data.Created; !created.IsZero() {
		row.Created, row.Age = &created, ageText(now.Sub(created))
	}
	if until := data.CachedUntil; !until.IsZero() {
		row.CachedUntil = &until
	}
	if len(data.Metadata) > 0 {
		row.Metadata = make(map[string]string, len(data.Metadata))
	}
	for key, value := range data.Metadata {
		row.Metadata[masks.String(key)] = masks.String(value)
	}
	for _, origin := range out.merged.Surplus {
		if origin.Path == data.Ref.String() {
			row.Surplus = append(row.Surplus, origin.Key)
		}
	}
	return row
}

func explainUnread(read *Read) ExplainedSecret {
	row := ExplainedSecret{Path: withoutVersion(read.Ref), Version: read.Ref.Version, Problem: read.Err.Error()}
	var failed *secret.ReadError
	if errors.As(read.Err, &failed) {
		row.Reason = failed.Reason
	}
	return row
}

func withoutVersion(ref secret.Ref) string {
	ref.Version = 0
	return ref.String()
}

// ageText gives a duration in its largest unit of which there are at least two. A
// clock that is ahead of ours makes nothing younger than now.
func ageText(age time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case age >= 2*day:
		return fmt.Sprintf("%dd", age/day)
	case age >= 2*time.Hour:
		return fmt.Sprintf("%dh", age/time.Hour)
	case age >= 2*time.Minute:
		return fmt.Sprintf("%dm", age/time.Minute)
	}
	return fmt.Sprintf("%ds", max(age, 0)/time.Second)
}

func (out *outcome) explainProblems() []ExplainedProblem {
	var rows []ExplainedProblem
	for i := range out.reads {
		if err := out.reads[i].Err; err != nil {
			rows = append(rows, explainError(err))
		}
	}
	if names := out.merged.Overridden; len(names) > 0 {
		row := explainError(&PinnedError{Connection: out.connection.Name, Inputs: names, shared: out.connection.Shared == RightUse})
		row.Input = names[0]
		rows = append(rows, row)
	}
	for _, p := range out.problems {
		rows = append(rows, ExplainedProblem{Where: p.Pos.String(), Input: p.Input, Message: p.Message, Hint: p.Hint})
	}
	return rows
}

func explainError(err error) ExplainedProblem {
	row := ExplainedProblem{Message: err.Error()}
	var read *secret.ReadError
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &read):
		row.Hint = read.Hint
	case errors.As(err, &hinted):
		row.Hint = hinted.Hint()
	}
	return row
}
