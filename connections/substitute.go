package connections

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// substitution fills the placeholders of one input of a connection's value.
type substitution struct {
	*merger
	input   string
	found   bool            // a placeholder was there, filled or not
	origins []schema.Origin // of those filled
}

// tree gives a copy of the value with its placeholders filled. It works on the
// parsed tree: a secret can never change the shape of what surrounds it.
func (s *substitution) tree(n *schema.Node) any {
	switch n.Kind {
	case schema.ListNode:
		list := make([]any, len(n.Items))
		for i := range n.Items {
			list[i] = s.tree(&n.Items[i])
		}
		return list
	case schema.MapNode:
		tree := make(map[string]any, len(n.Entries))
		for i := range n.Entries {
			tree[n.Entries[i].Key] = s.tree(&n.Entries[i].Value)
		}
		return tree
	}
	text, ok := n.Scalar.Value.(string)
	if !ok {
		return n.Scalar
	}
	pieces, fault := cutPlaceholders(text)
	switch {
	case fault != "":
		s.fault(n.Pos, fault, hintEscape)
		return nil
	case pieces == nil:
		return n.Scalar
	case len(pieces) == 1 && pieces[0].hold == nil:
		literal := pieces[0].text
		return schema.Scalar{Text: literal, Value: literal, Pos: n.Pos}
	case len(pieces) == 1:
		s.found = true
		value, _ := s.fill(n.Pos, *pieces[0].hold)
		return copyTree(value)
	}
	s.found = true
	return s.embed(n.Pos, pieces)
}

// embed inserts secrets into a text. The whole text is secret then, even in a
// public input.
func (s *substitution) embed(pos schema.Pos, pieces []piece) any {
	parts := make([]any, 0, len(pieces))
	for _, p := range pieces {
		if p.hold == nil {
			parts = append(parts, p.text)
			continue
		}
		value, ok := s.fill(pos, *p.hold)
		leaf, isLeaf := value.(secret.Value)
		switch {
		case !ok:
		case !isLeaf:
			s.fault(pos, p.hold.String()+" is a list or a mapping and cannot stand within a text", "")
		default:
			parts = append(parts, leaf)
			s.parts = append(s.parts, part{s.input, leaf})
		}
	}
	if len(parts) < len(pieces) {
		return nil
	}
	mark(&s.embedded, s.input)
	return schema.Join(parts...)
}

// fill gives what a placeholder stands for.
func (s *substitution) fill(pos schema.Pos, p placeholder) (any, bool) {
	if p.named() {
		read := s.read(s.connection.named(p))
		if read == nil || read.Err != nil {
			mark(&s.broken, s.input)
			return nil, false
		}
		value, ok := read.Data.Keys[p.key]
		if !ok {
			s.problems = append(s.problems, noKey(pos, s.input, p.key, read.Data))
			mark(&s.broken, s.input)
			return nil, false
		}
		s.filled(read.Data, p.key)
		return value, true
	}
	return s.fillAttached(pos, p)
}

func (s *substitution) fillAttached(pos schema.Pos, p placeholder) (any, bool) {
	unread := false
	var keys, paths []string
	for _, attached := range slices.Backward(s.connection.Secrets) {
		read := s.read(attached.Ref())
		if read == nil || read.Err != nil {
			unread = true
			continue
		}
		if value, ok := read.Data.Keys[p.key]; ok && !unread {
			s.filled(read.Data, p.key)
			return value, true
		}
		keys = slices.AppendSeq(keys, maps.Keys(read.Data.Keys))
		paths = append(paths, read.Data.Ref.String())
	}
	mark(&s.broken, s.input)
	if unread {
		return nil, false // the secret that was not read may have the key
	}
	if len(paths) == 0 {
		s.fault(pos, p.String()+" names a key, but no secret is attached",
			"attach a secret, or name it: vault.secret(secret/path.key)")
		return nil, false
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	hint := keysHint(p.key, "the", keys)
	if strings.ContainsAny(p.key, "/#") && schema.DidYouMean(p.key, keys) == "" {
		hint = "a secret named by its path is written vault.secret(secret/path.key)"
	}
	slices.Reverse(paths)
	s.fault(pos, fmt.Sprintf("%s: no key %q in the attached secrets (%s)", p, p.key, strings.Join(paths, ", ")), hint)
	return nil, false
}

func (s *substitution) filled(data secret.Data, key string) {
	origin := schema.Origin{Layer: schema.LayerSecret, Path: data.Ref.String(), Key: key}
	s.used = append(s.used, origin)
	if !slices.Contains(s.origins, origin) {
		s.origins = append(s.origins, origin)
	}
}

func (s *substitution) fault(pos schema.Pos, message, hint string) {
	s.found = true
	s.problems = append(s.problems, schema.Problem{
		Pos: pos, Input: s.input, Hint: hint,
		Message: fmt.Sprintf("%q: %s", s.input, message),
	})
	mark(&s.broken, s.input)
}
