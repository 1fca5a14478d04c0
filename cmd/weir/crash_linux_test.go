package main

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// cramped is weir on a disk that is full from SIGUSR1 to SIGUSR2: no file grows above
// a few pages. With WEIR_TEST_UID it is run by that user.
func cramped() {
	signal.Ignore(syscall.SIGXFSZ) // which a full disk does not send
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			limit := syscall.Rlimit{Cur: 32 << 10, Max: ^uint64(0)}
			if s == syscall.SIGUSR2 {
				limit.Cur = limit.Max
			}
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				panic(err)
			}
		}
	}()
	if os.Getenv("WEIR_TEST_UID") != "" && os.Geteuid() == 0 {
		if err := syscall.Setuid(nobody); err != nil {
			panic(err)
		}
	}
	main()
}

const nobody = 65534

// cramped is the command that runs cramped.
func (s *crashSite) cramped() *exec.Cmd {
	s.t.Helper()
	program, err := exec.LookPath("weir-cramped") // as TestMain has put it there
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := s.user.command()
	cmd.Path, cmd.Args[0] = program, program
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

func (s *crashSite) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.engine.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// said waits until the engine has said something in its log.
func (s *crashSite) said(text string) {
	s.t.Helper()
	s.until("the log says "+text, func() bool { return strings.Contains(s.log.String(), text) })
}

// TestFullDisk fills the disk again and again under a busy engine, and kills it while
// it is full. The engine says what is wrong, waits, and goes on when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s := newCrashSite(t, 2)
	for n := range 4 {
		s.serve(s.cramped())
		begun := s.progress()
		s.until("some work", func() bool { return s.progress() >= min(begun+150, crashFlows*s.rounds*6) })
		s.signal(syscall.SIGUSR1)
		s.said("cannot write to the store; trying again")
		if n%2 == 0 {
			s.kill()
			continue
		}
		s.signal(syscall.SIGUSR2)
		begun = s.progress()
		s.until("more work", func() bool { return s.progress() > begun || s.ended() })
		s.kill()
	}
	s.serve(s.cramped())
	s.until("the end of all", s.ended)
	s.check()
	s.user.weir("store", "check")
}

// TestFullDiskAtTheEnd tells an engine to end while it cannot write.
func TestFullDiskAtTheEnd(t *testing.T) {
	t.Parallel()
	s := newCrashSite(t, 1)
	s.serve(s.cramped())
	s.until("some work", func() bool { return s.progress() >= 100 })
	s.signal(syscall.SIGUSR1)
	s.said("cannot write to the store; trying again")
	s.signal(os.Interrupt)
	if err := s.engine.Wait(); err != nil {
		t.Errorf("it ended with %v:\n%s", err, s.log.String())
	}
	s.engine = nil
	s.look()
	s.serve(s.user.command())
	s.until("the end of all", s.ended)
	s.check()
}

// TestReadOnlyStore takes the right to write to the store from under an engine, and
// from one that is started then.
func TestReadOnlyStore(t *testing.T) {
	t.Parallel()
	s := newCrashSite(t, 1)
	mode := func(dir, file os.FileMode) {
		t.Helper()
		data := filepath.Join(s.user.dir, "data")
		files, _ := filepath.Glob(filepath.Join(data, "*"))
		for _, name := range files {
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
				if err := os.Chmod(name, file); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Chmod(data, dir); err != nil {
			t.Fatal(err)
		}
	}
	s.giveAway()
	unprivileged := func() *exec.Cmd {
		cmd := s.cramped()
		cmd.Env = append(cmd.Env, "WEIR_TEST_UID=1")
		return cmd
	}
	s.serve(unprivileged())
	s.until("some work", func() bool { return s.progress() >= 100 })
	mode(0o500, 0o400)
	begun := s.progress()
	s.until("more work", func() bool { return s.progress() > begun+50 || s.ended() }) // what is open stays open
	s.kill()
	s.serve(unprivileged())
	err := s.engine.Wait()
	s.engine = nil
	if err == nil || !strings.Contains(s.log.String(), "weir must be able to write to the directory") {
		t.Errorf("on a store that it cannot write to it ended with %v:\n%s", err, s.log.String())
	}
	mode(0o700, 0o600)
	s.serve(unprivileged())
	s.until("the end of all", s.ended)
	s.check()
}

// giveAway gives all files to the user nobody, if this one may.
func (s *crashSite) giveAway() {
	s.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	for dir := s.user.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // another user is to find the way
			s.t.Fatal(err)
		}
	}
	err := filepath.WalkDir(s.user.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			err = os.Chown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
