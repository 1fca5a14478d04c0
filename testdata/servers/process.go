package servers

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a running server that ends when its standard input does, and so
// with the test binary at the latest.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *logBuffer
	ended chan struct{}
}

// start runs a server and waits for the first line of its standard output, by
// which it says that it is ready.
func start(log *logBuffer, program string, args ...string) (*process, string, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", program, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", program, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", program, err)
	}
	p := &process{cmd: cmd, stdin: stdin, log: log, ended: make(chan struct{})}
	lines := bufio.NewReader(stdout)
	line, err := lines.ReadString('\n')
	go func() {
		defer close(p.ended)
		_, _ = io.Copy(log, lines)
		_ = cmd.Wait() // a killed server has nothing to say
	}()
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("start %s: it ended before it was ready:\n%s", program, log)
	}
	return p, strings.TrimSpace(line), nil
}

// stop ends the server in an orderly way, or by force if that takes too long.
func (p *process) stop() {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.kill()
	}
}

// kill ends the server as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	_ = p.stdin.Close()
}

// logBuffer collects what a server logs.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
