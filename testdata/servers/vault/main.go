// Command vault is a real Vault server for tests, as small as one can be built:
// the core and the HTTP handler of HashiCorp's own module, the KV and database
// secrets engines, logins by AppRole, certificate, JWT and password, and file audit
// devices.
//
// It prints one line, "listening on HOST:PORT", as soon as it takes connections,
// logs to standard error, and ends when its standard input does: so no server
// outlives the test binary that started it, however that ended. Initializing and
// unsealing are the caller's, over the API as everywhere else.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	jwt "github.com/hashicorp/vault-plugin-auth-jwt"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/audit"
	auditfile "github.com/hashicorp/vault/builtin/audit/file"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/builtin/logical/database"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address to listen on")
	flag.StringVar(&o.storage, "storage", "", "directory of the storage; empty keeps it in memory")
	flag.StringVar(&o.cert, "tls-cert", "", "certificate chain; empty serves plain HTTP")
	flag.StringVar(&o.key, "tls-key", "", "key of the certificate")
	flag.StringVar(&o.remove, "remove", "", "directory to remove at the end")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // nobody reads the log of the last moments
	err := run(o)
	if o.remove != "" {
		os.RemoveAll(o.remove)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

type options struct{ listen, storage, cert, key, remove string }

// run serves until standard input ends.
func run(o options) error {
	log := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.Debug, Output: os.Stderr})
	store, err := storage(o.storage, log)
	if err != nil {
		return err
	}
	listener, err := listen(o)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:           store,
		Logger:             log,
		DisableMlock:       true,
		BuiltinRegistry:    builtins{},
		LogicalBackends:    secretEngines(),
		CredentialBackends: logins(),
		AuditBackends:      map[string]audit.Factory{"file": auditfile.Factory},
		DefaultLeaseTTL:    time.Hour,
		MaxLeaseTTL:        24 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("make the core: %w", err)
	}
	server := &http.Server{
		Handler:           vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core}),
		ReadHeaderTimeout: time.Minute,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Println("listening on", listener.Addr())

	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		server.Close()
		return core.Shutdown()
	}
}

func storage(dir string, log hclog.Logger) (physical.Backend, error) {
	if dir == "" {
		return inmem.NewInmem(nil, log)
	}
	return file.NewFileBackend(map[string]string{"path": dir}, log)
}

func listen(o options) (net.Listener, error) {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil || o.cert == "" {
		return listener, err
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequestClientCert, // as Vault's own listeners do; the cert login checks it
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	}), nil
}

func secretEngines() map[string]logical.Factory {
	return map[string]logical.Factory{"kv": kv.Factory, "database": database.Factory}
}

func logins() map[string]logical.Factory {
	return map[string]logical.Factory{
		"approle": approle.Factory, "cert": cert.Factory, "jwt": jwt.Factory, "userpass": userpass.Factory,
	}
}

// builtins names the same engines and logins to Vault's plugin catalog, without
// which mounting one panics.
type builtins struct{}

func (builtins) factories(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeSecrets:
		return secretEngines()
	case consts.PluginTypeCredential:
		return logins()
	default:
		return nil
	}
}

func (b builtins) Contains(name string, kind consts.PluginType) bool {
	_, ok := b.factories(kind)[name]
	return ok
}

func (b builtins) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	factory, ok := b.factories(kind)[name]
	return func() (interface{}, error) { return factory, nil }, ok
}

func (b builtins) Keys(kind consts.PluginType) []string {
	var names []string
	for name := range b.factories(kind) {
		names = append(names, name)
	}
	return names
}

func (b builtins) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func (b builtins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
