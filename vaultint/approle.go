package vaultint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// appRole is MethodAppRole.
type appRole struct {
	mount, roleID string
	secretID      secret.Value
	file          *credentialFile // of the secret id; nil if it is not in a file
	wrapped       bool            // the file holds a wrapping token
	used          string          // the wrapping token that secretID was behind
	tried         string          // one whose unwrapping began, and may have ended
}

func newAppRole(c Config) *appRole {
	r := &appRole{mount: c.Auth.Mount, roleID: strings.TrimSpace(c.Auth.RoleID), secretID: c.Auth.SecretID, wrapped: c.Auth.SecretIDWrapped}
	if c.Auth.SecretIDFile != "" {
		r.file = &credentialFile{
			what: "secret id", path: c.Auth.SecretIDFile, log: c.Log,
			hint: "check that the file is where the secret id is put, and that this program may read it",
		}
	}
	return r
}

func (r *appRole) login(ctx context.Context, api *vault.Client) (grant, error) {
	secretID, err := r.currentSecretID(ctx, api)
	if err != nil {
		return grant{}, err
	}
	body := map[string]any{"role_id": r.roleID}
	if !secretID.IsZero() {
		body["secret_id"] = strings.TrimSpace(secretID.Reveal())
	}
	return logIn(ctx, api, "auth/"+r.mount+"/login", body, secretID)
}

func (r *appRole) identity() string { return "" }

// currentSecretID gives the secret id for a login now. One that was unwrapped is good
// until its file holds another wrapping token.
func (r *appRole) currentSecretID(ctx context.Context, api *vault.Client) (secret.Value, error) {
	if r.file == nil {
		return r.secretID, nil
	}
	text, err := r.file.readToken()
	switch {
	case !r.wrapped:
		return secret.New(text), err
	case r.used != "" && (err != nil || text == r.used):
		return r.secretID, nil
	case err != nil:
		return secret.Value{}, err
	}
	if _, err := r.inspect(ctx, api, text); err != nil {
		return secret.Value{}, err
	}
	secretID, err := r.unwrap(ctx, api, text)
	if err != nil {
		return secret.Value{}, err
	}
	r.secretID, r.used = secretID, text
	return secretID, nil
}

// UnwrapSecretID gives the secret id behind a wrapping token, which is used up, for
// somebody who keeps it from then on; keeping it encrypted is for him to see to. The
// configuration's Auth is that of the role. The error is as that of ReadSecret.
func (c *Client) UnwrapSecretID(ctx context.Context, token secret.Value) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	r := newAppRole(c.config)
	r.file = nil
	text := strings.TrimSpace(token.Reveal())
	if _, err := r.inspect(ctx, c.loginAPI, text); err != nil {
		return "", c.explainLogin(err)
	}
	secretID, err := r.unwrap(ctx, c.loginAPI, text)
	if err != nil {
		return "", c.explainLogin(err)
	}
	return secretID.Reveal(), nil
}

// wrapping is what Vault tells of a wrapping token that was not used yet.
type wrapping struct {
	path string // where it was made
	ends time.Time
}

// inspect makes sure that a wrapping token is good still and was made for a secret id of
// this mount: somebody who intercepted it could have put another one in its place.
func (r *appRole) inspect(ctx context.Context, api *vault.Client, token string) (wrapping, error) {
	answer, err := api.Logical().WriteWithContext(ctx, "sys/wrapping/lookup", map[string]any{"token": token})
	if err != nil {
		return wrapping{}, r.wrappingRefused(err, token)
	}
	if answer == nil {
		return wrapping{}, errNotVault
	}
	path, _ := answer.Data["creation_path"].(string)
	path = strings.TrimPrefix(path, strings.Trim(api.Namespace(), "/")+"/")
	life, _ := answer.Data["creation_ttl"].(json.Number)
	seconds, _ := life.Int64()
	found := wrapping{path: path, ends: moment(answer.Data["creation_time"]).Add(time.Duration(seconds) * time.Second)}
	if !regexp.MustCompile("^auth/" + regexp.QuoteMeta(r.mount) + "/role/[^/]+/(custom-)?secret-id$").MatchString(path) {
		return found, r.exchanged(fmt.Sprintf("was made at %q and not at auth/%s/role/ROLE/secret-id", path, r.mount))
	}
	return found, nil
}

// unwrap gives what is behind a wrapping token, which it uses up.
func (r *appRole) unwrap(ctx context.Context, api *vault.Client, token string) (secret.Value, error) {
	bearer := api.WithNamespace(api.Namespace())
	bearer.SetToken(token)
	answer, err := bearer.Logical().WriteWithContext(once(ctx), "sys/wrapping/unwrap", nil)
	var refused *vault.ResponseError
	if err != nil {
		if !errors.As(err, &refused) {
			r.tried = token
		}
		return secret.Value{}, r.wrappingRefused(err, token)
	}
	if answer == nil {
		return secret.Value{}, errNotVault
	}
	text, _ := answer.Data["secret_id"].(string)
	if text == "" {
		return secret.Value{}, r.exchanged("holds no secret id")
	}
	return secret.New(text), nil
}

var errWrapping = errors.New("the wrapping token is of no use")

// wrappingRefused says what it means that Vault does not take a wrapping token. A token
// that was used and one that expired are the same to Vault.
func (r *appRole) wrappingRefused(err error, token string) error {
	err = masked(err, secret.New(token))
	var refused *vault.ResponseError
	if !errors.As(err, &refused) || refused.RawError || saysSealed(refused.Errors) ||
		refused.StatusCode != http.StatusBadRequest && refused.StatusCode != http.StatusForbidden && refused.StatusCode != http.StatusNotFound {
		return err
	}
	e := &secret.ReadError{
		Reason: secret.LoginFailed,
		Detail: "vault does not accept " + r.wrappingToken() + ": it was used already, or has expired",
		Hint:   "if nothing of yours used it, somebody else may have unwrapped it: destroy the secret id behind it, and find out who",
		Err:    errWrapping,
	}
	if r.file != nil {
		e.Hint = "each start of this program needs a new wrapping token in the file; " + e.Hint
	}
	if token == r.tried {
		e.Detail += "; this program tried to use it, and got no answer"
	}
	if isUUID(token) {
		e.Detail = r.wrappingToken() + " looks like a secret id that is not wrapped"
		e.Hint = "leave out secret_id_wrapped (--wrapped), or have one made: vault write -wrap-ttl=10m -f auth/" + r.mount + "/role/ROLE/secret-id"
	}
	return e
}

func (r *appRole) wrappingToken() string {
	if r.file == nil {
		return "the wrapping token"
	}
	return "the wrapping token in " + r.file.path
}

// exchanged is about a wrapping token that is not what it should be.
func (r *appRole) exchanged(what string) error {
	return &secret.ReadError{
		Reason: secret.LoginFailed,
		Detail: r.wrappingToken() + " " + what,
		Hint:   "somebody may have put it in the place of the right one: do not use it, destroy the secret id that was meant, and find out who",
		Err:    errWrapping,
	}
}

// isUUID tells the form that Vault gives to secret ids, and never to tokens.
func isUUID(text string) bool {
	return regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`).MatchString(text)
}
