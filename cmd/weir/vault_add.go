package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/vaultint"
)

func newVaultAdd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME --address URL [--auth METHOD ...] | add NAME --file FILE",
		Short: "Store the configuration of a Vault, encrypted",
		Long: `Store how to reach a Vault and log in to it. Tokens, secret ids and keys are never taken from the command
line, where others can read them: they come from a file, from stdin ("-"), or weir asks.

  --auth token       a token, read now from --token-file, or asked for
  --auth token_file  the file of --token-file is read at each use, as an agent renews it
  --auth approle     --role-id, and a secret id, read now from --secret-id-file, or asked for
  --auth userpass    --username, and a password, read now from --password-file, or asked for
  --auth kubernetes  --role; the pod's own token, or that of --jwt-file, is read at each login
  --auth jwt         the file of --jwt-file is read at each login; --role unless the mount has a default
  --auth cert        --client-cert-file and --client-key-file, read now; --role unless any that fits will do

What is read now is stored encrypted. With --reread, the files of token, secret id, client certificate and key
are read again whenever they are needed instead, so that whoever renews them has nothing else to do.

With --wrapped, the file of the secret id holds a wrapping token, which is unwrapped now, and the secret id is
stored. With --reread too, nothing is stored, and each start of weir needs a new wrapping token in the file.

With --file, a YAML file of secrets stands in for a Vault in development.`,
		Example: `  weir vault add default --address https://vault.example.com:8200 --auth token_file --token-file ~/.vault-token
  weir vault add team --address https://vault.example.com:8200 --role-id weir --secret-id-file secret-id`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := vaultFlags{cmd}
			added, err := a.newVaultConfig(cmd.Context(), args[0], given)
			if err != nil {
				return err
			}
			return a.addVault(cmd.Context(), args[0], added, given.is("replace"))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, setting := range new(secretSource).settings() {
		switch setting.at.(type) {
		case *bool:
			flags.Bool(setting.flag, false, setting.usage())
		case *map[string]int:
			flags.StringArray(setting.flag, nil, setting.usage()+": MOUNT=1 or MOUNT=2; repeatable")
		default:
			if setting.flag != "" {
				flags.String(setting.flag, "", setting.usage())
			}
		}
	}
	flags.Bool("reread", false, "read these files again when they are needed, and store nothing of them")
	flags.Bool("replace", false, "replace a configuration of the same name")
	cmd.MarkFlagsMutuallyExclusive("file", "address")
	return cmd
}

// vaultFlags are the parts of a Vault configuration as flags give them.
type vaultFlags struct{ cmd *cobra.Command }

func (f vaultFlags) text(flag string) string {
	text, _ := f.cmd.Flags().GetString(flag)
	return text
}

func (f vaultFlags) is(flag string) bool {
	set, _ := f.cmd.Flags().GetBool(flag)
	return set
}

// method is how to log in: as the flags say or else suggest.
func (f vaultFlags) method() vaultint.Method {
	switch method := vaultint.Method(f.text("auth")); {
	case method != "" && !slices.Contains(vaultint.Methods(), method):
		return ""
	case method == vaultint.MethodToken && f.is("reread"):
		return vaultint.MethodTokenFile
	case method != "":
		return method
	case f.text("role-id") != "":
		return vaultint.MethodAppRole
	case f.text("username") != "":
		return vaultint.MethodUserpass
	case f.text("token-file") != "" && f.text("token-file") != "-":
		return vaultint.MethodTokenFile
	case f.text("client-cert-file") != "" && f.text("token-file") == "":
		return vaultint.MethodCert
	}
	return vaultint.MethodToken
}

// vaultConfig is a configuration that is to be stored.
type vaultConfig struct {
	tree     map[string]any
	wrapping string // the token behind which its secret id is; empty if it has it
}

func (a *app) newVaultConfig(ctx context.Context, name string, given vaultFlags) (vaultConfig, error) {
	config := vaultConfig{tree: map[string]any{"name": name}}
	if !connections.ValidName(name) {
		return config, hintedInvalid("", "name %q: it is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", name)
	}
	switch file := given.text("file"); {
	case file == "" && given.text("address") == "":
		return config, &usageError{errors.New("give --address, or --file for development")}
	case file != "":
		path, err := filepath.Abs(file)
		config.tree["file"] = path
		return config, errors.Join(err, checkSecretFile(ctx, path))
	}
	method := given.method()
	if method == "" {
		return config, &usageError{fmt.Errorf("--auth %q: it is %s", given.text("auth"), vaultint.MethodNames())}
	}
	reread := given.is("reread") || method == vaultint.MethodTokenFile
	for _, setting := range new(secretSource).settings() {
		if err := a.putSetting(config.tree, setting, given, reread); err != nil {
			return config, err
		}
	}
	config.tree["auth"] = string(method)
	if err := a.askLogin(ctx, config.tree, method, given); err != nil {
		return config, err
	}
	if secretID, ok := config.tree["secret_id"].(string); ok && given.is("wrapped") {
		config.wrapping = secretID
		delete(config.tree, "secret_id")
		delete(config.tree, "secret_id_wrapped")
	}
	return config, nil
}

// putSetting adds what the flag of a setting gives.
func (a *app) putSetting(tree map[string]any, setting vaultSetting, given vaultFlags, reread bool) error {
	if setting.flag == "" || !given.cmd.Flags().Changed(setting.flag) {
		return nil
	}
	text := given.text(setting.flag)
	_, rereadable := secretSourceFields().Field(setting.Name + "_file")
	var err error
	switch _, isSecret := setting.at.(*secret.Value); {
	case setting.flag == "kv":
		tree[setting.Name], err = given.mounts()
	case setting.flag == "wrapped":
		tree[setting.Name] = given.is("wrapped")
	case text == "":
	case setting.from == asTyped:
		tree[setting.Name] = text
	case setting.from == asPath:
		tree[setting.Name], err = filepath.Abs(text)
	case rereadable && reread && text == "-":
		err = &usageError{fmt.Errorf("--%s -: stdin cannot be read again", setting.flag)}
	case rereadable && reread:
		tree[setting.Name+"_file"], err = filepath.Abs(text)
	case isSecret && setting.Name != "client_cert": // which is shown to everybody
		tree[setting.Name], err = a.readSecretFile(text)
	default:
		var held []byte
		held, err = readLimited(text, a.in)
		tree[setting.Name] = string(held)
	}
	return err
}

// mounts gives the KV versions of mounts.
func (f vaultFlags) mounts() (map[string]any, error) {
	pairs, err := f.cmd.Flags().GetStringArray("kv")
	mounts := map[string]any{}
	for _, pair := range pairs {
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
	return mounts, err
}

// askLogin asks for the secret of a login that was not given.
func (a *app) askLogin(ctx context.Context, tree map[string]any, method vaultint.Method, given vaultFlags) (err error) {
	needs := func(flag string) error {
		if given.text(flag) != "" {
			return nil
		}
		return &usageError{fmt.Errorf("--auth %s needs --%s", method, flag)}
	}
	ask := func(key, what, flag string) error {
		if given.text(flag) != "" {
			return nil
		}
		tree[key], err = a.askSecret(ctx, what, "give --"+flag+" FILE, or - for stdin")
		return err
	}
	switch method {
	case vaultint.MethodToken:
		return ask("token", "token", "token-file")
	case vaultint.MethodTokenFile:
		return needs("token-file")
	case vaultint.MethodUserpass:
		if err := needs("username"); err != nil {
			return err
		}
		return ask("password", "password", "password-file")
	case vaultint.MethodAppRole:
		what := "secret id"
		if given.is("wrapped") {
			what = "wrapping token"
		}
		if err := needs("role-id"); err != nil || !a.interactive() && !given.is("wrapped") {
			return err // there are roles without a secret id
		}
		return ask("secret_id", what, "secret-id-file")
	case vaultint.MethodCert:
		return errors.Join(needs("client-cert-file"), needs("client-key-file"))
	}
	return nil
}

// addVault checks and stores a configuration.
func (a *app) addVault(ctx context.Context, name string, added vaultConfig, replace bool) error {
	node, err := schema.NodeOf(added.tree)
	if err != nil {
		return err
	}
	source, err := decodeSecretSource(node, "store")
	if err != nil {
		return err
	}
	if done, err := a.onServer(func(c *api.Client) error {
		if err := source.ofMachine(); err != nil {
			return err
		}
		if err := added.complete(ctx, source.vault); err != nil {
			return err
		}
		return a.addVaultRemote(ctx, c, name, added, replace)
	}); done {
		return err
	}
	store, err := a.store(ctx)
	if err != nil {
		return err
	}
	documents := store.Documents(vaultDocuments)
	exists := &engine.Error{
		Kind:    engine.Conflict,
		Message: fmt.Sprintf("Vault configuration %q exists already", name),
		Hint:    "give --replace to replace it; see: weir vault show " + name,
	}
	if _, err := documents.Get(ctx, a.owner, name); err == nil && !replace {
		return exists
	}
	if source.file == "" {
		// Last of all, because a wrapping token can be used once.
		if err := added.complete(ctx, source.vault); err != nil {
			return err
		}
	}
	text, err := schema.Encode(added.tree)
	if err != nil {
		return err
	}
	write := documents.Create
	if replace {
		write = documents.Put
	}
	err = write(ctx, a.owner, name, string(text))
	var failure *engine.Error
	if errors.As(err, &failure) && failure.Kind == engine.Conflict {
		return exists
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

// complete checks the configuration, and unwraps its secret id if need be.
func (c vaultConfig) complete(ctx context.Context, config vaultint.Config) error {
	client, err := vaultint.New(config)
	if err != nil {
		return &engine.Error{Kind: engine.Invalid, Message: err.Error()}
	}
	defer client.Close()
	if c.wrapping == "" {
		return nil
	}
	c.tree["secret_id"], err = client.UnwrapSecretID(ctx, secret.New(c.wrapping))
	var read *secret.ReadError
	if errors.As(err, &read) {
		return &engine.Error{Kind: dispatch.KindOf(err), Message: fmt.Sprintf("unwrap the secret id: %s: %s", read.Reason, read.Detail), Hint: read.Hint}
	}
	return err
}
