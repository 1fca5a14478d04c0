package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clientModule is a program that uses a server with a generated client. It is a module
// of its own: what it needs, the generator too, is none of weir's.
const clientModule = "testdata/client"

// TestGeneratedClient has a public generator make a client from the OpenAPI document,
// and starts a flow and reads its output with that.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(clientModule)); err != nil {
		t.Fatal(err)
	}
	document := []byte(s.do(http.MethodGet, "/openapi.json", "", nil).body)
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "weirapi"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // they are the test's own
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "WEIR_ADDR="+s.address, "WEIR_TOKEN="+s.other)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("tool", "oapi-codegen", "-generate", "types,client", "-package", "weirapi", "-o", "weirapi/client.go", "openapi.json")
	want := `user mallory user
flow generated 1
line info first
line info second
ended succeeded
ended succeeded
output {"large":9007199254740993,"payload":"from the generated client"}
step 1 task FAKE succeeded
wrong token: 401 unauthenticated
unknown execution: 404 notfound no such execution: "nonesuch"
nothing to start: 400 invalid
`
	if diff := cmp.Diff(want, run("run", ".")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
