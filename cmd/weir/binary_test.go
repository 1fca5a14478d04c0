package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is weir, built once for all tests and benchmarks that need the real binary:
// another process, as its users start it.
var built program

type program struct {
	once sync.Once
	dir  string
	err  error
}

func (p *program) make() {
	if p.dir, p.err = os.MkdirTemp("", "weir-test-*"); p.err != nil {
		return
	}
	cmd := exec.Command("go", "build", "-o", p.file(), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		p.err = &buildError{err, out.String()}
	}
}

func (p *program) file() string { return filepath.Join(p.dir, "weir") }

// cleaned runs tests, and leaves nothing of what was built for them.
type cleaned struct{ *testing.M }

func (c cleaned) Run() int {
	code := c.M.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	return code
}

type buildError struct {
	error
	output string
}

func (e *buildError) Error() string { return "build weir: " + e.error.Error() + "\n" + e.output }

func weirBinary(tb testing.TB) string {
	tb.Helper()
	built.once.Do(built.make)
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.file()
}
