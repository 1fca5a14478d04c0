package vaultint

import (
	"context"
	"errors"
	"net/http"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// patience is how long a login is trusted to have the policies that it would get
// if it were made anew.
const patience = 30 * time.Second

var errClosed = errors.New("the client is closed")

// session is a login that is in use. It never changes.
type session struct {
	grant
	api   *vault.Client // with the token, in the namespace for reads
	self  *vault.Client // with the token, in the namespace of the login, for the token itself
	since time.Time
}

// pending is a login that is under way, shared by everybody who waits for it.
type pending struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when the fields below are set
	session *session
	err     error
}

// session gives the current login, or makes the first one. Everybody who asks
// meanwhile waits for the same one; a waiter whose context ends leaves it to the
// others. The session after one that is no longer wanted is another login, unless
// somebody made that already.
func (c *Client) session(ctx context.Context, after *session) (*session, error) {
	c.mu.Lock()
	current := c.current
	c.mu.Unlock()
	if current != nil && current != after && current.identity != c.credentials.identity() {
		after = current
	}
	p, err := c.loginAfter(after)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.done:
		return p.session, p.err
	case <-ctx.Done():
		return nil, c.explain(ctx.Err())
	}
}

// loginAfter gives the login that follows a session: the current one if that is
// another, the one that is under way, or a new one, which outlives the reader that
// asked for it.
func (c *Client) loginAfter(after *session) (*pending, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, c.explain(errClosed)
	case c.pending != nil:
		return c.pending, nil
	case c.current != nil && c.current != after:
		done := make(chan struct{})
		close(done)
		return &pending{done: done, session: c.current}, nil
	}
	if refused := c.refusal; refused != nil && c.config.Now().Before(refused.until) {
		_, err := refused.answer(secret.Ref{}, c.config.Now())
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
	p := &pending{cancel: cancel, done: make(chan struct{})}
	c.pending = p
	c.work.Go(func() {
		defer cancel()
		p.session, p.err = c.login(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if p.session != nil {
			c.current, c.refusal = p.session, nil
			c.stats.Logins++
			c.keep(p.session)
		} else {
			c.stats.LoginErrors++
		}
		c.pending = nil
		close(p.done)
	})
	return p, nil
}

func (c *Client) login(ctx context.Context) (*session, error) {
	granted, err := c.credentials.login(ctx, c.loginAPI)
	var refused *vault.ResponseError
	if err != nil {
		e := c.explainLogin(err)
		if e.Reason == secret.LoginFailed && (errors.As(err, &refused) || errors.Is(err, errWrapping)) {
			c.refuse(e)
		}
		return nil, e
	}
	s := &session{
		grant: granted, since: c.config.Now(),
		api: c.readAPI.WithNamespace(c.config.Namespace), self: c.loginAPI.WithNamespace(c.config.LoginNamespace),
	}
	s.api.SetToken(granted.token)
	s.self.SetToken(granted.token)
	return s, nil
}

// refuse keeps a login that Vault refused from being tried again at once: at first
// for a second, then for twice as long each time.
func (c *Client) refuse(failure *secret.ReadError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := minBackoff
	if c.refusal != nil {
		wait = min(2*c.refusal.wait, maxBackoff)
	}
	now := c.config.Now()
	c.refusal = &entry{err: failure, read: now, until: now.Add(wait), wait: wait}
}

// replace gives another session for one that was refused something, or the same
// one if it is valid and a new login would not be allowed more. A token that Vault
// does not accept and that no login can replace is an error.
func (c *Client) replace(ctx context.Context, s *session) (*session, error) {
	alive, err := c.alive(ctx, s)
	if err != nil {
		return nil, err
	}
	if alive && (!s.own || c.config.Now().Sub(s.since) < patience) {
		return s, nil
	}
	next, err := c.session(ctx, s)
	if err != nil {
		return nil, err
	}
	if next.token == s.token && !alive {
		return nil, invalidToken()
	}
	return next, nil
}

func invalidToken() *secret.ReadError {
	return &secret.ReadError{
		Reason: secret.LoginFailed,
		Detail: "vault does not accept the token: it expired, was revoked, or is of another vault or namespace",
		Hint:   "give a new token",
	}
}

// alive asks Vault whether it accepts the session's token at all.
func (c *Client) alive(ctx context.Context, s *session) (bool, error) {
	_, err := get(ctx, s.self, "auth/token/lookup-self", nil)
	var refused *vault.ResponseError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden:
		return deniedByPolicy(refused.Errors), nil
	default:
		return false, c.explain(err)
	}
}

// revoke ends a session that was made for this client, as far as Vault lets it.
func (c *Client) revoke(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), min(c.config.Timeout, 2*time.Second))
	defer cancel()
	// A token that cannot be revoked ends by itself.
	_, _ = s.self.Logical().WriteWithContext(ctx, "auth/token/revoke-self", nil)
}
