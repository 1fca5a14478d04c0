package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
)

func newStoreBackup(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of the store to a file, also while the engine runs",
		Long: `Write a copy of the store, as it is at one moment, to a file that does not exist yet. All that is encrypted
in the store is encrypted in the copy. To restore it, put it into an empty directory as weir.db, beside
the master key; without that, nobody can read it. Files that tasks have written are no part of it.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.executionStore(cmd.Context())
			if err != nil {
				return err
			}
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			err = opened.Backup(cmd.Context(), file)
			if errors.Is(err, fs.ErrNotExist) {
				return &engine.Error{Kind: engine.NotFound, Message: fmt.Sprintf("write %s: no such directory", args[0])}
			}
			if err != nil {
				return err
			}
			config, err := a.storeConfig()
			if err != nil {
				return err
			}
			a.say("note: keep the %s in another place: the copy is of no use without it", config.Key)
			return a.print(map[string]any{"file": file, "result": "written"}, func(t *table) { t.row("written", file) })
		},
	}
}
