package s3

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// margin is how long before their end temporary credentials are not begun with
	// any more.
	margin = 5 * time.Minute
	// lastUse is how long before their end a session goes on with others.
	lastUse = time.Minute
	// mostKept bounds how many credentials are kept.
	mostKept = 1000
)

// kept are temporary credentials of earlier sessions, for as long as their
// connections allow. It is safe for concurrent use.
type kept struct {
	mu      sync.Mutex
	entries map[[sha256.Size]byte]keptEntry
}

type keptEntry struct {
	credentials aws.Credentials
	until       time.Time
}

func (k *kept) get(id [sha256.Size]byte) (aws.Credentials, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[id]
	return e.credentials, ok && time.Now().Before(e.until)
}

// put keeps credentials for ttl, but never up to their end.
func (k *kept) put(id [sha256.Size]byte, c aws.Credentials, ttl time.Duration) {
	now := time.Now()
	until := now.Add(ttl)
	if c.CanExpire && until.After(c.Expires.Add(-margin)) {
		until = c.Expires.Add(-margin)
	}
	if !until.After(now) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for old, e := range k.entries {
		if len(k.entries) >= mostKept || !now.Before(e.until) {
			delete(k.entries, old)
		}
	}
	if k.entries == nil {
		k.entries = map[[sha256.Size]byte]keptEntry{}
	}
	k.entries[id] = keptEntry{credentials: c, until: until}
}

func (k *kept) forget(id [sha256.Size]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.entries, id)
}

// roleID tells roles apart: by all that decides which credentials come, and who may
// have them.
func (s *session) roleID() [sha256.Size]byte {
	var parts []string
	for _, name := range []string{"auth_method", "region", "profile", "role_arn", "external_id", "session_name", "sts_endpoint"} {
		parts = append(parts, s.in.String(name))
	}
	for _, name := range []string{"access_key_id", "secret_access_key", "session_token", "web_identity_token"} {
		parts = append(parts, s.in.Secret(name).Reveal())
	}
	return sha256.Sum256([]byte(strings.Join(parts, "\x00")))
}

// keeping takes credentials of a role that were kept, or keeps new ones.
type keeping struct {
	s    *session
	next aws.CredentialsProvider
}

// Retrieve implements aws.CredentialsProvider.
func (p keeping) Retrieve(ctx context.Context) (aws.Credentials, error) {
	ttl := p.s.env.CredentialTTL
	if ttl <= 0 {
		return p.next.Retrieve(ctx)
	}
	id := p.s.roleID()
	if c, ok := p.s.kept.get(id); ok {
		return c, nil
	}
	c, err := p.next.Retrieve(ctx)
	if err == nil {
		p.s.kept.put(id, c, ttl)
	}
	return c, err
}
