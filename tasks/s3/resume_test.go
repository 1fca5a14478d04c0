package s3_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
)

// childVariable holds the inputs of the task that a child process runs.
const childVariable = "WEIR_TEST_S3_CHILD"

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
	mustIn(t, taskstest.In(t, "."), driver(), in)
}

// interrupt runs a task in another process and kills it as soon as its memory, which
// is in a file with this pattern, has some parts.
func interrupt(t *testing.T, e *taskstest.Execution, in inputs, parts int) {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestChild$") //nolint:gosec // this very program
	cmd.Dir = e.Dir
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			t.Fatalf("the task ended before it was killed: %v\n%s", err, said.String())
		case <-tick.C:
		}
		if noted(e) >= parts {
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// noted counts the parts that a transfer has noted as done.
func noted(e *taskstest.Execution) int {
	files, _ := filepath.Glob(filepath.Join(e.Dir, ".weir-s3-*.state"))
	if len(files) == 0 {
		return 0
	}
	text, _ := os.ReadFile(files[0])
	return max(bytes.Count(text, []byte("\n"))-1, 0)
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
	client := sdk.New(sdk.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(in["endpoint"].(string)), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(in["access_key_id"].(string), in["secret_access_key"].(string), ""),
	})
	out, err := client.ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsInput{Bucket: aws.String(in["bucket"].(string))})
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
	const size, part = 150 << 20, 5 << 20
	content := random(t, size)
	in := bucket(t).with(inputs{"key": "large", "part_size": part, "concurrency": 2})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", content)

	up := in.with(inputs{"command": "upload", "file": "large.bin", "checksums": "always"})
	interrupt(t, e, up, 3)
	out := mustIn(t, e, driver(), up)
	if resumed, _ := out["resumed"].(int64); resumed < 3*part || resumed >= size {
		t.Errorf("up: resumed after %v", out["resumed"])
	}
	down := in.with(inputs{"command": "download", "file": "back/again.bin", "checksums": "always"})
	interrupt(t, e, down, 1)
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

// TestResumeAfterAChange starts anew where what is there now is another thing.
func TestResumeAfterAChange(t *testing.T) {
	t.Parallel()
	const size, part = 60 << 20, 5 << 20
	in := bucket(t).with(inputs{"key": "large", "part_size": part, "concurrency": 1})
	e := taskstest.NewExecution(t)
	write(t, e, "large.bin", random(t, size))
	up := in.with(inputs{"command": "upload", "file": "large.bin"})
	interrupt(t, e, up, 2)
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
	interrupt(t, e, down.with(inputs{"file": "g"}), 1)
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
	write(t, e, "large.bin", random(t, 100<<20))
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
