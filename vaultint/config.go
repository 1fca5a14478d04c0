package vaultint

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

// DefaultName is the name of the configuration that a reference without one means.
const DefaultName = "default"

const (
	defaultTimeout   = 10 * time.Second
	defaultCacheTTL  = 30 * time.Second
	defaultRateLimit = 100
)

// Config says which Vault to read from, and as whom.
type Config struct {
	// Name is what references call it; empty means DefaultName.
	Name string
	// Address is the URL of Vault, such as https://vault.example.com:8200.
	Address string
	// Namespace is where secrets are read (Vault Enterprise); empty means the root.
	Namespace string
	// LoginNamespace is where the login is; empty means Namespace, "root" the root.
	LoginNamespace string
	// CACert is the PEM text of the authorities to trust; empty means the system's.
	CACert string
	// TLSServerName is the name to ask for and to expect in the certificate; empty
	// means the host of Address.
	TLSServerName string
	// ClientCert, with its chain, and ClientKey are PEM texts of the certificate that is
	// shown to Vault: for MethodCert, or because the server lets nobody else connect.
	ClientCert, ClientKey secret.Value
	// ClientCertFile and ClientKeyFile hold the same, and are read again for each
	// connection, so that a renewed certificate is used as soon as it is there.
	ClientCertFile, ClientKeyFile string
	// Proxy gives the proxy for a request, as that of an http.Transport does; nil means
	// the one that HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
	Proxy func(*http.Request) (*url.URL, error)
	// Timeout bounds one read, its login and retries included, but not the wait that
	// RateLimit demands; 0 means 10 s.
	Timeout time.Duration
	// CacheTTL is for how long what was read is given to others without asking Vault;
	// 0 means 30 s, a negative one that nothing is kept.
	CacheTTL time.Duration
	// Tolerate is for how long after it was read a secret is still given if Vault is
	// unreachable, sealed or does not answer in time; the secret.Data says so. 0 means
	// that an outage is an error at once, or as soon as CacheTTL is over.
	Tolerate time.Duration
	// RateLimit is how many reads a second go to Vault, and how many may go at once;
	// others wait. A read whose mount is not known yet makes more than one request. 0
	// means 100, a negative one that there is no limit.
	RateLimit float64
	Auth      Auth
	// Mounts says of which KV version (1 or 2) the mounts are; those that are not
	// named here are found.
	Mounts map[string]int
	// Log hears warnings, such as of a token file that others can read; nil means none.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Method is a way of logging in.
type Method string

// The ways of logging in.
const (
	MethodToken      Method = "token"      // Auth.Token
	MethodTokenFile  Method = "token_file" // Auth.TokenFile, such as an agent writes it
	MethodAppRole    Method = "approle"    // Auth.RoleID and Auth.SecretID
	MethodUserpass   Method = "userpass"   // Auth.Username and Auth.Password
	MethodKubernetes Method = "kubernetes" // Auth.Role and Auth.JWTFile, the pod's own unless given
	MethodJWT        Method = "jwt"        // Auth.JWTFile and Auth.Role, the mount's default unless given
	MethodCert       Method = "cert"       // Config.ClientCert, and Auth.Role, any that fits unless given
)

// Methods gives all ways of logging in.
func Methods() []Method {
	return []Method{MethodToken, MethodTokenFile, MethodAppRole, MethodUserpass, MethodKubernetes, MethodJWT, MethodCert}
}

// MethodNames gives all ways of logging in as a text: "token, ... or cert".
func MethodNames() string {
	var names []string
	for _, method := range Methods() {
		names = append(names, string(method))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Auth says how to log in. Fields of other methods are left empty.
type Auth struct {
	Method Method
	Token  secret.Value
	// TokenFile holds a token, white space around it allowed. It is read again
	// before each use, so that a new token is used as soon as it is there.
	TokenFile string
	// Mount is the path of the login below auth/; empty means the method's name.
	Mount    string
	RoleID   string
	SecretID secret.Value // zero for a role that needs none
	// SecretIDFile holds the secret id, white space around it allowed. It is read again
	// at each login, so that a new one is used as soon as it is needed.
	SecretIDFile string
	// SecretIDWrapped says that SecretIDFile holds a wrapping token. It is unwrapped at
	// the first login, after a look at where it was made, and the secret id is kept in
	// memory only: a later login unwraps a token that is new in the file, or else uses the
	// secret id that it has. So each start of the program needs a new token in the file.
	SecretIDWrapped bool
	Username        string
	Password        secret.Value
	Role            string
	// JWTFile holds a signed token of whoever vouches for this program, white space
	// around it allowed. It is read again at each login.
	JWTFile string
}

// podToken is where Kubernetes puts the token of a pod's service account.
const podToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // the path of a file

// complete gives the configuration with defaults filled in, or says what is wrong
// with it, all at once and without any secret.
func (c Config) complete() (Config, error) {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.CacheTTL == 0 {
		c.CacheTTL = defaultCacheTTL
	}
	if c.RateLimit == 0 {
		c.RateLimit = defaultRateLimit
	}
	if c.LoginNamespace == "" {
		c.LoginNamespace = c.Namespace
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Auth.Mount == "" {
		c.Auth.Mount = string(c.Auth.Method)
	}
	if c.Auth.JWTFile == "" && c.Auth.Method == MethodKubernetes {
		c.Auth.JWTFile = podToken
	}
	c.Auth.Mount = strings.Trim(c.Auth.Mount, "/")
	c.Address = strings.TrimRight(strings.TrimSpace(c.Address), "/")
	mounts := make(map[string]int, len(c.Mounts))
	for path, version := range c.Mounts {
		mounts[strings.Trim(path, "/")] = version
	}
	c.Mounts = mounts
	if err := errors.Join(c.checkAddress(), c.checkTrust(), c.checkClientCertificate(), c.Auth.check(), c.checkRest()); err != nil {
		return Config{}, fmt.Errorf("vault configuration %q: %w", c.Name, err)
	}
	return c, nil
}

func (c Config) checkAddress() error {
	u, err := url.Parse(c.Address)
	switch {
	case err != nil: // its text repeats the address, which may hold a password
		return errors.New("address is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("address is not like https://vault.example.com:8200")
	case u.User != nil:
		return errors.New("address must not hold a user or password")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("address must not hold a query or fragment")
	}
	return nil
}

func (c Config) checkTrust() error {
	if c.CACert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CACert)) {
		return errors.New("ca_cert holds no PEM certificate")
	}
	return nil
}

func (c Config) checkRest() error {
	var problems []error
	if c.Timeout < 0 {
		problems = append(problems, errors.New("timeout is negative"))
	}
	if c.Tolerate < 0 {
		problems = append(problems, errors.New("tolerate is negative"))
	}
	if !(c.RateLimit <= 1e6) { // NaN is not either
		problems = append(problems, errors.New("rate_limit is not a number up to 1,000,000"))
	}
	for path, version := range c.Mounts {
		if version != 1 && version != 2 {
			problems = append(problems, fmt.Errorf("mounts: %s: KV version %d is neither 1 nor 2", path, version))
		}
	}
	return errors.Join(problems...)
}

func (a Auth) check() error {
	switch a.Method {
	case MethodToken:
		return a.checkToken()
	case MethodTokenFile:
		if a.TokenFile == "" {
			return a.missing("token_file")
		}
	case MethodAppRole:
		return a.checkAppRole()
	case MethodUserpass:
		return a.checkUserpass()
	case MethodKubernetes:
		if a.Role == "" {
			return a.missing("role")
		}
	case MethodJWT:
		if a.JWTFile == "" {
			return a.missing("jwt_file")
		}
	case MethodCert: // see checkClientCertificate
	case "":
		return errors.New("auth method is missing: " + MethodNames())
	default:
		return fmt.Errorf("auth method %q is not %s", a.Method, MethodNames())
	}
	return nil
}

func (a Auth) missing(field string) error {
	return fmt.Errorf("auth method %s needs %s", a.Method, field)
}

func (a Auth) checkToken() error {
	switch token := strings.TrimSpace(a.Token.Reveal()); {
	case token == "":
		return a.missing("token")
	case !printable(token):
		return errNotPrintable
	}
	return nil
}

func (a Auth) checkAppRole() error {
	switch {
	case a.RoleID == "":
		return a.missing("role_id")
	case !a.SecretID.IsZero() && a.SecretIDFile != "":
		return errors.New("secret_id and secret_id_file are both given: one of the two is enough")
	case a.SecretIDWrapped && a.SecretIDFile == "":
		return errors.New("secret_id_wrapped needs secret_id_file, the file of the wrapping token")
	}
	return nil
}

func (a Auth) checkUserpass() error {
	switch {
	case a.Username == "":
		return a.missing("username")
	case strings.ContainsAny(a.Username, "/?#%") || a.Username == "." || a.Username == "..":
		return errors.New("username must not be . or .. or hold one of / ? # %: it is part of a path")
	case a.Password.IsZero():
		return a.missing("password")
	}
	return nil
}
