package connections_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// layers is a random case of a merge: maps from input to value for the value,
// three secrets and the flow. A nil is a null.
type layers struct {
	object schema.Object
	tree   [5]map[string]any
}

func randomLayers(seed uint64) layers {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a repeatable case is wanted
	var l layers
	for i := range 6 {
		f := schema.Field{Name: string(rune('a' + i)), Type: schema.Any, Public: random.IntN(2) == 0}
		if random.IntN(3) == 0 {
			f.Type, f.Sensitive = schema.String, true
		}
		l.object.Fields = append(l.object.Fields, f)
	}
	for i := range l.tree {
		l.tree[i] = map[string]any{}
		for _, f := range l.object.Fields {
			text := fmt.Sprintf("layer %d %s", i, f.Name)
			switch random.IntN(6) {
			case 0, 1:
				l.tree[i][f.Name] = text
			case 2:
				l.tree[i][f.Name] = []any{text, map[string]any{"k": text}}
			case 3:
				l.tree[i][f.Name] = nil
			}
		}
	}
	return l
}

// sealed gives a tree as a secret of a Vault holds it.
func sealed(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = sealed(v[i])
		}
		return list
	case map[string]any:
		tree := map[string]any{}
		for key := range v {
			tree[key] = sealed(v[key])
		}
		return tree
	}
	return secret.Of(v)
}

func (l layers) parts(t *testing.T) (connections.Connection, []connections.Read) {
	t.Helper()
	value, err := schema.NodeOf(l.tree[0])
	if err != nil {
		t.Fatal(err)
	}
	c := connections.Connection{Name: "c", Type: "T", Value: value}
	var reads []connections.Read
	for i := 1; i <= 3; i++ {
		ref := secret.Ref{Path: fmt.Sprintf("secret/%d", i)}
		c.Secrets = append(c.Secrets, connections.AttachedSecret{Path: ref.Path})
		reads = append(reads, connections.Read{Ref: ref, Data: secret.Data{Ref: ref, Keys: sealed(l.tree[i]).(map[string]any)}})
	}
	return c, reads
}

// plainOf makes a merged value comparable with what it was made of.
func plainOf(v any) any {
	switch v := v.(type) {
	case secret.Value:
		return v.RevealAny()
	case schema.Scalar:
		return v.Value
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainOf(v[i])
		}
		return list
	case map[string]any:
		tree := map[string]any{}
		for key := range v {
			tree[key] = plainOf(v[key])
		}
		return tree
	}
	return v
}

// scramble changes everything in a tree that can be changed.
func scramble(v any) {
	switch v := v.(type) {
	case []any:
		for i := range v {
			scramble(v[i])
			v[i] = "scrambled"
		}
	case map[string]any:
		for key := range v {
			scramble(v[key])
			v[key] = "scrambled"
		}
	}
}

func FuzzMergeLaws(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		l := randomLayers(seed)
		c, reads := l.parts(t)
		flow := l.tree[4]
		merged, problems := connections.Merge(l.object, c, reads, flow)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, field := range l.object.Fields {
			checkLastWins(t, l, field, merged)
		}

		again, _ := connections.Merge(l.object, c, reads, flow)
		if diff := cmp.Diff(show(merged), show(again)); diff != "" {
			t.Errorf("the merge is not a function of its inputs:\n%s", diff)
		}
		checkIdempotence(t, l, merged)

		for name, in := range merged.Inputs {
			scramble(in.Value)
			merged.Inputs[name] = schema.Input{}
			clear(in.Shadowed)
		}
		after, _ := connections.Merge(l.object, c, reads, flow)
		if diff := cmp.Diff(show(again), show(after)); diff != "" {
			t.Errorf("a change of the result reached its sources:\n%s", diff)
		}
	})
}

// checkLastWins compares one input with the plain rule: the last layer that has
// it wins, and every layer before it that has it is told of.
func checkLastWins(t *testing.T, l layers, field schema.Field, merged connections.Merged) {
	t.Helper()
	var places []string
	var want any
	for i, tree := range l.tree {
		v, ok := tree[field.Name]
		if !ok {
			continue
		}
		place := []string{"value", "secret secret/1#", "secret secret/2#", "secret secret/3#", "flow"}[i]
		if 1 <= i && i <= 3 {
			place += field.Name
		}
		want = v
		places = append([]string{place}, places...)
	}
	in, here := merged.Inputs[field.Name]
	removed, gone := merged.Removed[field.Name]
	if len(places) == 0 {
		if here || gone {
			t.Errorf("%s comes from nowhere", field.Name)
		}
		return
	}
	if want == nil {
		if here || !gone {
			t.Errorf("the null of %s did not take it away", field.Name)
		}
		in = removed
	}
	if diff := cmp.Diff(want, plainOf(in.Value)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", field.Name, diff)
	}
	got := []string{in.Origin.String()}
	for _, origin := range in.Shadowed {
		got = append(got, origin.String())
	}
	if diff := cmp.Diff(places, got); diff != "" {
		t.Errorf("places of %s (-want +got):\n%s", field.Name, diff)
	}
	fromSecret := in.Origin.Layer == schema.LayerSecret
	if wantSecret := want != nil && (field.Sensitive || fromSecret && !field.Public); here && in.Secret != wantSecret {
		t.Errorf("%s: got secret %v, want %v", field.Name, in.Secret, wantSecret)
	}
}

// checkIdempotence merges a result with itself: nothing changes.
func checkIdempotence(t *testing.T, l layers, merged connections.Merged) {
	t.Helper()
	flow := map[string]any{}
	for name, in := range merged.Inputs {
		flow[name] = plainOf(in.Value)
	}
	value, err := schema.NodeOf(flow)
	if err != nil {
		t.Fatal(err)
	}
	twice, _ := connections.Merge(l.object, connections.Connection{Value: value}, nil, flow)
	for name := range maps.Keys(flow) {
		if diff := cmp.Diff(flow[name], plainOf(twice.Inputs[name].Value)); diff != "" {
			t.Errorf("merged with itself %s changes (-once +twice):\n%s", name, diff)
		}
	}
	if len(twice.Inputs) != len(flow) {
		t.Errorf("got %d inputs, want %d", len(twice.Inputs), len(flow))
	}
}

// show gives a merge as comparable lines.
func show(m connections.Merged) []string {
	var lines []string
	for name, in := range m.Inputs {
		lines = append(lines, fmt.Sprint(name, plainOf(in.Value), in.Origin, in.Shadowed, in.Secret))
	}
	for name, in := range m.Removed {
		lines = append(lines, fmt.Sprint(name, "removed", in.Origin, in.Shadowed))
	}
	slices.Sort(lines)
	return lines
}

func FuzzPlaceholder(f *testing.F) {
	for _, text := range []string{"vault.secret(a)", "x vault.secret(secret/x.a) y", `vault.secret\(a)`, `vault.secret("a.b")`, "vault.secret(", "vault.secret()", `vault.secret(p/q."r)`, "vault.secret(:/a.b)"} {
		f.Add(text)
	}
	object := schema.Object{Fields: []schema.Field{{Name: "in", Type: schema.Any}}}
	ref := secret.Ref{Path: "secret/x"}
	reads := []connections.Read{{Ref: ref, Data: secret.Data{Ref: ref, Keys: map[string]any{"a": secret.New("canary-value")}}}}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := schema.NodeOf(map[string]any{"in": text})
		if err != nil {
			t.Fatal(err)
		}
		c := connections.Connection{Value: value, Secrets: []connections.AttachedSecret{{Path: ref.Path}}}
		for _, r := range connections.Refs(c) {
			if r.Path == "" {
				t.Errorf("%q names a secret without a path", text)
			}
		}
		merged, problems := connections.Merge(object, c, reads, nil)
		in, ok := merged.Inputs["in"]
		if !ok {
			t.Fatalf("%q: the input is gone", text)
		}
		if in.Secret != (in.Origin.Layer == schema.LayerSecret) && len(problems) == 0 && in.Value != nil {
			t.Errorf("%q: secret %v, from %s", text, in.Secret, in.Origin)
		}
		if _, faults := connections.Merge(object, connections.Connection{}, nil, map[string]any{"in": text}); len(faults) == 0 && in.Secret {
			t.Errorf("%q is a placeholder, and a flow may say it", text)
		}
	})
}
