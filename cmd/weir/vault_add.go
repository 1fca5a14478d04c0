package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/vaultint"
)

// vaultFlags are the parts of a Vault configuration as flags give them.
type vaultFlags struct {
	address, namespace, loginNamespace, caCertFile, tlsServerName string
	auth, mount, tokenFile, roleID, secretIDFile, file            string
	kv                                                            []string
	timeout                                                       time.Duration
	cacheTTL, rateLimit, tolerate                                 string
	username, passwordFile, role, jwtFile                         string
	replace                                                       bool
}

func newVaultAdd(a *app) *cobra.Command {
	var given vaultFlags
	cmd := &cobra.Command{
		Use:   "add NAME --address URL [--auth METHOD ...] | add NAME --file FILE",
		Short: "Store the configuration of a Vault, encrypted",
		Long: `Store how to reach a Vault and log in to it. Tokens and secret ids are never taken from the command
line, where others can read them: they come from a file, from stdin ("-"), or weir asks.

  --auth token       a token, read now from --token-file, or asked for; it is stored encrypted
  --auth token_file  the file of --token-file is read at each use, as an agent renews it
  --auth approle     --role-id, and a secret id, read now from --secret-id-file, or asked for
  --auth userpass    --username, and a password, read now from --password-file, or asked for
  --auth kubernetes  --role; the pod's own token, or that of --jwt-file, is read at each login
  --auth jwt         the file of --jwt-file is read at each login; --role unless the mount has a default

With --file, a YAML file of secrets stands in for a Vault in development.`,
		Example: `  weir vault add default --address https://vault.example.com:8200 --auth token_file --token-file ~/.vault-token
  weir vault add team --address https://vault.example.com:8200 --role-id weir --secret-id-file secret-id`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tree, err := a.vaultTree(cmd.Context(), args[0], given)
			if err != nil {
				return err
			}
			return a.addVault(cmd.Context(), args[0], tree, given.replace)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&given.address, "address", "", "URL of the Vault")
	flags.StringVar(&given.namespace, "namespace", "", "namespace where secrets are read")
	flags.StringVar(&given.loginNamespace, "login-namespace", "", "namespace of the login, if it is another")
	flags.StringVar(&given.caCertFile, "ca-cert-file", "", "PEM file of the authorities to trust; it is read now")
	flags.StringVar(&given.tlsServerName, "tls-server-name", "", "name to expect in the server's certificate")
	flags.DurationVar(&given.timeout, "timeout", 0, "bound of one read (10s)")
	flags.StringVar(&given.cacheTTL, "cache-ttl", "", "for how long a secret is kept, 0 for not at all (30s)")
	flags.StringVar(&given.tolerate, "tolerate", "", "how old a secret may be in an outage, such as 10m; without it, an outage is an error")
	flags.StringVar(&given.rateLimit, "rate-limit", "", "how many reads a second may go to the Vault, 0 for no limit (100)")
	flags.StringVar(&given.auth, "auth", "", "token, token_file, approle, userpass, kubernetes or jwt; by default what the other flags suggest")
	flags.StringVar(&given.mount, "mount", "", "path of the login below auth/, if it is not the method's name")
	flags.StringVar(&given.tokenFile, "token-file", "", "file of the token")
	flags.StringVar(&given.roleID, "role-id", "", "role id, for approle")
	flags.StringVar(&given.secretIDFile, "secret-id-file", "", "file of the secret id, for approle; none for a role without one")
	flags.StringVar(&given.username, "username", "", "user name, for userpass")
	flags.StringVar(&given.passwordFile, "password-file", "", "file of the password, for userpass")
	flags.StringVar(&given.role, "role", "", "role, for kubernetes and jwt")
	flags.StringVar(&given.jwtFile, "jwt-file", "", "file of the signed token, for kubernetes and jwt")
	flags.StringArrayVar(&given.kv, "kv", nil, "KV version of a mount, mount=1 or mount=2, if it cannot be found out; repeatable")
	flags.StringVar(&given.file, "file", "", "file of secrets, in place of a Vault")
	flags.BoolVar(&given.replace, "replace", false, "replace a configuration of the same name")
	cmd.MarkFlagsMutuallyExclusive("file", "address")
	return cmd
}

// vaultTree gives the configuration as it is stored.
func (a *app) vaultTree(ctx context.Context, name string, given vaultFlags) (map[string]any, error) {
	if !connections.ValidName(name) {
		return nil, hintedInvalid("", "name %q: it is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", name)
	}
	if given.file != "" {
		return fileSourceTree(ctx, name, given.file)
	}
	if given.address == "" {
		return nil, &usageError{errors.New("give --address, or --file for development")}
	}
	tree := map[string]any{"name": name}
	put := func(key, text string) {
		if text != "" {
			tree[key] = text
		}
	}
	put("address", given.address)
	put("namespace", given.namespace)
	put("login_namespace", given.loginNamespace)
	put("tls_server_name", given.tlsServerName)
	put("auth_mount", given.mount)
	put("role_id", given.roleID)
	put("username", given.username)
	put("role", given.role)
	put("cache_ttl", given.cacheTTL)
	put("rate_limit", given.rateLimit)
	put("tolerate", given.tolerate)
	if given.timeout != 0 {
		tree["timeout"] = given.timeout.String()
	}
	if given.caCertFile != "" {
		text, err := readLimited(given.caCertFile, a.in)
		if err != nil {
			return nil, err
		}
		tree["ca_cert"] = string(text)
	}
	mounts := map[string]any{}
	for _, pair := range given.kv {
		path, version, err := keyValue("--kv", pair)
		if err != nil {
			return nil, err
		}
		number, err := strconv.Atoi(version)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--kv %s: the version is 1 or 2", pair)}
		}
		mounts[path] = number
	}
	if len(mounts) > 0 {
		tree["mounts"] = mounts
	}
	return tree, a.putLogin(ctx, tree, given)
}

func fileSourceTree(ctx context.Context, name, file string) (map[string]any, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if err := checkSecretFile(ctx, path); err != nil {
		return nil, err
	}
	return map[string]any{"name": name, "file": path}, nil
}

// putLogin adds how to log in, with the secrets for it.
func (a *app) putLogin(ctx context.Context, tree map[string]any, given vaultFlags) (err error) {
	method := vaultint.Method(given.auth)
	switch {
	case method != "":
	case given.roleID != "":
		method = vaultint.MethodAppRole
	case given.username != "":
		method = vaultint.MethodUserpass
	case given.tokenFile != "" && given.tokenFile != "-":
		method = vaultint.MethodTokenFile
	default:
		method = vaultint.MethodToken
	}
	tree["auth"] = string(method)
	switch method {
	case vaultint.MethodToken:
		tree["token"], err = a.secretFrom(ctx, given.tokenFile, "token", "give --token-file FILE, or - for stdin")
	case vaultint.MethodTokenFile:
		if given.tokenFile == "" {
			return &usageError{errors.New("--auth token_file needs --token-file")}
		}
		tree["token_file"], err = filepath.Abs(given.tokenFile)
	case vaultint.MethodAppRole:
		if given.roleID == "" {
			return &usageError{errors.New("--auth approle needs --role-id")}
		}
		if given.secretIDFile != "" || a.interactive() {
			tree["secret_id"], err = a.secretFrom(ctx, given.secretIDFile, "secret id", "give --secret-id-file FILE, or - for stdin")
		}
	case vaultint.MethodUserpass:
		if given.username == "" {
			return &usageError{errors.New("--auth userpass needs --username")}
		}
		tree["password"], err = a.secretFrom(ctx, given.passwordFile, "password", "give --password-file FILE, or - for stdin")
	case vaultint.MethodKubernetes, vaultint.MethodJWT:
		if given.jwtFile != "" {
			tree["jwt_file"], err = filepath.Abs(given.jwtFile)
		}
	default:
		return &usageError{fmt.Errorf("--auth %q: it is token, token_file, approle, userpass, kubernetes or jwt", given.auth)}
	}
	return err
}

// secretFrom reads a secret from a file, or asks for it.
func (a *app) secretFrom(ctx context.Context, file, what, instead string) (string, error) {
	if file != "" {
		return a.readSecretFile(file)
	}
	return a.askSecret(ctx, what, instead)
}

// addVault checks and stores a configuration.
func (a *app) addVault(ctx context.Context, name string, tree map[string]any, replace bool) error {
	text, err := schema.Encode(tree)
	if err != nil {
		return err
	}
	node, err := schema.NodeOf(tree)
	if err != nil {
		return err
	}
	source, err := decodeSecretSource(node, "store")
	if err != nil {
		return err
	}
	if source.file == "" {
		client, err := vaultint.New(source.vault)
		if err != nil {
			return &engine.Error{Kind: engine.Invalid, Message: err.Error()}
		}
		client.Close()
	}
	store, err := a.store(ctx)
	if err != nil {
		return err
	}
	documents := store.Documents(vaultDocuments)
	if replace {
		err = documents.Put(ctx, localOwner, name, string(text))
	} else {
		err = documents.Create(ctx, localOwner, name, string(text))
	}
	var failure *engine.Error
	if errors.As(err, &failure) && failure.Kind == engine.Conflict {
		return &engine.Error{
			Kind:    engine.Conflict,
			Message: fmt.Sprintf("Vault configuration %q exists already", name),
			Hint:    "give --replace to replace it; see: weir vault show " + name,
		}
	}
	if err != nil {
		return err
	}
	if used, err := a.secretSource(ctx, name); err == nil && used.origin != "store" {
		a.say("warning: %s hides the stored Vault configuration %q", used.origin, name)
	}
	a.say("try it: weir vault test %s --path secret/...", name)
	return a.print(map[string]any{"name": name, "result": "stored"}, func(t *table) { t.row("stored", name) })
}
