package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionApply(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "apply FILE|DIR|-",
		Short: "Create or update stored connections from files",
		Long: `Make the store hold the connections of a file, of all *.yaml and *.yml files of a directory, or of
stdin. A file may hold several documents. Of each file everything is stored, or nothing if anything in it
is wrong. What the store holds beside them stays.`,
		Example: "  weir connection apply connections/\n  weir connection export --reveal | ssh host weir connection apply -",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := connectionFiles(args[0])
			if err != nil {
				return err
			}
			if done, err := a.onServer(func(c *api.Client) error { return a.applyRemote(cmd.Context(), c, files, false) }); done {
				return err
			}
			var all []change
			var faults []error
			for _, file := range files {
				changes, err := a.applyFile(cmd.Context(), file, nil)
				if err != nil {
					faults = append(faults, err)
				}
				all = append(all, changes...)
			}
			if len(all) > 0 || len(faults) == 0 {
				if err := a.printChanges(cmd.Context(), all); err != nil {
					return err
				}
			}
			return joinFaults(faults)
		},
	}
}

// connectionFiles gives the files that an argument means, sorted.
func connectionFiles(argument string) ([]string, error) {
	if argument == "-" {
		return []string{argument}, nil
	}
	info, err := os.Stat(argument)
	if err != nil {
		return nil, &engine.Error{Kind: engine.NotFound, Message: err.Error()}
	}
	if !info.IsDir() {
		return []string{argument}, nil
	}
	var files []string
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		found, err := filepath.Glob(filepath.Join(argument, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	if len(files) == 0 {
		return nil, &engine.Error{Kind: engine.NotFound, Message: fmt.Sprintf("no *.yaml or *.yml file in %s", argument)}
	}
	return files, nil
}

// applyFile stores the connections of a file: all, or none after an error. refuse,
// if given, looks at what is planned before anything is written.
func (a *app) applyFile(ctx context.Context, file string, refuse func([]change) error) ([]change, error) {
	wanted, err := a.readConnections(file)
	if err != nil {
		return nil, err
	}
	return a.applyAll(ctx, file, wanted, refuse)
}

func (a *app) applyAll(ctx context.Context, file string, wanted []connections.Connection, refuse func([]change) error) ([]change, error) {
	store, err := a.connectionStore(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := a.plan(ctx, store, wanted)
	if err != nil {
		return nil, fmt.Errorf("%s: nothing of it was stored: %w", shownName(file), err)
	}
	if refuse != nil {
		if err := refuse(changes); err != nil {
			return nil, err
		}
	}
	if err := write(ctx, store, changes); err != nil {
		return nil, fmt.Errorf("%s: nothing of it was stored: %w", shownName(file), err)
	}
	return changes, nil
}

// shownName names a file in messages.
func shownName(file string) string {
	if file == "-" {
		return "stdin"
	}
	return file
}

// maxConnectionFile is how large a file of connections may be; each document in it
// has bounds of its own.
const maxConnectionFile = 16 << 20

// readConnections reads all connections of a file, or tells all that is wrong.
func (a *app) readConnections(file string) ([]connections.Connection, error) {
	text, err := readAtMost(maxConnectionFile, file, a.in)
	if err != nil {
		return nil, err
	}
	return parsedConnections(shownName(file), text)
}

func parsedConnections(file string, text []byte) ([]connections.Connection, error) {
	all, problems := connections.Parse(file, text)
	if len(problems) > 0 {
		return nil, problemsError(problems)
	}
	if len(all) == 0 {
		return nil, hintedInvalid(`a connection starts with "name:" and "type:"`, "%s holds no connection", file)
	}
	seen := map[string]connections.Connection{}
	for _, c := range all {
		if first, twice := seen[c.Name]; twice {
			return nil, hintedInvalid("give each connection a name of its own", "%s: connection %q stands at %s already", c.Origin.Pos, c.Name, first.Origin.Pos)
		}
		seen[c.Name] = c
	}
	return all, nil
}
