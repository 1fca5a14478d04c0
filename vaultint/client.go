package vaultint

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// Client reads secrets from one Vault as one identity. It is safe for concurrent
// use. It logs in when it is first asked for a secret.
type Client struct {
	config      Config
	transport   *http.Transport
	credentials credentials
	loginAPI    *vault.Client // without a token, in the namespace of the login

	detecting chan struct{}  // holds one while a mount is being asked for
	work      sync.WaitGroup // logins under way

	mu      sync.Mutex
	current *session
	pending *pending
	mounts  map[string]mount // by path, as found
	closed  bool
}

// New makes a client; it connects to nothing yet. The error says everything that
// is wrong with the configuration and holds no secret.
func New(config Config) (*Client, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	transport := config.transport()
	api, err := config.newAPI(transport)
	if err != nil {
		return nil, err
	}
	return &Client{
		config:      config,
		transport:   transport,
		credentials: newCredentials(config.Auth, config.Log),
		loginAPI:    api.WithNamespace(config.LoginNamespace),
		detecting:   make(chan struct{}, 1),
		mounts:      map[string]mount{},
	}, nil
}

// ReadSecret reads one version of a secret, the newest unless ref pins one. What
// the error may be, the package comment says. A refused read is tried once more
// with a new login if the token is no longer valid, or old enough that its role
// may have got other policies since.
func (c *Client) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	if err := checkRef(ref); err != nil {
		return secret.Data{}, err
	}
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	data, err := c.readSecret(bounded, ref)
	switch {
	case err == nil:
		return data, nil
	case ctx.Err() != nil:
		return secret.Data{}, fmt.Errorf("read secret %q: %w", ref.String(), ctx.Err())
	default:
		return secret.Data{}, about(ref, err)
	}
}

func (c *Client) readSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	s, err := c.session(ctx, nil)
	if err != nil {
		return secret.Data{}, err
	}
	data, err := c.read(ctx, s, ref)
	if !hasReason(err, secret.Denied) {
		return data, err
	}
	next, replaceErr := c.replace(ctx, s)
	switch {
	case replaceErr != nil:
		return secret.Data{}, replaceErr
	case next == s:
		return secret.Data{}, err
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
	c.mu.Unlock()
	c.work.Wait()
	if s := c.current; s != nil && s.own {
		c.revoke(s)
	}
	c.transport.CloseIdleConnections()
}
