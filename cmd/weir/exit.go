package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
)

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// Exit codes. They are part of weir's contract with scripts.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2
	exitInvalid     = 3
	exitDenied      = 4
	exitNotFound    = 5
	exitConflict    = 6
	exitUnavailable = 7
	exitTimeout     = 8
	exitPermanent   = 9
	exitScript      = 10
	exitLimit       = 11
	exitCancelled   = 130 // as a shell says of a program that Ctrl-C ended
)

// exitCode gives the exit code of a command that ended with err. It is the only
// place that maps kinds of errors to exit codes.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	switch kindOf(err) {
	case engine.Invalid:
		return exitInvalid
	case engine.Denied:
		return exitDenied
	case engine.NotFound:
		return exitNotFound
	case engine.Conflict:
		return exitConflict
	case engine.Unavailable:
		return exitUnavailable
	case engine.Timeout:
		return exitTimeout
	case engine.Permanent:
		return exitPermanent
	case engine.Script:
		return exitScript
	case engine.Limit:
		return exitLimit
	case engine.Canceled:
		return exitCancelled
	}
	var sent *api.Error
	if errors.As(err, new(*usageError)) || errors.As(err, &sent) && sent.Code == api.CodeUsage {
		return exitUsage
	}
	return exitInternal
}

// kindOf gives the kind of any error, also of one that a server sent.
func kindOf(err error) engine.Kind {
	var sent *api.Error
	if !errors.As(err, &sent) {
		return dispatch.KindOf(err)
	}
	if sent.Code == api.CodeUsage {
		return "" // wrong usage
	}
	return engine.Kind(sent.Kind)
}

// printError tells the user of an error: what, where, and on lines of their own
// the hint, the Lua traceback and the failures beneath it.
func (a *app) printError(err error) {
	var failure *engine.Error
	if errors.As(err, &failure) {
		a.say("error: %s", strings.Replace(err.Error(), failure.Error(), shortened(failure), 1))
		a.printFailure(failure)
		return
	}
	a.say("error: %v", err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		a.say("hint: %s", hinted.Hint())
	}
	var read *secret.ReadError
	if errors.As(err, &read) && read.Hint != "" {
		a.say("hint: %s", read.Hint)
	}
	var sent *api.Error
	if errors.As(err, &sent) && sent.Hint != "" {
		a.say("hint: %s", sent.Hint)
	}
}

// shortened leaves out the middle of a failure that came up through many flows.
func shortened(failure *engine.Error) string {
	const most = 4
	last, flows := failure, 1
	for ; last.Cause != nil; flows++ {
		last = last.Cause
	}
	if flows <= most {
		return failure.Error()
	}
	first, ok := strings.CutSuffix(failure.Error(), failure.Cause.Error())
	if !ok {
		return failure.Error()
	}
	return fmt.Sprintf("%s(%d more flows): %s", first, flows-2, last)
}

func (a *app) printFailure(failure *engine.Error) {
	for cause := failure; cause != nil; cause = cause.Cause {
		if cause.Hint != "" {
			a.say("hint: %s", cause.Hint)
			break
		}
	}
	if failure.Value != nil {
		if text, err := json.Marshal(failure.Value); err == nil {
			a.say("raised: %s", text)
		}
	}
	if failure.Traceback != failure.Where+": in main chunk" { // which says nothing new
		a.printTraceback(failure.Traceback)
	}
}

// printTraceback tells a line that repeats, as in a recursion, once.
func (a *app) printTraceback(text string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		n := 1
		for i+n < len(lines) && lines[i+n] == lines[i] {
			n++
		}
		switch {
		case n > 1:
			a.say("%s (%d times)", lines[i], n)
		case lines[i] != "":
			a.say("%s", lines[i])
		}
		i += n
	}
}

// hintError is an error with the way out beside it.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// Hint says what to do.
func (e *hintError) Hint() string { return e.hint }

func hinted(hint, format string, args ...any) error {
	return &hintError{fmt.Errorf(format, args...), hint}
}
