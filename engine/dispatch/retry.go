package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/weir-engine/weir/engine"
)

// Retry makes tries until one succeeds, fails for good, or there are no more, and
// gives the last one's failure. Tries count from 1; the first made of them were made
// before. failed is told of each that is followed by another.
func Retry(ctx context.Context, policy engine.Retry, made int, try func(n int) *engine.Error,
	failed func(n int, next time.Duration, failure *engine.Error),
) *engine.Error {
	for n := made + 1; ; n++ {
		failure := try(n)
		if failure == nil {
			return nil
		}
		delay, again := Again(policy, n, failure)
		if !again || ctx.Err() != nil {
			if n > 1 {
				failure.Message += fmt.Sprintf(" (after %d tries)", n)
			}
			return failure
		}
		failed(n, delay, failure)
		if !pause(ctx, delay) {
			return failure
		}
	}
}

// Again tells whether there is another try after the n-th, which failed like this,
// and how long to wait before it.
func Again(policy engine.Retry, n int, failure *engine.Error) (delay time.Duration, again bool) {
	if n >= policy.MaxTries || !failure.Kind.Retryable() {
		return 0, false
	}
	delay, backoff, most := policy.Delay, policy.Backoff, policy.MaxDelay
	if delay == 0 {
		delay = time.Second
	}
	if backoff == 0 {
		backoff = 2
	}
	if most == 0 {
		most = time.Minute
	}
	return time.Duration(min(float64(delay)*math.Pow(backoff, float64(n-1)), float64(max(most, delay)))), true
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
