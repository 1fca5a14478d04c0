package vaultint_test

import (
	"net/http"
	"testing"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// BenchmarkReadSecret compares a read with the bare request over net/http that it
// cannot be faster than.
func BenchmarkReadSecret(b *testing.B) {
	server := servers.Vault(b)
	mount := server.MountKV(b, 2)
	server.PutKV(b, mount, "oracle", map[string]any{"user": "scott", "password": "tiger", "port": 1521})
	b.Run("client", func(b *testing.B) {
		client, err := vaultint.New(withToken(server, server.RootToken))
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.ReadSecret(b.Context(), secret.Ref{Path: mount + "/oracle"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			server.Do(b, http.MethodGet, mount+"/data/oracle", nil)
		}
	})
}
