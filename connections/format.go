package connections

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// Format writes a connection as a YAML document that Parse reads back the same:
// name, type, description, labels, value with its comments, attached secrets,
// pinned and ttl, but not owner, revision and origin. It reads no secret; what
// stands in the value as plain text is written as it is.
func Format(c Connection) ([]byte, error) {
	text, err := format(c, c.Text)
	if err != nil {
		return nil, err
	}
	if again, problems := Parse("", text); len(problems) == 0 && len(again) == 1 && again[0].Text == c.Text {
		return text, nil
	}
	// The value's text cannot be indented as it is: write the value anew.
	value, err := schema.EncodeNode(c.Value)
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	return format(c, string(value))
}

func format(c Connection, value string) ([]byte, error) {
	var out bytes.Buffer
	head := []schema.Entry{textEntry("name", c.Name), textEntry("type", c.Type)}
	if c.Description != "" {
		head = append(head, textEntry("description", c.Description))
	}
	if len(c.Labels) > 0 {
		head = append(head, schema.Entry{Key: "labels", Value: textMap(c.Labels)})
	}
	var tail []schema.Entry
	if len(c.Secrets) > 0 {
		secrets := schema.Node{Kind: schema.ListNode}
		for _, a := range c.Secrets {
			secrets.Items = append(secrets.Items, a.node())
		}
		tail = append(tail, schema.Entry{Key: "secrets", Value: secrets})
	}
	if len(c.Pinned) > 0 {
		tail = append(tail, schema.Entry{Key: "pinned", Value: textList(c.Pinned)})
	}
	if c.TTL != 0 {
		tail = append(tail, numberEntry("ttl", c.TTL))
	}
	if err := writeEntries(&out, head); err != nil {
		return nil, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	writeValue(&out, value)
	if err := writeEntries(&out, tail); err != nil {
		return nil, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	return out.Bytes(), nil
}

func writeEntries(out *bytes.Buffer, entries []schema.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	text, err := schema.EncodeNode(schema.Node{Kind: schema.MapNode, Entries: entries})
	out.Write(text)
	return err
}

func writeValue(out *bytes.Buffer, value string) {
	if strings.TrimSpace(value) == "" {
		return
	}
	out.WriteString("value:\n")
	for line := range strings.Lines(value) {
		if strings.TrimSpace(line) != "" {
			out.WriteString("  ")
		}
		out.WriteString(line)
	}
}

// node gives an attached secret as Parse reads it.
func (a AttachedSecret) node() schema.Node {
	n := schema.Node{Kind: schema.MapNode, Entries: []schema.Entry{textEntry("path", a.Path)}}
	if a.Mount != "" {
		n.Entries = append(n.Entries, textEntry("mount", a.Mount))
	}
	if a.Version != 0 {
		n.Entries = append(n.Entries, numberEntry("version", a.Version))
	}
	if a.Keys != nil {
		n.Entries = append(n.Entries, schema.Entry{Key: "keys", Value: keysNode(a.Keys)})
	}
	if a.Vault != "" {
		n.Entries = append(n.Entries, textEntry("vault", a.Vault))
	}
	return n
}

// keysNode gives a list where no key is renamed, else a mapping.
func keysNode(keys map[string]string) schema.Node {
	for name, key := range keys {
		if name != key {
			return textMap(keys)
		}
	}
	return textList(slices.Sorted(maps.Keys(keys)))
}

func textNode(text string) schema.Node {
	return schema.Node{Scalar: schema.Scalar{Text: text, Value: text}}
}

func textEntry(key, text string) schema.Entry {
	return schema.Entry{Key: key, Value: textNode(text)}
}

func numberEntry(key string, n int) schema.Entry {
	return schema.Entry{Key: key, Value: schema.Node{Scalar: schema.Scalar{Text: fmt.Sprint(n), Value: int64(n)}}}
}

func textList(texts []string) schema.Node {
	n := schema.Node{Kind: schema.ListNode}
	for _, text := range texts {
		n.Items = append(n.Items, textNode(text))
	}
	return n
}

func textMap(texts map[string]string) schema.Node {
	n := schema.Node{Kind: schema.MapNode}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		n.Entries = append(n.Entries, textEntry(key, texts[key]))
	}
	return n
}
