package vaultint

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/weir-engine/weir/connections/secret"
)

// Set holds a client for each of several configurations. It is safe for concurrent
// use. A client is made when it is first asked for, so that a wrong configuration
// is in nobody's way but its own users'.
type Set struct {
	configs map[string]Config

	mu      sync.Mutex
	clients map[string]*Client
	closed  bool
}

// NewSet makes a set; the names must differ.
func NewSet(configs ...Config) (*Set, error) {
	s := &Set{configs: map[string]Config{}, clients: map[string]*Client{}}
	for _, config := range configs {
		name := cmp.Or(config.Name, DefaultName)
		if _, ok := s.configs[name]; ok {
			return nil, fmt.Errorf("two vault configurations are named %q", name)
		}
		s.configs[name] = config
	}
	return s, nil
}

// Names gives the names of all configurations, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.configs)) }

// Client gives the client of a configuration; an empty name means DefaultName. It
// belongs to the set, which closes it. The error is a *secret.ReadError for an
// unknown name or a configuration that is wrong.
func (s *Set) Client(name string) (*Client, error) {
	name = cmp.Or(name, DefaultName)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[name]; ok {
		return c, nil
	}
	config, ok := s.configs[name]
	if !ok {
		return nil, s.unknown(name)
	}
	if s.closed {
		return nil, &secret.ReadError{Reason: secret.Unreachable, Detail: errClosed.Error(), Err: errClosed}
	}
	c, err := New(config)
	if err != nil {
		return nil, &secret.ReadError{Reason: secret.Invalid, Detail: strings.ReplaceAll(err.Error(), "\n", "; "), Err: err}
	}
	s.clients[name] = c
	return c, nil
}

// ReadSecret reads a secret from the Vault that ref names, like [Client.ReadSecret].
func (s *Set) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	c, err := s.Client(ref.Vault)
	if err != nil {
		return secret.Data{}, about(ref, err)
	}
	return c.ReadSecret(ctx, ref)
}

// Close closes every client.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	clients := slices.Collect(maps.Values(s.clients))
	s.mu.Unlock()
	var work sync.WaitGroup
	for _, c := range clients {
		work.Go(c.Close)
	}
	work.Wait()
}

func (s *Set) unknown(name string) error {
	e := &secret.ReadError{Reason: secret.Invalid, Detail: fmt.Sprintf("there is no vault configuration %q", name)}
	names := s.Names()
	if len(names) == 0 {
		e.Hint = "add one with `weir vault add`"
		return e
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distance(name, a), distance(name, b)) })
	e.Hint = "configured: " + strings.Join(names[:min(len(names), 5)], ", ")
	return e
}

// distance is the number of letters to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
