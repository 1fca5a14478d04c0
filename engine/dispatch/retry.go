package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
)

// Retry makes tries until one succeeds, fails for good, or there are no more, and
// gives the last one's failure. Tries count from 1.
func Retry(ctx context.Context, policy engine.Retry, try func(n int) *engine.Error) *engine.Error {
	delay := policy.Delay
	if delay == 0 {
		delay = time.Second
	}
	for n := 1; ; n++ {
		failure := try(n)
		if failure == nil {
			return nil
		}
		if n >= policy.MaxTries || !failure.Kind.Retryable() || ctx.Err() != nil {
			if n > 1 {
				failure.Message += fmt.Sprintf(" (after %d tries)", n)
			}
			return failure
		}
		if !pause(ctx, delay) {
			return failure
		}
		delay = next(delay, policy)
	}
}

func next(delay time.Duration, policy engine.Retry) time.Duration {
	backoff, most := policy.Backoff, policy.MaxDelay
	if backoff == 0 {
		backoff = 2
	}
	if most == 0 {
		most = time.Minute
	}
	return min(time.Duration(float64(delay)*backoff), max(most, policy.Delay))
}

// pause waits for d and tells whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errTimeout is the cause of a context that ended by its own step's timeout.
type errTimeout struct{ after time.Duration }

func (e errTimeout) Error() string { return fmt.Sprintf("not done within %s", e.after) }

// WithTimeout bounds ctx by a step's timeout, 0 meaning none; [Late] tells
// whether it was the timeout that ended it.
func WithTimeout(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	if after <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, after, errTimeout{after})
}

// Late gives the failure of a step whose context ended by its timeout, else nil.
func Late(ctx context.Context) *engine.Error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if !errors.As(cause, new(errTimeout)) && !errors.Is(cause, context.DeadlineExceeded) {
		return nil
	}
	return &engine.Error{Kind: engine.Timeout, Message: cause.Error()}
}
