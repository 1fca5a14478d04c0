package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/weir-engine/weir/testdata/servers"
)

// examplesDir is where the examples are, seen from this package.
const examplesDir = "../../flows/examples"

// TestExamples runs testdata/examples/*.txtar, one for each flow in flows/examples,
// in a scratch repository of its own that has a copy of the examples. The
// connections of team.yaml and files.yaml lead to real Git and S3 servers, that of
// oracle.yaml to the protocol test server; $VAULT_ADDR is a real Vault that has their
// credentials, and the secrets of secrets.yaml.
func TestExamples(t *testing.T) {
	t.Parallel()
	vault := servers.NewVault(t, servers.VaultConfig{})
	vault.MountKVAt(t, "secret", 2)
	git := newGitServers(t, "weir", "password-of-the-git-server")
	vault.PutKV(t, "secret", "git", map[string]any{
		"user": "weir", "password": "password-of-the-git-server",
		"ssh_key": git.key, "known_hosts": git.ssh.KnownHosts,
	})
	s3 := servers.S3(t)
	vault.PutKV(t, "secret", "s3", map[string]any{"access_key_id": s3.AccessKey, "secret_access_key": s3.SecretKey})
	database := newExampleOracle(t, "weir", "password-of-the-oracle-server")
	vault.PutKV(t, "secret", "oracle", map[string]any{"user": "weir", "password": "password-of-the-oracle-server"})
	vault.PutKV(t, "secret", "database", map[string]any{"user": "app", "password": "password-of-the-database", "schema": "inventory"})
	vault.PutKV(t, "secret", "order", map[string]any{"port": 5433})
	// A policy with nothing but read is enough.
	token := vault.Token(t, servers.TokenConfig{Bare: true, Policies: []string{
		vault.Policy(t, `path "secret/data/*" { capabilities = ["read"] }`),
	}})

	p := params("testdata/examples")
	isolate := p.Setup
	p.Setup = func(e *testscript.Env) error {
		if err := isolate(e); err != nil {
			return err
		}
		e.Setenv("VAULT_ADDR", vault.Address)
		e.Setenv("VAULT_TOKEN", token)
		if err := newRepository(e.WorkDir); err != nil {
			return err
		}
		// The name of the directory is the script's own.
		name := filepath.Base(e.WorkDir)
		bare := filepath.Join(git.root, name, "team.git")
		e.Setenv("BARE", bare)
		if err := gitCommand(e.WorkDir, "clone", "-q", "--bare", ".", bare); err != nil {
			return err
		}
		return copyExamples(filepath.Join(e.WorkDir, "flows", "examples"), strings.NewReplacer(
			"https://git.example.com", git.http.URL+"/"+name,
			"ssh://git@git.example.com", git.ssh.URL+"/"+name,
			"https://s3.example.com", s3.Endpoint,
			"my-oracle-server", database.Addr,
			"team-files", strings.ReplaceAll(name, "_", "-"),
		))
	}
	testscript.Run(t, p)
}

// TestEveryExampleIsTested fails for an example without a script, and for a
// script that does not run the command that the example's first comment shows.
func TestEveryExampleIsTested(t *testing.T) {
	t.Parallel()
	if got, want := names(t, "testdata/examples/*.txtar"), names(t, examplesDir+"/*.lua"); !cmp.Equal(got, want) {
		t.Fatalf("scripts (-) and examples (+) differ:\n%s", cmp.Diff(got, want))
	}
	for _, name := range names(t, examplesDir+"/*.lua") {
		text := read(t, filepath.Join(examplesDir, name+".lua"))
		comment, _, _ := strings.Cut(text, "\n\n")
		_, command, ok := strings.Cut(comment, "\n--\n--   weir ")
		if !ok || !strings.HasPrefix(text, "-- ") || strings.Contains(command, "\n") {
			t.Errorf("%s.lua does not start with a comment that says what it shows and ends with the command to run it", name)
		}
		script := read(t, filepath.Join("testdata/examples", name+".txtar"))
		if !strings.Contains(script, " weir "+command+"\n") {
			t.Errorf("%s.txtar does not run: weir %s", name, command)
		}
	}
}

func names(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// copyExamples copies flows/examples with other places of the Git servers. The
// file of secrets gets the rights that it needs and that git does not keep.
func copyExamples(dir string, places *strings.Replacer) error {
	if err := os.CopyFS(dir, os.DirFS(examplesDir)); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(dir, "secrets.yaml"), 0o600); err != nil {
		return err
	}
	for _, name := range []string{"team.yaml", "files.yaml", "oracle.yaml"} {
		file := filepath.Join(dir, "connections", name)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(places.Replace(string(text))), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newRepository makes a small repository with the branches main and develop and
// the tag v2. Its commits have the same ids every time.
func newRepository(dir string) error {
	if err := gitCommand(dir, "init", "-q", "-b", "main"); err != nil {
		return err
	}
	for _, step := range []struct {
		file, text, message string
		then                []string
	}{
		{"README.md", "# Library\n\nBooks.\n", "start a library\n\nWith a readme.", []string{"branch", "develop"}},
		{"docs/guide.md", "# Guide\n", "docs: a guide", []string{"tag", "v2"}},
		{"README.md", "# Library of weir\n\nBooks.\n", "readme: name the place", nil},
	} {
		file := filepath.Join(dir, filepath.FromSlash(step.file))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			return err
		}
		for _, args := range [][]string{{"add", step.file}, {"commit", "-q", "-m", step.message}, step.then} {
			if args == nil {
				continue
			}
			if err := gitCommand(dir, args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// gitCommand runs git without what is configured on this machine.
func gitCommand(dir string, args ...string) error {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// gitServers are Git's own servers over HTTP and SSH on the same repositories.
type gitServers struct {
	root string
	http *servers.GitHTTPServer
	ssh  *servers.GitSSHServer
	key  string // of a user whom the SSH server lets in
}

func newGitServers(t *testing.T, user, password string) gitServers {
	t.Helper()
	private, public := newSSHKey(t)
	s := gitServers{root: t.TempDir(), key: private}
	s.http = servers.GitHTTP(t, servers.GitHTTPOptions{Root: s.root, User: user, Password: password})
	s.ssh = servers.GitSSH(t, servers.GitSSHOptions{Root: s.root, Keys: []string{public}})
	return s
}

// newSSHKey makes a key: the text of its file, and its public part.
func newSSHKey(t *testing.T) (private, public string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "weir")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
}
