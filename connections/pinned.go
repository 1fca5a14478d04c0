package connections

import (
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// pinned gives the pinned inputs as they are without the flow; nil if none is.
func (m *merger) pinned() map[string]schema.Input {
	if len(m.connection.Pinned) == 0 {
		return nil
	}
	before := make(map[string]schema.Input, len(m.connection.Pinned))
	for _, name := range m.connection.Pinned {
		if field(&m.object, name) == nil {
			m.problems = append(m.problems, schema.Problem{
				Input: name, Pos: m.connection.Origin.Pos,
				Message: "unknown input " + quoteAll([]string{name}) + " is pinned",
				Hint:    schema.DidYouMean(name, fieldNames(m.object)),
			})
			continue
		}
		before[name] = m.Inputs[name]
	}
	return before
}

// checkPinned finds the pinned inputs that the flow changed without right. A flow
// that brings its own credentials may change them: then no stored secret is sent.
func (m *merger) checkPinned(before map[string]schema.Input, flow map[string]any) {
	// Who may only use it is sent nothing of it: no user name, no path, no value.
	if len(before) == 0 || m.connection.Shared != RightUse && m.ownCredentials() {
		return
	}
	for name, old := range before {
		if _, given := flow[name]; !given {
			continue
		}
		if m.embedded[name] || !sameInput(field(&m.object, name), old, m.Inputs[name]) {
			m.Overridden = append(m.Overridden, name)
		}
	}
	slices.Sort(m.Overridden)
}

// ownCredentials tells whether the flow gives secrets and no other layer does.
func (m *merger) ownCredentials() bool {
	own := false
	for _, in := range m.Inputs {
		if !in.Secret {
			continue
		}
		if in.Origin.Layer != schema.LayerFlow {
			return false
		}
		own = true
	}
	return own
}

// sameInput tells whether two values of an input come to the same. Secret ones
// never do: a flow must not find out a secret by guessing.
func sameInput(f *schema.Field, a, b schema.Input) bool {
	if f.Sensitive || a.Secret || b.Secret || !f.Public && (holdsSecret(a.Value) || holdsSecret(b.Value)) {
		return false
	}
	alone := *f
	alone.Required = false
	object := schema.Object{Fields: []schema.Field{alone}}
	x, problems := object.Decode(map[string]schema.Input{f.Name: a})
	if len(problems) > 0 {
		return false
	}
	y, problems := object.Decode(map[string]schema.Input{f.Name: b})
	if len(problems) > 0 {
		return false
	}
	return reflect.DeepEqual(normalised(f, x.Any(f.Name)), normalised(f, y.Any(f.Name)))
}

// normalised gives one spelling for each destination: the case of host names,
// surrounding spaces and a closing slash do not matter.
func normalised(f *schema.Field, v any) any {
	text, ok := v.(string)
	if !ok || !f.Destination {
		return v
	}
	text = strings.TrimSpace(text)
	if f.Name == "host" {
		return strings.TrimSuffix(strings.ToLower(text), ".")
	}
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		u.Host = strings.ToLower(u.Host)
		return strings.TrimSuffix(u.String(), "/")
	}
	return text
}
