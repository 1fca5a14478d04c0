package vaultint

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// firstLook is when a client first looks at a token that it was given.
const firstLook = 2 * time.Second

// keep renews a session's token until another session takes its place. It is called
// with the client locked.
func (c *Client) keep(s *session) {
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	if c.closed || s.life == 0 && !s.renewable {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.work.Go(func() {
		defer cancel()
		c.keepAlive(ctx, s)
	})
}

// keepAlive ends when the token cannot be kept alive: who reads finds out then, and
// logs in if that is possible. It counts in durations, as Vault does: what the clocks
// of the two machines say does not matter.
func (c *Client) keepAlive(ctx context.Context, s *session) {
	life := s.life
	if !s.own {
		life = c.lifeOf(ctx, s)
	}
	wait := jitter(life)
	for end := time.Now().Add(life); life > 0 && pause(ctx, wait); {
		left, err := c.prolong(ctx, s)
		switch {
		case err == nil && !s.own && left <= time.Until(end)+time.Second: // the renewal changed nothing
			c.warnOfEnd(ctx)
			return
		case err == nil && left == 0:
			return // it has no end, or another session took its place
		case err == nil:
			wait, end = jitter(left), time.Now().Add(left)
		case time.Now().After(end):
			return
		default:
			wait = jitter(max(time.Until(end)/4, time.Second))
		}
	}
}

// lifeOf asks Vault how long a given token has still to live; 0 if it has no end, or
// nothing can be done about it. Of one that may not ask, it is as long as it is likely
// to be at least.
func (c *Client) lifeOf(ctx context.Context, s *session) time.Duration {
	if !pause(ctx, jitter(firstLook)) { // the program may be one that ends soon
		return 0
	}
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	answer, err := get(bounded, s.self, "auth/token/lookup-self", nil)
	if err != nil {
		return 2 * patience
	}
	life, _ := answer.TokenTTL()
	if renewable, _ := answer.TokenIsRenewable(); !renewable && life > 0 {
		c.warnOfEnd(ctx)
		return 0
	}
	return life
}

// warnOfEnd tells of a given token that it ends, and nobody else will see to it.
func (c *Client) warnOfEnd(ctx context.Context) {
	if ctx.Err() == nil {
		c.config.Log.Warn("the vault token cannot be renewed any more: give a new one before it ends, or another login", "vault", c.config.Name)
	}
}

// prolong renews a token and gives its new life, or replaces its session.
func (c *Client) prolong(ctx context.Context, s *session) (time.Duration, error) {
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	left := time.Duration(0)
	if s.renewable {
		answer, err := s.self.Logical().WriteWithContext(bounded, "auth/token/renew-self", nil)
		var refused *vault.ResponseError
		switch {
		case err == nil && answer != nil && answer.Auth != nil:
			left = time.Duration(answer.Auth.LeaseDuration) * time.Second
			c.mu.Lock()
			c.stats.Renewals++
			c.mu.Unlock()
		case err != nil && (!errors.As(err, &refused) || refused.StatusCode >= 500 || refused.StatusCode == 429):
			return 0, err
		}
	}
	if !s.own || left > s.life/2 {
		return left, nil
	}
	_, err := c.session(bounded, s) // near its last end, or not to be renewed
	return 0, err
}

// jitter gives 60 to 80 % of a duration, so that many clients do not come at once.
func jitter(d time.Duration) time.Duration {
	var random [4]byte
	_, _ = rand.Read(random[:])
	share := float64(binary.NativeEndian.Uint32(random[:])) / math.MaxUint32
	return time.Duration(float64(d) * (0.6 + 0.2*share))
}

// pause waits, and tells whether it did to the end.
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
