package httpapi

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// How many attempts with tokens that do not count an address, or whoever tries tokens
// with the same beginning, has at once, and how long it takes until there is one more.
const (
	attempts        = 10
	attemptInterval = 2 * time.Second
	// shownPrefix is the part of a token that may be told apart.
	shownPrefix = 12
	maxKnown    = 10_000
)

const (
	// doubtful is how many tokens are looked up at the same time where too many did not
	// count before, and doubtPatience how long others wait for that.
	doubtful      = 2
	doubtPatience = time.Second
)

// throttle slows down who tries tokens. Nobody whose token counts is kept out by others
// at the same address, such as that of a proxy.
type throttle struct {
	doubts   *semaphore.Weighted
	mu       sync.Mutex
	failures map[string]*rate.Limiter
	good     map[[sha256.Size]byte]bool // digests of address and token
}

func newThrottle() *throttle {
	return &throttle{doubts: semaphore.NewWeighted(doubtful), failures: map[string]*rate.Limiter{}, good: map[[sha256.Size]byte]bool{}}
}

func pairOf(remote, token string) [sha256.Size]byte {
	return sha256.Sum256([]byte(remote + "\x00" + token))
}

func prefixOf(token string) string { return "token " + token[:min(len(token), shownPrefix)] }

// enter waits until a token may be looked up although it is not allowed. leave must be
// called afterwards.
func (t *throttle) enter(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, doubtPatience)
	defer cancel()
	return t.doubts.Acquire(ctx, 1) == nil
}

func (t *throttle) leave() { t.doubts.Release(1) }

// allows tells whether a token may be tried, as far as the attempts before it tell.
func (t *throttle) allows(remote, token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.good[pairOf(remote, token)] {
		return true
	}
	for _, key := range []string{remote, prefixOf(token)} {
		if limiter := t.failures[key]; limiter != nil && limiter.Tokens() < 1 {
			return false
		}
	}
	return true
}

// failed notes that a token did not count.
func (t *throttle) failed(remote, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.good, pairOf(remote, token))
	if len(t.failures) >= maxKnown {
		for key, limiter := range t.failures {
			if limiter.Tokens() >= attempts {
				delete(t.failures, key)
			}
		}
		if len(t.failures) >= maxKnown {
			t.failures = map[string]*rate.Limiter{}
		}
	}
	for _, key := range []string{remote, prefixOf(token)} {
		if t.failures[key] == nil {
			t.failures[key] = rate.NewLimiter(rate.Every(attemptInterval), attempts)
		}
		t.failures[key].Allow()
	}
}

// succeeded notes that a token counted.
func (t *throttle) succeeded(remote, token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.good) >= maxKnown {
		clear(t.good)
	}
	t.good[pairOf(remote, token)] = true
}
