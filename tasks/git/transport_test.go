package git_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/testdata/servers"
)

const (
	password = "hunter2-canary"
	token    = "ghp_canary0123456789"
)

// keyPair gives a private key and its line for authorized_keys.
func keyPair(t testing.TB, passphrase string) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))
}

// transports gives the inputs to reach the bare repository at dir in each way.
func transports(t testing.TB, dir string) map[string]map[string]any {
	t.Helper()
	root, name := filepath.Split(dir)
	open := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root})
	basic := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, User: "ada", Password: password, TLS: true})
	bearer := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, Password: token})
	private, public := keyPair(t, "")
	byKey := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}})
	byPassword := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Password: password})
	host, port, _ := strings.Cut(byKey.Address, ":")
	return map[string]map[string]any{
		"local":        {"repository_url": dir},
		"http":         {"repository_url": open.URL + "/" + name},
		"https":        {"repository_url": basic.URL + "/" + name, "username": "ada", "password": password, "ca_cert": basic.CACert},
		"token":        {"repository_url": bearer.URL + "/" + name, "token": token},
		"ssh key":      {"repository_url": byKey.URL + "/" + name, "ssh_key": private, "known_hosts": byKey.KnownHosts},
		"ssh ecdsa":    {"repository_url": fmt.Sprintf("ssh://git@%s:%s/%s", host, port, name), "ssh_key": private, "known_hosts": byKey.KnownHostsECDSA},
		"ssh password": {"repository_url": byPassword.URL + "/" + name, "password": password, "known_hosts": byPassword.KnownHosts},
	}
}

// with gives inputs with others over them.
func with(inputs map[string]any, more ...any) map[string]any {
	all := map[string]any{}
	for k, v := range inputs {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

func TestTransports(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	bare := newBare(t, work)
	sha := cli(t, work, "rev-parse", "HEAD")
	// After all of them: fsck reports an object as missing that is pushed while it looks.
	t.Cleanup(func() { cli(t, bare, "fsck", "--strict") })
	for name, inputs := range transports(t, bare) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := must(t, inputs)
			if got["commit_sha"] != sha || got["ref"] != "refs/heads/main" {
				t.Errorf("metadata: got %v", got)
			}
			got = must(t, with(inputs, "command", "get", "paths", []any{"docs"}, "ref", "v1"))
			want := []any{
				map[string]any{"name": "docs/a.md", "content": "QQo="},
				map[string]any{"name": "docs/deep/b.md", "content": "Qgo="},
			}
			if diff := cmp.Diff(want, got["files"]); diff != "" {
				t.Errorf("get (-want +got):\n%s", diff)
			}
			got = must(t, with(inputs, "command", "log"))
			if n := len(got["commits"].([]any)); n != 2 {
				t.Errorf("log: got %d commits", n)
			}
			branch := "by-" + strings.ReplaceAll(name, " ", "-")
			got = must(t, with(inputs, "command", "commit", "branch", branch, "message", "hello", "files", map[string]any{"new/file.txt": "new\n"}))
			if at := cli(t, bare, "rev-parse", branch); got["commit_sha"] != at {
				t.Errorf("commit: the branch is at %s, not at %s", at, got["commit_sha"])
			}
			if text := cli(t, bare, "show", branch+":new/file.txt"); text != "new" {
				t.Errorf("commit: the file holds %q", text)
			}
			must(t, with(inputs, "command", "tag", "tag", "t-"+branch, "message", "annotated", "ref", branch))
			if kind := cli(t, bare, "cat-file", "-t", "t-"+branch); kind != "tag" {
				t.Errorf("tag: it is a %s", kind)
			}
		})
	}
}

func TestLockedKeys(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	root, name := filepath.Split(bare)
	private, public := keyPair(t, "correct horse")
	s := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}})
	inputs := map[string]any{"repository_url": s.URL + "/" + name, "ssh_key": strings.ReplaceAll(private, "\n", "\r\n"), "known_hosts": s.KnownHosts}
	must(t, with(inputs, "ssh_key_passphrase", "correct horse"))
	_, err := run(t, with(inputs, "ssh_key_passphrase", "wrong horse"))
	wantError(t, err, tasks.Invalid, "does not open ssh_key")
	_, err = run(t, inputs)
	wantError(t, err, tasks.Invalid, "there is no passphrase")
	_, err = run(t, with(inputs, "ssh_key", "no key at all"))
	wantError(t, err, tasks.Invalid, "no private key")
}

func TestOldKeyFormats(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	root, name := filepath.Split(bare)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	s := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{string(ssh.MarshalAuthorizedKey(public))}})
	private := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	must(t, map[string]any{"repository_url": s.URL + "/" + name, "ssh_key": string(private), "known_hosts": s.KnownHosts})
}

func TestHostKeys(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	root, name := filepath.Split(bare)
	private, public := keyPair(t, "")
	s := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}})
	other := servers.GitSSH(t, servers.GitSSHOptions{Root: root})
	inputs := map[string]any{"repository_url": s.URL + "/" + name, "ssh_key": private}

	_, err := run(t, inputs)
	e := wantError(t, err, tasks.Denied, "is not known", "SHA256:", "known_hosts")
	if e.Auth {
		t.Error("an unknown host key is no matter of credentials")
	}
	// The hint is a line that works.
	_, line, _ := strings.Cut(e.Hint, "`known_hosts`: ")
	must(t, with(inputs, "known_hosts", "# hosts\n\n"+line))

	_, err = run(t, with(inputs, "known_hosts", other.KnownHosts))
	wantError(t, err, tasks.Denied, "is not known")
	_, key, _ := strings.Cut(other.KnownHosts, " ")
	host, _, _ := strings.Cut(s.KnownHosts, " ")
	_, err = run(t, with(inputs, "known_hosts", host+" "+key))
	wantError(t, err, tasks.Denied, "HAS CHANGED", s.Fingerprint, other.Fingerprint)
	_, err = run(t, with(inputs, "known_hosts", "@revoked "+s.KnownHosts+"\n@revoked "+s.KnownHostsECDSA))
	wantError(t, err, tasks.Denied, "is revoked")
	_, err = run(t, with(inputs, "known_hosts", s.KnownHosts+"\nrubbish"))
	wantError(t, err, tasks.Invalid, "line 2")
}
