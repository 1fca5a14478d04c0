package sqloracle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

// pool keeps sessions that have nothing to do, for the next task that connects with
// the very same inputs and secrets. Nothing runs for them.
type pool struct {
	idle time.Duration
	most int

	mu   sync.Mutex
	kept map[string][]*resting // by place
}

// resting is a session that waits for work.
type resting struct {
	conn  *conn
	key   string
	since time.Time
	timer *time.Timer
}

// key names a place, and what exactly is connected there with: of a connection of
// which anything was changed, secrets too, the place stays and the key does not.
type key struct{ place, exact string }

// key gives the key of the session's inputs.
func (s *session) key() key {
	inputs := map[string]any{}
	place := map[string]any{}
	for _, f := range spec().Inputs.Fields {
		if !s.in.Has(f.Name) || operational(f.Name) {
			continue
		}
		v := s.in.Any(f.Name)
		if hidden, ok := v.(secret.Value); ok {
			v = hidden.Reveal() // into a hash
		}
		inputs[f.Name] = v
		if f.Destination || f.Name == "user" {
			place[f.Name] = v
		}
	}
	return key{place: digest(place), exact: digest(inputs)}
}

// operational inputs are of one task, and not of its session.
func operational(name string) bool {
	switch name {
	case opExecute, opFetch, opFetchRow, opFetchVal, opCall, opBatch, opTransaction, "params", "rows", "rows_path", "batch_size", "on_row_error",
		"max_rows", "file_path", "file_format", "max_lob_size", "autocommit", "isolation_level", "connect_timeout", "total_timeout":
		return true
	}
	return false
}

func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // plain values have no such error
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// take gives a session for a key, or nil. Sessions at the same place with another
// key are of an older revision, or an older secret, and end.
func (p *pool) take(k key) *conn {
	p.mu.Lock()
	var old []*resting
	var found *resting
	var rest []*resting
	for _, r := range p.kept[k.place] {
		switch {
		case r.key != k.exact:
			old = append(old, r)
		case found == nil || r.since.After(found.since):
			if found != nil {
				rest = append(rest, found)
			}
			found = r
		default:
			rest = append(rest, r)
		}
	}
	p.set(k.place, rest)
	p.mu.Unlock()
	for _, r := range old {
		r.end()
	}
	if found == nil {
		return nil
	}
	found.timer.Stop()
	return found.conn
}

func (p *pool) set(place string, list []*resting) {
	if len(list) == 0 {
		delete(p.kept, place)
		return
	}
	p.kept[place] = list
}

// put keeps a session, or ends it if there are enough.
func (p *pool) put(k key, c *conn) {
	p.mu.Lock()
	if p.most <= 0 || len(p.kept[k.place]) >= p.most {
		p.mu.Unlock()
		c.close()
		return
	}
	r := &resting{conn: c, key: k.exact, since: time.Now()}
	r.timer = time.AfterFunc(p.idle, func() { p.expire(k.place, r) })
	if p.kept == nil {
		p.kept = map[string][]*resting{}
	}
	p.kept[k.place] = append(p.kept[k.place], r)
	p.mu.Unlock()
}

func (p *pool) expire(place string, gone *resting) {
	p.mu.Lock()
	var rest []*resting
	here := false
	for _, r := range p.kept[place] {
		if r == gone {
			here = true
		} else {
			rest = append(rest, r)
		}
	}
	p.set(place, rest)
	p.mu.Unlock()
	if here {
		gone.end()
	}
}

func (r *resting) end() {
	r.timer.Stop()
	r.conn.close()
}

// close ends all sessions that wait, at the same time.
func (p *pool) close() {
	p.mu.Lock()
	kept := p.kept
	p.kept = nil
	p.mu.Unlock()
	var ends sync.WaitGroup
	for _, list := range kept {
		for _, r := range list {
			ends.Go(r.end)
		}
	}
	ends.Wait()
}
