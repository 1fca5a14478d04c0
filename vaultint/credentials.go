package vaultint

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// credentials are how a client comes by a token; there is one kind for each Method.
type credentials interface {
	// login gets a token, by a request to Vault or without one. Its errors are
	// those of a request, or a *secret.ReadError. It is called by one at a time.
	login(ctx context.Context, api *vault.Client) (grant, error)
	// identity tells apart whom a login could be for: what one may read is not given
	// to another, and a login is not used for another. It is no credential, and asks
	// nobody over the network.
	identity() string
}

// grant is what a login gives.
type grant struct {
	token    string
	identity string // as of the credentials that were used
	// own says that the token was made for this login, and may be revoked when it
	// is no longer used.
	own bool
	// life is for how long the token is valid; 0 if that is not known, or for ever.
	life      time.Duration
	renewable bool
	policies  []string // if they are known
}

func newCredentials(c Config, certificate *clientCertificate) credentials {
	a := c.Auth
	path := "auth/" + a.Mount + "/login"
	switch a.Method {
	case MethodTokenFile:
		return &tokenFile{file: credentialFile{
			what: "token", path: a.TokenFile, log: c.Log,
			hint: "log in with `vault login`, or check that the agent writes its token there",
		}}
	case MethodAppRole:
		return newAppRole(c)
	case MethodUserpass:
		return userpass{path: path + "/" + a.Username, password: a.Password}
	case MethodKubernetes, MethodJWT:
		return &jwtFile{path: path, role: a.Role, file: credentialFile{
			what: "jwt", path: a.JWTFile, log: c.Log,
			hint: "check that the file is where the token is put, and that this program may read it",
		}}
	case MethodCert:
		return &certificateLogin{path: path, role: a.Role, certificate: certificate}
	default:
		return fixedToken{a.Token}
	}
}

// fixedToken is MethodToken.
type fixedToken struct{ token secret.Value }

func (t fixedToken) login(context.Context, *vault.Client) (grant, error) {
	return grant{token: strings.TrimSpace(t.token.Reveal()), renewable: true}, nil
}

func (t fixedToken) identity() string { return "" }

// tokenFile is MethodTokenFile. Whoever writes the file renews the token.
type tokenFile struct {
	file credentialFile
	last lastIdentity
}

func (f *tokenFile) login(context.Context, *vault.Client) (grant, error) {
	token, err := f.file.readToken()
	if err != nil {
		return grant{}, err
	}
	return grant{token: token, identity: f.last.set(token)}, nil
}

// identity goes with the token: who wrote it, nobody says.
func (f *tokenFile) identity() string {
	if token, err := f.file.readToken(); err == nil {
		return f.last.set(token)
	}
	return f.last.get()
}

// userpass is MethodUserpass.
type userpass struct {
	path     string
	password secret.Value
}

func (u userpass) login(ctx context.Context, api *vault.Client) (grant, error) {
	return logIn(ctx, api, u.path, map[string]any{"password": u.password.Reveal()}, u.password)
}

func (u userpass) identity() string { return "" }

// jwtFile is MethodKubernetes and MethodJWT.
type jwtFile struct {
	path, role string
	file       credentialFile
	last       lastIdentity
}

func (j *jwtFile) login(ctx context.Context, api *vault.Client) (grant, error) {
	token, err := j.file.readToken()
	if err != nil {
		return grant{}, err
	}
	body := map[string]any{"jwt": token}
	if j.role != "" {
		body["role"] = j.role
	}
	granted, err := logIn(ctx, api, j.path, body, secret.New(token))
	granted.identity = j.last.set(subject(token))
	return granted, err
}

func (j *jwtFile) identity() string {
	if token, err := j.file.readToken(); err == nil {
		return j.last.set(subject(token))
	}
	return j.last.get()
}

// subject is of whom a signed token is: one that was issued anew is of the same. Its
// signature is not looked at, which is for Vault to do.
func subject(token string) string {
	parts := strings.Split(token, ".")
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience any    `json:"aud"`
	}
	if len(parts) == 3 {
		text, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(text, &claims) == nil && claims.Subject != "" {
			return fmt.Sprintf("%q %q %q", claims.Issuer, claims.Subject, claims.Audience)
		}
	}
	return token
}

// certificateLogin is MethodCert. The certificate is shown by the connection.
type certificateLogin struct {
	path, role  string
	certificate *clientCertificate
	last        lastIdentity
}

func (l *certificateLogin) login(ctx context.Context, api *vault.Client) (grant, error) {
	identity := l.identity()
	body := map[string]any{}
	if l.role != "" {
		body["name"] = l.role
	}
	granted, err := logIn(ctx, api, l.path, body)
	granted.identity = identity
	return granted, err
}

func (l *certificateLogin) identity() string {
	if owner, err := l.certificate.owner(); err == nil {
		return l.last.set(owner)
	}
	return l.last.get()
}

// lastIdentity is that of credentials in a file, for while the file cannot be read:
// it may be being replaced.
type lastIdentity struct{ atomic.Value }

// set gives the identity of an owner.
func (l *lastIdentity) set(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	identity := hex.EncodeToString(sum[:])
	l.Store(identity)
	return identity
}

func (l *lastIdentity) get() string {
	identity, _ := l.Load().(string)
	return identity
}

// logIn makes the request of a login. What Vault says to it does not show what was sent.
func logIn(ctx context.Context, api *vault.Client, path string, body map[string]any, sent ...secret.Value) (grant, error) {
	answer, err := api.Logical().WriteWithContext(ctx, path, body)
	if err != nil {
		return grant{}, masked(err, sent...)
	}
	if answer == nil || answer.Auth == nil || answer.Auth.ClientToken == "" {
		return grant{}, errNotVault
	}
	auth := answer.Auth
	life := time.Duration(auth.LeaseDuration) * time.Second
	return grant{token: auth.ClientToken, own: true, life: life, renewable: auth.Renewable, policies: auth.Policies}, nil
}

// masked masks secrets in what Vault said.
func masked(err error, secrets ...secret.Value) error {
	var refused *vault.ResponseError
	if errors.As(err, &refused) {
		r := secret.NewRedactor()
		r.Add(secrets...)
		for i, text := range refused.Errors {
			refused.Errors[i] = r.String(text)
		}
	}
	return err
}

// credentialFile is a file with a credential in it. It is read again for each use.
type credentialFile struct {
	what string // that it holds: "token"
	path string
	hint string       // for when it cannot be read
	log  *slog.Logger // hears if others can read it; nil if they may
	warn sync.Once
}

// read gives the text without the white space around it. The error is a
// *secret.ReadError.
func (f *credentialFile) read() (string, error) {
	path := filepath.Clean(f.path)
	text, err := os.ReadFile(path)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err != nil {
		return "", f.trouble(": " + err.Error())
	}
	if info, err := os.Stat(path); err == nil && f.log != nil && info.Mode().Perm()&0o004 != 0 {
		f.warn.Do(func() {
			f.log.Warn("every user of this machine can read the vault "+f.what+" file", "path", path, "mode", info.Mode().Perm().String())
		})
	}
	trimmed := strings.TrimSpace(string(text))
	if trimmed == "" {
		return "", f.trouble(" is empty")
	}
	return trimmed, nil
}

// readToken is read for a token of any kind.
func (f *credentialFile) readToken() (string, error) {
	token, err := f.read()
	if err == nil && !printable(token) {
		err = f.trouble(": " + errNotPrintable.Error())
	}
	return token, err
}

func (f *credentialFile) trouble(what string) error {
	return &secret.ReadError{Reason: secret.LoginFailed, Detail: f.what + " file " + filepath.Clean(f.path) + what, Hint: f.hint}
}

var errNotPrintable = errors.New("token holds white space or characters that cannot be printed")

// printable refuses what cannot be a token before it is sent anywhere.
func printable(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) })
}
