package vaultint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	// those of a request, or a *secret.ReadError.
	login(ctx context.Context, api *vault.Client) (grant, error)
	// outdated says whether a login would give another token than this one, though
	// this one may work still. It asks nobody over the network.
	outdated(token string) bool
	// identity tells apart whom a login could be for: what one may read is not given
	// to another. It is no credential.
	identity() string
}

// grant is what a login gives.
type grant struct {
	token string
	// own says that the token was made for this login, and may be revoked when it
	// is no longer used.
	own bool
	// life is for how long the token is valid; 0 if that is not known, or for ever.
	life      time.Duration
	renewable bool
}

func newCredentials(a Auth, log *slog.Logger) credentials {
	switch a.Method {
	case MethodTokenFile:
		return &tokenFile{path: a.TokenFile, log: log}
	case MethodAppRole:
		return appRole{path: "auth/" + a.Mount + "/login", roleID: a.RoleID, secretID: a.SecretID}
	case MethodUserpass:
		return userpass{path: "auth/" + a.Mount + "/login/" + a.Username, password: a.Password}
	case MethodKubernetes, MethodJWT:
		return jwtFile{path: "auth/" + a.Mount + "/login", role: a.Role, file: a.JWTFile}
	default:
		return fixedToken{a.Token}
	}
}

// fixedToken is MethodToken.
type fixedToken struct{ token secret.Value }

func (t fixedToken) login(context.Context, *vault.Client) (grant, error) {
	return grant{token: strings.TrimSpace(t.token.Reveal()), renewable: true}, nil
}

func (t fixedToken) outdated(string) bool { return false }

func (t fixedToken) identity() string { return "" }

// tokenFile is MethodTokenFile. Whoever writes the file renews the token.
type tokenFile struct {
	path string
	log  *slog.Logger
	warn sync.Once
	last atomic.Value // identity of the last token that was there
}

func (f *tokenFile) login(context.Context, *vault.Client) (grant, error) {
	token, err := f.read()
	if err != nil {
		return grant{}, &secret.ReadError{
			Reason: secret.LoginFailed,
			Detail: err.Error(),
			Hint:   "log in with `vault login`, or check that the agent writes its token there",
		}
	}
	return grant{token: token}, nil
}

// outdated is false while the file cannot be read: it may be being replaced.
func (f *tokenFile) outdated(token string) bool {
	now, err := f.read()
	return err == nil && now != token
}

// identity goes with the token: who wrote it, nobody says. While the file cannot be
// read it stays.
func (f *tokenFile) identity() string {
	if token, err := f.read(); err == nil {
		sum := sha256.Sum256([]byte(token))
		f.last.Store(hex.EncodeToString(sum[:]))
	}
	last, _ := f.last.Load().(string)
	return last
}

func (f *tokenFile) read() (string, error) {
	path := filepath.Clean(f.path)
	text, err := os.ReadFile(path)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("token file %s: %w", path, failed.Err)
	}
	if err != nil {
		return "", fmt.Errorf("token file %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 {
		f.warn.Do(func() {
			f.log.Warn("every user of this machine can read the vault token file", "path", path, "mode", info.Mode().Perm().String())
		})
	}
	token := strings.TrimSpace(string(text))
	return token, checkToken(token, fmt.Errorf("token file %s is empty", path))
}

// appRole is MethodAppRole.
type appRole struct {
	path     string
	roleID   string
	secretID secret.Value
}

func (r appRole) login(ctx context.Context, api *vault.Client) (grant, error) {
	body := map[string]any{"role_id": strings.TrimSpace(r.roleID)}
	if !r.secretID.IsZero() {
		body["secret_id"] = strings.TrimSpace(r.secretID.Reveal())
	}
	answer, err := api.Logical().WriteWithContext(ctx, r.path, body)
	if err != nil {
		return grant{}, err
	}
	return granted(answer)
}

func (r appRole) outdated(string) bool { return false }

func (r appRole) identity() string { return "" }

// userpass is MethodUserpass.
type userpass struct {
	path     string
	password secret.Value
}

func (u userpass) login(ctx context.Context, api *vault.Client) (grant, error) {
	answer, err := api.Logical().WriteWithContext(ctx, u.path, map[string]any{"password": u.password.Reveal()})
	if err != nil {
		return grant{}, err
	}
	return granted(answer)
}

func (u userpass) outdated(string) bool { return false }

func (u userpass) identity() string { return "" }

// jwtFile is MethodKubernetes and MethodJWT.
type jwtFile struct{ path, role, file string }

func (j jwtFile) login(ctx context.Context, api *vault.Client) (grant, error) {
	token, err := j.read()
	if err != nil {
		return grant{}, &secret.ReadError{
			Reason: secret.LoginFailed,
			Detail: err.Error(),
			Hint:   "check that the file is where the token is put, and that this program may read it",
		}
	}
	body := map[string]any{"jwt": token}
	if j.role != "" {
		body["role"] = j.role
	}
	answer, err := api.Logical().WriteWithContext(ctx, j.path, body)
	var refused *vault.ResponseError
	if errors.As(err, &refused) {
		r := secret.NewRedactor()
		r.Add(secret.New(token))
		for i, text := range refused.Errors {
			refused.Errors[i] = r.String(text)
		}
	}
	if err != nil {
		return grant{}, err
	}
	return granted(answer)
}

func (j jwtFile) read() (string, error) {
	path := filepath.Clean(j.file)
	text, err := os.ReadFile(path)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if err != nil {
		return "", fmt.Errorf("jwt file %s: %w", path, err)
	}
	token := strings.TrimSpace(string(text))
	return token, checkToken(token, fmt.Errorf("jwt file %s is empty", path))
}

func (j jwtFile) outdated(string) bool { return false }

func (j jwtFile) identity() string { return "" }

// granted is what Vault answers to a login.
func granted(answer *vault.Secret) (grant, error) {
	if answer == nil || answer.Auth == nil || answer.Auth.ClientToken == "" {
		return grant{}, errNotVault
	}
	auth := answer.Auth
	life := time.Duration(auth.LeaseDuration) * time.Second
	return grant{token: auth.ClientToken, own: true, life: life, renewable: auth.Renewable}, nil
}

// checkToken refuses what cannot be a token before it is sent anywhere.
func checkToken(token string, missing error) error {
	token = strings.TrimSpace(token)
	switch {
	case token == "":
		return missing
	case strings.ContainsFunc(token, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }):
		return errors.New("token holds white space or characters that cannot be printed")
	}
	return nil
}
