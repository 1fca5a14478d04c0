package servers

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// MountKV mounts a KV secrets engine of version 1 or 2 under a path that no other
// test has, and gives that path.
func (s *VaultServer) MountKV(tb testing.TB, version int) string {
	tb.Helper()
	path := uniqueName("kv")
	s.MountKVAt(tb, path, version)
	return path
}

// MountKVAt mounts a KV secrets engine of version 1 or 2 at a path, which may
// have several segments.
func (s *VaultServer) MountKVAt(tb testing.TB, path string, version int) {
	tb.Helper()
	kind := map[int]string{1: "1", 2: "2"}[version]
	s.Do(tb, http.MethodPost, "sys/mounts/"+path, map[string]any{
		"type": "kv", "options": map[string]any{"version": kind},
	})
}

// PutKV writes a new version of a secret of a KV version 2 mount and gives its number.
func (s *VaultServer) PutKV(tb testing.TB, mount, path string, data map[string]any) int {
	tb.Helper()
	answer := s.Do(tb, http.MethodPost, mount+"/data/"+path, map[string]any{"data": data})
	metadata, _ := answer["data"].(map[string]any)
	number, _ := metadata["version"].(json.Number)
	version, err := number.Int64()
	if err != nil {
		tb.Fatalf("vault: no version in the answer to writing %s/%s", mount, path)
	}
	return int(version)
}

// PutKV1 writes a secret of a KV version 1 mount.
func (s *VaultServer) PutKV1(tb testing.TB, mount, path string, data map[string]any) {
	tb.Helper()
	s.Do(tb, http.MethodPost, mount+"/"+path, data)
}

// DeleteKV deletes versions of a KV version 2 secret; they could be undeleted.
func (s *VaultServer) DeleteKV(tb testing.TB, mount, path string, versions ...int) {
	tb.Helper()
	s.Do(tb, http.MethodPost, mount+"/delete/"+path, map[string]any{"versions": versions})
}

// DestroyKV destroys versions of a KV version 2 secret for good.
func (s *VaultServer) DestroyKV(tb testing.TB, mount, path string, versions ...int) {
	tb.Helper()
	s.Do(tb, http.MethodPut, mount+"/destroy/"+path, map[string]any{"versions": versions})
}

// PutMetadata sets the custom metadata of a KV version 2 secret.
func (s *VaultServer) PutMetadata(tb testing.TB, mount, path string, metadata map[string]string) {
	tb.Helper()
	s.Do(tb, http.MethodPost, mount+"/metadata/"+path, map[string]any{"custom_metadata": metadata})
}

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

func uniqueName(kind string) string {
	return kind + "-" + strings.ToLower(rand.Text()[:10])
}
