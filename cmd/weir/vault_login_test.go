package main

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weir-engine/weir/testdata/servers"
)

// TestVaultLogins runs testdata/vault/logins/*.txtar against a real Vault that has a
// login of each kind, for which the script finds the credentials in files. All may read
// $MOUNT/oracle.
func TestVaultLogins(t *testing.T) {
	t.Parallel()
	vault := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := vault.MountKV(t, 2)
	for _, name := range []string{"oracle", "closed"} {
		vault.PutKV(t, mount, name, map[string]any{"user": "scott", "password": "tiger-from-vault"})
	}
	policy := vault.Policy(t, "path \""+mount+"/data/oracle\" { capabilities = [\"read\"] }")
	role := vault.AppRole(t, nil, policy)
	wrapped, again := vault.WrappedSecretID(t, role, time.Hour), vault.WrappedSecretID(t, role, time.Hour)
	exchanged := vault.Wrap(t, map[string]any{"secret_id": role.SecretID})
	people := vault.JWTLogin(t, "weir", policy)
	authority := servers.NewAuthority(t, "clients")
	certificates := vault.CertLogin(t, authority, nil, policy)
	client := authority.Sign(t, servers.CertificateConfig{Name: "weir"})
	expired := authority.Sign(t, servers.CertificateConfig{Name: "weir", Until: time.Now().Add(-time.Hour)})
	vault.Do(t, http.MethodPost, "sys/auth/userpass", map[string]any{"type": "userpass"})
	vault.Do(t, http.MethodPost, "auth/userpass/users/ann", map[string]any{"password": "a-password-of-ann", "token_policies": policy})

	p := params("testdata/vault/logins")
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("ADDRESS", vault.Address)
		e.Setenv("PORT", vault.Address[strings.LastIndex(vault.Address, ":")+1:])
		e.Setenv("MOUNT", mount)
		e.Setenv("POLICY", policy)
		e.Setenv("ROLE_ID", role.RoleID)
		e.Setenv("APPROLE", role.Mount)
		e.Setenv("JWT", people.Mount)
		e.Setenv("CERT", certificates)
		failed := setup(e)
		for file, text := range map[string]string{
			"ca.pem": vault.CACert, "client.pem": client.Cert, "client.key": client.Key, "expired.pem": expired.Cert, "expired.key": expired.Key,
			"secret-id": role.SecretID, "wrapped": wrapped, "again": again, "exchanged": exchanged,
			"jwt": people.Sign(t, "weir", time.Hour), "stranger": people.Sign(t, "stranger", time.Hour), "password": "a-password-of-ann",
			"token": vault.Token(t, servers.TokenConfig{Policies: []string{policy}, TTL: time.Hour}),
			"bare":  vault.Token(t, servers.TokenConfig{Policies: []string{policy}, Bare: true}),
		} {
			failed = errors.Join(failed, os.WriteFile(e.WorkDir+"/"+file, []byte(text+"\n"), 0o600))
		}
		return failed
	}
	testscript.Run(t, p)
}
