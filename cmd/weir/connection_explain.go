package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionExplain(a *app) *cobra.Command {
	var sets []string
	cmd := &cobra.Command{
		Use:   "explain NAME [--set key=value ...]",
		Short: "Tell where each input of a connection comes from",
		Long: `Resolve a connection as a task would, and tell for each input its layer (the task type's default, the
connection's value, a secret, the flow), the file and line or the secret and its version, and what it
replaced. Secrets are shown as ***. For each secret that was read: its version and age, until when it is
kept in memory, the keys that were left out, and its custom metadata. --set gives what a flow would pass
to connect.

Exits with 3 if the task could not start with these inputs.`,
		Example:           "  weir connection explain oracle --set port=1522\n  weir connection explain oracle -o json",
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.explainRemote(cmd.Context(), c, args[0], sets) }); done {
				return err
			}
			resolver, err := a.resolver()
			if err != nil {
				return err
			}
			overrides, err := a.overrides(cmd.Context(), resolver, args[0], sets)
			if err != nil {
				return err
			}
			explained, err := resolver.Explain(cmd.Context(), connections.Request{Owner: a.owner, Name: args[0], Overrides: overrides})
			if err != nil {
				return err
			}
			tree, err := jsonTree(explained)
			if err != nil {
				return err
			}
			if err := a.print(tree, func(t *table) { explainTable(t, explained) }); err != nil {
				return err
			}
			return a.explainFault(explained)
		},
	}
	cmd.Flags().StringArrayVar(&sets, "set", nil, "an input of the flow, key=value; repeatable; key alone asks for it, not shown")
	return cmd
}

// overrides reads the --set flags of a command that acts as a flow would. A
// sensitive input is asked for.
func (a *app) overrides(ctx context.Context, resolver *connections.Resolver, name string, sets []string) (map[string]any, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	c, err := resolver.Get(ctx, a.owner, name)
	if err != nil {
		return nil, err
	}
	return a.setOverrides(ctx, c, sets, func(typed string) any { return secret.New(typed) })
}

// setOverrides reads --set flags for a connection. What is sensitive is asked for, and
// kept as kept makes it.
func (a *app) setOverrides(ctx context.Context, c connections.Connection, sets []string, kept func(typed string) any) (map[string]any, error) {
	spec, err := a.taskSpec(c.Type)
	if err != nil {
		return nil, fmt.Errorf("connection %q: %w", c.Name, err)
	}
	inputs := map[string]any{}
	for _, pair := range sets {
		key, text, hasValue := strings.Cut(pair, "=")
		f, _ := spec.Inputs.Field(key)
		switch {
		case hasValue && f.Sensitive:
			return nil, hintedInvalid("let weir ask: --set "+key, "--set %s=...: a secret on the command line is seen by every user of this machine", key)
		case hasValue && key != "":
			inputs[key] = plainValue(text)
			continue
		case !f.Sensitive:
			return nil, &usageError{fmt.Errorf("--set %q: it takes key=value", pair)}
		}
		typed, err := a.askSecret(ctx, key, "leave --set "+key+" out")
		if err != nil {
			return nil, err
		}
		inputs[key] = kept(typed)
	}
	return inputs, nil
}

// jsonTree gives a value as the tree of plain values that its JSON text is.
func jsonTree(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	err = decoder.Decode(&tree)
	return tree, err
}

func explainTable(t *table, e connections.Explanation) {
	where := e.Source
	if e.Where != "" {
		where = e.Where
	}
	if e.Revision != 0 {
		where += fmt.Sprintf(", revision %d", e.Revision)
	}
	t.text(fmt.Sprintf("%s: %s from %s", e.Connection, e.Type, where))
	if len(e.Hides) > 0 {
		t.text("It hides: " + strings.Join(e.Hides, ", "))
	}
	t.row()
	t.row("INPUT", "VALUE", "LAYER", "FROM", "SHADOWED")
	for _, in := range e.Inputs {
		layer := string(in.Layer)
		if in.Pinned {
			layer += " (pinned)"
		}
		t.row(in.Input, shownValue(in.Value), layer, in.From, strings.Join(in.Shadowed, ", "))
	}
	if len(e.Secrets) == 0 {
		return
	}
	t.row()
	t.row("SECRET", "VERSION", "AGE", "CACHED UNTIL", "SURPLUS KEYS", "METADATA")
	for _, s := range e.Secrets {
		surplus := orDash(strings.Join(s.Surplus, ", "))
		if s.Problem != "" {
			surplus = "not read: " + firstOf(string(s.Reason), "see below")
		}
		t.row(s.Path, versionText(s.Version), orDash(s.Age), untilText(s.CachedUntil), surplus, metadataText(s.Metadata))
	}
}

// metadataText gives custom metadata in one line.
func metadataText(metadata map[string]string) string {
	pairs := make([]string, 0, len(metadata))
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		pairs = append(pairs, key+"="+metadata[key])
	}
	return orDash(shownValue(strings.Join(pairs, ", ")))
}

// shownValue gives a value of one line: a text as it is, all else as JSON.
func shownValue(v any) string {
	const most = 60
	text, ok := v.(string)
	if !ok {
		encoded, err := json.Marshal(v)
		if err != nil {
			return "?"
		}
		text = string(encoded)
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}

func versionText(version int) string {
	if version == 0 {
		return "-"
	}
	return strconv.Itoa(version)
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func untilText(until *time.Time) string {
	if until == nil {
		return "-"
	}
	return until.Local().Format(time.DateTime)
}

// explainFault says what keeps a task from starting.
func (a *app) explainFault(e connections.Explanation) error {
	for _, warning := range e.Warnings {
		a.say("warning: %s", warning)
	}
	if len(e.Problems) == 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("a task with connection %q could not start:", e.Connection)}
	for _, p := range e.Problems {
		line := "  " + p.Message
		if p.Where != "" {
			line = "  " + p.Where + ": " + p.Message
		}
		if p.Hint != "" {
			line += "; " + p.Hint
		}
		lines = append(lines, line)
	}
	return &engine.Error{Kind: engine.Invalid, Message: strings.Join(lines, "\n")}
}
