package s3_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
)

// memoryOf runs a task in a process of its own, and gives how much memory that had.
func memoryOf(t *testing.T, e *taskstest.Execution, in inputs) int64 {
	t.Helper()
	out, err := child(t, e, in).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", in["command"], err, out)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var had int64
		if _, err := fmt.Sscanf(lines.Text(), childMemory+" %d", &had); err == nil {
			return had
		}
	}
	t.Fatalf("the child told nothing:\n%s", out)
	return 0
}

// TestMemory keeps transfers within about 1 MiB for each part under way, and as much
// that is not collected yet, whatever the size of parts and objects.
func TestMemory(t *testing.T) {
	t.Parallel()
	const size, part, concurrency = 128 << 20, 16 << 20, 8
	in := bucket(t).with(inputs{"key": "k", "part_size": part, "concurrency": concurrency, "checksums": "always"})
	e := taskstest.NewExecution(t)
	name := filepath.Join(e.Dir, "large")
	write(t, e, "small", []byte("x"))
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
	base := memoryOf(t, e, in.with(inputs{"command": "upload", "file": "small"}))
	for command, file := range map[string]string{"upload": "large", "download": "back"} {
		in := in.with(inputs{"command": command, "file": file})
		if command == "download" {
			mustIn(t, e, driver(), in.with(inputs{"command": "upload", "file": "large"}))
		}
		if took := memoryOf(t, e, in) - base; took > 2*concurrency<<20 {
			t.Errorf("%s of %d MiB took %d MiB of memory", command, size>>20, took>>20)
		}
	}
}

// TestPartSize keeps within 10,000 parts, up to the largest object that there can be.
func TestPartSize(t *testing.T) {
	t.Parallel()
	const wanted = 16 << 20
	for _, size := range []int64{1, wanted, 10_000 * wanted, 10_000*wanted + 1, 1 << 40, 5 << 40} {
		part := s3.PartSizeFor(size, wanted)
		if count := (size + part - 1) / part; count > 10_000 || part < wanted || part > wanted && count < 9_000 {
			t.Errorf("%d bytes: %d parts of %d", size, count, part)
		}
	}
}

// TestFullDisk leaves what was there, and nothing else.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"command": "download", "key": "k", "file": "f"})
	e := taskstest.NewExecution(t)
	write(t, e, "f", []byte("as it was"))
	must(t, driver(), in.with(inputs{"command": "upload", "file": nil, "content": string(bytes.Repeat([]byte("x"), 6<<20))}))
	up := child(t, e, in.with(inputs{"command": "upload", "key": "l", "part_size": 5 << 20}))
	write(t, e, "f", bytes.Repeat([]byte("y"), 6<<20))
	up.Env = append(up.Env, roomVariable+"=0")
	if out, err := up.CombinedOutput(); err != nil {
		t.Errorf("an upload needs room: %v\n%s", err, out)
	}
	write(t, e, "f", []byte("as it was"))
	for name, more := range map[string]inputs{
		"at once": {}, "in parts": {"part_size": 5 << 20}, "a range": {"range": "10-"}, "a folder": {"command": "sync", "direction": "down", "folder": "."},
	} {
		cmd := child(t, e, in.with(more))
		cmd.Env = append(cmd.Env, fmt.Sprint(roomVariable, "=", 1<<20))
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("permanent ")) || !bytes.Contains(out, []byte("a file in the files directory: file too large")) {
			t.Errorf("%s: got %v\n%s", name, err, out)
		}
		if left := tree(t, e.Dir); len(left) != 1 || string(read(t, e, "f")) != "as it was" {
			t.Errorf("%s: there are %v", name, left)
		}
	}
}
