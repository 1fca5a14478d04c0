package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
)

// localOwner owns the connections of a store that has one user.
const localOwner = ""

func newConnection(a *app) *cobra.Command {
	cmd := group("connection", "Manage connections, and look into what they resolve to",
		newConnectionCreate(a),
		newConnectionApply(a),
		newConnectionList(a),
		newConnectionShow(a),
		newConnectionRevisions(a),
		newConnectionEdit(a),
		newConnectionDelete(a),
		newConnectionAttach(a),
		newConnectionDetach(a),
		newConnectionExplain(a),
		newConnectionTry(a),
		newConnectionExport(a),
		newConnectionImport(a),
		newConnectionShare(a),
		newConnectionUnshare(a),
		newConnectionShares(a),
	)
	cmd.Long = `A connection is a named set of inputs for tasks of one type. Connections are found in the directories
of --connections and WEIR_CONNECTION_PATH, then in the encrypted store, then among the implicit defaults.
Commands that write change the store; files are yours to edit.`
	return cmd
}

// connectionStore gives the store's connections.
func (a *app) connectionStore(ctx context.Context) (connections.Store, error) {
	store, err := a.store(ctx)
	if err != nil {
		return nil, err
	}
	return store.Connections(), nil
}

// stored gives a connection of the store. The error for one that is elsewhere says
// where, because it cannot be changed there.
func (a *app) stored(ctx context.Context, name string) (connections.Store, connections.Connection, error) {
	none := connections.Connection{}
	opened, err := a.existingStore(ctx)
	if err != nil {
		return nil, none, err
	}
	if opened != nil {
		c, err := opened.Connections().Get(ctx, a.owner, name)
		if !errors.Is(err, connections.ErrNotFound) {
			return opened.Connections(), c, err
		}
		if m, c, ok, err := a.managed(ctx, opened, name); ok || err != nil {
			return m, c, err
		}
	}
	resolver, err := a.resolver()
	if err != nil {
		return nil, none, err
	}
	found, err := resolver.Get(ctx, a.owner, name)
	if err != nil {
		return nil, none, err // it knows the nearest name
	}
	return nil, none, elsewhere(found)
}

// elsewhere is the error for changing a connection that is not in the store.
func elsewhere(c connections.Connection) error {
	if c.Shared != "" {
		return hinted("its owner can", "%w: %q is somebody else's", connections.ErrReadOnly, c.Name)
	}
	hint := fmt.Sprintf("edit %s", c.Origin.Pos.File)
	if c.Origin.Source == connections.SourceDefault {
		hint = fmt.Sprintf("replace it by one of your own: weir connection create %s --type %s", c.Name, c.Type)
	}
	return hinted(hint, "%w: %q comes from %s", connections.ErrReadOnly, c.Name, c.Origin)
}

// completeConnections completes the names of connections.
func (a *app) completeConnections(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	resolver, err := a.resolver()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	all, err := resolver.List(cmd.Context(), a.owner)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// parseAttached reads "path", "path@version" and "vault:path@version".
func parseAttached(text string) (connections.AttachedSecret, error) {
	var attached connections.AttachedSecret
	path := strings.TrimSpace(text)
	if before, after, ok := strings.Cut(path, ":"); ok && !strings.Contains(before, "/") {
		attached.Vault, path = before, after
	}
	if at := strings.LastIndexByte(path, '@'); at >= 0 {
		version, err := strconv.Atoi(path[at+1:])
		if err != nil || version < 1 {
			return attached, &usageError{fmt.Errorf("secret %q: what follows @ is a version, a number from 1", text)}
		}
		attached.Version, path = version, path[:at]
	}
	attached.Path = strings.Trim(path, "/")
	if attached.Path == "" || strings.ContainsAny(attached.Path, " \t#") {
		return attached, &usageError{fmt.Errorf("secret %q: a secret is named like secret/data/oracle or secret/data/oracle@3", text)}
	}
	return attached, nil
}

// sourceText says where a connection was found.
func sourceText(c connections.Connection) string {
	switch {
	case c.Shared != "":
		return "shared for " + string(c.Shared)
	case c.Origin.Source == connections.SourceFile:
		return c.Origin.Pos.String()
	}
	return c.Origin.Source
}

// labelsOf reads the --label flags.
func labelsOf(pairs []string) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	labels := map[string]string{}
	for _, pair := range pairs {
		key, value, err := keyValue("--label", pair)
		if err != nil {
			return nil, err
		}
		labels[key] = value
	}
	return labels, nil
}

// differences names what differs between two connections of one name. It shows no
// value.
func differences(old, wanted connections.Connection) []string {
	var differ []string
	note := func(what string, same bool) {
		if !same {
			differ = append(differ, what)
		}
	}
	note("type", old.Type == wanted.Type)
	differ = append(differ, valueDifferences(old.Value, wanted.Value)...)
	note("secrets", slices.EqualFunc(old.Secrets, wanted.Secrets, sameAttached))
	note("description", old.Description == wanted.Description)
	note("labels", maps.Equal(old.Labels, wanted.Labels))
	note("pinned", slices.Equal(old.Pinned, wanted.Pinned))
	note("ttl", old.TTL == wanted.TTL)
	if len(differ) == 0 {
		note("comments or order of the value", strings.TrimSpace(old.Text) == strings.TrimSpace(wanted.Text))
	}
	return differ
}

func valueDifferences(old, wanted schema.Node) []string {
	var differ []string
	for _, e := range wanted.Entries {
		before, ok := old.Get(e.Key)
		if !ok || !sameNodes(before, e.Value) {
			differ = append(differ, "value "+e.Key)
		}
	}
	for _, e := range old.Entries {
		if _, ok := wanted.Get(e.Key); !ok {
			differ = append(differ, "value "+e.Key)
		}
	}
	return differ
}

func sameAttached(a, b connections.AttachedSecret) bool {
	return a.Ref() == b.Ref() && maps.Equal(a.Keys, b.Keys) && (a.Keys == nil) == (b.Keys == nil)
}
