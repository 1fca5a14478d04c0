package vaultint

import (
	"container/list"
	"fmt"
	"maps"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

const (
	maxEntries = 1000
	maxCached  = 32 << 20         // bytes of keys and values
	minBackoff = time.Second      // how long a first refusal is kept
	maxBackoff = 30 * time.Second // how long any is
	respite    = 5 * time.Second  // for how long Vault is left alone in an outage that is tolerated
)

// cacheKey is what makes a secret the same one.
type cacheKey struct {
	identity    string
	mount, name string
	engine      engine
	version     int // 0 for the newest
}

// entry is what a read came to. It does not change once others can see it.
type entry struct {
	data  secret.Data
	made  bool              // for one reader
	err   *secret.ReadError // then there is no data
	read  time.Time
	until time.Time // when Vault is asked again; zero if at once
	wait  time.Duration
	// last is until when it is of use though it is not given any more: a secret for an
	// outage, a refusal so that the next one is kept for longer.
	last   time.Time
	outage *secret.ReadError // why there is nothing newer; nil if nobody asked
	since  time.Time         // when that was noticed last
	spent  bool              // it was of no use, so that a newer one is worth waiting for
	size   int
}

// answer gives what was read to one more reader, who may do with it as he likes.
func (e *entry) answer(ref secret.Ref, now time.Time) (secret.Data, error) {
	if e.err != nil {
		failure := *e.err
		failure.Ref = ref
		if age := now.Sub(e.read); age > 0 {
			kept := fmt.Sprintf("vault said so %s ago and is asked again in %s", seconds(age), seconds(e.until.Sub(now)))
			if failure.Hint != "" {
				kept = failure.Hint + " (" + kept + ")"
			}
			failure.Hint = kept
		}
		return secret.Data{}, &failure
	}
	data := e.data
	data.Ref = ref
	data.Ref.Version = e.data.Ref.Version
	data.Keys, _ = copyTree(e.data.Keys).(map[string]any)
	data.Metadata = maps.Clone(e.data.Metadata)
	data.CachedUntil, data.ReadAt = e.until, e.read
	if e.outage != nil {
		outage := *e.outage
		outage.Ref = ref
		data.Outage = &outage
		if !now.Before(e.until) {
			data.CachedUntil = time.Time{} // it is being asked
		}
	}
	return data, nil
}

func seconds(d time.Duration) time.Duration { return max(d.Round(time.Second), time.Second) }

// cache keeps what was read, within bounds. Its owner guards it.
type cache struct {
	ttl      time.Duration // not above 0: nothing is given twice
	tolerate time.Duration // in an outage
	// noticed is for how long an outage is taken to go on, while Vault is asked in the
	// background: until the next answer, or none, can be expected.
	noticed time.Duration
	entries map[cacheKey]*list.Element
	order   *list.List // of kept, the one read last in front
	size    int
}

type kept struct {
	key cacheKey
	*entry
}

func newCache(c Config) *cache {
	return &cache{ttl: c.CacheTTL, tolerate: c.Tolerate, noticed: c.Timeout + 2*respite, entries: map[cacheKey]*list.Element{}, order: list.New()}
}

// get gives what is kept for a key, which may be too old to be used; nil if nothing.
func (c *cache) get(key cacheKey) *entry {
	if at := c.entries[key]; at != nil {
		return at.Value.(kept).entry
	}
	return nil
}

// put keeps what a read came to, and drops what is too old or too much.
func (c *cache) put(key cacheKey, e *entry) {
	before := c.get(key)
	c.drop(key)
	if e.made {
		return
	}
	e.wait = max(c.ttl, 0)
	e.last = e.read.Add(max(c.ttl, c.tolerate))
	if e.err != nil {
		e.wait = min(e.wait, c.backoff(before, e))
		e.last = e.read.Add(e.wait + maxBackoff)
	}
	e.size = sizeOf(e.data.Keys)
	if e.size > maxCached || e.wait == 0 && (e.err != nil || c.tolerate == 0) {
		return
	}
	if e.wait > 0 {
		e.until = e.read.Add(e.wait)
	}
	c.entries[key] = c.order.PushFront(kept{key, e})
	c.size += e.size
	for at := c.order.Back(); at != nil; at = c.order.Back() {
		oldest := at.Value.(kept)
		if c.size <= maxCached && c.order.Len() <= maxEntries && e.read.Before(oldest.last) {
			break
		}
		c.drop(oldest.key)
	}
}

// bridges says whether a secret is given at once, while Vault is asked for a newer one
// in the background: a moment ago there was an outage.
func (c *cache) bridges(e *entry, now time.Time) bool {
	return e != nil && e.outage != nil && !e.spent && now.Before(e.since.Add(c.noticed)) && now.Before(e.read.Add(c.tolerate))
}

// tolerated gives what to use in place of a read that failed in an outage: what was
// read before, if that is not too old; else nil.
func (c *cache) tolerated(key cacheKey, failed *entry) *entry {
	before := c.get(key)
	if failed.err == nil || before == nil || before.err != nil || !failed.read.Before(before.read.Add(c.tolerate)) {
		return nil
	}
	switch failed.err.Reason {
	case secret.Unreachable, secret.Sealed, secret.TimedOut:
	default:
		return nil
	}
	old := *before
	old.outage, old.since, old.spent = failed.err, failed.read, false
	old.until = failed.read.Add(min(respite, before.read.Add(c.tolerate).Sub(failed.read)))
	c.entries[key].Value = kept{key, &old}
	return &old
}

// expire makes a read necessary; for an outage, what is kept stays.
func (c *cache) expire(key cacheKey) {
	if before := c.get(key); before != nil {
		old := *before
		old.until, old.spent = time.Time{}, true
		c.entries[key].Value = kept{key, &old}
	}
}

// backoff says for how long a failure is kept; 0 for those that may be over already.
func (c *cache) backoff(before, now *entry) time.Duration {
	switch {
	case now.err.Reason != secret.Denied && now.err.Reason != secret.NotFound:
		return 0
	case before == nil || before.err == nil:
		return minBackoff
	}
	return min(2*before.wait, maxBackoff)
}

func (c *cache) drop(key cacheKey) {
	at := c.entries[key]
	if at == nil {
		return
	}
	c.size -= at.Value.(kept).size
	c.order.Remove(at)
	delete(c.entries, key)
}

// sizeOf estimates the memory of a tree.
func sizeOf(tree any) int {
	const each = 64
	size := each
	switch node := tree.(type) {
	case map[string]any:
		for key, child := range node {
			size += len(key) + sizeOf(child)
		}
	case []any:
		for _, child := range node {
			size += sizeOf(child)
		}
	case secret.Value:
		size += len(node.Reveal())
	}
	return size
}

// copyTree copies everything that can be changed.
func copyTree(tree any) any {
	switch node := tree.(type) {
	case map[string]any:
		made := make(map[string]any, len(node))
		for key, child := range node {
			made[key] = copyTree(child)
		}
		return made
	case []any:
		made := make([]any, len(node))
		for i, child := range node {
			made[i] = copyTree(child)
		}
		return made
	}
	return tree
}
