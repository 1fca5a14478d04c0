package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

// childRole names what a process started by a test does in place of the tests.
const childRole = "WEIR_STORE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, dir, _ := strings.Cut(os.Getenv(childRole), ":")
	if role == "" {
		os.Exit(m.Run())
	}
	if err := child(role, dir, os.Stdout); err != nil {
		fmt.Println(err)
		var failure *engine.Error
		if errors.As(err, &failure) {
			fmt.Println("kind", failure.Kind, "hint", failure.Hint)
		}
		os.Exit(1)
	}
}

// child does what a role is for, and says a line after each step.
func child(role, dir string, out io.Writer) error {
	ctx := context.Background()
	switch role {
	case "unprivileged":
		if os.Geteuid() == 0 {
			const nobody = 65534
			if err := syscall.Setuid(nobody); err != nil {
				return err
			}
		}
	case "little room":
		// The limit raises a signal beside the error that a full disk gives.
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 400 << 10, Max: 400 << 10}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
	}
	s, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return err
	}
	switch role {
	case "commit":
		return commitPairs(ctx, s, out)
	case "commit in little room":
		return errors.Join(commitInLittleRoom(s, out), s.Close())
	}
	cs := s.Connections()
	for i := range 200 {
		switch role {
		case "write":
			err = put(ctx, cs, connections.Connection{Name: fmt.Sprintf("of-%d-%d", os.Getpid(), i%10), Type: "GIT"})
			if i == 40 {
				return errors.Join(err, s.Close())
			}
		case "rotate":
			err = s.RotateKey(ctx)
		default:
			err = put(ctx, cs, oracle("host: db1\nfiller: "+strings.Repeat("x", 4096)+"\n"))
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "did", i)
	}
	return s.Close()
}

func put(ctx context.Context, cs connections.Store, c connections.Connection) error {
	_, err := cs.Update(ctx, c)
	if errors.Is(err, connections.ErrNotFound) {
		_, err = cs.Create(ctx, c)
	}
	return err
}

// start starts a child.
func start(tb testing.TB, role, dir string) (*exec.Cmd, *bufio.Scanner) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role+":"+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// rest reads what a child still says, until it ends.
func rest(cmd *exec.Cmd, lines *bufio.Scanner) (said string, err error) {
	var b strings.Builder
	for lines.Scan() {
		b.WriteString(lines.Text() + "\n")
	}
	return b.String(), cmd.Wait()
}

// TestProcesses has several processes make a new store at the same time, and
// then write to it and rotate its key.
func TestProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	const processes = 4
	ends := make(chan error, processes)
	for range processes {
		cmd, lines := start(t, "write", dir)
		go func() {
			said, err := rest(cmd, lines)
			if err != nil {
				err = fmt.Errorf("%w: %s", err, said)
			}
			ends <- err
		}()
	}
	for range processes {
		if err := <-ends; err != nil {
			t.Error(err)
		}
	}
	list, err := open(t, dir).Connections().List(t.Context(), "")
	if err != nil || len(list) != processes*10 {
		t.Fatalf("there are %d connections, want %d; %v", len(list), processes*10, err)
	}
	for _, c := range list {
		if c.Revision < 4 {
			t.Errorf("connection %s has revision %d: an update is lost", c.Name, c.Revision)
		}
	}
}

// TestKilledWhileRotating kills a process that rotates the key, at many moments.
func TestKilledWhileRotating(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	const count = 200
	for i := range count {
		create(t, s, connections.Connection{Name: fmt.Sprint("c", i), Type: "GIT", Text: "a: b\n"})
	}
	for kill := range 8 {
		cmd, lines := start(t, "rotate", dir)
		for range kill%2 + 1 {
			lines.Scan()
		}
		for range kill * 2000 {
			runtime.Gosched() // another moment each time
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = rest(cmd, lines)
		list, err := s.Connections().List(t.Context(), "")
		if err != nil || len(list) != count {
			t.Fatalf("after kill %d there are %d connections, want %d; %v", kill, len(list), count, err)
		}
	}
	if list, err := open(t, dir).Connections().List(t.Context(), ""); err != nil || len(list) != count {
		t.Errorf("opened again there are %d connections, want %d; %v", len(list), count, err)
	}
}

// TestDiskFull lets a process run into a limit on the size of files.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	create(t, s, oracle("host: db1\n"))
	cmd, lines := start(t, "little room", dir)
	said, err := rest(cmd, lines)
	if err == nil || !strings.Contains(said, "kind unavailable") || !strings.Contains(said, "nothing was changed") {
		t.Errorf("it ends with %v and says:\n%s", err, said)
	}
	written := strings.Count(said, "did ")
	c, err := s.Connections().Get(t.Context(), "", "oracle")
	if err != nil || written == 0 || c.Revision != int64(1+written) {
		t.Errorf("after %d updates that were acknowledged there is revision %d, %v", written, c.Revision, err)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "store")
	close1(t, dir, store.MasterKey{})
	for path, mode := range map[string]os.FileMode{
		filepath.Dir(parent): 0o755, parent: 0o755, dir: 0o555,
		filepath.Join(dir, "weir.db"): 0o444, filepath.Join(dir, "master.key"): 0o400,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{dir: "it cannot be written", filepath.Join(dir, "new"): "permission denied"} {
		cmd, lines := start(t, "unprivileged", dir)
		said, err := rest(cmd, lines)
		if err == nil || !strings.Contains(said, want) || !strings.Contains(said, "kind denied hint ") {
			t.Errorf("it ends with %v and says:\n%s", err, said)
		}
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "weir.db"): 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	mustRead(t, dir, store.MasterKey{})
}
