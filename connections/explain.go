package connections

import (
	"context"
	"errors"
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
	Path    string `json:"path"` // "path" or "vault:path"
	Version int    `json:"version,omitempty"`
	// Age is for how long this version has existed; empty if that is not known.
	Age         string            `json:"age,omitempty"`
	CachedUntil *time.Time        `json:"cached_until,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	// Surplus lists its keys that the task type does not know and that are left out.
	Surplus []string `json:"surplus,omitempty"`
	// Problem says why it could not be read.
	Problem string `json:"problem,omitempty"`
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
	for i := range out.reads {
		read := &out.reads[i]
		ref := read.Data.Ref
		if read.Err != nil {
			ref = read.Ref
		}
		row := ExplainedSecret{Version: ref.Version, Metadata: maps.Clone(read.Data.Metadata)}
		ref.Version = 0
		row.Path = ref.String()
		if read.Err != nil {
			row.Problem = read.Err.Error()
		}
		if created := read.Data.Created; !created.IsZero() {
			row.Age = now.Sub(created).Truncate(time.Second).String()
		}
		if until := read.Data.CachedUntil; !until.IsZero() {
			row.CachedUntil = &until
		}
		for _, origin := range out.merged.Surplus {
			if read.Err == nil && origin.Path == read.Data.Ref.String() {
				row.Surplus = append(row.Surplus, origin.Key)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (out *outcome) explainProblems() []ExplainedProblem {
	var rows []ExplainedProblem
	for i := range out.reads {
		if err := out.reads[i].Err; err != nil {
			rows = append(rows, explainError(err))
		}
	}
	if names := out.merged.Overridden; len(names) > 0 {
		row := explainError(&PinnedError{Connection: out.connection.Name, Inputs: names})
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
