package vaultint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// Stage is one step of a test, in the order "dns", "tcp", "tls", "login", "read".
type Stage struct {
	Name string
	Took time.Duration
	// Detail says in one line what was found; it holds no secret. Empty if Err is set.
	Detail string
	// Err is why the test ends here; nil if the stage passed. It is a
	// *secret.ReadError or the error of the test's context.
	Err error
}

// TestError says at which stage a test ended.
type TestError struct {
	Vault string // name of the configuration
	Stage string
	Err   error // as in Stage
}

// Error gives `test vault "default": tcp: unreachable: connection refused`.
func (e *TestError) Error() string {
	why := e.Err.Error()
	var read *secret.ReadError
	if errors.As(e.Err, &read) {
		why = string(read.Reason) + ": " + read.Detail
	}
	return fmt.Sprintf("test vault %q: %s: %s", e.Vault, e.Stage, why)
}

// Unwrap gives the stage's error.
func (e *TestError) Unwrap() error { return e.Err }

// Test goes the way to a secret step by step, from the name of the host on, with a
// login of its own, and reports each stage as it ends. With an empty path it stops
// after the login. Of the secret it reports version and names of keys. The error is
// a *TestError for the stage that failed, which was reported too.
func (c *Client) Test(ctx context.Context, path string, report func(Stage)) error {
	fresh, err := New(c.config)
	if err != nil {
		return err
	}
	defer fresh.Close()
	for _, stage := range fresh.stages(path) {
		bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
		start := time.Now()
		detail, err := stage.run(bounded)
		result := Stage{Name: stage.name, Took: time.Since(start), Detail: detail}
		cancel()
		if err != nil {
			result.Err = about(secret.Ref{Vault: c.config.Name, Path: path}, fresh.explain(err))
			if ctx.Err() != nil {
				result.Err = ctx.Err()
			}
			report(result)
			return &TestError{Vault: c.config.Name, Stage: stage.name, Err: result.Err}
		}
		report(result)
	}
	return nil
}

type stage struct {
	name string
	run  func(context.Context) (detail string, err error)
}

func (c *Client) stages(path string) []stage {
	all := []stage{{"dns", c.testDNS}, {"tcp", c.testTCP}, {"tls", c.testTLS}, {"login", c.testLogin}}
	if path == "" {
		return all
	}
	return append(all, stage{"read", func(ctx context.Context) (string, error) { return c.testRead(ctx, path) }})
}

// firstHop is where connections to Vault go: to a proxy if the machine has one.
func (c *Client) firstHop() (hop *url.URL, through string, err error) {
	target, err := url.Parse(c.config.Address)
	if err != nil {
		return nil, "", err
	}
	proxy, err := c.transport.Proxy(&http.Request{URL: target})
	if err != nil || proxy == nil {
		return target, "", nil
	}
	return proxy, " (the proxy)", nil
}

func (c *Client) testDNS(ctx context.Context) (string, error) {
	hop, through, err := c.firstHop()
	if err != nil {
		return "", err
	}
	if net.ParseIP(hop.Hostname()) != nil {
		return hop.Hostname() + " is an address" + through, nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, hop.Hostname())
	if err != nil {
		return "", err
	}
	return hop.Hostname() + " is " + strings.Join(addresses, ", ") + through, nil
}

func (c *Client) testTCP(ctx context.Context) (string, error) {
	hop, through, err := c.firstHop()
	if err != nil {
		return "", err
	}
	port := cmp.Or(hop.Port(), map[string]string{"http": "80", "https": "443"}[hop.Scheme])
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(hop.Hostname(), port))
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	return "connected to " + connection.RemoteAddr().String() + through, nil
}

// testTLS makes the first request, which needs no login, and looks at the certificate.
func (c *Client) testTLS(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.config.Address+"/v1/sys/health", nil)
	if err != nil {
		return "", err
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if response.TLS == nil {
		return "none: http:// sends tokens and secrets in the clear", nil
	}
	certificate := response.TLS.PeerCertificates[0]
	subject := cmp.Or(certificate.Subject.String(), certificateNames(certificate))
	return fmt.Sprintf("certificate of %s, until %s", subject, certificate.NotAfter.UTC().Format(time.RFC3339)), nil
}

func (c *Client) testLogin(ctx context.Context) (string, error) {
	s, err := c.session(ctx, nil)
	if err != nil {
		return "", err
	}
	answer, err := get(ctx, s.lookupAPI(c.config.LoginNamespace), "auth/token/lookup-self", nil)
	var refused *vault.ResponseError
	switch {
	case err == nil:
		return describeToken(answer), nil
	case errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden && deniedByPolicy(refused.Errors):
		return "the token is valid; it may not look itself up", nil
	case errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden:
		return "", invalidToken()
	}
	return "", err
}

// describeToken says what a token may do, and for how long.
func describeToken(answer *vault.Secret) string {
	policies, _ := answer.TokenPolicies()
	life, _ := answer.TokenTTL()
	until := "no end"
	if expires, _ := answer.Data["expire_time"].(string); expires != "" {
		until = life.String()
	}
	return "policies " + strings.Join(policies, ", ") + "; remaining life of the token: " + until
}

func (c *Client) testRead(ctx context.Context, path string) (string, error) {
	data, err := c.ReadSecret(ctx, secret.Ref{Path: path})
	if err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(data.Keys))
	version := "no versions"
	if data.Ref.Version != 0 {
		version = fmt.Sprintf("version %d of %s", data.Ref.Version, data.Created.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("%s; %d keys: %s", version, len(names), strings.Join(names, ", ")), nil
}
