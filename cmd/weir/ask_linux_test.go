package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestAskedSecretIsNotShown types a secret into a terminal as soon as weir has
// turned off its echo.
func TestAskedSecretIsNotShown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	user, tty := openTerminal(t)
	cmd := exec.CommandContext(ctx, "weir", "connection", "create", "db", "--type", "fake", "--set", "password")
	cmd.Env = append(os.Environ(), "WEIR_DATA_DIR="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	var talk bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, &talk
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shown := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(user) // ends with an error when the terminal closes
		shown <- text
	}()
	for tick := time.NewTicker(time.Millisecond); echoes(t, tty); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the terminal still echoes; weir says: %s", talk.String())
		}
	}
	if _, err := user.WriteString("hunter22\n"); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	tty.Close()
	text := <-shown
	if err != nil || !bytes.Contains(text, []byte("created")) {
		t.Fatalf("%v\nstdout: %s\nstderr: %s", err, text, talk.String())
	}
	if bytes.Contains(text, []byte("hunter")) || bytes.Contains(talk.Bytes(), []byte("hunter")) {
		t.Errorf("the secret is shown:\nstdout: %s\nstderr: %s", text, talk.String())
	}
}

// openTerminal gives the user's and the program's end of a new terminal.
func openTerminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	var locked, number int32
	ioctl(t, user, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	ioctl(t, user, syscall.TIOCGPTN, unsafe.Pointer(&number))
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	var settings syscall.Termios
	ioctl(t, tty, syscall.TCGETS, unsafe.Pointer(&settings))
	return settings.Lflag&syscall.ECHO != 0
}

func ioctl(t *testing.T, file *os.File, request uintptr, argument unsafe.Pointer) {
	t.Helper()
	if _, _, fault := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(argument)); fault != 0 {
		t.Fatal(fault)
	}
}
