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
// after the login, as it does with a secret id that is wrapped and could be unwrapped
// only once. Of the secret it reports version and names of keys. The error is
// a *TestError for the stage that failed, which was reported too.
func (c *Client) Test(ctx context.Context, path string, report func(Stage)) error {
	fresh, err := New(c.config)
	if err != nil {
		return err
	}
	defer fresh.Close()
	return fresh.test(ctx, fresh.stages(path), path, report)
}

// Reach goes the way to the Vault up to its first answer, without a login, which may
// be possible a few times only. The error is as that of Test.
func (c *Client) Reach(ctx context.Context) error {
	return c.test(ctx, c.stages("")[:3], "", func(Stage) {})
}

// test goes through stages.
func (c *Client) test(ctx context.Context, stages []stage, path string, report func(Stage)) error {
	for _, stage := range stages {
		bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
		start := time.Now()
		detail, err := stage.run(bounded)
		result := Stage{Name: stage.name, Took: time.Since(start), Detail: detail}
		cancel()
		if err != nil {
			result.Err = about(secret.Ref{Vault: c.config.Name, Path: path}, c.explain(err))
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
	if path == "" || c.config.Auth.SecretIDWrapped {
		return all
	}
	return append(all, stage{"read", func(ctx context.Context) (string, error) { return c.testRead(ctx, path) }})
}

// hop is where connections to Vault go.
type hop struct {
	*url.URL
	proxy bool
}

// firstHop gives Vault itself, or the proxy if the machine has one.
func (c *Client) firstHop() (hop, error) {
	target, err := url.Parse(c.config.Address)
	if err != nil {
		return hop{}, err
	}
	proxy, err := c.config.Proxy(&http.Request{URL: target})
	if err != nil || proxy == nil {
		return hop{target, false}, nil
	}
	return hop{proxy, true}, nil
}

// through says that it is a proxy, if it is.
func (h hop) through() string {
	if h.proxy {
		return " (the proxy " + h.Scheme + "://" + h.Host + ")"
	}
	return ""
}

func (c *Client) testDNS(ctx context.Context) (string, error) {
	hop, err := c.firstHop()
	if err != nil {
		return "", err
	}
	if net.ParseIP(hop.Hostname()) != nil {
		return hop.Hostname() + " is an address" + hop.through(), nil
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, hop.Hostname())
	if err != nil {
		return "", hop.failed(err)
	}
	return hop.Hostname() + " is " + strings.Join(addresses, ", ") + hop.through(), nil
}

func (c *Client) testTCP(ctx context.Context) (string, error) {
	hop, err := c.firstHop()
	if err != nil {
		return "", err
	}
	port := cmp.Or(hop.Port(), map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[hop.Scheme])
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(hop.Hostname(), port))
	if err != nil {
		return "", hop.failed(err)
	}
	defer func() { _ = connection.Close() }()
	return "connected to " + connection.RemoteAddr().String() + hop.through(), nil
}

// failed gives an error the form that it has in a request.
func (h hop) failed(err error) error {
	if h.proxy {
		return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	return err
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
	server := response.TLS.PeerCertificates[0]
	detail := fmt.Sprintf("certificate of %s, until %s", whose(server), utc(server.NotAfter))
	if c.certificate == nil {
		return detail, nil
	}
	pair, err := c.certificate.load()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s; client certificate of %s, until %s", detail, whose(pair.Leaf), utc(pair.Leaf.NotAfter)), nil
}

// testLogin logs in, and says what for. A wrapped secret id it leaves to whom it is for.
func (c *Client) testLogin(ctx context.Context) (string, error) {
	if r, ok := c.credentials.(*appRole); ok && r.wrapped {
		return c.testWrapping(ctx, r)
	}
	s, err := c.session(ctx, nil)
	if err != nil {
		return "", err
	}
	if s.own {
		return describeToken(s.policies, s.life, s.life == 0), nil
	}
	answer, err := get(ctx, s.self, "auth/token/lookup-self", nil)
	var refused *vault.ResponseError
	switch {
	case err == nil:
		policies, _ := answer.TokenPolicies()
		life, _ := answer.TokenTTL()
		expires, _ := answer.Data["expire_time"].(string)
		return describeToken(policies, life, expires == ""), nil
	case errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden && deniedByPolicy(refused.Errors):
		return "the token is valid; it may not look itself up, which " + policyFor("auth/token/lookup-self") + " would allow", nil
	case errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden:
		return "", invalidToken()
	}
	return "", err
}

// describeToken says what a token may do, and for how long.
func describeToken(policies []string, life time.Duration, endless bool) string {
	until := life.String()
	if endless {
		until = "no end"
	}
	return "policies " + strings.Join(policies, ", ") + "; remaining life of the token: " + until
}

func (c *Client) testWrapping(ctx context.Context, r *appRole) (string, error) {
	token, err := r.file.readToken()
	if err != nil {
		return "", err
	}
	found, err := r.inspect(ctx, c.loginAPI, token)
	if err != nil {
		return "", c.explainLogin(err)
	}
	return fmt.Sprintf("the wrapping token in %s was made at %s and is good until %s; it can be used once, so it is left unused, and nothing more is tried",
		r.file.path, found.path, utc(found.ends)), nil
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
