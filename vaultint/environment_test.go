package vaultint_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

func environment(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

func TestFromEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"ca.pem": "CA", "more/1.pem": "ONE", "more/2.pem": "TWO", "more/deeper/3.pem": "THREE"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := vaultint.Auth{Method: vaultint.MethodTokenFile, TokenFile: filepath.Join("/home/ann", ".vault-token")}
	tests := map[string]struct {
		variables map[string]string
		want      vaultint.Config
	}{
		"nothing": {nil, vaultint.Config{Address: "https://127.0.0.1:8200", Auth: file}},
		"all": {
			map[string]string{
				"VAULT_ADDR": "https://vault", "VAULT_NAMESPACE": "team", "VAULT_TLS_SERVER_NAME": "vault.test", "VAULT_CLIENT_TIMEOUT": "30",
				"VAULT_CACERT": filepath.Join(dir, "ca.pem"), "VAULT_CACERT_BYTES": "bytes", "VAULT_CAPATH": dir,
			},
			vaultint.Config{Address: "https://vault", Namespace: "team", TLSServerName: "vault.test", CACert: "CA", Timeout: 30 * time.Second, Auth: file},
		},
		"certificate": {
			map[string]string{"VAULT_ADDR": "https://vault", "VAULT_CLIENT_CERT": "weir.pem", "VAULT_CLIENT_KEY": "weir.key"},
			vaultint.Config{Address: "https://vault", ClientCertFile: "weir.pem", ClientKeyFile: "weir.key", Auth: file},
		},
		"agent": {
			map[string]string{"VAULT_ADDR": "https://vault", "VAULT_AGENT_ADDR": "http://127.0.0.1:8100", "VAULT_CLIENT_TIMEOUT": "1m", "VAULT_CACERT_BYTES": "bytes"},
			vaultint.Config{Address: "http://127.0.0.1:8100", CACert: "bytes", Timeout: time.Minute, Auth: file},
		},
		"directory of authorities": {
			map[string]string{"VAULT_CAPATH": filepath.Join(dir, "more")},
			vaultint.Config{Address: "https://127.0.0.1:8200", CACert: "ONE\nTWO\n", Auth: file},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := vaultint.FromEnvironment(environment(test.variables), "/home/ann")
			if err != nil {
				t.Fatal(err)
			}
			test.want.Name = "default"
			if diff := cmp.Diff(test.want, got, cmp.Comparer(secret.Value.Equal)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, value := range map[string]string{"VAULT_CACERT": dir + "/none.pem", "VAULT_CAPATH": dir + "/more/deeper/none", "VAULT_CLIENT_TIMEOUT": "soon"} {
		_, err := vaultint.FromEnvironment(environment(map[string]string{name: value}), "/home/ann")
		if err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("got %v, want an error that starts with %s", err, name)
		}
	}
}

func TestFromEnvironmentReads(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(server.RootToken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", server.RootToken} {
		config, err := vaultint.FromEnvironment(environment(map[string]string{"VAULT_ADDR": server.Address, "VAULT_TOKEN": token}), home)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, newClient(t, config), secret.Ref{Path: mount + "/oracle"}, "user"); got != "scott" {
			t.Errorf("got %q, want scott", got)
		}
	}
}
