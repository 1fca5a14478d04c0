package vaultint_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

func TestWhatIsWrongWithASecret(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	for range 3 {
		server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	}
	server.DeleteKV(t, mount, "oracle", 2)
	server.DestroyKV(t, mount, "oracle", 1)
	server.PutKV(t, mount, "gone", map[string]any{"password": canary})
	server.DeleteKV(t, mount, "gone", 1)
	v1 := server.MountKV(t, 1)
	server.PutKV1(t, v1, "oracle", map[string]any{"password": canary})
	client := newClient(t, withToken(server, server.RootToken))

	tests := map[string]struct {
		ref    secret.Ref
		reason secret.Reason
		part   string
	}{
		"no such secret":    {secret.Ref{Path: mount + "/orakle"}, secret.NotFound, "no secret at " + mount + "/data/orakle"},
		"no such mount":     {secret.Ref{Path: "nowhere/oracle"}, secret.NotFound, "nowhere/data/oracle"},
		"no such version":   {secret.Ref{Path: mount + "/oracle", Version: 9}, secret.NotFound, "version 9 does not exist; the newest is 3"},
		"version deleted":   {secret.Ref{Path: mount + "/oracle", Version: 2}, secret.Deleted, "version 2 was deleted at 20"},
		"version destroyed": {secret.Ref{Path: mount + "/oracle", Version: 1}, secret.Destroyed, "version 1 was destroyed"},
		"newest deleted":    {secret.Ref{Path: mount + "/gone"}, secret.Deleted, "vault kv undelete -mount=" + mount + " -versions=1 gone"},
		"KV 1 pinned":       {secret.Ref{Path: v1 + "/oracle", Version: 1}, secret.Invalid, "keeps no versions"},
		"KV 1 with data":    {secret.Ref{Path: v1 + "/data/oracle"}, secret.NotFound, "KV version 1"},
		"negative version":  {secret.Ref{Path: mount + "/oracle", Version: -1}, secret.Invalid, "negative"},
		"no path":           {secret.Ref{}, secret.Invalid, "names no secret"},
		"only a mount":      {secret.Ref{Path: mount + "/"}, secret.Invalid, "names no secret"},
		"mount apart alone": {secret.Ref{Mount: "a/b", Path: "/"}, secret.Invalid, "names no secret"},
		"dots":              {secret.Ref{Path: mount + "/../sys/oracle"}, secret.Invalid, "segment"},
		"control character": {secret.Ref{Path: mount + "/a\nb"}, secret.Invalid, "control character"},
		"own token":         {secret.Ref{Path: "auth/token/lookup-self"}, secret.Invalid, "no secrets for tasks"},
		"in a namespace":    {secret.Ref{Path: "team/auth/token/lookup"}, secret.Invalid, "no secrets for tasks"},
		"system":            {secret.Ref{Mount: "sys", Path: "health"}, secret.Invalid, "no secrets for tasks"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.ReadSecret(t.Context(), test.ref)
			failed := wantFailure(t, err, test.reason, test.part, server.RootToken)
			if failed.Ref.Path != test.ref.Path {
				t.Errorf("got the path %q, want %q", failed.Ref.Path, test.ref.Path)
			}
		})
	}
}

func TestDeniedNamesThePolicy(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "other/oracle", map[string]any{"password": canary})
	policy := server.Policy(t, mayRead(mount+"/data/team/*"))
	for _, bare := range []bool{false, true} {
		token := server.Token(t, servers.TokenConfig{Policies: []string{policy}, Bare: bare})
		for _, path := range []string{mount + "/data/other/oracle", mount + "/other/oracle"} {
			_, err := newClient(t, withToken(server, token)).ReadSecret(t.Context(), secret.Ref{Path: path})
			wantFailure(t, err, secret.Denied, mayRead(mount+"/data/other/oracle"), token)
		}
	}
	// Nothing below this mount may be read, so that Vault does not even tell of it.
	foreign := server.MountKV(t, 2)
	token := server.Token(t, servers.TokenConfig{Policies: []string{policy}})
	_, err := newClient(t, withToken(server, token)).ReadSecret(t.Context(), secret.Ref{Path: foreign + "/oracle", Version: 2})
	wantFailure(t, err, secret.Denied, mayRead(foreign+"/data/oracle"), token)
}

func TestTokenIsNotAccepted(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	policies := []string{server.Policy(t, mayRead(mount+"/data/*"))}
	ref := secret.Ref{Path: mount + "/oracle"}

	t.Run("mistyped", func(t *testing.T) {
		t.Parallel()
		_, err := newClient(t, withToken(server, "hvs."+canary)).ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.LoginFailed, "does not accept the token")
	})
	t.Run("revoked", func(t *testing.T) {
		t.Parallel()
		token := server.Token(t, servers.TokenConfig{Policies: policies})
		client := newClient(t, withToken(server, token))
		read(t, client, ref)
		server.RevokeToken(t, token)
		_, err := client.ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.LoginFailed, "does not accept the token", token)
	})
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		token := server.Token(t, servers.TokenConfig{Policies: policies, TTL: time.Second, Bare: true})
		client := newClient(t, withToken(server, token))
		var err error
		for err == nil {
			_, err = client.ReadSecret(t.Context(), ref)
		}
		wantFailure(t, err, secret.LoginFailed, "does not accept the token", token)
	})
}

func TestSealed(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	ref := secret.Ref{Path: mount + "/oracle"}
	byRole, byToken := newClient(t, withRole(server, role)), newClient(t, withToken(server, server.RootToken))
	read(t, byToken, ref)

	server.Seal(t)
	for _, client := range []*vaultint.Client{byRole, byToken} {
		_, err := client.ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.Sealed, "is sealed", server.RootToken, role.SecretID)
	}
	server.Unseal(t)
	read(t, byRole, ref)
	read(t, byToken, ref)
}

func TestVaultRestarts(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{Persistent: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	client := newClient(t, withToken(server, server.RootToken))
	ref := secret.Ref{Path: mount + "/oracle"}
	read(t, client, ref)

	server.Kill(t)
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "connection refused", server.RootToken)
	server.Restart(t)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Sealed, "is sealed", server.RootToken)
	server.Unseal(t)
	read(t, client, ref)
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	config := vaultint.Config{
		Address: "http://" + silent.Addr().String(),
		Timeout: 200 * time.Millisecond,
		Auth:    vaultint.Auth{Method: vaultint.MethodAppRole, RoleID: "role", SecretID: secret.New(canary)},
	}
	ref := secret.Ref{Path: "secret/oracle"}
	_, err = newClient(t, config).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.TimedOut, "no answer from "+config.Address+" within 200ms")
	config.Auth = vaultint.Auth{Method: vaultint.MethodToken, Token: secret.New(canary)}
	_, err = newClient(t, config).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.TimedOut, "within 200ms")

	// The caller's own end is the caller's own error.
	config.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = newClient(t, config).ReadSecret(ctx, ref)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"password": canary})
	ref := secret.Ref{Path: mount + "/oracle"}
	trusted := withToken(server, server.RootToken)
	read(t, newClient(t, trusted), ref)
	named := trusted
	named.TLSServerName = "vault.test"
	read(t, newClient(t, named), ref)

	tests := map[string]struct {
		change func(*vaultint.Config)
		part   string
	}{
		"unknown authority": {func(c *vaultint.Config) { c.CACert = "" }, "signed by an unknown authority"},
		"wrong name":        {func(c *vaultint.Config) { c.TLSServerName = "oracle.test" }, `is not for "oracle.test" but for localhost, vault.test, 127.0.0.1`},
		"http to https": {func(c *vaultint.Config) { c.Address = strings.Replace(c.Address, "https", "http", 1) },
			"start with https:// rather than http://"},
		"https to http": {func(c *vaultint.Config) { c.Address = strings.Replace(servers.Vault(t).Address, "http", "https", 1) },
			"does not speak TLS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := trusted
			test.change(&config)
			_, err := newClient(t, config).ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.Unreachable, test.part, server.RootToken)
		})
	}
}

// What answers is something else than Vault, or Vault in trouble. The bodies repeat
// what was sent, as a careless proxy might.
func TestStrangeAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		reason secret.Reason
		part   string
	}{
		"a web page":         {200, "<html>" + canary + "</html>", secret.Unreachable, "does not answer like a vault"},
		"a missing page":     {404, "<html>" + canary + "</html>", secret.Unreachable, "not in the words of vault"},
		"a gateway":          {502, "token " + canary, secret.Unreachable, "answered 502"},
		"a forbidding proxy": {403, canary, secret.Unreachable, "answered 403"},
		"an echo":            {500, `{"errors":["failed with ` + canary + `"]}`, secret.Unreachable, "failed with ***"},
		"quota":              {429, `{"errors":["request path: rate limit quota exceeded"]}`, secret.Unreachable, "rate limit"},
		"no vault JSON":      {200, `{"data":[1]}`, secret.Unreachable, "does not answer like a vault"},
		"nothing":            {200, ``, secret.Unreachable, "does not answer like a vault"},
		"an odd request":     {400, `{"errors":["odd"]}`, secret.Invalid, "vault answered 400: odd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withToken(servers.Vault(t), canary)
			config.Mounts = map[string]int{"secret": 2}
			config.Address = front(t, servers.Vault(t), func(w http.ResponseWriter, _ *http.Request) bool {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
				return true
			})
			_, err := newClient(t, config).ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
			wantFailure(t, err, test.reason, test.part)
		})
	}
}

func TestUnresolvableHost(t *testing.T) {
	t.Parallel()
	config := vaultint.Config{
		Address: "https://vault.invalid",
		Auth:    vaultint.Auth{Method: vaultint.MethodToken, Token: secret.New(canary)},
	}
	_, err := newClient(t, config).ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
	wantFailure(t, err, secret.Unreachable, `host "vault.invalid" of https://vault.invalid cannot be resolved`)
}

func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	config := withToken(servers.Vault(t), canary)
	config.Timeout = time.Minute // what ends it must be its size
	config.Address = front(t, servers.Vault(t), func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, `{"data":{"key":"`)
		piece := strings.Repeat("x", 1<<20)
		for range 128 {
			if _, err := io.WriteString(w, piece); err != nil {
				return true
			}
		}
		_, _ = io.WriteString(w, `"}}`)
		return true
	})
	config.Mounts = map[string]int{"secret": 1}
	_, err := newClient(t, config).ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
	wantFailure(t, err, secret.Unreachable, "does not answer like a vault")
}

func TestConfigurationIsWrong(t *testing.T) {
	t.Parallel()
	token := vaultint.Auth{Method: vaultint.MethodToken, Token: secret.New("hvs." + canary)}
	address := "http://127.0.0.1:8200"
	tests := map[string]struct {
		config vaultint.Config
		want   string
	}{
		"nothing":       {vaultint.Config{}, "address is not like https://vault.example.com:8200\nauth method is missing"},
		"no scheme":     {vaultint.Config{Address: "vault:8200", Auth: token}, "address is not like"},
		"no URL":        {vaultint.Config{Address: "http://a b" + canary, Auth: token}, "address is not a URL"},
		"password":      {vaultint.Config{Address: "http://u:" + canary + "@vault", Auth: token}, "must not hold a user or password"},
		"query":         {vaultint.Config{Address: "http://vault?a=" + canary, Auth: token}, "must not hold a query"},
		"no PEM":        {vaultint.Config{Address: address, CACert: canary, Auth: token}, "ca_cert holds no PEM certificate"},
		"timeout":       {vaultint.Config{Address: address, Timeout: -1, Auth: token}, "timeout is negative"},
		"rate":          {vaultint.Config{Address: address, RateLimit: math.NaN(), Auth: token}, "rate_limit is not a number up to 1,000,000"},
		"KV version":    {vaultint.Config{Address: address, Mounts: map[string]int{"kv": 3}, Auth: token}, "kv: KV version 3 is neither 1 nor 2"},
		"no token":      {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodToken}}, "auth method token needs token"},
		"odd token":     {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodToken, Token: secret.New("a\n" + canary)}}, "token holds white space"},
		"no token file": {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodTokenFile}}, "needs token_file"},
		"no role":       {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodAppRole}}, "needs role_id"},
		"no user":       {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodUserpass}}, "needs username"},
		"odd user":      {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodUserpass, Username: "../x"}}, "username must not be"},
		"no password":   {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodUserpass, Username: "x"}}, "needs password"},
		"no pod role":   {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodKubernetes}}, "needs role"},
		"no JWT":        {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: vaultint.MethodJWT}}, "needs jwt_file"},
		"odd method":    {vaultint.Config{Address: address, Auth: vaultint.Auth{Method: "ldap"}}, `auth method "ldap" is not token, token_file, approle, userpass, kubernetes, jwt or cert`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := vaultint.New(test.config)
			if err == nil || !strings.Contains(err.Error(), `vault configuration "default": `) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error about the default configuration with %q", err, test.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, test.config), canary) && name != "no PEM" && !strings.Contains(test.config.Address, canary) {
				t.Errorf("a secret is shown: %v", err)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("a secret is shown: %v", err)
			}
		})
	}
}
