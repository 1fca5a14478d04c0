package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/store"
)

func newStoreRotateKey(a *app) *cobra.Command {
	var masterKey string
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Encrypt everything in the store under a new data key",
		Long: `Encrypt everything in the store under a new data key, and forget the old one. It happens as a whole or
not at all, and other processes may go on reading. The master key, which wraps the data key, stays.

With --new-master-key the new data key is wrapped by the master key in that file, which is made if it is
not there. From then on the store opens with that one alone: put it where the old one was.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.existingStore(cmd.Context())
			if err != nil {
				return err
			}
			if opened == nil {
				return a.noStore()
			}
			if err := a.rotate(cmd.Context(), opened, masterKey); err != nil {
				return err
			}
			return a.print(map[string]any{"result": "rotated"}, func(t *table) { t.row("rotated") })
		},
	}
	cmd.Flags().StringVar(&masterKey, "new-master-key", "", "file of the master key to use from now on")
	return cmd
}

func (a *app) rotate(ctx context.Context, opened *store.Store, masterKey string) error {
	if masterKey == "" {
		return opened.RotateKey(ctx)
	}
	if err := opened.Rekey(ctx, store.KeyFile(masterKey)); err != nil {
		return err
	}
	config, err := a.storeConfig()
	if err != nil {
		return err
	}
	a.say("the store now opens with %s alone: put it in the place of the %s", masterKey, config.Key)
	return nil
}
