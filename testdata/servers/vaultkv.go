package servers

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// MountKV mounts a KV secrets engine of version 1 or 2 under a path that no other
// test has, and gives that path.
func (s *VaultServer) MountKV(tb testing.TB, version int) string {
	tb.Helper()
	path := uniqueName("kv")
	s.MountKVAt(tb, path, version)
	return path
}

// MountKVAt mounts a KV secrets engine of version 1 or 2 at a path, which may
// have several segments.
func (s *VaultServer) MountKVAt(tb testing.TB, path string, version int) {
	tb.Helper()
	kind := map[int]string{1: "1", 2: "2"}[version]
	s.Do(tb, http.MethodPost, "sys/mounts/"+path, map[string]any{
		"type": "kv", "options": map[string]any{"version": kind},
	})
}

// PutKV writes a new version of a secret of a KV version 2 mount and gives its number.
func (s *VaultServer) PutKV(tb testing.TB, mount, path string, data map[string]any) int {
	tb.Helper()
	answer := s.Do(tb, http.MethodPost, mount+"/data/"+path, map[string]any{"data": data})
	metadata, _ := answer["data"].(map[string]any)
	number, _ := metadata["version"].(json.Number)
	version, err := number.Int64()
	if err != nil {
		tb.Fatalf("vault: no version in the answer to writing %s/%s", mount, path)
	}
	return int(version)
}

// PutKV1 writes a secret of a KV version 1 mount.
func (s *VaultServer) PutKV1(tb testing.TB, mount, path string, data map[string]any) {
	tb.Helper()
	s.Do(tb, http.MethodPost, mount+"/"+path, data)
}

// DeleteKV deletes versions of a KV version 2 secret; they could be undeleted.
func (s *VaultServer) DeleteKV(tb testing.TB, mount, path string, versions ...int) {
	tb.Helper()
	s.Do(tb, http.MethodPost, mount+"/delete/"+path, map[string]any{"versions": versions})
}

// DestroyKV destroys versions of a KV version 2 secret for good.
func (s *VaultServer) DestroyKV(tb testing.TB, mount, path string, versions ...int) {
	tb.Helper()
	s.Do(tb, http.MethodPut, mount+"/destroy/"+path, map[string]any{"versions": versions})
}

// PutMetadata sets the custom metadata of a KV version 2 secret.
func (s *VaultServer) PutMetadata(tb testing.TB, mount, path string, metadata map[string]string) {
	tb.Helper()
	s.Do(tb, http.MethodPost, mount+"/metadata/"+path, map[string]any{"custom_metadata": metadata})
}

func uniqueName(kind string) string {
	return kind + "-" + strings.ToLower(rand.Text()[:10])
}
