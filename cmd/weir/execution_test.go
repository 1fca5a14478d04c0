package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// userOf is somebody with a store of their own, who runs weir.
type userOf struct {
	t   *testing.T
	dir string
}

func (u userOf) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(u.t.Context(), weirBinary(u.t), args...)
	cmd.Dir, cmd.Env = u.dir, []string{"HOME=" + u.dir, "WEIR_LISTEN=127.0.0.1:0", "WEIR_DATA_DIR=" + filepath.Join(u.dir, "data")}
	return cmd
}

func (u userOf) weir(args ...string) string {
	u.t.Helper()
	out, err := u.command(args...).Output()
	if err != nil {
		u.t.Fatalf("weir %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

func (u userOf) write(name, text string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
}

// startedID reads the line that tells the id of an execution that was started.
func startedID(lines *bufio.Scanner) string {
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "execution "); ok {
			return id
		}
	}
	return ""
}

// TestInterruptedWait presses Ctrl-C while somebody waits for an execution: it goes
// on, with an engine and without.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	u.write("sleeper.lua", `sleep("1h")`)
	for _, served := range []bool{false, true} {
		if served {
			engine := u.command("serve")
			if err := engine.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = engine.Process.Signal(os.Interrupt)
				if err := engine.Wait(); err != nil {
					t.Errorf("the engine ended with %v", err)
				}
			}()
		}
		for _, how := range []string{"--wait", "--follow"} {
			cmd := u.command("execution", "start", "sleeper.lua", how)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			id := startedID(lines)
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for lines.Scan() {
				said.WriteString(lines.Text() + "\n")
			}
			_ = cmd.Wait()
			want := fmt.Sprintf("error: nobody watches execution %[1]s any more; it goes on\n"+
				"hint: watch it with: weir execution logs -f %[1]s; end it with: weir execution cancel %[1]s\n", id)
			if code := cmd.ProcessState.ExitCode(); code != exitCancelled || !strings.HasSuffix(said.String(), want) {
				t.Errorf("%s, served %t: exit code %d, said:\n%s", how, served, code, said.String())
			}
			if got := u.weir("execution", "list", "-o", "json"); !strings.Contains(got, id) || strings.Contains(got, "cancelled") {
				t.Errorf("%s, served %t: it did not go on:\n%s", how, served, got)
			}
		}
	}
}

// TestEngineDiesUnderAWaiter kills the engine while somebody waits. They are told, and
// get the output when another engine has done the work.
func TestEngineDiesUnderAWaiter(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	u.write("asks.lua", "log.info('begun')\nreturn ask{ title = 'Go on?' }.answer")
	first := u.command("serve")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	waiter := u.command("execution", "start", "asks.lua", "-f")
	var out strings.Builder
	waiter.Stdout = &out
	stderr, err := waiter.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := waiter.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = waiter.Process.Kill() })
	defer watchdog.Stop()
	lines := bufio.NewScanner(stderr)
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the waiter never said %q", text)
	}
	id := startedID(lines)
	await("begun")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	await("note: the engine has ended; the execution goes on when there is one again: weir serve")
	second := u.command("serve")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	u.weir("execution", "answer", id, "answer=yes")
	for lines.Scan() { // to its end
		if strings.Contains(lines.Text(), "begun") {
			t.Error("a line of the log is there twice")
		}
	}
	if err := waiter.Wait(); err != nil || out.String() != "\"yes\"\n" {
		t.Errorf("the waiter ended with %v and printed %q", err, out.String())
	}
	_ = second.Process.Signal(os.Interrupt)
	if err := second.Wait(); err != nil {
		t.Errorf("the engine ended with %v", err)
	}
}

// TestRetryWaitsForAnEngine waits for a retry that no engine has taken: how the
// execution ended before is not its end.
func TestRetryWaitsForAnEngine(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	u.write("flaky.lua", `return task("FAKE", { counter = "n", fail_times = 1 }).output.count`)
	first := u.command("serve")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	id := u.weir("execution", "start", "flaky.lua")
	u.weir("execution", "logs", "-f", id)
	_ = first.Process.Signal(os.Interrupt)
	_ = first.Wait()
	waiter := u.command("execution", "retry", id, "--wait")
	var out strings.Builder
	waiter.Stdout = &out
	stderr, err := waiter.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := waiter.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if got := startedID(lines); got != id {
		t.Fatalf("it waits for %q, want %q", got, id)
	}
	second := u.command("serve")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end
		continue
	}
	if err := waiter.Wait(); err != nil || out.String() != "2\n" {
		t.Errorf("the waiter ended with %v and printed %q", err, out.String())
	}
	_ = second.Process.Signal(os.Interrupt)
	if err := second.Wait(); err != nil {
		t.Errorf("the engine ended with %v", err)
	}
}

// TestSecondSignalEndsTheEngineAtOnce has a task that never ends, and much grace.
func TestSecondSignalEndsTheEngineAtOnce(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	u.write("blocks.lua", `task("FAKE", { block = true, leak = "warning", password = "not-so-secret" })`)
	engine := u.command("serve", "--grace", "1h")
	stderr, err := engine.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = engine.Process.Kill() })
	defer watchdog.Stop()
	id := u.weir("execution", "start", "blocks.lua")
	for again := time.NewTicker(20 * time.Millisecond); !strings.Contains(u.weir("execution", "logs", id), "***"); <-again.C {
		if t.Context().Err() != nil {
			t.Fatal("the task never ran")
		}
	}
	if err := engine.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() && !strings.Contains(lines.Text(), "is to end") {
		continue
	}
	if err := engine.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = engine.Wait()
	if code := engine.ProcessState.ExitCode(); code != exitCancelled {
		t.Errorf("exit code %d, want %d", code, exitCancelled)
	}
	if out := u.weir("execution", "list"); !strings.Contains(out, "blocks  running") {
		t.Errorf("got:\n%s", out)
	}
}

// TestCheckOfADamagedStore changes a letter of an id, somewhere in a store.
func TestCheckOfADamagedStore(t *testing.T) {
	t.Parallel()
	u := userOf{t, t.TempDir()}
	u.write("flow.lua", "return 1")
	id := u.weir("execution", "start", "flow.lua")
	u.weir("store", "check")
	file := filepath.Join(u.dir, "data", "weir.db")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(text), id)
	if at < 0 {
		t.Fatal("the id is not in the store")
	}
	text[at+len(id)-1] = '~'
	u.write("data/weir.db", string(text))
	cmd := u.command("store", "check")
	out, _ := cmd.CombinedOutput()
	code := cmd.ProcessState.ExitCode()
	if code != exitPermanent || !strings.Contains(string(out), "error: the store is damaged: ") || !strings.Contains(string(out), "restore the store from a backup") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitPermanent, out)
	}
}
