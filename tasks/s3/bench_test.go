package s3_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// client is one program that talks to the server, by what it is asked to do. Every
// one runs in a process of its own, so that times and memory mean the same.
type client struct {
	name    string
	command func(step string, w work) *exec.Cmd
}

// work is what there is to do: a directory or file, where it comes back, and the
// place in the bucket.
type work struct {
	dir, from, to string
	bucket, at    string
}

func clients(b *testing.B, in inputs) []client {
	b.Helper()
	s5cmd, rclone := servers.Program(b, "s5cmd"), servers.Program(b, "rclone")
	endpoint, key, secret := in["endpoint"].(string), in["access_key_id"].(string), in["secret_access_key"].(string)
	env := append(os.Environ(), "AWS_ACCESS_KEY_ID="+key, "AWS_SECRET_ACCESS_KEY="+secret, "AWS_REGION=us-east-1",
		"RCLONE_CONFIG=/dev/null", "RCLONE_CONFIG_W_TYPE=s3", "RCLONE_CONFIG_W_PROVIDER=Other", "RCLONE_CONFIG_W_ENDPOINT="+endpoint,
		"RCLONE_CONFIG_W_ACCESS_KEY_ID="+key, "RCLONE_CONFIG_W_SECRET_ACCESS_KEY="+secret, "RCLONE_S3_NO_CHECK_BUCKET=true",
		"RCLONE_TRANSFERS=32", "RCLONE_CHECKERS=32")
	command := func(program string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(b.Context(), program, args...) //nolint:gosec // built for this
		cmd.Env = env
		return cmd
	}
	return []client{
		{"weir", func(step string, w work) *exec.Cmd {
			task := map[string]inputs{
				"up":     {"command": "sync", "direction": "up", "folder": w.from, "prefix": w.at},
				"list":   {"command": "list", "recursive": true, "prefix": w.at + "/", "limit": 0},
				"down":   {"command": "sync", "direction": "down", "folder": w.to, "prefix": w.at},
				"delete": {"command": "delete", "prefix": w.at + "/"},
				"put":    {"command": "upload", "file": w.from, "key": w.at},
				"get":    {"command": "download", "file": w.to, "key": w.at},
			}[step]
			text, err := json.Marshal(in.with(task))
			if err != nil {
				b.Fatal(err)
			}
			cmd := command(os.Args[0], "-test.run", "^TestChild$")
			cmd.Dir = w.dir
			cmd.Env = append(env, childVariable+"="+string(text))
			return cmd
		}},
		{"s5cmd", func(step string, w work) *exec.Cmd {
			remote := "s3://" + w.bucket + "/" + w.at
			return command(s5cmd, append([]string{"--endpoint-url", endpoint}, map[string][]string{
				"up":     {"cp", filepath.Join(w.dir, w.from) + "/", remote + "/"},
				"list":   {"ls", remote + "/*"},
				"down":   {"cp", remote + "/*", filepath.Join(w.dir, w.to) + "/"},
				"delete": {"rm", remote + "/*"},
				"put":    {"cp", filepath.Join(w.dir, w.from), remote},
				"get":    {"cp", remote, filepath.Join(w.dir, w.to)},
			}[step]...)...)
		}},
		{"rclone", func(step string, w work) *exec.Cmd {
			remote := "w:" + w.bucket + "/" + w.at
			return command(rclone, map[string][]string{
				"up":     {"copy", filepath.Join(w.dir, w.from), remote},
				"list":   {"lsf", "--format", "tsp", "--recursive", "--fast-list", remote},
				"down":   {"copy", remote, filepath.Join(w.dir, w.to)},
				"delete": {"delete", remote},
				"put":    {"copyto", filepath.Join(w.dir, w.from), remote},
				"get":    {"copyto", remote, filepath.Join(w.dir, w.to)},
			}[step]...)
		}},
	}
}

// measure runs one step, and gives its time and the most memory that it had.
func (c client) measure(b *testing.B, step string, w work) (time.Duration, float64) {
	b.Helper()
	cmd := c.command(step, w)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s %s: %v\n%.2000s", c.name, step, err, said.String())
	}
	took := time.Since(start)
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took, float64(usage.Maxrss) / 1024
}

// BenchmarkW7 measures 10,000 objects of 4 KiB and one of 1 GiB beside s5cmd and
// rclone on the same server. Times are in milliseconds. weir alone waits until a
// download is on the disk before it calls it done.
func BenchmarkW7(b *testing.B) {
	in := bucket(b)
	e := taskstest.NewExecution(b)
	small := random(b, 4<<10)
	for i := range 10_000 {
		write(b, e, fmt.Sprintf("small/%02d/%04d", i%100, i), small)
	}
	// Never in one piece: a process begins with the memory of the one that started it.
	writeLarge(b, filepath.Join(e.Dir, "large"))
	for _, set := range []struct {
		name, from string
		steps      []string
	}{
		{"small", "small", []string{"up", "list", "down", "delete"}},
		{"large", "large", []string{"put", "get"}},
	} {
		for _, c := range clients(b, in) {
			b.Run(set.name+"/"+c.name, func(b *testing.B) {
				runs := 0
				sums := map[string]time.Duration{}
				peak := 0.0
				for b.Loop() {
					w := work{dir: e.Dir, from: set.from, to: fmt.Sprint("to-", c.name, runs), bucket: in["bucket"].(string), at: fmt.Sprint(set.name, "-", c.name, runs)}
					runs++
					for _, step := range set.steps {
						took, memory := c.measure(b, step, w)
						sums[step] += took
						peak = max(peak, memory)
					}
					if err := os.RemoveAll(filepath.Join(e.Dir, w.to)); err != nil {
						b.Fatal(err)
					}
				}
				for _, step := range set.steps {
					b.ReportMetric(float64(sums[step].Milliseconds())/float64(runs), step+"-ms")
				}
				b.ReportMetric(peak, "peak-MiB")
			})
		}
	}
}

func writeLarge(b *testing.B, name string) {
	b.Helper()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	for range 1 << 10 {
		if _, err := f.Write(random(b, 1<<20)); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		b.Fatal(err)
	}
}
