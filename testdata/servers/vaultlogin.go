package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// Policy writes an ACL policy and gives its name.
func (s *VaultServer) Policy(tb testing.TB, rules string) string {
	tb.Helper()
	name := uniqueName("policy")
	s.Do(tb, http.MethodPut, "sys/policies/acl/"+name, map[string]any{"policy": rules})
	return name
}

// TokenConfig says what kind of token to make.
type TokenConfig struct {
	// Policies beside "default"; none means that one alone.
	Policies []string
	// TTL is 0 for the server's default.
	TTL time.Duration
	// Bare leaves out the policy "default": the token may do what Policies say,
	// and not even look itself up.
	Bare bool
	// Batch makes a batch token, which cannot be renewed.
	Batch bool
	// MaxTTL is when it ends in spite of renewals; 0 for the server's default.
	MaxTTL time.Duration
}

// Token makes a token.
func (s *VaultServer) Token(tb testing.TB, config TokenConfig) string {
	tb.Helper()
	policies := append([]string(nil), config.Policies...)
	if len(policies) == 0 {
		policies = []string{"default"} // Vault would give it all that root may
	}
	body := map[string]any{"policies": policies, "no_default_policy": config.Bare}
	if config.TTL != 0 {
		body["ttl"] = config.TTL.String()
	}
	if config.MaxTTL != 0 {
		body["explicit_max_ttl"] = config.MaxTTL.String()
	}
	if config.Batch {
		body["type"] = "batch"
	}
	answer := s.Do(tb, http.MethodPost, "auth/token/create", body)
	auth, _ := answer["auth"].(map[string]any)
	token, _ := auth["client_token"].(string)
	return token
}

// RevokeToken ends a token's life now.
func (s *VaultServer) RevokeToken(tb testing.TB, token string) {
	tb.Helper()
	s.Do(tb, http.MethodPost, "auth/token/revoke", map[string]any{"token": token})
}

// AppRole is a role that programs log in to.
type AppRole struct {
	Mount    string // path of the login below auth/
	Name     string
	RoleID   string
	SecretID string
}

// AppRole mounts a login of its own and makes a role with these policies. The
// settings, which may be nil, are those of Vault's API: token_ttl, secret_id_num_uses, ...
func (s *VaultServer) AppRole(tb testing.TB, settings map[string]any, policies ...string) AppRole {
	tb.Helper()
	role := AppRole{Mount: uniqueName("approle"), Name: "weir"}
	path := "auth/" + role.Mount + "/role/" + role.Name
	s.Do(tb, http.MethodPost, "sys/auth/"+role.Mount, map[string]any{"type": "approle"})
	body := map[string]any{"token_policies": policies}
	for name, setting := range settings {
		body[name] = setting
	}
	s.Do(tb, http.MethodPost, path, body)
	role.RoleID = s.field(tb, http.MethodGet, path+"/role-id", "role_id")
	role.SecretID = s.field(tb, http.MethodPost, path+"/secret-id", "secret_id")
	return role
}

// WrappedSecretID makes another secret id of a role and gives the token behind which
// Vault keeps it for so long.
func (s *VaultServer) WrappedSecretID(tb testing.TB, role AppRole, life time.Duration) string {
	tb.Helper()
	return s.wrap(tb, "auth/"+role.Mount+"/role/"+role.Name+"/secret-id", nil, life)
}

// Wrap keeps any data behind a wrapping token, as somebody may who wants it to be
// taken for something else.
func (s *VaultServer) Wrap(tb testing.TB, data map[string]any) string {
	tb.Helper()
	return s.wrap(tb, "sys/wrapping/wrap", data, time.Hour)
}

func (s *VaultServer) wrap(tb testing.TB, path string, body any, life time.Duration) string {
	tb.Helper()
	var answer struct {
		WrapInfo struct{ Token string } `json:"wrap_info"`
	}
	if err := s.callWrapped(tb.Context(), http.MethodPost, path, body, &answer, life); err != nil {
		tb.Fatal(err)
	}
	return answer.WrapInfo.Token
}

// CertLogin mounts a login by client certificate of its own, with the role "weir" for
// certificates of the authority, and gives the mount. The settings, which may be nil,
// are those of Vault's API: allowed_common_names, token_ttl, ...
func (s *VaultServer) CertLogin(tb testing.TB, authority *Authority, settings map[string]any, policies ...string) string {
	tb.Helper()
	mount := uniqueName("cert")
	s.Do(tb, http.MethodPost, "sys/auth/"+mount, map[string]any{"type": "cert"})
	body := map[string]any{"certificate": authority.PEM, "token_policies": policies}
	for name, setting := range settings {
		body[name] = setting
	}
	s.Do(tb, http.MethodPost, "auth/"+mount+"/certs/weir", body)
	return mount
}

// JWTLogin is a login by signed tokens, and who signs them.
type JWTLogin struct {
	Mount string // path of the login below auth/; its role is "weir"
	key   *ecdsa.PrivateKey
}

// JWTLogin mounts a login of its own, with the role "weir" for subjects that match a
// pattern such as "weir*".
func (s *VaultServer) JWTLogin(tb testing.TB, subjects string, policies ...string) JWTLogin {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	login := JWTLogin{uniqueName("jwt"), key}
	s.Do(tb, http.MethodPost, "sys/auth/"+login.Mount, map[string]any{"type": "jwt"})
	s.Do(tb, http.MethodPost, "auth/"+login.Mount+"/config", map[string]any{"jwt_validation_pubkeys": []string{asPEM("PUBLIC KEY", der)}})
	s.Do(tb, http.MethodPost, "auth/"+login.Mount+"/role/weir", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"}, "bound_claims_type": "glob",
		"bound_claims": map[string]any{"sub": subjects}, "token_policies": policies,
	})
	return login
}

// Sign issues a token. No two are alike.
func (l JWTLogin) Sign(tb testing.TB, subject string, life time.Duration) string {
	tb.Helper()
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": "company", "sub": subject, "aud": "vault", "iat": now.Unix(), "exp": now.Add(life).Unix(), "jti": rand.Text(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, l.key, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	return text + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// field gives one text of the data that a request answers with.
func (s *VaultServer) field(tb testing.TB, method, path, name string) string {
	tb.Helper()
	data, _ := s.Do(tb, method, path, nil)["data"].(map[string]any)
	text, _ := data[name].(string)
	if text == "" {
		tb.Fatalf("vault: %s %s: no %s in the answer", method, path, name)
	}
	return text
}
