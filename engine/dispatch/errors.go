package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/tasks"
)

// panicError is a panic of a driver. Its text shows where, never what: the panic's
// own text may hold anything.
type panicError struct {
	cause any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the driver panicked (%T)", e.cause) }

// fromError turns any error of a step into an engine.Error. What the context
// says goes first: a driver whose context ended may report anything.
func fromError(ctx context.Context, err error) *engine.Error {
	if ended := fromContext(ctx); ended != nil {
		return ended
	}
	if reads := readErrors(err); len(reads) > 0 {
		return fromReads(reads)
	}
	var fault *tasks.Error
	if errors.As(err, &fault) {
		return fromTask(fault)
	}
	var panicked *panicError
	if errors.As(err, &panicked) {
		return &engine.Error{
			Kind: engine.Internal, Message: panicked.Error(),
			Hint: "this is a defect of the task type; please report it", Traceback: string(panicked.stack),
		}
	}
	return fromConnections(err)
}

// readErrors gives each secret's failure among errors that may be joined.
func readErrors(err error) []*secret.ReadError {
	switch err := err.(type) { //nolint:errorlint // the cause of a failed read is none of its own
	case *secret.ReadError:
		return []*secret.ReadError{err}
	case interface{ Unwrap() []error }:
		var reads []*secret.ReadError
		for _, one := range err.Unwrap() {
			reads = append(reads, readErrors(one)...)
		}
		return reads
	case interface{ Unwrap() error }:
		return readErrors(err.Unwrap())
	}
	return nil
}

// fromReads tells of every secret that could not be read. Trying again is of use
// only if it is for all of them.
func fromReads(reads []*secret.ReadError) *engine.Error {
	failure := &engine.Error{Kind: reasonKind(reads[0].Reason), Message: reads[0].Error(), Hint: reads[0].Hint}
	if len(reads) == 1 {
		return failure
	}
	failure.Message, failure.Hint = fmt.Sprintf("%d secrets cannot be read", len(reads)), ""
	for _, read := range reads {
		failure.Message += "\n  " + read.Error()
		if read.Hint != "" {
			failure.Message += " (" + read.Hint + ")"
		}
		if kind := reasonKind(read.Reason); failure.Kind.Retryable() && !kind.Retryable() {
			failure.Kind = kind
		}
	}
	return failure
}

func fromContext(ctx context.Context) *engine.Error {
	if ctx.Err() == nil {
		return nil
	}
	if late := Late(ctx); late != nil {
		return late
	}
	return &engine.Error{Kind: engine.Canceled, Message: "cancelled"}
}

// unnamed takes what a message is about off it: whoever made the call says that.
func unnamed(message, name string) string {
	name = strconv.Quote(name)
	for _, prefix := range []string{"find connection " + name + ": ", "connection " + name + ": ", "inputs: "} {
		message = strings.TrimPrefix(message, prefix)
	}
	return strings.TrimSuffix(message, ": "+name)
}

func fromTask(fault *tasks.Error) *engine.Error {
	message := fault.Message
	if fault.Input != "" && !strings.Contains(message, fault.Input) {
		message += fmt.Sprintf(" (input %q)", fault.Input)
	}
	return &engine.Error{Kind: engine.Kind(fault.Kind), Message: message, Hint: fault.Hint}
}

func fromConnections(err error) *engine.Error {
	failure := &engine.Error{Kind: KindOf(err), Message: err.Error()}
	if failure.Kind == "" {
		failure.Kind = engine.Internal
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		failure.Hint = hinted.Hint()
	}
	return failure
}

// KindOf gives the kind of any error that the packages beneath the engine return;
// "" for one that they do not.
func KindOf(err error) engine.Kind {
	var failure *engine.Error
	var read *secret.ReadError
	var fault *tasks.Error
	switch {
	case errors.As(err, &failure):
		return failure.Kind
	case errors.As(err, &read):
		return reasonKind(read.Reason)
	case errors.As(err, &fault):
		return engine.Kind(fault.Kind)
	case errors.Is(err, connections.ErrNotFound):
		return engine.NotFound
	case errors.Is(err, connections.ErrExists), errors.Is(err, connections.ErrConflict):
		return engine.Conflict
	case errors.As(err, new(*connections.InvalidError)), errors.Is(err, connections.ErrReadOnly):
		return engine.Invalid
	case errors.As(err, new(*connections.PinnedError)), errors.As(err, new(*connections.ManagedError)):
		return engine.Denied
	case errors.Is(err, context.Canceled):
		return engine.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return engine.Timeout
	}
	return ""
}

func reasonKind(reason secret.Reason) engine.Kind {
	switch reason {
	case secret.NotFound, secret.Deleted, secret.Destroyed, secret.NoKey:
		return engine.NotFound
	case secret.Denied, secret.LoginFailed:
		return engine.Denied
	case secret.Sealed, secret.Unreachable:
		return engine.Unavailable
	case secret.TimedOut:
		return engine.Timeout
	}
	return engine.Invalid
}
