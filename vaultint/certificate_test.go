package vaultint_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// withCertificate is the configuration of a program that logs in by certificate.
func withCertificate(server *servers.VaultServer, mount string, pair servers.Certificate) vaultint.Config {
	config := withToken(server, "")
	config.Auth = vaultint.Auth{Method: vaultint.MethodCert, Mount: mount, Role: "weir"}
	config.ClientCert, config.ClientKey = secret.New(pair.Cert), secret.New(pair.Key)
	return config
}

// putPair writes a certificate and its key as whoever renews them does.
func putPair(t *testing.T, dir string, pair servers.Certificate) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	for file, text := range map[string]string{certFile: pair.Cert, keyFile: pair.Key} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestCertificateLogin(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	authority := servers.NewAuthority(t, "clients")
	login := server.CertLogin(t, authority, map[string]any{"allowed_common_names": "weir"}, server.Policy(t, mayRead(mount+"/data/*")))
	pair := authority.Sign(t, servers.CertificateConfig{Name: "weir"})
	ref := secret.Ref{Path: mount + "/oracle"}

	t.Run("texts", func(t *testing.T) {
		t.Parallel()
		config := withCertificate(server, login, pair)
		read(t, newClient(t, config), ref)
		config.Auth.Role = ""
		read(t, newClient(t, config), ref)
		said, _, err := stagesOf(t, config, mount+"/oracle")
		if err != nil || !strings.Contains(said["tls"].Detail, "; client certificate of CN=weir, until 20") {
			t.Errorf("got the stage %+v and %v, want it to name the client certificate", said["tls"], err)
		}
	})
	t.Run("renewed file", func(t *testing.T) {
		t.Parallel()
		config := withCertificate(server, login, servers.Certificate{})
		config.ClientCert, config.ClientKey = secret.Value{}, secret.Value{}
		dir := t.TempDir()
		config.ClientCertFile, config.ClientKeyFile = putPair(t, dir, pair)
		client := newClient(t, config)
		read(t, client, ref)
		// The one that it logged in with is of no use any more.
		putPair(t, dir, authority.Sign(t, servers.CertificateConfig{Name: "weir"}))
		server.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/"+login+"/login", nil)
		read(t, client, ref)
		putPair(t, dir, authority.Sign(t, servers.CertificateConfig{Name: "another"}))
		_, err := client.ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.LoginFailed, "the client certificate is of CN=another, by CN=clients, until 20")
		if err := os.Remove(config.ClientKeyFile); err != nil {
			t.Fatal(err)
		}
		_, err = newClient(t, config).ReadSecret(t.Context(), ref)
		wantFailure(t, err, secret.LoginFailed, "client key file "+config.ClientKeyFile+": no such file or directory")
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		day := 24 * time.Hour
		tests := map[string]struct {
			pair servers.Certificate
			role string
			part string
		}{
			"expired": {authority.Sign(t, servers.CertificateConfig{Name: "weir", Until: time.Now().Add(-time.Hour)}), "weir",
				"the client certificate of CN=weir ended at 20"},
			"too early": {authority.Sign(t, servers.CertificateConfig{Name: "weir", From: time.Now().Add(day), Until: time.Now().Add(2 * day)}), "weir",
				"the client certificate of CN=weir begins at 20"},
			"foreign": {servers.NewAuthority(t, "strangers").Sign(t, servers.CertificateConfig{Name: "weir"}), "weir",
				"the client certificate is of CN=weir, by CN=strangers, until 20"},
			"role": {pair, "none", "cert login at auth/" + login + ": vault answered 400"},
		}
		for name, test := range tests {
			config := withCertificate(server, login, test.pair)
			config.Auth.Role = test.role
			_, err := newClient(t, config).ReadSecret(t.Context(), ref)
			failed := wantFailure(t, err, secret.LoginFailed, test.part, test.pair.Key, test.pair.Cert)
			if wantsRenewal := name == "expired" || name == "too early"; strings.Contains(failed.Hint, "renew the client certificate") != wantsRenewal {
				t.Errorf("%s: got the hint %q", name, failed.Hint)
			}
		}
	})
}

// Vault renews the token of a certificate only for who shows that certificate again.
func TestCertificateTokenIsRenewed(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	authority := servers.NewAuthority(t, "clients")
	login := server.CertLogin(t, authority, map[string]any{"token_ttl": "2s"}, server.Policy(t, mayRead(mount+"/data/*")))
	client := newClient(t, withCertificate(server, login, authority.Sign(t, servers.CertificateConfig{Name: "weir"})))
	read(t, client, secret.Ref{Path: mount + "/oracle"})
	waitFor(t, "two renewals", func() bool { return client.Stats().Renewals >= 2 })
	if got := client.Stats().Logins; got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

// Some servers let nobody connect without a certificate. What stands in for one is a
// TLS front of a Vault.
func TestServerWantsACertificate(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	authority := servers.NewAuthority(t, "company")
	address := frontTLS(t, vault, authority, servers.CertificateConfig{}, func(config *tls.Config) {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM([]byte(authority.PEM))
	})
	ref := secret.Ref{Path: "secret/oracle"}
	config := withToken(vault, vault.RootToken)
	config.Address, config.CACert = address, authority.PEM
	_, err := newClient(t, config).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "the server wants a client certificate")

	with := func(pair servers.Certificate) vaultint.Config {
		config.ClientCert, config.ClientKey = secret.New(pair.Cert), secret.New(pair.Key)
		return config
	}
	expired := authority.Sign(t, servers.CertificateConfig{Name: "weir", Until: time.Now().Add(-time.Hour)})
	_, err = newClient(t, with(expired)).ReadSecret(t.Context(), ref)
	failed := wantFailure(t, err, secret.Unreachable, "the client certificate of CN=weir ended at 20")
	if !strings.Contains(failed.Hint, "renew the client certificate") {
		t.Errorf("got the hint %q", failed.Hint)
	}
	_, err = newClient(t, with(authority.Sign(t, servers.CertificateConfig{Name: "weir"}))).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.NotFound, "no secret at secret/data/oracle")
}

// frontTLS is a TLS server before Vault, with a certificate of the authority.
func frontTLS(t *testing.T, vault *servers.VaultServer, authority *servers.Authority, leaf servers.CertificateConfig, change func(*tls.Config)) string {
	t.Helper()
	target, err := url.Parse(vault.Address)
	if err != nil {
		t.Fatal(err)
	}
	leaf.Name, leaf.Hosts = "vault.test", []string{"127.0.0.1", "vault.test"}
	signed := authority.Sign(t, leaf)
	pair, err := tls.X509KeyPair([]byte(signed.Cert), []byte(signed.Key))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(target))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if change != nil {
		change(server.TLS)
	}
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// The server's certificate has ended, or has not begun, or only seems so to a machine
// whose clock is wrong.
func TestServerCertificateIsOutsideItsLife(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	authority := servers.NewAuthority(t, "company")
	day := 24 * time.Hour
	tests := map[string]struct {
		leaf  servers.CertificateConfig
		ahead time.Duration // of the machine's clock
		part  string
	}{
		"ended":        {servers.CertificateConfig{Until: time.Now().Add(-time.Hour)}, 0, "of CN=vault.test, ended at 20"},
		"not begun":    {servers.CertificateConfig{From: time.Now().Add(time.Hour), Until: time.Now().Add(day)}, 0, "of CN=vault.test, begins at 20"},
		"clock ahead":  {servers.CertificateConfig{}, 30 * time.Hour, "of CN=vault.test, ended at 20"},
		"clock behind": {servers.CertificateConfig{}, -30 * time.Hour, "of CN=vault.test, begins at 20"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withToken(vault, vault.RootToken)
			config.Address, config.CACert = frontTLS(t, vault, authority, test.leaf, nil), authority.PEM
			config.Now = func() time.Time { return time.Now().Add(test.ahead) }
			_, err := newClient(t, config).ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
			failed := wantFailure(t, err, secret.Unreachable, test.part, vault.RootToken)
			if !strings.Contains(failed.Detail, "by the clock of this machine it is 20") || !strings.Contains(failed.Hint, "unless the clock of this machine is wrong") {
				t.Errorf("got %q and the hint %q, want both to name the clock", failed.Detail, failed.Hint)
			}
		})
	}
}

// The server gets a certificate of another authority while the client runs: one that is
// in the configured bundle already, and one that is not.
func TestServerCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true, Persistent: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	next := servers.NewAuthority(t, "next authority")
	config := withRole(server, role)
	short := newClient(t, config)
	config.CACert += next.PEM
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	read(t, client, ref)
	read(t, short, ref)

	server.Kill(t)
	server.ReplaceCertificate(t, next, servers.CertificateConfig{Name: "vault.test, renewed"})
	server.Restart(t)
	server.Unseal(t)
	read(t, client, ref)
	_, err := short.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, `of CN=vault.test\, renewed until 20`, role.SecretID)
	_, err = short.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "is signed by an unknown authority, CN=next authority", role.SecretID)
	if got := client.Stats().Logins; got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}

func TestCertificateConfigurationIsWrong(t *testing.T) {
	t.Parallel()
	authority := servers.NewAuthority(t, "clients")
	pair, other := authority.Sign(t, servers.CertificateConfig{Name: "weir"}), authority.Sign(t, servers.CertificateConfig{Name: "weir"})
	tests := map[string]struct {
		change func(*vaultint.Config)
		want   string
	}{
		"nothing":       {func(c *vaultint.Config) { c.ClientCert, c.ClientKey = secret.Value{}, secret.Value{} }, "auth method cert needs client_cert and client_key"},
		"no key":        {func(c *vaultint.Config) { c.ClientKey = secret.Value{} }, "failed to find any PEM data in key input"},
		"another's key": {func(c *vaultint.Config) { c.ClientKey = secret.New(other.Key) }, "private key does not match public key"},
		"no PEM":        {func(c *vaultint.Config) { c.ClientKey = secret.New(canary) }, "failed to find any PEM data"},
		"encrypted":     {func(c *vaultint.Config) { c.ClientKey = secret.New("-----BEGIN ENCRYPTED PRIVATE KEY-----" + canary) }, "the key is encrypted"},
		"text and file": {func(c *vaultint.Config) { c.ClientKeyFile = "key.pem" }, "as texts and as files"},
		"one of two": {func(c *vaultint.Config) {
			c.ClientCert, c.ClientKey, c.ClientKeyFile = secret.Value{}, secret.Value{}, "key.pem"
		}, "belong together"},
		"no TLS": {func(c *vaultint.Config) { c.Address = "http://127.0.0.1:8200" }, "needs an address with https://"},
		"approle, twice": {func(c *vaultint.Config) {
			c.Auth = vaultint.Auth{Method: vaultint.MethodAppRole, RoleID: "r", SecretID: secret.New(canary), SecretIDFile: "f"}
		}, "one of the two is enough"},
		"no file": {func(c *vaultint.Config) {
			c.Auth = vaultint.Auth{Method: vaultint.MethodAppRole, RoleID: "r", SecretIDWrapped: true}
		}, "needs secret_id_file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := vaultint.Config{
				Address: "https://127.0.0.1:8200", Auth: vaultint.Auth{Method: vaultint.MethodCert},
				ClientCert: secret.New(pair.Cert), ClientKey: secret.New(pair.Key),
			}
			test.change(&config)
			_, err := vaultint.New(config)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, want %q in it and no secret", err, test.want)
			}
		})
	}
}
