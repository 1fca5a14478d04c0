package vaultint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"
)

const (
	maxRetries  = 2
	minWait     = 100 * time.Millisecond
	maxWait     = 500 * time.Millisecond
	maxAnswer   = 64 << 20 // Vault itself refuses requests over 32 MiB
	maxErrorMsg = 64 << 10
)

// transport makes the connections of one client.
func (c Config) transport(certificate *clientCertificate) *http.Transport {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName, Time: c.Now}
	if certificate != nil {
		trust.GetClientCertificate = certificate.forHandshake
	}
	if c.CACert != "" {
		trust.RootCAs = x509.NewCertPool()
		trust.RootCAs.AppendCertsFromPEM([]byte(c.CACert))
	}
	return &http.Transport{
		Proxy: c.Proxy,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return &proxyError{proxy.Host, answer.StatusCode}
			}
			return nil
		},
		TLSClientConfig:       trust,
		TLSHandshakeTimeout:   c.Timeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// proxyError says that a proxy does not connect to Vault.
type proxyError struct {
	proxy  string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered %d %s", e.proxy, e.status, http.StatusText(e.status))
}

// newAPI gives a client of the API without token and namespace. It sets every
// field, so that nothing that the module found in the environment is left.
func (c Config) newAPI(transport *http.Transport) (*vault.Client, error) {
	api, err := vault.NewClient(&vault.Config{
		Address: c.Address,
		HttpClient: &http.Client{
			Transport:     bounded{transport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		MinRetryWait: minWait,
		MaxRetryWait: maxWait,
		MaxRetries:   maxRetries,
		Timeout:      c.Timeout,
		CheckRetry:   worthRetrying,
	})
	if err != nil {
		return nil, fmt.Errorf("vault configuration %q: the environment holds a malformed VAULT_* variable: %w", c.Name, err)
	}
	api.SetHeaders(http.Header{vault.RequestHeaderName: {"true"}})
	api.ClearToken()
	api.SetWrappingLookupFunc(func(string, string) string { return "" })
	return api, nil
}

type onceKey struct{}

// once marks requests that must not be sent twice.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// worthRetrying retries what Vault's own client does, but not a sealed Vault: only
// a person can change that.
func worthRetrying(ctx context.Context, response *http.Response, err error) (bool, error) {
	if ctx.Value(onceKey{}) != nil {
		return false, err
	}
	if err == nil && response.StatusCode == http.StatusServiceUnavailable {
		start, readErr := io.ReadAll(io.LimitReader(response.Body, maxErrorMsg))
		response.Body = rejoined{io.MultiReader(bytes.NewReader(start), response.Body), response.Body}
		var answer vault.ErrorResponse
		if readErr == nil && json.Unmarshal(start, &answer) == nil && saysSealed(answer.Errors) {
			return false, nil
		}
	}
	return vault.DefaultRetryPolicy(ctx, response, err)
}

func saysSealed(texts []string) bool {
	return strings.Contains(strings.ToLower(strings.Join(texts, "\n")), "vault is sealed")
}

// rejoined is a body of which a part was read already.
type rejoined struct {
	io.Reader
	io.Closer
}

var errTooLong = errors.New("the answer is too long")

// bounded keeps a server from filling the memory.
type bounded struct{ *http.Transport }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxAnswer}
	return response, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
