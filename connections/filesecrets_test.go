package connections_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
)

func secretsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secrets.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readError(t *testing.T, f *connections.FileSecrets, ref secret.Ref) *secret.ReadError {
	t.Helper()
	_, err := f.ReadSecret(t.Context(), ref)
	var read *secret.ReadError
	if !errors.As(err, &read) {
		t.Fatalf("got %v, want a *secret.ReadError", err)
	}
	return read
}

func TestFileSecretsGiveWhatWasTyped(t *testing.T) {
	t.Parallel()
	f := connections.OpenFileSecrets(secretsFile(t, `
secret/library:
  password: 0123
  pin: 1e3
  hex: 0x1F
  port: 1521
  on: true
  odd: True
  none: null
  deep: {list: [a, 2]}
`))
	for _, path := range []string{"secret/library", "secret/data/library", "/secret/library/"} {
		data, err := f.ReadSecret(t.Context(), secret.Ref{Path: path, Vault: "any"})
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		for _, key := range []string{"password", "pin", "hex", "port", "on", "odd", "none"} {
			texts[key] = data.Keys[key].(secret.Value).Reveal()
		}
		want := map[string]string{"password": "0123", "pin": "1e3", "hex": "0x1F", "port": "1521", "on": "true", "odd": "True", "none": ""}
		if diff := cmp.Diff(want, texts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if data.Ref.Version != 0 || data.Created.IsZero() {
			t.Errorf("got version %d, created %s", data.Ref.Version, data.Created)
		}
	}
	data, err := f.ReadSecret(t.Context(), secret.Ref{Mount: "secret", Path: "library"})
	if err != nil {
		t.Errorf("with the mount apart: %v", err)
	}
	data, _ = f.ReadSecret(t.Context(), secret.Ref{Path: "secret/library"})
	data.Keys["deep"].(map[string]any)["list"].([]any)[0] = "changed"
	data.Keys["password"] = "changed"
	data, _ = f.ReadSecret(t.Context(), secret.Ref{Path: "secret/library", Version: 1})
	if got := data.Keys["deep"].(map[string]any)["list"].([]any)[0].(secret.Value).Reveal(); got != "a" {
		t.Errorf("a change reached the source: %q", got)
	}
}

func TestFileSecretsErrors(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2-canary"
	path := secretsFile(t, "secret/data/library: {password: "+hidden+"}\n")
	f := connections.OpenFileSecrets(path)
	if e := readError(t, f, secret.Ref{Path: "secret/libary"}); e.Reason != secret.NotFound || e.Hint != `did you mean "secret/data/library"?` {
		t.Errorf("got %v, hint %q", e, e.Hint)
	}
	if e := readError(t, f, secret.Ref{Path: "secret/library", Version: 2}); e.Reason != secret.NotFound || !strings.Contains(e.Detail, "keeps no versions") {
		t.Errorf("got %v", e)
	}
	if err := os.Chmod(path, 0o640); err != nil { //nolint:gosec // this is the fault
		t.Fatal(err)
	}
	if e := readError(t, f, secret.Ref{Path: "secret/library"}); e.Reason != secret.Denied || e.Hint != "chmod 600 "+path {
		t.Errorf("got %v, hint %q", e, e.Hint)
	}
	for text, want := range map[string]string{
		"secret/x: {a: " + hidden + "\n":                         "1: a mapping in { } is not closed, or lacks a comma",
		"secret/x: " + hidden + "\n":                             "1: a secret is a mapping, and this is a single value",
		"- " + hidden + "\n":                                     "1: a file of secrets is a mapping, and this is a list",
		"secret/x: {a: 1}\nsecret/data/x: {a: " + hidden + "}\n": `2: the secret "secret/x" stands there twice`,
		"secret/x:\n\ta: " + hidden + "\n":                       "2: the line is indented with a tab",
	} {
		path := secretsFile(t, text)
		e := readError(t, connections.OpenFileSecrets(path), secret.Ref{Path: "secret/x"})
		if got := strings.TrimPrefix(e.Detail, path+":"); got != want || e.Reason != secret.Invalid {
			t.Errorf("got %s: %q, want %q", e.Reason, got, want)
		}
		if strings.Contains(e.Error()+e.Hint, hidden) {
			t.Errorf("a value shows: %v", e)
		}
	}
	dir := t.TempDir()
	if e := readError(t, connections.OpenFileSecrets(dir), secret.Ref{Path: "secret/x"}); e.Detail != "the file of secrets is not a regular file" {
		t.Errorf("got %v", e)
	}
	if e := readError(t, connections.OpenFileSecrets(dir+"/none"), secret.Ref{Path: "secret/x"}); e.Reason != secret.NotFound {
		t.Errorf("got %v", e)
	}
}

func TestFileSecretsAreReadAgain(t *testing.T) {
	t.Parallel()
	path := secretsFile(t, "secret/x: {k: first-value}\n")
	f := connections.OpenFileSecrets(path)
	for _, want := range []string{"first-value", "other-value", "third-value!"} {
		if err := os.WriteFile(path, []byte("secret/x: {k: "+want+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		data, err := f.ReadSecret(t.Context(), secret.Ref{Path: "secret/x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := data.Keys["k"].(secret.Value).Reveal(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
