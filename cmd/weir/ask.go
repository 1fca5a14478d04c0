package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/weir-engine/weir/engine"
)

// sure asks before something is done that cannot be undone, unless yes is given.
func (a *app) sure(ctx context.Context, yes bool, what string) error {
	if yes {
		return nil
	}
	if !a.interactive() {
		return &usageError{fmt.Errorf("%s: nobody can be asked here: give --yes", what)}
	}
	agreed, err := a.confirm(ctx, strings.ToUpper(what[:1])+what[1:]+"?")
	if err == nil && !agreed {
		err = &engine.Error{Kind: engine.Canceled, Message: what + ": not done"}
	}
	return err
}

// confirm asks a question that is answered by yes or no; no is the default.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	_, _ = fmt.Fprintf(a.err, "%s [y/N] ", question)
	line, err := a.readLine(ctx)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

// readLine reads one line of stdin, and nothing after it.
func (a *app) readLine(ctx context.Context) (string, error) {
	return wait(ctx, func() (string, error) {
		var line []byte
		for one := make([]byte, 1); ; {
			n, err := a.in.Read(one)
			if n > 0 && one[0] == '\n' || errors.Is(err, io.EOF) {
				return string(line), nil
			}
			if err != nil {
				return "", fmt.Errorf("read the answer: %w", err)
			}
			line = append(line, one[:n]...)
		}
	})
}

// askSecret asks for a text that is not shown while it is typed. Without somebody
// to ask, the error's hint is instead.
func (a *app) askSecret(ctx context.Context, what, instead string) (string, error) {
	file, ok := a.in.(*os.File)
	if !ok || !a.interactive() {
		return "", &engine.Error{Kind: engine.Invalid, Message: what + ": nobody can be asked for it here", Hint: instead}
	}
	fd := int(file.Fd()) //nolint:gosec // a file descriptor is small
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("ask for %s: %w", what, err)
	}
	// A cancelled question must not leave the terminal without echo.
	defer term.Restore(fd, before) //nolint:errcheck // nothing more can be done
	_, _ = fmt.Fprintf(a.err, "%s (not shown): ", what)
	text, err := wait(ctx, func() (string, error) {
		typed, err := term.ReadPassword(fd)
		return string(typed), err
	})
	a.say("")
	if err != nil {
		return "", fmt.Errorf("ask for %s: %w", what, err)
	}
	if text == "" {
		return "", &engine.Error{Kind: engine.Invalid, Message: what + " is empty", Hint: instead}
	}
	return text, nil
}

// wait gives what read gives, unless ctx ends before: a read of a terminal cannot
// be ended, so its goroutine stays behind, and the process ends soon.
func wait(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readSecretFile reads a secret from a file, or from stdin for "-", without the
// line break at its end.
func (a *app) readSecretFile(file string) (string, error) {
	text, err := readLimited(file, a.in)
	if err != nil {
		return "", err
	}
	if file != "-" {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
			a.say("warning: others can read %s; its mode should be 0600", file)
		}
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("read %s: it is empty", file)}
	}
	return secret, nil
}
