package main

import "github.com/spf13/cobra"

func newStoreRotateKey(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-key",
		Short: "Encrypt everything in the store under a new data key",
		Long: `Encrypt everything in the store under a new data key, and forget the old one. It happens as a whole or
not at all, and other processes may go on reading. The master key, which wraps the data key, stays.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.existingStore(cmd.Context())
			if err != nil {
				return err
			}
			if opened == nil {
				return a.noStore()
			}
			if err := opened.RotateKey(cmd.Context()); err != nil {
				return err
			}
			return a.print(map[string]any{"result": "rotated"}, func(t *table) { t.row("rotated") })
		},
	}
}
