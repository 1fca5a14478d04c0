package vaultint_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// BenchmarkReadSecret compares a read with the bare request over net/http that it
// cannot be faster than, and with one that Vault is not asked for.
func BenchmarkReadSecret(b *testing.B) {
	server := servers.Vault(b)
	mount := server.MountKV(b, 2)
	server.PutKV(b, mount, "oracle", map[string]any{"user": "scott", "password": "tiger", "port": 1521})
	for name, ttl := range map[string]time.Duration{"kept": 0, "client": -1} {
		b.Run(name, func(b *testing.B) {
			config := withToken(server, server.RootToken)
			config.CacheTTL, config.RateLimit = ttl, -1
			client, err := vaultint.New(config)
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
	}
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			server.Do(b, http.MethodGet, mount+"/data/oracle", nil)
		}
	})
}
