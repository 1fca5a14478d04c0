package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// builtWeir builds weir once for all tests and benchmarks that need the real
// binary: another process, as its users start it.
var builtWeir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weir-test-*")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "weir")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", &buildError{err, out.String()}
	}
	return file, nil
})

type buildError struct {
	error
	output string
}

func (e *buildError) Error() string { return "build weir: " + e.error.Error() + "\n" + e.output }

func weirBinary(tb testing.TB) string {
	tb.Helper()
	file, err := builtWeir()
	if err != nil {
		tb.Fatal(err)
	}
	return file
}
