package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/vaultint"
)

// secretSource is a named source of secrets: a Vault, or a file for development.
type secretSource struct {
	name   string
	origin string          // "--secrets", "vaults.yaml:3", "store" or "environment"
	file   string          // of secrets; empty for a Vault
	vault  vaultint.Config // if file is empty
}

// secretSourceFields describes a Vault configuration as files and the store hold it.
func secretSourceFields() schema.Object {
	text := func(name, doc string) schema.Field {
		return schema.Field{Name: name, Type: schema.String, Public: true, Doc: doc}
	}
	token := schema.Field{Name: "token", Type: schema.String, Sensitive: true, Doc: "The token, for auth token."}
	secretID := schema.Field{Name: "secret_id", Type: schema.String, Sensitive: true, Doc: "The secret id, for auth approle."}
	password := schema.Field{Name: "password", Type: schema.String, Sensitive: true, Doc: "The password, for auth userpass."}
	return schema.Object{
		Fields: []schema.Field{
			{Name: "name", Type: schema.String, Required: true, Public: true, Doc: `What references call it; "default" unless they say another.`},
			text("address", "URL of Vault."),
			text("namespace", "Namespace where secrets are read."),
			text("login_namespace", "Namespace of the login; the same as namespace unless given."),
			text("ca_cert", "PEM text of the authorities to trust; the system's unless given."),
			text("tls_server_name", "Name to expect in the server's certificate."),
			{Name: "timeout", Type: schema.Duration, Doc: "Bound of one read; 10s unless given."},
			{Name: "cache_ttl", Type: schema.Duration, Doc: "For how long a secret is kept; 30s unless given, 0 for not at all."},
			{Name: "tolerate", Type: schema.Duration, Doc: "How old a secret may be in an outage; unless given, an outage is an error."},
			{Name: "rate_limit", Type: schema.Number, Doc: "How many reads a second may go to Vault; 100 unless given, 0 for no limit."},
			{Name: "auth", Type: schema.String, Public: true, Enum: []string{"token", "token_file", "approle", "userpass", "kubernetes", "jwt"}, Doc: "How to log in."},
			text("auth_mount", "Path of the login below auth/; the method's name unless given."),
			token,
			text("token_file", "File with the token, for auth token_file."),
			text("role_id", "Role id, for auth approle."),
			secretID,
			text("username", "User name, for auth userpass."),
			password,
			text("role", "Role, for auth kubernetes and jwt."),
			text("jwt_file", "File of the signed token, for auth kubernetes (the pod's own unless given) and jwt."),
			{Name: "mounts", Type: schema.Map, Elem: schema.Int, Doc: "KV version, 1 or 2, of each mount; found unless given."},
			text("file", "File of secrets that stands in for a Vault in development."),
		},
		Conflicts: [][]string{{"file", "address"}},
	}
}

// decodeSecretSource reads one Vault configuration.
func decodeSecretSource(node schema.Node, origin string) (secretSource, error) {
	given := map[string]schema.Input{}
	tree, _ := node.Tree().(map[string]any)
	for _, entry := range node.Entries {
		given[entry.Key] = schema.Input{
			Value: tree[entry.Key], Origin: schema.Origin{Layer: schema.LayerValue, Pos: entry.Pos},
		}
	}
	in, problems := secretSourceFields().Decode(given)
	if len(problems) > 0 {
		return secretSource{}, problemsError(problems)
	}
	source := secretSource{name: in.String("name"), origin: origin, file: in.String("file")}
	if source.file != "" {
		return source, nil
	}
	mounts := map[string]int{}
	for path, version := range in.Map("mounts") {
		number, _ := version.(int64)
		mounts[path] = int(number)
	}
	source.vault = vaultint.Config{
		Name: source.name, Address: in.String("address"),
		Namespace: in.String("namespace"), LoginNamespace: in.String("login_namespace"),
		CACert: in.String("ca_cert"), TLSServerName: in.String("tls_server_name"),
		Timeout: in.Duration("timeout"), Mounts: mounts,
		Tolerate: in.Duration("tolerate"),
		CacheTTL: noneIfZero(in, "cache_ttl", in.Duration("cache_ttl")), RateLimit: noneIfZero(in, "rate_limit", in.Number("rate_limit")),
		Auth: vaultint.Auth{
			Method: vaultint.Method(in.String("auth")), Mount: in.String("auth_mount"),
			Token: in.Secret("token"), TokenFile: in.String("token_file"),
			RoleID: in.String("role_id"), SecretID: in.Secret("secret_id"),
			Username: in.String("username"), Password: in.Secret("password"),
			Role: in.String("role"), JWTFile: in.String("jwt_file"),
		},
	}
	return source, nil
}

// noneIfZero gives a number as vaultint wants it, where 0 stands for a default and a
// negative one for none.
func noneIfZero[N time.Duration | float64](in schema.Inputs, name string, number N) N {
	if in.Has(name) && number == 0 {
		return -1
	}
	return number
}

// secretSources gives every configured source of secrets, by precedence: those of
// earlier origins hide those of the same name in later ones.
func (a *app) secretSources(ctx context.Context) ([]secretSource, error) {
	var found []secretSource
	if file := firstOf(a.flags.secrets, a.getenv("WEIR_SECRETS")); file != "" {
		found = append(found, secretSource{name: vaultint.DefaultName, origin: "--secrets", file: file})
	}
	fromFile, err := a.secretSourcesFromFile()
	if err != nil {
		return nil, err
	}
	fromStore, err := a.secretSourcesFromStore(ctx)
	if err != nil {
		return nil, err
	}
	found = slices.Concat(found, fromFile, fromStore)
	if a.getenv("VAULT_ADDR") != "" {
		home, _ := a.home()
		config, err := vaultint.FromEnvironment(a.getenv, home)
		if err != nil {
			return nil, err
		}
		found = append(found, secretSource{name: vaultint.DefaultName, origin: "environment", vault: config})
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(s secretSource) bool {
		hidden := seen[s.name]
		seen[s.name] = true
		return hidden
	}), nil
}

func (a *app) secretSourcesFromFile() ([]secretSource, error) {
	file := firstOf(a.flags.vaultFile, a.getenv("WEIR_VAULT_FILE"))
	if file == "" {
		return nil, nil
	}
	text, err := readLimited(file, nil)
	if err != nil {
		return nil, err
	}
	documents, problems := schema.Parse(file, text)
	if len(problems) > 0 {
		return nil, problemsError(problems)
	}
	var found []secretSource
	for _, d := range documents {
		source, err := decodeSecretSource(d.Node, d.Node.Pos.String())
		if err != nil {
			return nil, err
		}
		found = append(found, source)
	}
	return found, nil
}

// vaultDocuments is the kind of the store's documents that are Vault configurations.
const vaultDocuments = "vault"

func (a *app) secretSourcesFromStore(ctx context.Context) ([]secretSource, error) {
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return nil, err
	}
	documents, err := opened.Documents(vaultDocuments).List(ctx, "")
	if err != nil {
		return nil, err
	}
	var found []secretSource
	for _, d := range documents {
		source, err := parseSecretSource(d.Name, d.Text(), "store")
		if err != nil {
			return nil, err
		}
		found = append(found, source)
	}
	return found, nil
}

// parseSecretSource reads the text of one Vault configuration.
func parseSecretSource(file, text, origin string) (secretSource, error) {
	documents, problems := schema.Parse(file, []byte(text))
	if len(problems) > 0 {
		return secretSource{}, problemsError(problems)
	}
	if len(documents) != 1 {
		return secretSource{}, fmt.Errorf("vault configuration %q: not one YAML document", file)
	}
	return decodeSecretSource(documents[0].Node, origin)
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// secretReader reads each secret from the source that its reference names. Sources
// are looked up and opened when the first secret of theirs is read, so that a
// command which needs none touches none.
type secretReader struct {
	app    *app
	lookup func(ctx context.Context, name string) (connections.SecretReader, error)
}

// ReadSecret implements connections.SecretReader.
func (r *secretReader) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	reader, err := r.lookup(ctx, firstOf(ref.Vault, vaultint.DefaultName))
	var failed *secret.ReadError
	if errors.As(err, &failed) {
		failed.Ref = ref
	}
	if err != nil {
		return secret.Data{}, err
	}
	if reader == nil {
		return secret.Data{}, r.unknown(ctx, ref)
	}
	return reader.ReadSecret(ctx, ref)
}

// Forget implements connections.Forgetter. A source that cannot be opened keeps
// nothing.
func (r *secretReader) Forget(ref secret.Ref) {
	reader, err := r.lookup(context.Background(), firstOf(ref.Vault, vaultint.DefaultName))
	if err != nil {
		return
	}
	if forgetter, ok := reader.(connections.Forgetter); ok {
		forgetter.Forget(ref)
	}
}

// unknown says that there is no source of that name, and which there are.
func (r *secretReader) unknown(ctx context.Context, ref secret.Ref) error {
	name := firstOf(ref.Vault, vaultint.DefaultName)
	sources, err := r.app.secretSources(ctx)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, source := range sources {
		names[source.name] = true
	}
	known := slices.Sorted(maps.Keys(names))
	hint := `add one with "weir vault add", set VAULT_ADDR, or try with a file: --secrets FILE`
	if near := schema.Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) > 0 {
		hint = "configured: " + strings.Join(known, ", ") + "; " + hint
	}
	return &secret.ReadError{
		Ref: ref, Reason: secret.Invalid, Detail: fmt.Sprintf("no Vault configuration %q", name), Hint: hint,
	}
}
