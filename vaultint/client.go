package vaultint

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/time/rate"

	"github.com/weir-engine/weir/connections/secret"
)

// Client reads secrets from one Vault as one identity. It is safe for concurrent
// use. It logs in when it is first asked for a secret.
type Client struct {
	config      Config
	transport   *http.Transport
	certificate *clientCertificate // nil if there is none
	credentials credentials
	readAPI     *vault.Client // without a token, in the namespace for reads
	loginAPI    *vault.Client // without a token, in the namespace of the login

	detecting chan struct{} // holds one while a mount is being asked for
	limiter   *rate.Limiter
	work      sync.WaitGroup // logins and reads under way

	mu      sync.Mutex
	current *session
	stop    context.CancelFunc // ends the renewal of current; nil if there is none
	pending *pending
	refusal *entry           // of the last login, if Vault refused it
	mounts  map[string]mount // by path, as found
	cache   *cache
	reading map[cacheKey]*flight // the one that a reader joins
	flights map[*flight]bool     // all that are under way
	stats   Stats
	closed  bool
}

// New makes a client; it connects to nothing yet. The error says everything that
// is wrong with the configuration and holds no secret.
func New(config Config) (*Client, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	certificate := config.clientCertificate()
	transport := config.transport(certificate)
	logins := transport
	if config.Auth.Method == MethodCert { // by what the connection shows, so it must be a new one
		logins = transport.Clone()
		logins.DisableKeepAlives = true
	}
	readAPI, err := config.newAPI(transport)
	if err != nil {
		return nil, err
	}
	loginAPI, err := config.newAPI(logins)
	if err != nil {
		return nil, err
	}
	return &Client{
		config:      config,
		transport:   transport,
		certificate: certificate,
		credentials: newCredentials(config, certificate),
		readAPI:     readAPI.WithNamespace(config.Namespace),
		loginAPI:    loginAPI.WithNamespace(config.LoginNamespace),
		detecting:   make(chan struct{}, 1),
		limiter:     config.limiter(),
		mounts:      map[string]mount{},
		cache:       newCache(config),
		reading:     map[cacheKey]*flight{},
		flights:     map[*flight]bool{},
	}, nil
}

// ReadSecret gives one version of a secret, the newest unless ref pins one: what was
// read within Config.CacheTTL, or what is read now. Everybody who asks for the same
// secret at the same time shares one read, unless Vault makes the secret for its
// reader. What the error may be, the package comment says. A refused read is tried
// once more with a new login if the token is no longer valid, or old enough that its
// role may have got other policies since. In an outage, what was read within
// Config.Tolerate is given.
func (c *Client) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	if err := checkRef(ref); err != nil {
		return secret.Data{}, err
	}
	for {
		e, f, err := c.recall(ref)
		if err != nil {
			return secret.Data{}, about(ref, err)
		}
		if e != nil {
			return e.answer(ref, c.config.Now())
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			c.leave(f)
			return secret.Data{}, fmt.Errorf("read secret %q: %w", ref.String(), ctx.Err())
		}
		if !f.entry.made || f.taken.CompareAndSwap(false, true) {
			return f.entry.answer(ref, f.entry.read)
		}
	}
}

// Forget makes the next read of a secret ask Vault: what was read is of no use, such
// as a password that was refused because it has been changed. ref is the one of the
// secret.Data; if another version has been read since, nothing is forgotten.
func (c *Client) Forget(ref secret.Ref) {
	newest := ref
	newest.Version = 0
	keys := map[cacheKey]secret.Ref{c.cacheKey(ref): ref, c.cacheKey(newest): newest}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, ofKey := range keys {
		if e := c.cache.get(key); e == nil || e.err == nil && e.data.Ref.Version == ref.Version {
			c.cache.expire(key)
			for _, at := range []cacheKey{key, key.form(ofKey)} {
				if f := c.reading[at]; f != nil {
					c.detach(f) // it may have begun before the change
				}
			}
		}
	}
}

// Stats counts what a client did since it was made. As metrics they are called
// weir_vault_reads, weir_vault_errors and so on.
type Stats struct {
	Reads       int64 // from Vault, that have ended
	Errors      int64 // of Reads, those without a secret
	Hits        int64 // that were answered without asking Vault, or by the read of another
	Stale       int64 // answers by a secret that is older than it should be, for there is an outage
	Logins      int64 // that succeeded
	LoginErrors int64 // logins that failed, for whatever reason
	Renewals    int64 // of tokens
}

// Stats gives the counts so far.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *Client) readSecret(ctx context.Context, ref secret.Ref) (reading, error) {
	s, err := c.session(ctx, nil)
	if err != nil {
		return reading{}, err
	}
	data, err := c.read(ctx, s, ref)
	if !hasReason(err, secret.Denied) {
		return data, err
	}
	next, replaceErr := c.replace(ctx, s)
	switch {
	case replaceErr != nil:
		return reading{}, replaceErr
	case next == s:
		return reading{}, err
	}
	return c.read(ctx, next, ref)
}

// Close ends the client: reads fail from then on, and a token that it got by
// logging in is revoked if Vault can be reached within two seconds. It waits for
// everything that the client started. Closing again does nothing.
func (c *Client) Close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	if c.pending != nil {
		c.pending.cancel()
	}
	for f := range c.flights {
		f.cancel()
	}
	if c.stop != nil {
		c.stop()
	}
	c.mu.Unlock()
	c.work.Wait()
	if s := c.current; s != nil && s.own {
		c.revoke(s)
	}
	c.transport.CloseIdleConnections()
}
