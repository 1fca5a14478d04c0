package connections_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// w6 is a resolver over n connections in files, each of ten keys of which three
// come from a secret at hand.
func w6(tb testing.TB, n int) *connections.Resolver {
	tb.Helper()
	dir := tb.TempDir()
	for i := range n {
		text := fmt.Sprintf(`name: c%d
type: W6
value:
  host: db.example.com
  port: 1521
  service_name: xe
  execute: select 1 from dual
  timeout: 30s
  autocommit: false
  params: [1, two]
  user: vault.secret(user)
secrets:
  - path: secret/data/oracle
`, i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("c%d.yaml", i)), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	// What changed a moment ago is read again: pretend that this is long ago.
	past := time.Now().Add(-time.Hour)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range append(names, dir) {
		if err := os.Chtimes(name, past, past); err != nil {
			tb.Fatal(err)
		}
	}
	object := schema.Object{Fields: []schema.Field{
		{Name: "host", Type: schema.String, Required: true, Public: true, Destination: true},
		{Name: "port", Type: schema.Int, Default: int64(1521), Public: true, Destination: true},
		{Name: "service_name", Type: schema.String, Public: true},
		{Name: "sid", Type: schema.String, Public: true},
		{Name: "user", Type: schema.String, Required: true, Public: true},
		{Name: "password", Type: schema.String, Required: true, Sensitive: true, PairedWith: "user"},
		{Name: "wallet_password", Type: schema.String, Sensitive: true},
		{Name: "execute", Type: schema.String},
		{Name: "timeout", Type: schema.Duration},
		{Name: "autocommit", Type: schema.Bool},
		{Name: "params", Type: schema.List},
	}, Conflicts: [][]string{{"service_name", "sid"}}}
	reader := memory{"secret/data/oracle": {
		Ref:  secret.Ref{Path: "secret/data/oracle", Version: 3},
		Keys: map[string]any{"user": secret.New("library-user"), "password": secret.New("correct horse battery staple"), "wallet_password": secret.New("another long password")},
	}}
	r, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDirs([]string{dir}), connections.NewDefaults(types())},
		Secrets: reader, Types: taskTypes{"W6": object},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func resolveW6(tb testing.TB, r *connections.Resolver) {
	resolved, err := r.Resolve(tb.Context(), connections.Request{Name: "c1", Overrides: map[string]any{"execute": "select 2 from dual"}})
	if err != nil {
		tb.Fatal(err)
	}
	scope := secret.NewRedactor()
	scope.Add(resolved.Masked...)
	for _, pair := range resolved.Pairs {
		scope.AddPair(pair.User, pair.Password)
	}
}

// BenchmarkW6 resolves a connection: cached parse, merge of ten keys, three from a
// cached secret, validation, and a filled redaction scope.
func BenchmarkW6(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) {
			r := w6(b, n)
			resolveW6(b, r)
			b.ReportAllocs()
			for b.Loop() {
				resolveW6(b, r)
			}
		})
	}
}

// It measures allocations, so it must not run beside other tests.
func TestResolvingAllocatesTheSameBesideManyConnections(t *testing.T) {
	allocations := func(n int) float64 {
		r := w6(t, n)
		resolveW6(t, r)
		return testing.AllocsPerRun(50, func() { resolveW6(t, r) })
	}
	if few, many := allocations(10), allocations(1000); few != many {
		t.Errorf("got %v allocations among 10 connections, %v among 1,000", few, many)
	}
}

func BenchmarkResolve(b *testing.B) {
	r := w6(b, 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Resolve(b.Context(), connections.Request{Name: "c1"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart reads a directory of 100 files for the first time.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	for i := range 100 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("c%d.yaml", i)), []byte(gitFile(fmt.Sprintf("c%d", i), "main")), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := connections.NewDirs([]string{dir}).Get(b.Context(), "", "c1"); err != nil {
			b.Fatal(err)
		}
	}
}
