package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine/store"
)

// failingStore fails to create one connection.
type failingStore struct {
	connections.Store
	name string
}

var errDisk = errors.New("the disk is full")

func (s failingStore) Create(ctx context.Context, c connections.Connection) (connections.Connection, error) {
	if c.Name == s.name {
		return connections.Connection{}, errDisk
	}
	return s.Store.Create(ctx, c)
}

func TestWriteAllOrNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	opened, err := store.Open(ctx, store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	stored := opened.Connections()
	old := withValue(connections.Connection{Name: "old", Type: "FAKE"}, newValueText("port: 1\n"))
	if old, err = stored.Create(ctx, old); err != nil {
		t.Fatal(err)
	}

	changed := withValue(old, newValueText("port: 2\n"))
	err = write(ctx, failingStore{stored, "late"}, []change{
		{wanted: connections.Connection{Name: "early", Type: "FAKE"}, result: resultCreated},
		{old: old, exists: true, wanted: changed, result: resultUpdated},
		{old: old, exists: true, wanted: old, result: resultUnchanged},
		{wanted: connections.Connection{Name: "late", Type: "FAKE"}, result: resultCreated},
	})
	if !errors.Is(err, errDisk) {
		t.Fatalf("got %v, want the store's error", err)
	}
	all, err := stored.List(ctx, localOwner)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range all {
		got[c.Name] = c.Text
	}
	if diff := cmp.Diff(map[string]string{"old": "port: 1\n"}, got); diff != "" {
		t.Errorf("after a failed write (-want +got):\n%s", diff)
	}
}
