package vaultint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

var errNotVault = errors.New("the answer is not one of Vault")

const maxDetail = 200

// explain says what a failed request means, in words that hold neither URL nor
// credentials. Its Ref is still to be filled in.
func (c *Client) explain(err error) *secret.ReadError {
	var known *secret.ReadError
	var refused *vault.ResponseError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		return c.explainStatus(refused)
	case errors.Is(err, errClosed) || errors.Is(err, context.Canceled):
		return &secret.ReadError{Reason: secret.Unreachable, Detail: errClosed.Error(), Err: errClosed}
	case timedOut(err):
		return &secret.ReadError{
			Reason: secret.TimedOut,
			Detail: fmt.Sprintf("no answer from %s%s within %s", c.config.Address, c.through(), c.config.Timeout),
			Hint:   "check the address, the network and the load of the server, or raise the timeout",
			Err:    context.DeadlineExceeded,
		}
	}
	return c.explainConnection(err)
}

func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// explainStatus is for answers of Vault that are refusals.
func (c *Client) explainStatus(refused *vault.ResponseError) *secret.ReadError {
	e := &secret.ReadError{Reason: secret.Unreachable}
	said := c.said(refused)
	switch code := refused.StatusCode; {
	case saysSealed(refused.Errors):
		e.Reason = secret.Sealed
		e.Detail = "vault at " + c.config.Address + " is sealed"
		e.Hint = "its operators must unseal it: vault operator unseal"
	case refused.RawError:
		e.Detail = fmt.Sprintf("%s answered %d, and not in the words of vault", c.config.Address, code)
		e.Hint = "check that the address is that of a vault server"
		if strings.Contains(strings.Join(refused.Errors, " "), "HTTP request to an HTTPS server") {
			e.Hint = "does the address start with https:// rather than http://?"
		}
	case code == http.StatusForbidden:
		e.Reason = secret.Denied
		e.Detail = "the policies of this login do not allow it"
		if saysBadToken(refused.Errors) {
			e.Err = errBadToken
		}
	case code == http.StatusNotFound:
		e.Reason = secret.NotFound
		e.Detail = said
	case code == http.StatusTooManyRequests:
		e.Detail = "the rate limit of vault is used up"
		e.Hint = "try again later, or ask its operators for a higher quota"
	case code == http.StatusMethodNotAllowed:
		e.Reason = secret.Invalid
		e.Detail = "this path cannot be read"
		e.Hint = "a path is mount and name of a secret, such as secret/oracle"
	case code >= 400 && code < 500:
		e.Reason = secret.Invalid
		e.Detail = fmt.Sprintf("vault answered %d: %s", code, said)
	default:
		e.Detail = fmt.Sprintf("vault at %s answered %d: %s", c.config.Address, code, said)
		e.Hint = "see the log of the server"
	}
	return e
}

// said gives Vault's own words in one short line without this client's credentials.
// What is not JSON as Vault sends it comes from something else: do not repeat it.
func (c *Client) said(refused *vault.ResponseError) string {
	if refused.RawError {
		return "not in the words of vault"
	}
	r := secret.NewRedactor()
	r.Add(c.config.Auth.Token, c.config.Auth.SecretID, c.config.Auth.Password)
	c.mu.Lock()
	if c.current != nil {
		r.Add(secret.New(c.current.token))
	}
	c.mu.Unlock()
	text := r.String(strings.Join(strings.Fields(strings.Join(refused.Errors, "; ")), " "))
	if text == "" {
		return "no reason given"
	}
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "..."
	}
	return text
}

// deniedByPolicy tells a valid token that may not do something from one that Vault
// does not know: only for the first one it has several errors to report.
func deniedByPolicy(texts []string) bool {
	text := strings.ToLower(strings.Join(texts, "\n"))
	return strings.Contains(text, "error occurred") && !strings.Contains(text, "invalid token") && !strings.Contains(text, "bad token")
}

// errBadToken marks a refusal that is likely due to the token, so that there is no use
// in asking for anything else with it.
var errBadToken = errors.New("permission denied")

// saysBadToken is about the words of Vault for a token that it does not know. They are
// not all that it says to such a token: see deniedByPolicy.
func saysBadToken(texts []string) bool {
	text := strings.ToLower(strings.Join(texts, "\n"))
	return text == "permission denied" || strings.Contains(text, "invalid token") || strings.Contains(text, "bad token")
}

// explainConnection is for requests that got no answer of Vault.
func (c *Client) explainConnection(err error) *secret.ReadError {
	if e := c.explainTLS(err); e != nil {
		return e
	}
	e := &secret.ReadError{Reason: secret.Unreachable}
	var (
		noHost   *net.DNSError
		network  *net.OpError
		request  *url.Error
		refused  *proxyError
		endpoint = c.config.Address + c.through()
		proxy    = errors.As(err, &network) && network.Op == "proxyconnect"
	)
	if proxy {
		endpoint = "the proxy" + strings.TrimPrefix(c.through(), throughProxy)
	}
	switch {
	case errors.As(err, &refused):
		e.Detail = refused.Error() + " when it was to connect to " + c.config.Address
		e.Hint = "the proxy must allow that address, or NO_PROXY must name the host so that it is not used"
	case errors.As(err, &noHost):
		e.Detail = fmt.Sprintf("host %q of %s cannot be resolved", noHost.Name, endpoint)
		e.Hint = "check the address and the name servers"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Detail = "nothing listens at " + endpoint + " (connection refused)"
		e.Hint = "check the address, and that vault is running"
		e.Err = syscall.ECONNREFUSED
	case errors.As(err, &network):
		e.Detail = fmt.Sprintf("no connection to %s: %v", endpoint, network.Err)
		e.Hint = "check the address, the network and its firewalls"
	case errors.As(err, &request):
		e.Detail = fmt.Sprintf("request to %s failed: %v", endpoint, request.Err)
		e.Hint = "check that the address is that of a vault server"
	default:
		e.Detail = endpoint + " does not answer like a vault"
		e.Hint = "check that the address is that of a vault server"
	}
	if proxy {
		e.Hint = "HTTPS_PROXY or HTTP_PROXY names that proxy: check it, or have NO_PROXY name the host of vault"
	}
	return e
}

// explainTLS is for connections that end before a request is sent; nil if it is not
// for that.
func (c *Client) explainTLS(err error) *secret.ReadError {
	var (
		unknown  x509.UnknownAuthorityError
		name     x509.HostnameError
		invalid  x509.CertificateInvalidError
		plain    tls.RecordHeaderError
		remote   *net.OpError
		endpoint = c.config.Address + c.through()
		e        = &secret.ReadError{Reason: secret.Unreachable}
	)
	switch {
	case errors.As(err, &unknown):
		e.Detail = "the certificate of " + endpoint + " is signed by an unknown authority"
		if unknown.Cert != nil {
			e.Detail = fmt.Sprintf("the certificate of %s, of %s until %s, is signed by an unknown authority, %s",
				endpoint, whose(unknown.Cert), utc(unknown.Cert.NotAfter), unknown.Cert.Issuer)
		}
		e.Hint = "give that authority's certificate as CA certificate of this vault configuration (VAULT_CACERT for the implicit one)"
		e.Err = unknown
	case errors.As(err, &name):
		e.Detail = fmt.Sprintf("the certificate of %s is not for %q but for %s", endpoint, name.Host, certificateNames(name.Certificate))
		e.Hint = "give one of these names as TLS server name, or correct the address"
		e.Err = name
	case errors.As(err, &invalid):
		e.Detail = "the certificate of " + endpoint + " is not valid: " + invalid.Error()
		if outside := outsideLife(invalid.Cert, c.config.Now()); invalid.Reason == x509.Expired && outside != "" {
			e.Detail = fmt.Sprintf("the certificate of %s, of %s, %s", endpoint, whose(invalid.Cert), outside)
		}
		e.Hint = "it must be renewed, unless the clock of this machine is wrong"
		e.Err = invalid
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Detail = endpoint + " does not speak TLS"
		e.Hint = "does the address start with http:// rather than https://?"
	case errors.As(err, &remote) && remote.Op == "remote error":
		e.Detail = fmt.Sprintf("%s ended the TLS connection: %v", endpoint, remote.Err)
		e.Hint = "check the address, the TLS server name and what the server's log says"
		if strings.Contains(e.Detail, "certificate") {
			c.blameCertificate(e)
		}
	default:
		return nil
	}
	return e
}

// blameCertificate adds what the server may have against the client certificate.
func (c *Client) blameCertificate(e *secret.ReadError) {
	if c.certificate == nil {
		e.Hint = "the server wants a client certificate: give client_cert_file and client_key_file"
		return
	}
	if detail, hint := c.certificate.trouble(c.config.Now()); detail != "" {
		e.Detail += "; " + detail
		e.Hint = hint
	}
}

const throughProxy = " through the proxy"

// through names the proxy that requests to Vault go through; empty if there is none.
func (c *Client) through() string {
	if hop, err := c.firstHop(); err == nil && hop.proxy {
		return throughProxy + " " + hop.Scheme + "://" + hop.Host
	}
	return ""
}

// explainLogin is explain for a failed login.
func (c *Client) explainLogin(err error) *secret.ReadError {
	e := c.explain(err)
	var refused *vault.ResponseError
	if !errors.As(err, &refused) || e.Reason == secret.Sealed || refused.StatusCode == http.StatusTooManyRequests {
		return e
	}
	if refused.StatusCode >= 500 && !saysBadCertificate(refused.Errors) {
		return e
	}
	failure := &secret.ReadError{
		Reason: secret.LoginFailed,
		Detail: fmt.Sprintf("%s login at auth/%s: vault answered %d: %s", c.config.Auth.Method, c.config.Auth.Mount, refused.StatusCode, c.said(refused)),
		Hint:   "check the mount of the login, " + c.config.Auth.hint(),
	}
	if c.config.Auth.Method == MethodCert {
		c.blameCertificate(failure)
	}
	return failure
}

// saysBadCertificate is about a client certificate that is outside its life: Vault takes
// that for an error of its own.
func saysBadCertificate(texts []string) bool {
	return strings.Contains(strings.Join(texts, "\n"), "verify client's certificate")
}

// hint says what a refused login may be due to.
func (a Auth) hint() string {
	switch a.Method {
	case MethodUserpass:
		return "the user name and the password"
	case MethodKubernetes:
		return "the role, and whether it is for this service account and namespace"
	case MethodJWT:
		return "the role, and whether it accepts the token's issuer, audience and claims"
	case MethodCert:
		return "and whether it trusts the client certificate"
	default:
		hint := "the role id, and whether the secret id has expired or was used up"
		if a.SecretIDWrapped {
			hint += "; the next one needs a new wrapping token in " + a.SecretIDFile
		}
		return hint
	}
}

// about gives a failure the reference that it is about. A failure that several
// readers share stays as it is.
func about(ref secret.Ref, err error) error {
	var e *secret.ReadError
	if !errors.As(err, &e) {
		return err
	}
	own := *e
	own.Ref = ref
	return &own
}

func hasReason(err error, reason secret.Reason) bool {
	var e *secret.ReadError
	return errors.As(err, &e) && e.Reason == reason
}
