package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/vaultint"
)

// secretSource is a named source of secrets: a Vault, or a file for development.
type secretSource struct {
	name   string
	origin string          // "--secrets", "vaults.yaml:3", "store" or "environment"
	file   string          // of secrets; empty for a Vault
	vault  vaultint.Config // if file is empty
	// stored is of the store's configuration of that name, empty if there is none; see
	// [store.Documents.Stamp]. It does not matter where another hides that.
	stored string
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
	source := secretSource{origin: origin}
	for _, setting := range source.settings() {
		setting.take(in)
	}
	source.vault.Name = source.name
	return source, nil
}

// secretSources gives every source of secrets that an owner has, by precedence: those
// of earlier origins hide those of the same name in later ones. What the command line,
// files and the environment say is for the owner of this machine.
func (a *app) secretSources(ctx context.Context, owner string) ([]secretSource, error) {
	if owner != localOwner {
		return a.secretSourcesFromStore(ctx, owner)
	}
	var found []secretSource
	if file := firstOf(a.flags.secrets, a.getenv("WEIR_SECRETS")); file != "" {
		found = append(found, secretSource{name: vaultint.DefaultName, origin: "--secrets", file: file})
	}
	fromFile, err := a.secretSourcesFromFile()
	if err != nil {
		return nil, err
	}
	fromStore, err := a.secretSourcesFromStore(ctx, owner)
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
		found = append(found, secretSource{name: vaultint.DefaultName, origin: originEnvironment, vault: config})
	}
	for i := range found {
		found[i].vault.Log = slog.New(warnings{a})
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(s secretSource) bool {
		hidden := seen[s.name]
		seen[s.name] = true
		return hidden
	}), nil
}

// warnings tells the user what a log warns of.
type warnings struct{ app *app }

// Enabled implements slog.Handler.
func (w warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w warnings) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(attr slog.Attr) bool {
		text += fmt.Sprintf(" (%s %s)", attr.Key, attr.Value)
		return true
	})
	w.app.say("warning: %s", text)
	return nil
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(string) slog.Handler { return w }

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

// Where sources come from that the store's may hide, or that are the store's.
const (
	originStore       = "store"
	originEnvironment = "environment"
)

// vaultDocuments is the kind of the store's documents that are Vault configurations.
const vaultDocuments = "vault"

func (a *app) secretSourcesFromStore(ctx context.Context, owner string) ([]secretSource, error) {
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return nil, err
	}
	documents, err := opened.Documents(vaultDocuments).List(ctx, owner)
	if err != nil {
		return nil, err
	}
	var found []secretSource
	for _, d := range documents {
		source, err := parseSecretSource(d.Name, d.Text(), originStore)
		if err != nil {
			return nil, err
		}
		source.stored = d.Stamp
		if owner != localOwner {
			source.vault.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } // those of the environment are not theirs
			source.vault.Log = slog.New(warnings{a})
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

// secretReader reads each secret from the source that its reference names, of the
// owner that the reading is for. Sources are looked up and opened when the first
// secret of theirs is read, so that a command which needs none touches none.
type secretReader struct {
	app     *app
	reading connections.Reading
}

// For implements connections.Custodian.
func (r *secretReader) For(reading connections.Reading) connections.SecretReader {
	return &secretReader{r.app, reading}
}

// ReadSecret implements connections.SecretReader.
func (r *secretReader) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	reader, err := r.app.secretReader(ctx, r.reading.Owner, firstOf(ref.Vault, vaultint.DefaultName))
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
	data, err := reader.ReadSecret(ctx, ref)
	if errors.As(err, &failed) && r.reading.Owner == localOwner {
		r.app.noteUnread(failed)
	}
	if err != nil {
		return secret.Data{}, err
	}
	if err := r.account(ctx, data.Ref); err != nil {
		return secret.Data{}, err
	}
	return data, nil
}

// tried writes down that a secret is read to test its source. Which version is not known
// before.
func (a *app) tried(ctx context.Context, owner, source, path string) error {
	if path == "" {
		return nil
	}
	ref := secret.Ref{Vault: source, Path: strings.Trim(path, "/")}
	if source == vaultint.DefaultName {
		ref.Vault = ""
	}
	return (&secretReader{a, connections.Reading{User: owner, Owner: owner}}).account(ctx, ref)
}

// account writes down that a secret was read, before anybody has it.
func (r *secretReader) account(ctx context.Context, ref secret.Ref) error {
	opened, err := r.app.existingStore(ctx)
	if opened == nil && err == nil {
		return nil // there is nowhere to write it, and nobody but who runs the command
	}
	event := engine.AuditEvent{
		What: engine.AuditSecretRead, Owner: r.reading.User, Execution: engine.ID(r.reading.Execution),
		Connection: r.reading.Connection, ConnectionOwner: r.reading.Owner, Version: ref.Version,
	}
	asked := ref
	asked.Version = 0
	event.Path = asked.String()
	for err == nil {
		if err = opened.Audit().Record(ctx, event); err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if !r.app.serving || kindOf(err) != engine.Unavailable {
			break
		}
		// As all that the engine writes: when there is room on the disk again.
		select {
		case <-time.After(time.Second):
			err = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return &secret.ReadError{
		Ref: ref, Reason: secret.Unreachable, Err: err,
		Detail: "no secret is read without an audit event, and it cannot be written: " + err.Error(), Hint: hintOf(err),
	}
}

// Forget implements connections.Forgetter. A source that cannot be opened keeps
// nothing.
func (r *secretReader) Forget(ref secret.Ref) {
	reader, err := r.app.secretReader(context.Background(), r.reading.Owner, firstOf(ref.Vault, vaultint.DefaultName))
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
	sources, err := r.app.secretSources(ctx, r.reading.Owner)
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
