package main

import (
	"bufio"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weir-engine/weir/testdata/servers"
)

// TestBadInput runs testdata/badinput/*.txtar: what is wrong, what the user reads
// about it, and that nothing is lost or half-written. Each script is in a scratch
// repository, and has
//
//	$VAULT_ADDR, $VAULT_TOKEN, $MOUNT  a real Vault, whose $MOUNT is of KV version 2
//	$HTTP, $SSH                        that repository on real Git servers
//	key, known_hosts                   files with what the SSH server wants
//	other_key, other_hosts             files with what it does not
//	$SEALED, $STALLED                  URLs of a real Vault that is sealed, and of a server
//	                                   that answers nothing
//	$NOBODY                            host:port where nothing listens
func TestBadInput(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	for range 3 {
		vault.PutKV(t, mount, "versions", map[string]any{"password": "secret-of-versions"})
	}
	vault.DeleteKV(t, mount, "versions", 1)
	vault.DestroyKV(t, mount, "versions", 2)
	vault.PutKV(t, mount, "git", map[string]any{"user": "weir", "password": "password-of-the-git-server"})
	vault.PutKV(t, mount, "other", map[string]any{"password": "secret-of-others"})
	token := vault.Token(t, servers.TokenConfig{Bare: true, Policies: []string{
		vault.Policy(t, `path "`+mount+`/data/versions" { capabilities = ["read"] }
			path "`+mount+`/data/git" { capabilities = ["read"] }
			path "`+mount+`/data/nothing" { capabilities = ["read"] }`),
	}})
	git := newGitServers(t, "weir", "password-of-the-git-server")
	otherKey, otherPublic := newSSHKey(t)
	host, _, _ := strings.Cut(git.ssh.KnownHosts, " ")
	otherHosts := host + " " + otherPublic
	nobody := unusedAddress(t)
	sealed, stalled := newVaultsThatFail(t)

	p := params("testdata/badinput")
	isolate := p.Setup
	p.Setup = func(e *testscript.Env) error {
		if err := isolate(e); err != nil {
			return err
		}
		if err := newRepository(e.WorkDir); err != nil {
			return err
		}
		name := filepath.Base(e.WorkDir)
		if err := gitCommand(e.WorkDir, "clone", "-q", "--bare", ".", filepath.Join(git.root, name, "team.git")); err != nil {
			return err
		}
		for key, value := range map[string]string{
			"VAULT_ADDR": vault.Address, "VAULT_TOKEN": token, "MOUNT": mount, "NOBODY": nobody, "SEALED": sealed, "STALLED": stalled,
			"HTTP": git.http.URL + "/" + name + "/team.git", "SSH": git.ssh.URL + "/" + name + "/team.git",
		} {
			e.Setenv(key, value)
		}
		for file, text := range map[string]string{
			"key": git.key, "known_hosts": git.ssh.KnownHosts, "other_key": otherKey, "other_hosts": otherHosts,
		} {
			if err := os.WriteFile(filepath.Join(e.WorkDir, file), []byte(text), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	p.Cmds["fails"] = fails
	testscript.Run(t, p)
}

// fails is exits for a command that must fail, and tell it in a way that helps:
// fails CODE weir ARGS...
func fails(ts *testscript.TestScript, neg bool, args []string) {
	exits(ts, neg, args)
	if args[0] == "0" {
		ts.Fatalf("fails is for commands that fail")
	}
	told := ts.ReadFile("stderr")
	_, message, ok := strings.Cut("\n"+told, "\nerror: ")
	if !ok {
		ts.Fatalf("no line starts with error:")
	}
	message, _, _ = strings.Cut(message, "\n")
	said := map[string]bool{}
	for part := range strings.SplitSeq(message, ": ") {
		if said[part] {
			ts.Fatalf("the error says %q twice", part)
		}
		said[part] = true
	}
	for _, sign := range []string{"%!", "EOF", "goroutine", "runtime error", "panic", "nil pointer", "0xc0", "syscall", ".go:"} {
		if strings.Contains(told, sign) {
			ts.Fatalf("the error says %q, which is not for users", sign)
		}
	}
	if n := strings.Count(told, "\nhint: "); n > 1 {
		ts.Fatalf("there are %d hints", n)
	}
}

// newVaultsThatFail gives the URLs of a Vault that is sealed, and of a server that
// takes requests and answers none.
func newVaultsThatFail(t *testing.T) (sealed, stalled string) {
	t.Helper()
	vault := servers.NewVault(t, servers.VaultConfig{})
	vault.Seal(t)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or its client's end is not noticed
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return vault.Address, server.URL
}

// unusedAddress gives an address where nothing listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// interrupted is a flow that says when its task is running, which then blocks.
const interrupted = `
defer(function(err) log.info("deferred", { kind = err.kind }) end)
local ok = pcall(task, "FAKE", { leak = "warning", block = true, password = "hunter22" })
log.info("not reached")
return ok`

// TestInterrupt sends the signal of Ctrl-C to the real process while its task runs:
// it stops the task, runs what was deferred, leaves nothing behind, and says so.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	r := startRun(t, interrupted)
	r.waitFor(t, "the password is ***")
	code, told := r.interrupt(t)
	if code != exitCancelled {
		t.Errorf("got exit code %d, want %d", code, exitCancelled)
	}
	for _, want := range []string{"stop  task FAKE (FAKE)", "info  deferred kind=cancelled", "error: flow.lua:3: the flow was cancelled"} {
		if !strings.Contains(told, want) {
			t.Errorf("stderr does not say %q:\n%s", want, told)
		}
	}
	if strings.Contains(told, "not reached") {
		t.Errorf("the flow caught its own end:\n%s", told)
	}
	r.wantFiles(t, "flow.lua")
}

// TestInterruptFetch interrupts a run that waits for a server in the middle of a get.
func TestInterruptFetch(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: newServedRepository(t), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				next.ServeHTTP(w, r)
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			asked <- struct{}{}
			<-r.Context().Done()
		})
	}})
	r := startRun(t, `return task("GIT", { command = "get", files_path = "got", repository_url = "`+server.URL+`/team.git" }).output`)
	<-asked
	code, told := r.interrupt(t)
	if code != exitCancelled || !strings.Contains(told, "cancelled") {
		t.Errorf("got exit code %d, want %d:\n%s", code, exitCancelled, told)
	}
	r.wantFiles(t, "flow.lua")
}

// TestInterruptTwice ends a run at once whose deferred function does not end.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	r := startRun(t, `
defer(function() task("FAKE", { leak = "warning", block = true, password = "hunter22" }) end)
log.info("ready")
sleep("1h")`)
	r.waitFor(t, "ready")
	r.signal(t)
	r.waitFor(t, "the password is ***")
	code, told := r.interrupt(t)
	if code != exitCancelled || strings.Contains(told, "error: ") {
		t.Errorf("got exit code %d, want %d at once:\n%s", code, exitCancelled, told)
	}
}

// run is a process of weir that runs a flow in a directory of its own.
type run struct {
	dir   string
	cmd   *exec.Cmd
	lines *bufio.Scanner // of stderr
	told  strings.Builder
}

func startRun(t *testing.T, flow string) *run {
	t.Helper()
	program, err := exec.LookPath("weir") // as TestMain has put it there
	if err != nil {
		t.Fatal(err)
	}
	r := &run{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(r.dir, "flow.lua"), []byte(flow), 0o600); err != nil {
		t.Fatal(err)
	}
	r.cmd = exec.CommandContext(t.Context(), program, "run", "flow.lua")
	r.cmd.Dir = r.dir
	r.cmd.Env = append(os.Environ(), "HOME="+r.dir, "TMPDIR="+r.dir, "WEIR_DATA_DIR="+filepath.Join(r.dir, ".data"), "VAULT_ADDR=", "WEIR_CONNECTION_PATH=")
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.lines = bufio.NewScanner(stderr)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// waitFor reads stderr up to a line that has the text.
func (r *run) waitFor(t *testing.T, text string) {
	t.Helper()
	for r.lines.Scan() {
		r.told.WriteString(r.lines.Text() + "\n")
		if strings.Contains(r.lines.Text(), text) {
			return
		}
	}
	t.Fatalf("weir ended before it said %q:\n%s", text, r.told.String())
}

func (r *run) signal(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// interrupt signals, waits for the end, and gives the exit code and all of stderr.
func (r *run) interrupt(t *testing.T) (code int, told string) {
	t.Helper()
	r.signal(t)
	for r.lines.Scan() {
		r.told.WriteString(r.lines.Text() + "\n")
	}
	_ = r.cmd.Wait() // the code says it
	return r.cmd.ProcessState.ExitCode(), r.told.String()
}

// wantFiles fails if the directory has other files than these.
func (r *run) wantFiles(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	err := filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(r.dir, path)
			got = append(got, name)
		}
		return err
	})
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("files (-want +got): %v\n%s", err, diff)
	}
}

// newServedRepository gives a directory with the repository team.git.
func newServedRepository(t *testing.T) string {
	t.Helper()
	root, work := t.TempDir(), t.TempDir()
	if err := newRepository(work); err != nil {
		t.Fatal(err)
	}
	if err := gitCommand(work, "clone", "-q", "--bare", ".", filepath.Join(root, "team.git")); err != nil {
		t.Fatal(err)
	}
	return root
}
