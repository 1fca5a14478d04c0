package connections

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Read is what came of reading a secret.
type Read struct {
	Ref  secret.Ref // one of Refs
	Data secret.Data
	Err  error // why Data is not there
}

// Merged is what Merge gives.
type Merged struct {
	// Inputs maps input names to merged inputs, each with where it came from and
	// what it replaced. Sensitive ones have only secret.Values as leaves.
	Inputs map[string]schema.Input
	// Removed holds the inputs that a null took away; their Value is nil and their
	// Origin is the null's.
	Removed map[string]schema.Input
	// Surplus lists the keys of attached secrets that the task type does not know
	// and no placeholder asked for. They were left out.
	Surplus []schema.Origin
	// Overridden lists the pinned inputs that the flow may not set as it did.
	Overridden []string

	from   map[string][]schema.Origin // all placeholders of an input, if several
	parts  []part                     // secrets that became part of a longer text
	broken map[string]bool            // inputs with a placeholder that has no value
}

// part is a secret within a text of an input.
type part struct {
	input  string
	secret secret.Value
}

// Merge lays a connection's value, its attached secrets in their order, and a
// flow's inputs over one another. It is pure: what it gives shares nothing with
// what it got. reads holds the outcome for each of Refs(c); a secret that was not
// read adds nothing. Types and required inputs are not checked here but by
// [schema.Object.Decode].
func Merge(object schema.Object, c Connection, reads []Read, flow map[string]any) (Merged, []schema.Problem) {
	m := merger{object: object, connection: c, reads: reads}
	m.Inputs = make(map[string]schema.Input, len(c.Value.Entries)+len(flow)+4)
	m.layValue()
	for i := range c.Secrets {
		m.laySecret(c.Secrets[i])
	}
	before := m.pinned()
	m.layFlow(flow)
	m.finish()
	m.checkPinned(before, flow)
	return m.Merged, m.problems
}

type merger struct {
	Merged
	object     schema.Object
	connection Connection
	reads      []Read
	used       []schema.Origin // path and key of each placeholder that was filled
	embedded   map[string]bool // inputs of which a secret is only a part of a text
	held       []string        // inputs that the value gives by a placeholder
	extra      []schema.Origin // keys of secrets that are no inputs
	problems   []schema.Problem
}

func mark(set *map[string]bool, name string) {
	if *set == nil {
		*set = make(map[string]bool)
	}
	(*set)[name] = true
}

// lay puts an input over what is there.
func (m *merger) lay(name string, value any, origin schema.Origin) {
	in := schema.Input{Value: value, Origin: origin}
	if old, ok := m.Inputs[name]; ok {
		in.Shadowed = append(append(make([]schema.Origin, 0, len(old.Shadowed)+1), old.Origin), old.Shadowed...)
	}
	m.Inputs[name] = in
}

func (m *merger) layValue() {
	for i := range m.connection.Value.Entries {
		e := &m.connection.Value.Entries[i]
		s := substitution{merger: m, input: e.Key}
		value := s.tree(&e.Value)
		origin := schema.Origin{Layer: schema.LayerValue, Pos: e.Pos}
		if s.found {
			m.held = append(m.held, e.Key)
			origin.Layer = schema.LayerSecret
			if len(s.origins) > 0 {
				origin.Path, origin.Key = s.origins[0].Path, s.origins[0].Key
			}
			if len(s.origins) > 1 {
				if m.from == nil {
					m.from = make(map[string][]schema.Origin)
				}
				m.from[e.Key] = s.origins
			}
		}
		m.lay(e.Key, value, origin)
	}
}

// laySecret lays the keys of one attached secret over the inputs.
func (m *merger) laySecret(attached AttachedSecret) {
	read := m.read(attached.Ref())
	if read == nil || read.Err != nil {
		return
	}
	path := read.Data.Ref.String()
	if attached.Keys == nil {
		for key, value := range read.Data.Keys {
			origin := schema.Origin{Layer: schema.LayerSecret, Path: path, Key: key}
			if field(&m.object, key) == nil {
				m.extra = append(m.extra, origin)
				continue
			}
			m.layKey(key, value, origin)
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(attached.Keys)) {
		key := attached.Keys[name]
		value, ok := read.Data.Keys[key]
		switch {
		case !ok:
			m.problems = append(m.problems, noKey(attached.Pos, name, key, read.Data))
			mark(&m.broken, name)
		case field(&m.object, name) == nil:
			m.problems = append(m.problems, schema.Problem{
				Pos: attached.Pos, Input: name,
				Message: fmt.Sprintf("the secret %q is to give an unknown input %q", path, name),
				Hint:    schema.DidYouMean(name, fieldNames(m.object)),
			})
		default:
			m.layKey(name, value, schema.Origin{Layer: schema.LayerSecret, Path: path, Key: key})
		}
	}
}

// layKey lays one key of a secret, unless a placeholder gives this input already.
func (m *merger) layKey(name string, value any, origin schema.Origin) {
	if !slices.Contains(m.held, name) {
		m.lay(name, copyTree(value), origin)
		return
	}
	in := m.Inputs[name]
	if in.Origin.Path != origin.Path || in.Origin.Key != origin.Key {
		in.Shadowed = append([]schema.Origin{origin}, in.Shadowed...)
		m.Inputs[name] = in
	}
}

func noKey(pos schema.Pos, input, key string, data secret.Data) schema.Problem {
	return schema.Problem{
		Pos: pos, Input: input, Hint: keysHint(key, "its", slices.Sorted(maps.Keys(data.Keys))),
		Message: fmt.Sprintf("the secret %q has no key %q", data.Ref.String(), key),
	}
}

// keysHint names the key that was probably meant, and those that there are: whose
// ("its", "the") keys are sorted.
func keysHint(key, whose string, keys []string) string {
	const most = 20
	var hints []string
	if near := schema.DidYouMean(key, keys); near != "" {
		hints = append(hints, near)
	}
	if more := len(keys) - most; more > 0 {
		keys = append(slices.Clone(keys[:most]), fmt.Sprintf("and %d more", more))
	}
	if len(keys) > 0 {
		hints = append(hints, whose+" keys are "+strings.Join(keys, ", "))
	}
	return strings.Join(hints, " ")
}

func (m *merger) layFlow(flow map[string]any) {
	for name, given := range flow {
		value, fault := flowTree(given)
		if fault != "" {
			m.problems = append(m.problems, schema.Problem{
				Input:   name,
				Message: fmt.Sprintf("%q (from the flow): %s", name, fault),
				Hint:    `a flow reads secrets with secret("path#key"); ` + hintEscape,
			})
			mark(&m.broken, name)
		}
		m.lay(name, value, schema.Origin{Layer: schema.LayerFlow})
	}
}

// flowTree copies what a flow gave. A placeholder in it is refused: a flow must
// not read secrets by naming them.
func flowTree(v any) (any, string) {
	switch v := v.(type) {
	case string:
		pieces, fault := cutPlaceholders(v)
		if pieces == nil && fault == "" {
			return v, ""
		}
		if len(pieces) == 1 && pieces[0].hold == nil {
			return pieces[0].text, ""
		}
		return nil, "placeholders are for the values of connections only"
	case []any:
		list := make([]any, len(v))
		for i := range v {
			child, fault := flowTree(v[i])
			if fault != "" {
				return nil, fault
			}
			list[i] = child
		}
		return list, ""
	case map[string]any:
		tree := make(map[string]any, len(v))
		for key := range v {
			child, fault := flowTree(v[key])
			if fault != "" {
				return nil, fault
			}
			tree[key] = child
		}
		return tree, ""
	}
	return v, ""
}

// finish takes away what is null, finds out what is secret, and sorts what must
// not depend on the order of maps.
func (m *merger) finish() {
	for name, in := range m.Inputs {
		f := field(&m.object, name)
		if f != nil && schema.IsNull(in.Value) && !m.broken[name] {
			in.Value = nil
			if m.Removed == nil {
				m.Removed = make(map[string]schema.Input)
			}
			m.Removed[name] = in
			delete(m.Inputs, name)
			continue
		}
		embedded := m.embedded[name] && in.Origin.Layer == schema.LayerSecret
		switch {
		case f == nil:
			in.Secret = true // it may be a mistyped password
		case f.Sensitive:
			in.Secret = true
			in.Value = seal(in.Value)
		case embedded || !f.Public:
			in.Secret = holdsSecret(in.Value)
		}
		if in.Secret {
			m.Inputs[name] = in
		}
	}
	for _, origin := range m.extra {
		used := func(o schema.Origin) bool { return o.Path == origin.Path && o.Key == origin.Key }
		if !slices.ContainsFunc(m.used, used) {
			m.Surplus = append(m.Surplus, origin)
		}
	}
	slices.SortFunc(m.Surplus, func(a, b schema.Origin) int {
		return strings.Compare(a.Path+"#"+a.Key, b.Path+"#"+b.Key)
	})
	slices.SortFunc(m.problems, func(a, b schema.Problem) int {
		return strings.Compare(a.Input, b.Input)
	})
}

func (m *merger) read(ref secret.Ref) *Read {
	for i := range m.reads {
		if m.reads[i].Ref == ref {
			return &m.reads[i]
		}
	}
	return nil
}

func field(o *schema.Object, name string) *schema.Field {
	for i := range o.Fields {
		if o.Fields[i].Name == name {
			return &o.Fields[i]
		}
	}
	return nil
}

func fieldNames(o schema.Object) []string {
	names := make([]string, len(o.Fields))
	for i := range o.Fields {
		names[i] = o.Fields[i].Name
	}
	return names
}

// Refs gives each secret that the connection needs once: those attached, then
// those that its placeholders name.
func Refs(c Connection) []secret.Ref {
	var refs []secret.Ref
	add := func(ref secret.Ref) {
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	for i := range c.Secrets {
		add(c.Secrets[i].Ref())
	}
	eachText(&c.Value, func(text string) {
		pieces, _ := cutPlaceholders(text)
		for _, p := range pieces {
			if p.hold != nil && p.hold.named() {
				add(c.named(*p.hold))
			}
		}
	})
	return refs
}

// eachText visits every text of a value.
func eachText(n *schema.Node, visit func(string)) {
	for i := range n.Items {
		eachText(&n.Items[i], visit)
	}
	for i := range n.Entries {
		eachText(&n.Entries[i].Value, visit)
	}
	if text, ok := n.Scalar.Value.(string); ok && n.Kind == schema.ScalarNode {
		visit(text)
	}
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, ", ")
}
