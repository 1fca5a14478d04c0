package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-engine/weir/testdata/servers"
)

// TestManyConnectsReadASecretOnce runs a flow that connects again and again, one
// after the other and side by side: what a slow Vault costs it is one read.
func TestManyConnectsReadASecretOnce(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	vault.PutKV(t, mount, "oracle", map[string]any{"user": "scott", "password": "an-example-password"})
	target, err := url.Parse(vault.Address)
	if err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/"+mount+"/data/") {
			reads.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)

	dir := t.TempDir()
	for name, text := range map[string]string{
		"oracle.yaml": fmt.Sprintf("name: oracle\ntype: FAKE\nsecrets: [{path: %s/data/oracle}]\n", mount),
		"many.lua": `
			local function one() return connect("oracle").output.inputs.user end
			for _ = 1, 20 do one() end
			local branches = {}
			for i = 1, 20 do branches[i] = one end
			return parallel(branches)[20]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), weirBinary(t), "run", "-q", "many.lua", "--connections", ".")
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "VAULT_ADDR=" + front.URL, "VAULT_TOKEN=" + vault.RootToken}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != `"scott"` {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := reads.Load(); got != 1 {
		t.Errorf("40 connects made %d reads, want 1", got)
	}
}
