package connections

import (
	"fmt"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Ref gives the reference by which the secret is read.
func (a AttachedSecret) Ref() secret.Ref {
	return normalRef(secret.Ref{Vault: a.Vault, Mount: strings.Trim(a.Mount, "/"), Path: a.Path, Version: a.Version})
}

// named gives the reference by which the secret of a placeholder that names it is
// read: at the version of the attached secret of that path, of several the last one.
// So what is pinned is pinned however it is asked for.
func (c *Connection) named(p placeholder) secret.Ref {
	ref := p.ref
	for i := len(c.Secrets) - 1; i >= 0; i-- {
		if attached := c.Secrets[i].Ref(); attached.Vault == ref.Vault && samePath(attached, ref) {
			ref.Version = attached.Version
			break
		}
	}
	return ref
}

// samePath tells whether b, whose mount is not given apart, names the path of a.
func samePath(a, b secret.Ref) bool {
	if a.Mount != "" && b.Path == a.Mount+"/data/"+a.Path {
		return true
	}
	return wholePath(a) == wholePath(b)
}

func attachedObject() schema.Object {
	return schema.Object{Noun: "field", Fields: []schema.Field{
		{Name: "path", Type: schema.String, Required: true},
		{Name: "mount", Type: schema.String},
		{Name: "version", Type: schema.Int},
		{Name: "keys", Type: schema.Any},
		{Name: "vault", Type: schema.String},
	}}
}

// parseSecrets reads the list of attached secrets of a connection's document.
func parseSecrets(n schema.Node) ([]AttachedSecret, []schema.Problem) {
	var (
		attached []AttachedSecret
		problems []schema.Problem
	)
	for _, item := range n.Items {
		if item.Kind != schema.MapNode {
			problems = append(problems, schema.Problem{
				Pos: item.Pos, Input: "secrets",
				Message: fmt.Sprintf("an attached secret is a mapping, and this is a %s", item.Kind),
				Hint:    `write "- path: secret/oracle"`,
			})
			continue
		}
		a, faults := parseAttached(item)
		attached = append(attached, a)
		problems = append(problems, faults...)
	}
	return attached, problems
}

func parseAttached(n schema.Node) (AttachedSecret, []schema.Problem) {
	given := make(map[string]schema.Input, len(n.Entries))
	for _, e := range n.Entries {
		given[e.Key] = schema.Input{
			Value:  e.Value.Tree(),
			Origin: schema.Origin{Layer: schema.LayerValue, Pos: e.Pos},
		}
	}
	in, problems := attachedObject().Decode(given)
	for i := range problems {
		if problems[i].Pos == (schema.Pos{}) {
			problems[i].Pos = n.Pos
		}
	}
	fault := func(field, message, hint string) {
		problems = append(problems, schema.Problem{Pos: given[field].Origin.Pos, Input: field, Message: message, Hint: hint})
	}
	a := AttachedSecret{Path: strings.Trim(in.String("path"), " /"), Vault: in.String("vault"), Pos: n.Pos}
	switch name, rest, colon := strings.Cut(a.Path, ":"); {
	case in.Has("path") && a.Path == "":
		fault("path", `"path" is empty`, "")
	case colon && !strings.Contains(name, "/"):
		fault("path", `"path" holds the name of a Vault configuration`, fmt.Sprintf("write vault: %s and path: %s", name, rest))
	case strings.Contains(a.Path, "#"):
		fault("path", `"path" holds a key`, "write the keys in a list of their own, as keys: [password]")
	}
	a.Mount = strings.Trim(in.String("mount"), " /")
	if version := in.Int("version"); version < 0 || version > 1<<31 {
		fault("version", `"version" must be a version number from 1 on, or 0 for the newest`, "")
	} else {
		a.Version = int(version)
	}
	if keys, ok := n.Get("keys"); ok {
		names, ok := parseKeys(keys)
		if !ok {
			fault("keys", `"keys" must be a list of keys, or a mapping of input names to keys`, "")
		}
		a.Keys = names
	}
	return a, problems
}

// parseKeys gives input names and the keys of the secret for them; nil if all
// keys are meant.
func parseKeys(n schema.Node) (map[string]string, bool) {
	if n.Kind == schema.ScalarNode {
		return nil, n.Scalar.Value == nil
	}
	keys := make(map[string]string)
	for _, item := range n.Items {
		if item.Kind != schema.ScalarNode || item.Scalar.Text == "" {
			return nil, false
		}
		keys[item.Scalar.Text] = item.Scalar.Text
	}
	for _, e := range n.Entries {
		if e.Value.Kind != schema.ScalarNode || e.Value.Scalar.Text == "" {
			return nil, false
		}
		keys[e.Key] = e.Value.Scalar.Text
	}
	return keys, true
}
