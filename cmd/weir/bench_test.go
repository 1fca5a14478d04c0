package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkW5 is the time from the start of the process to the end of the first
// flow: alone, with a connection from a file, and with one from the store. The
// bare start of the binary is the floor.
func BenchmarkW5(b *testing.B) {
	weir, dir := weirBinary(b), b.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		return file
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(b.Context(), weir, args...)
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + dir, "WEIR_DATA_DIR=" + dir + "/data", "WEIR_CONNECTION_PATH=" + dir}
		return cmd
	}
	write("oracle.yaml", "name: filed\ntype: FAKE\nvalue: {host: db.example.com}\n")
	if out, err := command("connection", "create", "stored", "--type", "FAKE", "--set", "host=db").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		name string
		args []string
	}{
		{"hello", []string{"run", "-q", write("hello.lua", `return "hello"`)}},
		{"connect-file", []string{"run", "-q", write("filed.lua", `connect("filed")`)}},
		{"connect-store", []string{"run", "-q", write("stored.lua", `connect("stored")`)}},
		{"floor-version", []string{"version"}},
	} {
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				if out, err := command(test.args...).CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/start")
			b.ReportMetric(0, "ns/op")
		})
	}
	info, err := os.Stat(weir)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB/binary")
}
