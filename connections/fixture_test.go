package connections_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// taskTypes is a small set of task types, declared like the real ones.
type taskTypes map[string]schema.Object

func (t taskTypes) Inputs(name string) (schema.Object, bool) { o, ok := t[name]; return o, ok }
func (t taskTypes) Types() []string                          { return slices.Sorted(maps.Keys(t)) }
func (t taskTypes) Default(name string) (map[string]any, bool) {
	if name != "GIT" {
		return nil, false
	}
	return map[string]any{"command": "metadata", "depth": int64(1)}, true
}

func types() taskTypes {
	return taskTypes{
		"GIT": {Fields: []schema.Field{
			{Name: "command", Type: schema.String, Enum: []string{"metadata", "get"}, Default: "metadata"},
			{Name: "repository_url", Type: schema.String, Destination: true, Public: true, Required: true},
			{Name: "ref", Type: schema.String, Public: true},
			{Name: "username", Type: schema.String, Public: true},
			{Name: "password", Type: schema.String, Sensitive: true, PairedWith: "username"},
			{Name: "depth", Type: schema.Int, Default: int64(0)},
		}},
		"SQLORACLE": {
			Fields: []schema.Field{
				{Name: "host", Type: schema.String, Required: true, Public: true, Destination: true},
				{Name: "port", Type: schema.Int, Default: int64(1521), Public: true, Destination: true},
				{Name: "service_name", Type: schema.String, Public: true},
				{Name: "sid", Type: schema.String, Public: true},
				{Name: "user", Type: schema.String, Required: true, Public: true},
				{Name: "password", Type: schema.String, Required: true, Sensitive: true, PairedWith: "user"},
				{Name: "wallet_password", Type: schema.String, Sensitive: true},
				{Name: "execute", Type: schema.String},
				{Name: "params", Type: schema.Any},
				{Name: "options", Type: schema.Map},
			},
			Conflicts: [][]string{{"service_name", "sid"}},
		},
	}
}

// lab is a directory of connection files and a file of secrets with a resolver.
type lab struct {
	dir      string
	resolver *connections.Resolver
}

const secretsName = "secrets.txt" // no connection file

// newLab writes the files; the one named secretsName holds the secrets.
func newLab(t testing.TB, files map[string]string) lab {
	t.Helper()
	l := lab{dir: t.TempDir()}
	config := connections.ResolverConfig{Types: types()}
	for name, text := range files {
		l.write(t, name, text)
	}
	if _, ok := files[secretsName]; ok {
		config.Secrets = connections.OpenFileSecrets(filepath.Join(l.dir, secretsName))
	}
	config.Sources = []connections.Source{connections.NewDirs([]string{l.dir}), connections.NewDefaults(types())}
	r, err := connections.NewResolver(config)
	if err != nil {
		t.Fatal(err)
	}
	l.resolver = r
	return l
}

func (l lab) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// resolve resolves what must succeed.
func (l lab) resolve(t testing.TB, name string, flow map[string]any) connections.Resolved {
	t.Helper()
	resolved, err := l.resolver.Resolve(t.Context(), connections.Request{Name: name, Overrides: flow})
	if err != nil {
		t.Fatalf("resolve %s: %v", name, err)
	}
	return resolved
}

// fail gives the error of what must fail, without the directory's name.
func (l lab) fail(t testing.TB, name string, flow map[string]any) (string, error) {
	t.Helper()
	_, err := l.resolver.Resolve(t.Context(), connections.Request{Name: name, Overrides: flow})
	if err == nil {
		t.Fatalf("resolve %s: got no error", name)
	}
	return strings.ReplaceAll(err.Error(), l.dir+"/", ""), err
}

func (l lab) explain(t testing.TB, name string, flow map[string]any) connections.Explanation {
	t.Helper()
	e, err := l.resolver.Explain(t.Context(), connections.Request{Name: name, Overrides: flow})
	if err != nil {
		t.Fatalf("explain %s: %v", name, err)
	}
	return e
}

// hintOf gives the hint of an error that has one.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) {
		return ""
	}
	return hinted.Hint()
}

// memory is a reader that has its secrets at hand.
type memory map[string]secret.Data

func (m memory) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	data, ok := m[ref.Path]
	if !ok {
		return secret.Data{}, &secret.ReadError{Ref: ref, Reason: secret.NotFound}
	}
	return data, nil
}
