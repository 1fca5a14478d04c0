package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
)

func newStore(a *app) *cobra.Command {
	return group("store", "Look after the encrypted store",
		newStoreInfo(a),
		newStoreCheck(a),
		newStoreBackup(a),
		newStoreRotateKey(a),
	)
}

func (a *app) noStore() error {
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	return &engine.Error{
		Kind: engine.NotFound, Message: "there is no store in " + dir,
		Hint: `the first command that stores something makes it, such as "weir execution start" or "weir connection create"; --data-dir and WEIR_DATA_DIR say where`,
	}
}
