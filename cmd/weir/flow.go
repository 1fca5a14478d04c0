package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

func newFlow(a *app) *cobra.Command {
	cmd := group("flow", "Keep flows in the store, in versions",
		newFlowApply(a),
		newFlowList(a),
		newFlowShow(a),
		newFlowVersions(a),
		newFlowDelete(a),
	)
	cmd.Long = `A flow of the store is started by its name ("weir execution start NAME"), and found by other flows with
flow("NAME") and require("NAME") after those of directories. Each changed text is a new version; an
execution keeps the one that it was started with.`
	return cmd
}

// flows gives the flows that a command works with: those of the server that WEIR_ADDR
// names, or of the local store, which is made if make says so.
func (a *app) flows(ctx context.Context, make bool) (httpapi.Flows, error) {
	client, err := a.remote()
	if err != nil {
		return nil, err
	}
	if client != nil {
		return client, nil
	}
	opened, err := a.existingStore(ctx)
	if make {
		opened, err = a.store(ctx)
	}
	if err != nil {
		return nil, err
	}
	if opened == nil {
		return noFlows{}, nil
	}
	return a.desk(opened), nil
}

// storedFlow gives a version of a flow of the store; 0 is the newest.
func (a *app) storedFlow(ctx context.Context, owner, name string, version int) (store.Flow, []byte, error) {
	opened, err := a.existingStore(ctx)
	if err != nil {
		return store.Flow{}, nil, err
	}
	if opened == nil {
		return store.Flow{}, nil, unknownFlow(name, nil)
	}
	d := a.desk(opened)
	d.owner = owner
	return d.flow(ctx, name, version)
}

// namedFlow finds the flow or module of the store that a script's name means.
func (a *app) namedFlow(ctx context.Context, owner, name string) (file string, text []byte, err error) {
	trimmed := strings.TrimSuffix(name, ".lua")
	for _, candidate := range []string{trimmed, strings.ReplaceAll(trimmed, ".", "/")} {
		found, text, err := a.storedFlow(ctx, owner, candidate, 0)
		if err == nil {
			return local.StoredFile(found.Name, found.Version), text, nil
		}
		if exitCode(err) != exitNotFound {
			return "", nil, err
		}
	}
	_, _, err = a.storedFlow(ctx, owner, trimmed, 0) // for its hint
	return "", nil, err
}

// flowName checks the name of a flow that is to be stored.
func flowName(name string) (string, error) {
	odd := func(r rune) bool {
		return unicode.IsControl(r) || r == '@' || r == '\\' || r == unicode.ReplacementChar
	}
	const most = 128
	if name != strings.TrimSpace(name) || len(name) > most || strings.ContainsFunc(name, odd) ||
		!filepath.IsLocal(name) || filepath.Clean(name) != name || name == "." || strings.HasSuffix(name, ".lua") {
		return "", &engine.Error{
			Kind: engine.Invalid, Message: fmt.Sprintf("%q cannot be the name of a flow", name),
			Hint: "a name is like deploy or team/deploy: at most 128 bytes, without @, \\ and .lua",
		}
	}
	return name, nil
}

// completeFlows completes the names of stored flows.
func (a *app) completeFlows(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.flowNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

// completeFlowsAndFiles completes them, and files.
func (a *app) completeFlowsAndFiles(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.flowNames(cmd.Context()), cobra.ShellCompDirectiveDefault
}

func (a *app) flowNames(ctx context.Context) []string {
	found, err := a.flows(ctx, false)
	if err != nil {
		return nil
	}
	all, _ := found.ListFlows(ctx)
	var names []string
	for _, f := range all.Flows {
		names = append(names, f.Name)
	}
	return names
}
