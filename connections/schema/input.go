package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Layer is where an input came from. Later layers replace earlier ones.
type Layer string

// The layers, in the order in which they are applied.
const (
	LayerDefault Layer = "default" // the task type's default
	LayerValue   Layer = "value"   // the connection's value
	LayerSecret  Layer = "secret"  // an attached secret, or a placeholder in the value
	LayerFlow    Layer = "flow"    // the flow's own inputs
)

// Pos is a place in a file. The zero Pos is no place.
type Pos struct {
	File      string
	Line, Col int // from 1
}

// String gives "file:line", "line 3" without a file, or "" for the zero Pos.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.File == "":
		return "line " + strconv.Itoa(p.Line)
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// Origin says where an input came from.
type Origin struct {
	Layer Layer
	Pos   Pos    // value: where its key stands; also set for a placeholder
	Path  string // secret: "path@version" or "vault:path@version"
	Key   string // secret: the key there
}

// String gives "value library.yaml:7", "secret secret/data/oracle@3#password",
// "flow" or "default".
func (o Origin) String() string {
	switch o.Layer {
	case LayerValue:
		return strings.TrimSpace(fmt.Sprintf("%s %s", o.Layer, o.Pos))
	case LayerSecret:
		return fmt.Sprintf("%s %s#%s", o.Layer, o.Path, o.Key)
	}
	return string(o.Layer)
}

// Input is one merged, not yet decoded input.
type Input struct {
	// Value is a tree: nil, bool, int64, float64, json.Number, string, Scalar,
	// secret.Value, []any, map[string]any.
	Value    any
	Origin   Origin
	Shadowed []Origin // what it replaced, newest first
	// Secret inputs are never shown: their value stems from a secret, or the field
	// is sensitive. A sensitive field is secret even where this is not set.
	Secret bool
}

// Scalar is a YAML scalar as it was typed, beside what YAML makes of it.
type Scalar struct {
	Text string // as typed, quotes removed
	// Value is nil, bool, int64, float64 or string by the YAML 1.2 core schema, but
	// numbers with leading zeros are texts, and a whole number beyond int64 is a
	// json.Number.
	Value any
	Pos   Pos
}

// Problem is one thing wrong with a document or with inputs.
type Problem struct {
	Pos     Pos    // zero if it is about no place in a file
	Input   string // the input it is about; may be empty
	Message string // never holds a value that could be secret
	Hint    string // what to do, may be empty: `did you mean "password"?`
}

// String gives `file:line: message`.
func (p Problem) String() string {
	if s := p.Pos.String(); s != "" {
		return s + ": " + p.Message
	}
	return p.Message
}
