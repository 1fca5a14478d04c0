package connections

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// Parse gives the connections of a YAML text with one connection a document.
// file names the text in places. A document that is at fault is left out and
// hides no other; the problems tell everything that is wrong with it.
func Parse(file string, text []byte) ([]Connection, []schema.Problem) {
	entries, problems := parseEntries(file, text)
	var connections []Connection
	for _, e := range entries {
		problems = append(problems, e.problems...)
		if len(e.problems) == 0 {
			connections = append(connections, e.connection)
		}
	}
	return connections, problems
}

// ParseValue reads the text of a connection's value: one YAML mapping, or
// nothing. It gives the value and its text, as Connection holds them.
func ParseValue(file string, text []byte) (schema.Node, string, []schema.Problem) {
	documents, problems := schema.Parse(file, text)
	empty := schema.Node{Kind: schema.MapNode}
	switch {
	case len(problems) > 0:
		return empty, "", problems
	case len(documents) == 0:
		return empty, "", nil
	case len(documents) > 1:
		return empty, "", []schema.Problem{{Pos: documents[1].Node.Pos, Message: "a value is one YAML document, and here a second one starts"}}
	}
	node := documents[0].Node
	if node.Kind != schema.MapNode {
		return empty, "", []schema.Problem{notMapping(node.Pos, "a value", node)}
	}
	return node, documents[0].TextOf(node), nil
}

// ValidName tells whether a connection may have this name: 1 to 128 of
// a-z 0-9 . _ -, starting with a letter or digit.
func ValidName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return 1 <= len(name) && len(name) <= 128
}

// entry is one document: a connection, and what is wrong with it.
type entry struct {
	connection Connection // with a name at least, if its document has a good one
	problems   []schema.Problem
}

// parseEntries gives each document that is a mapping, and the problems of the rest.
func parseEntries(file string, text []byte) ([]entry, []schema.Problem) {
	documents, problems := schema.Parse(file, text)
	var entries []entry
	for _, d := range documents {
		if d.Node.Kind != schema.MapNode {
			problems = append(problems, notMapping(d.Node.Pos, "a connection", d.Node))
			continue
		}
		entries = append(entries, parseEntry(d))
	}
	return entries, problems
}

func notMapping(pos schema.Pos, what string, n schema.Node) schema.Problem {
	return schema.Problem{
		Pos:     pos,
		Message: fmt.Sprintf("%s is a mapping, and this is a %s", what, n.Kind),
		Hint:    "write one \"key: value\" a line",
	}
}

// documentObject describes a connection's document.
func documentObject() schema.Object {
	return schema.Object{Noun: "field", Fields: []schema.Field{
		{Name: "name", Type: schema.String, Required: true},
		{Name: "type", Type: schema.String, Required: true},
		{Name: "description", Type: schema.String},
		{Name: "labels", Type: schema.Map, Elem: schema.String},
		{Name: "value", Type: schema.Map},
		{Name: "secrets", Type: schema.List},
		{Name: "pinned", Type: schema.List, Elem: schema.String},
		{Name: "ttl", Type: schema.Int},
	}}
}

func parseEntry(d schema.Document) entry {
	given := make(map[string]schema.Input, len(d.Node.Entries))
	for _, e := range d.Node.Entries {
		given[e.Key] = schema.Input{
			Value:  e.Value.Tree(),
			Origin: schema.Origin{Layer: schema.LayerValue, Pos: e.Pos},
		}
	}
	in, problems := documentObject().Decode(given)
	c := Connection{
		Name:        in.String("name"),
		Type:        strings.ToUpper(in.String("type")),
		Value:       schema.Node{Kind: schema.MapNode, Pos: d.Node.Pos},
		Description: in.String("description"),
		Pinned:      in.Strings("pinned"),
		TTL:         int(in.Int("ttl")),
		Origin:      Origin{Source: SourceFile, Pos: d.Node.Pos},
	}
	for key, text := range in.Map("labels") {
		if c.Labels == nil {
			c.Labels = make(map[string]string)
		}
		c.Labels[key] = text.(string)
	}
	fault := func(field, message, hint string) {
		problems = append(problems, schema.Problem{Pos: given[field].Origin.Pos, Input: field, Message: message, Hint: hint})
	}
	if in.Has("name") && !ValidName(c.Name) {
		fault("name", `"name" must be 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit`, nameHint(c.Name))
		c.Name = ""
	}
	if in.Has("type") && !regexp.MustCompile(`^[A-Z0-9_]+$`).MatchString(c.Type) {
		fault("type", `"type" must be a task type, such as GIT`, "")
	}
	if ttl := in.Int("ttl"); ttl < 0 || ttl > math.MaxInt32 {
		fault("ttl", `"ttl" must be a number of seconds from 0 on`, "")
	}
	if value, ok := d.Node.Get("value"); ok && value.Kind == schema.MapNode {
		c.Value, c.Text = value, d.TextOf(value)
	}
	if secrets, ok := d.Node.Get("secrets"); ok {
		attached, faults := parseSecrets(secrets)
		c.Secrets = attached
		problems = append(problems, faults...)
	}
	return entry{connection: c, problems: problems}
}

// nameHint proposes the name in lower case with - for what is not allowed.
func nameHint(name string) string {
	proposed := strings.Trim(regexp.MustCompile(`[^a-z0-9._-]+`).ReplaceAllString(strings.ToLower(name), "-"), "-._")
	if !ValidName(proposed) {
		return ""
	}
	return fmt.Sprintf("%q would do", proposed)
}
