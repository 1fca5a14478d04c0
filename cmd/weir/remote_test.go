package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestBothWays runs testdata/both/*.txtar on a local store that an engine serves, and
// on a server with nothing but its address and a token. What is printed and the exit
// codes are the same.
func TestBothWays(t *testing.T) {
	t.Parallel()
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		p := params("testdata/both")
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			if err := setup(e); err != nil {
				return err
			}
			d, err := startDaemon(t, e.WorkDir, e.Getenv("WEIR_DATA_DIR"), "--listen", "none")
			if err == nil {
				e.Defer(d.stop)
			}
			return err
		}
		testscript.Run(t, p)
	})
	t.Run("remote", func(t *testing.T) {
		t.Parallel()
		p := params("testdata/both")
		setup := p.Setup
		p.Setup = func(e *testscript.Env) error {
			dir := e.WorkDir + "/.server"
			if err := errors.Join(setup(e), os.Mkdir(dir, 0o700)); err != nil {
				return err
			}
			d, err := startDaemon(t, dir, filepath.Join(dir, "data"))
			if err != nil {
				return err
			}
			e.Defer(d.stop)
			e.Setenv("WEIR_DATA_DIR", e.WorkDir+"/.nothing-is-here")
			e.Setenv("WEIR_ADDR", d.address)
			e.Setenv("WEIR_TOKEN", d.token)
			return nil
		}
		testscript.Run(t, p)
	})
}

// runningDaemon is a "weir serve" that serves.
type runningDaemon struct {
	t       testing.TB
	cmd     *exec.Cmd
	address string // empty without an API
	token   string // of the first user
	data    string
	said    *strings.Builder // on stderr; to be read after the end
	read    chan struct{}
}

// startDaemon starts an engine on a store, and waits until it serves. NAME=value among
// the arguments is of its environment.
func startDaemon(t testing.TB, dir, data string, given ...string) (*runningDaemon, error) {
	t.Helper()
	var args, env []string
	for _, arg := range given {
		if name, _, ok := strings.Cut(arg, "="); ok && !strings.HasPrefix(arg, "-") && name == strings.ToUpper(name) {
			env = append(env, arg)
		} else {
			args = append(args, arg)
		}
	}
	program := weirBinary(t)
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "WEIR_TEST_CLOCK=") }) {
		var err error
		if program, err = exec.LookPath("weir-on-a-clock"); err != nil { // as TestMain has put it there
			return nil, err
		}
	}
	d := &runningDaemon{t: t, data: data, said: &strings.Builder{}, read: make(chan struct{})}
	d.cmd = exec.Command(program, append([]string{"serve", "-o", "json"}, args...)...) //nolint:noctx,gosec // it is ended by stop
	d.cmd.Dir = dir
	d.cmd.Env = append(env, "HOME="+dir, "WEIR_DATA_DIR="+data, "WEIR_LISTEN=127.0.0.1:0", "GORACE=atexit_sleep_ms=0")
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	serves := false
	for !serves && lines.Scan() {
		line := lines.Text()
		d.said.WriteString(line + "\n")
		if _, after, ok := strings.Cut(line, `"address":"`); ok {
			d.address, _, _ = strings.Cut(after, `"`)
		}
		serves = strings.Contains(line, "the engine serves the store") && len(args) > 1 && args[1] == noListen ||
			strings.Contains(line, "the API is served")
	}
	go func() {
		defer close(d.read)
		for lines.Scan() {
			d.said.WriteString(lines.Text() + "\n")
		}
	}()
	if !serves {
		_ = d.cmd.Wait()
		<-d.read
		return nil, errors.New("weir serve: " + d.said.String())
	}
	if text, err := os.ReadFile(filepath.Join(data, firstTokenFile)); err == nil {
		d.token = strings.TrimSpace(string(text))
	}
	return d, nil
}

// stop ends the engine as a service manager does.
func (d *runningDaemon) stop() {
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		return // it was ended before
	}
	<-d.read
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("weir serve ended with %v:\n%s", err, d.said)
	}
}
