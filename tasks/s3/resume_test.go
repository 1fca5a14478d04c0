package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// childVariable holds the inputs of the task that a child process runs,
// deathVariable after how much of it the child kills itself, and roomVariable how
// large a file may be.
const (
	childVariable = "WEIR_TEST_S3_CHILD"
	deathVariable = "WEIR_TEST_S3_DEATH"
	roomVariable  = "WEIR_TEST_S3_ROOM"
)

// childMemory is what a child prints before how much memory it had.
const childMemory = "memory:"

// TestChild is no test of its own: it runs one task in the working directory.
func TestChild(t *testing.T) {
	text := os.Getenv(childVariable)
	if text == "" {
		return
	}
	in := inputs{}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&in); err != nil {
		t.Fatal(err)
	}
	env := taskstest.In(t, ".").Env()
	if death, err := strconv.ParseInt(os.Getenv(deathVariable), 10, 64); err == nil {
		env.Progress = func(done, _ int64, _ string) {
			if done >= death {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	if room, err := strconv.ParseUint(os.Getenv(roomVariable), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ) // which a full disk does not send
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: room}); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t, s3.New(s3.WithCopyLimits(5<<20, 5<<20)), in, env); err != nil {
		t.Fatalf("%s %v", kindOf(err), err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	fmt.Println(childMemory, memory.Sys)
}

// run runs a task with an environment of the test's.
func run(t *testing.T, d tasks.Driver, in inputs, env tasks.Env) error {
	t.Helper()
	s, err := d.Open(t.Context(), taskstest.Decode(t, d, in), env)
	if err != nil {
		return err
	}
	_, err = s.Do(t.Context())
	return errors.Join(err, s.Close())
}

// child is a process that runs a task.
func child(t *testing.T, e *taskstest.Execution, in inputs) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestChild$") //nolint:gosec // this very program
	cmd.Dir = e.Dir
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	return cmd
}

// interrupt runs a task in another process, which SIGKILL ends as soon as it has
// told that so many bytes are done.
func interrupt(t *testing.T, e *taskstest.Execution, in inputs, done int64) {
	t.Helper()
	cmd := child(t, e, in)
	cmd.Env = append(cmd.Env, fmt.Sprint(deathVariable, "=", done))
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the task was not killed: %v\n%s", err, out)
	}
}

// sdkClient talks to the server without the driver.
func sdkClient(in inputs) *sdk.Client {
	return sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(in["endpoint"].(string)), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(in["access_key_id"].(string), in["secret_access_key"].(string), ""),
	})
}

// leftovers are what must not remain: temporary files, and uploads in parts.
func leftovers(t *testing.T, e *taskstest.Execution, in inputs) []string {
	t.Helper()
	var left []string
	for _, name := range tree(t, e.Dir) {
		if strings.HasPrefix(filepath.Base(name), ".weir-") {
			left = append(left, name)
		}
	}
	out, err := sdkClient(in).ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsInput{Bucket: aws.String(in["bucket"].(string))})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		left = append(left, "upload of "+*u.Key)
	}
	return left
}

func TestResume(t *testing.T) {
	t.Parallel()
	const size, part = 60 << 20, 5 << 20
	content := random(t, size)
	in := bucket(t).with(inputs{"key": "large", "part_size": part, "concurrency": 2})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", content)

	up := in.with(inputs{"command": "upload", "file": "large.bin", "checksums": "always"})
	interrupt(t, e, up, 5*part) // of which two may not be noted yet
	out := mustIn(t, e, driver(), up)
	if resumed, _ := out["resumed"].(int64); resumed < 3*part || resumed >= size {
		t.Errorf("up: resumed after %v", out["resumed"])
	}
	down := in.with(inputs{"command": "download", "file": "back/again.bin", "checksums": "always"})
	interrupt(t, e, down, 5*part)
	if _, err := os.Stat(filepath.Join(e.Dir, "back", "again.bin")); err == nil {
		t.Error("half a file has the final name")
	}
	out = mustIn(t, e, driver(), down)
	if resumed, _ := out["resumed"].(int64); resumed < part || resumed >= size {
		t.Errorf("down: resumed after %v", out["resumed"])
	}
	if !bytes.Equal(read(t, e, "back/again.bin"), content) {
		t.Error("what came back differs")
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestResumeCopy goes on with a copy in parts.
func TestResumeCopy(t *testing.T) {
	t.Parallel()
	const size, part = 60 << 20, 5 << 20
	in := bucket(t).with(inputs{"command": "copy", "key": "large", "to_key": "copy", "concurrency": 2})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", random(t, size))
	up := in.with(inputs{"command": "upload", "file": "large.bin", "to_key": nil, "part_size": part})
	etag := mustIn(t, e, driver(), up)["etag"]
	interrupt(t, e, in, size/2)
	first, env := int64(0), e.Env()
	env.Progress = func(done, _ int64, _ string) {
		if first == 0 {
			first = done
		}
	}
	if err := run(t, s3.New(s3.WithCopyLimits(part, part)), in, env); err != nil {
		t.Fatal(err)
	}
	if first < size/2-2*part {
		t.Errorf("it began with %d bytes done", first)
	}
	if got := mustIn(t, e, driver(), in.with(inputs{"command": "metadata", "key": "copy"})); got["etag"] != etag {
		t.Errorf("the copy has another content")
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestResumeAfterAChange starts anew where what is there now is another thing.
func TestResumeAfterAChange(t *testing.T) {
	t.Parallel()
	const size, part = 30 << 20, 5 << 20
	in := bucket(t).with(inputs{"key": "large", "part_size": part, "concurrency": 1})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", random(t, size))
	up := in.with(inputs{"command": "upload", "file": "large.bin"})
	interrupt(t, e, up, size/2)
	changed := random(t, size)
	write(t, e, "large.bin", changed)
	if out := mustIn(t, e, driver(), up); out["resumed"] != nil {
		t.Errorf("up: resumed after %v", out["resumed"])
	}
	down := in.with(inputs{"command": "download", "file": "f"})
	mustIn(t, e, driver(), down)
	if !bytes.Equal(read(t, e, "f"), changed) {
		t.Error("what came back is not what was uploaded last")
	}

	large := in.with(inputs{"part_size": 5 << 20, "concurrency": 4})
	write(t, e, "large.bin", random(t, 2*size))
	mustIn(t, e, driver(), large.with(inputs{"command": "upload", "file": "large.bin"}))
	interrupt(t, e, down.with(inputs{"file": "g"}), size)
	mustIn(t, e, driver(), up.with(inputs{"file": "f"}))
	if out := mustIn(t, e, driver(), down.with(inputs{"file": "g"})); out["resumed"] != nil {
		t.Errorf("down: resumed after %v", out["resumed"])
	}
	if !bytes.Equal(read(t, e, "g"), changed) {
		t.Error("the download mixes two objects")
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestCancelled shows that an upload whose context ends leaves nothing behind.
func TestCancelled(t *testing.T) {
	t.Parallel()
	in := bucket(t).with(inputs{"key": "large", "part_size": 5 << 20, "concurrency": 2})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", random(t, 40<<20))
	for _, command := range []string{"upload", "download"} {
		ctx, cancel := context.WithCancel(t.Context())
		env := e.Env()
		env.Progress = func(done, total int64, _ string) {
			if done > total/4 {
				cancel()
			}
		}
		s, err := driver().Open(ctx, taskstest.Decode(t, driver(), in.with(inputs{"command": command, "file": "large.bin"})), env)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Do(ctx)
		if kind := kindOf(err); kind != tasks.Timeout {
			t.Errorf("%s: got %s: %v", command, kind, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		if left := leftovers(t, e, in); len(left) > 0 {
			t.Errorf("%s left %v", command, left)
		}
		mustIn(t, e, driver(), in.with(inputs{"command": "upload", "file": "large.bin"}))
	}
}

func kindOf(err error) tasks.Kind {
	var e *tasks.Error
	if !errors.As(err, &e) {
		return tasks.Kind(fmt.Sprint(err))
	}
	return e.Kind
}

// stopped is why a context ends whose engine is stopped.
type stopped struct{ error }

func (stopped) Again() bool { return true }

// TestStoppedEngine keeps what was transferred for the next engine.
func TestStoppedEngine(t *testing.T) {
	t.Parallel()
	const size, part = 40 << 20, 5 << 20
	in := bucket(t).with(inputs{"key": "large", "part_size": part, "concurrency": 2})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", random(t, size))
	for _, task := range []inputs{{"command": "upload", "file": "large.bin"}, {"command": "download", "file": "back"}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		env := e.Env()
		env.Progress = func(done, _ int64, _ string) {
			if done >= size/2 {
				cancel(stopped{})
			}
		}
		s, err := driver().Open(ctx, taskstest.Decode(t, driver(), in.with(task)), env)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Do(ctx); kindOf(err) != tasks.Timeout {
			t.Errorf("%s: got %v", task["command"], err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if out := mustIn(t, e, driver(), in.with(task)); out["resumed"] == nil {
			t.Errorf("%s began anew", task["command"])
		}
	}
	if !bytes.Equal(read(t, e, "large.bin"), read(t, e, "back")) {
		t.Error("what came back differs")
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestOutage goes on with an upload whose service was away for longer than it was
// waited for.
func TestOutage(t *testing.T) {
	t.Parallel()
	const size, part = 40 << 20, 5 << 20
	server := servers.NewS3(t, servers.S3Config{})
	in := bucketOn(t, server).with(inputs{"command": "upload", "key": "large", "file": "large.bin", "part_size": part, "concurrency": 2})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", random(t, size))
	var once sync.Once
	env := e.Env()
	env.Progress = func(done, _ int64, _ string) {
		if done >= size/2 {
			once.Do(func() { server.Kill(t) })
		}
	}
	if err := run(t, driver(), in, env); kindOf(err) != tasks.Unavailable {
		t.Errorf("got %v", err)
	}
	server.Restart(t)
	if out := mustIn(t, e, driver(), in); out["resumed"] == nil {
		t.Error("it began anew")
	}
	if left := leftovers(t, e, in); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
