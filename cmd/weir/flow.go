package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
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

// storedFlow gives a version of a flow of the store; 0 is the newest.
func (a *app) storedFlow(ctx context.Context, name string, version int) (store.Flow, []byte, error) {
	return a.flowOf(ctx, localOwner, name, version)
}

func (a *app) flowOf(ctx context.Context, owner, name string, version int) (store.Flow, []byte, error) {
	opened, err := a.existingStore(ctx)
	if err != nil {
		return store.Flow{}, nil, err
	}
	if opened == nil {
		return store.Flow{}, nil, unknownFlow(name, nil)
	}
	found, text, err := opened.Flows().Get(ctx, owner, name, version)
	if exitCode(err) == exitNotFound {
		err = a.noFlow(ctx, opened, owner, name, err)
	}
	return found, text, err
}

// noFlow is the error for a flow that the store does not have.
func (a *app) noFlow(ctx context.Context, opened *store.Store, owner, name string, missing error) error {
	all, err := opened.Flows().List(ctx, owner)
	if err != nil {
		return err
	}
	var known []string
	for _, f := range all {
		if f.Name == name { // the version is missing
			return &engine.Error{
				Kind: engine.NotFound, Message: missing.Error(), Hint: fmt.Sprintf("see which there are: weir flow versions %s", name),
			}
		}
		known = append(known, f.Name)
	}
	return unknownFlow(name, known)
}

// namedFlow finds the flow or module of the store that a script's name means.
func (a *app) namedFlow(ctx context.Context, owner, name string) (file string, text []byte, err error) {
	trimmed := strings.TrimSuffix(name, ".lua")
	for _, candidate := range []string{trimmed, strings.ReplaceAll(trimmed, ".", "/")} {
		found, text, err := a.flowOf(ctx, owner, candidate, 0)
		if err == nil {
			return local.StoredFile(found.Name, found.Version), text, nil
		}
		if exitCode(err) != exitNotFound {
			return "", nil, err
		}
	}
	_, _, err = a.flowOf(ctx, owner, trimmed, 0) // for its hint
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
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return nil
	}
	all, _ := opened.Flows().List(ctx, localOwner)
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
	}
	return names
}

func flowTree(f store.Flow) map[string]any {
	return map[string]any{"name": f.Name, "version": f.Version, "digest": f.Digest, "changed": instant(f.Changed)}
}
