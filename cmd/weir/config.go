package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weir-engine/weir/connections/schema"
)

// configFile is the configuration beside the store, if there is one.
const configFile = "weir.yaml"

// configured is where a setting of "weir serve" comes from.
type configured struct {
	name, value, origin string
}

func newConfig(a *app, serve *cobra.Command) *cobra.Command {
	cmd := group("config", "Look into the configuration of the daemon", newConfigShow(a, serve))
	cmd.Long = `What "weir serve" works with comes from its flags, else from the environment (--max-parallel is
WEIR_MAX_PARALLEL), else from a file: the one that WEIR_CONFIG names, or weir.yaml beside the store. The file
is a mapping of flags without dashes in front; what may be given several times is a list there.`
	return cmd
}

func newConfigShow(a *app, serve *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show what weir serve would work with, and where each value comes from",
		Args:  exactly(0),
		RunE: func(*cobra.Command, []string) error {
			serve.InheritedFlags() // so that it has the global ones, too
			all, err := a.configure(serve)
			if err != nil {
				return err
			}
			data := []any{}
			for _, c := range all {
				data = append(data, map[string]any{"name": c.name, "value": c.value, "origin": c.origin})
			}
			return a.print(data, func(t *table) {
				t.row("NAME", "VALUE", "FROM")
				for _, c := range all {
					t.row(c.name, orDash(c.value), c.origin)
				}
			})
		},
	}
}

// notConfigured are flags that are for one run, or that say how to talk.
func notConfigured() []string { return []string{"check", "help", "output", "no-input"} }

// ownVariable names the variables that do not follow from the name of a flag, or are
// read where the flag is.
func (a *app) ownVariable() map[string]string {
	return map[string]string{
		otlpEndpoint:  otlpVariable(a.getenv),
		"connections": "WEIR_CONNECTION_PATH", "data-dir": "WEIR_DATA_DIR", "secrets": "WEIR_SECRETS", "vault-file": "WEIR_VAULT_FILE",
	}
}

// configure gives the flags of "weir serve" that were not given the values of the
// environment or of the file, and tells where each comes from.
func (a *app) configure(serve *cobra.Command) ([]configured, error) {
	var names []string
	serve.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(notConfigured(), f.Name) {
			names = append(names, f.Name)
		}
	})
	slices.Sort(names)
	file, entries, err := a.configEntries(names)
	if err != nil {
		return nil, err
	}
	var all []configured
	for _, name := range names {
		f := serve.Flags().Lookup(name)
		c := configured{name: name, origin: "default"}
		variable, own := a.ownVariable()[name]
		if !own {
			variable = "WEIR_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		}
		entry, inFile := entries[name]
		switch text := a.getenv(variable); {
		case f.Changed:
			c.origin = "--" + name
		case text != "" && own: // it is read where the flag is
			c.value, c.origin = text, variable
		case text != "":
			c.origin = variable
			err = setFlag(f, variable, schema.Node{Scalar: schema.Scalar{Text: text, Value: text}})
		case inFile:
			c.origin = entry.Pos.String()
			err = setFlag(f, c.origin+": "+name, entry.Value)
		}
		if err != nil {
			return nil, err
		}
		if c.value == "" {
			c.value = strings.Trim(f.Value.String(), "[]")
		}
		if name == otlpEndpoint && c.value != "" {
			c.value = shownAddress(c.value)
		}
		all = append(all, c)
	}
	return append([]configured{{"file", file, "WEIR_CONFIG, or beside the store"}}, all...), nil
}

// setFlag gives a flag a value, or each of a list.
func setFlag(f *pflag.Flag, where string, value schema.Node) error {
	values := []schema.Node{value}
	if value.Kind == schema.ListNode {
		values = value.Items
	}
	for _, v := range values {
		err := fmt.Errorf("it is no text, number or list of them")
		if v.Kind == schema.ScalarNode {
			err = f.Value.Set(v.Scalar.Text)
		}
		if err != nil {
			return &usageError{fmt.Errorf("%s: %w", where, err)}
		}
	}
	return nil
}

// configEntries reads the file, if there is one.
func (a *app) configEntries(known []string) (file string, entries map[string]schema.Entry, err error) {
	file = a.getenv("WEIR_CONFIG")
	if file == "" {
		dir, err := a.dataDir()
		if err != nil {
			return "", nil, nil //nolint:nilerr // nowhere to have one; the store tells of it
		}
		file = filepath.Join(dir, configFile)
		if _, err := os.Stat(file); err != nil {
			return "", nil, nil //nolint:nilerr // there is none
		}
	}
	node, err := a.readMapping(file)
	if err != nil {
		return file, nil, err
	}
	entries = map[string]schema.Entry{}
	for _, e := range node.Entries {
		name := strings.ReplaceAll(e.Key, "_", "-")
		if !slices.Contains(known, name) {
			return file, nil, hintedInvalid(firstOf(schema.DidYouMean(name, known), "see: weir config show"), "%s: there is no setting %q", e.Pos, e.Key)
		}
		entries[name] = e
	}
	return file, entries, nil
}
