package store_test

import (
	"fmt"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine/store"
)

// BenchmarkOpen opens an existing store of 100 connections and reads one, as
// every command that needs the store does.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	fill(b, open(b, dir), 100)
	for b.Loop() {
		s, err := store.Open(b.Context(), store.Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Connections().Get(b.Context(), "", "c7"); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenNew makes a new store, with its key.
func BenchmarkOpenNew(b *testing.B) {
	parent := b.TempDir()
	for i := 0; b.Loop(); i++ {
		s, err := store.Open(b.Context(), store.Config{Dir: fmt.Sprint(parent, "/", i)})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGet reads one of few and one of many connections.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("of=%d", n), func(b *testing.B) {
			s := open(b, b.TempDir())
			fill(b, s, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Connections().Get(b.Context(), "", "c7"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreate stores connections, each on disk when it returns.
func BenchmarkCreate(b *testing.B) {
	s := open(b, b.TempDir())
	for i := 0; b.Loop(); i++ {
		create(b, s, oracle2(i))
	}
}

// BenchmarkRotateKey encrypts 1,000 connections anew.
func BenchmarkRotateKey(b *testing.B) {
	s := open(b, b.TempDir())
	fill(b, s, 1000)
	for b.Loop() {
		if err := s.RotateKey(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func oracle2(i int) connections.Connection {
	c := oracle("host: db1\nport: 1521\nservice_name: xe\nuser: scott\n")
	c.Name = fmt.Sprint("c", i)
	return c
}

func fill(b *testing.B, s *store.Store, n int) {
	b.Helper()
	for i := range n {
		create(b, s, oracle2(i))
	}
}
