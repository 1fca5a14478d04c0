package vaultint

import (
	"context"
	"math"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/weir-engine/weir/connections/secret"
)

// flight is a read that is under way, shared by everybody who waits for it.
type flight struct {
	key     cacheKey // as it was at the start
	form    cacheKey // which stays when the mount is found or forgotten meanwhile
	cancel  context.CancelFunc
	waiters int           // guarded by the client
	done    chan struct{} // closed when entry is set
	entry   *entry
	taken   atomic.Bool // who sets it gets a secret that is for one reader
}

func (c Config) limiter() *rate.Limiter {
	if c.RateLimit < 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(c.RateLimit), int(math.Ceil(c.RateLimit)))
}

// recall gives what is kept of a secret, or the read to wait for, which it starts if
// there is none. It outlives the reader that asked first as long as others wait. In an
// outage that is tolerated, nobody waits for it.
func (c *Client) recall(ref secret.Ref) (*entry, *flight, error) {
	key := c.cacheKey(ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, c.explain(errClosed)
	}
	e, now := c.cache.get(key), c.config.Now()
	bridged := c.cache.bridges(e, now)
	if e != nil && now.Before(e.until) || bridged {
		c.stats.Hits++
		if e.outage != nil {
			c.stats.Stale++
		}
	}
	if e != nil && now.Before(e.until) {
		return e, nil, nil
	}
	f := c.joinable(key, key.form(ref))
	switch {
	case f == nil:
		f = c.takeOff(key, ref)
	case !bridged:
		c.stats.Hits++
	}
	if bridged {
		return e, nil, nil
	}
	f.waiters++
	return nil, f, nil
}

// joinable gives the read of a secret that is under way and may be shared; nil if there
// is none.
func (c *Client) joinable(keys ...cacheKey) *flight {
	for _, key := range keys {
		if f := c.reading[key]; f != nil && keys[0].engine != otherEngine {
			return f
		}
	}
	return nil
}

// takeOff starts a read.
func (c *Client) takeOff(key cacheKey, ref secret.Ref) *flight {
	ctx, cancel := context.WithCancel(context.Background())
	f := &flight{key: key, form: key.form(ref), cancel: cancel, done: make(chan struct{})}
	c.reading[f.key], c.reading[f.form] = f, f
	c.flights[f] = true
	c.work.Go(func() {
		defer cancel()
		c.land(f, ref, c.fly(ctx, ref))
	})
	return f
}

// fly reads a secret as soon as the rate limit allows.
func (c *Client) fly(ctx context.Context, ref secret.Ref) *entry {
	if err := c.limiter.Wait(ctx); err != nil {
		return &entry{err: c.explain(errClosed)}
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	read, err := c.readSecret(ctx, ref)
	if err != nil {
		return &entry{err: c.explain(err)}
	}
	return &entry{data: read.Data, made: read.made}
}

// land ends a read: what it found is there for others before a next one can begin.
// The mount may be known only now.
func (c *Client) land(f *flight, ref secret.Ref, e *entry) {
	key := c.cacheKey(ref)
	key.identity = f.key.identity
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Reads++
	if e.err != nil {
		c.stats.Errors++
	}
	e.read = c.config.Now()
	if old := c.cache.tolerated(key, e); old != nil && !c.closed {
		c.stats.Stale += int64(f.waiters)
		e = old
	} else if c.wanted(f) {
		c.cache.put(key, e)
	}
	c.detach(f)
	delete(c.flights, f)
	f.entry = e
	close(f.done)
}

// leave is for a reader that gives up. With no reader left, a read ends, unless it may
// be what an outage is noticed by.
func (c *Client) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 || c.config.Tolerate > 0 {
		return
	}
	f.cancel()
	c.detach(f)
}

// wanted says whether readers may still come to wait for a read.
func (c *Client) wanted(f *flight) bool { return c.reading[f.key] == f || c.reading[f.form] == f }

// detach lets the next reader begin a read of its own.
func (c *Client) detach(f *flight) {
	for _, key := range []cacheKey{f.key, f.form} {
		if c.reading[key] == f {
			delete(c.reading, key)
		}
	}
}

// form is the key of a reference whose mount is not known.
func (k cacheKey) form(ref secret.Ref) cacheKey {
	return cacheKey{identity: k.identity, mount: ref.Mount, name: fullPath(ref), version: ref.Version}
}

// cacheKey names a secret in the way that all forms of its path share. As long as
// its mount is not known, each form is one of its own.
func (c *Client) cacheKey(ref secret.Ref) cacheKey {
	key := cacheKey{identity: c.credentials.identity()}.form(ref)
	if m, ok := c.knownMount(ref); ok {
		key.mount, key.engine = m.path, m.engine
		if m.engine == kv2 {
			key.name = m.name(ref)
		}
	}
	return key
}
