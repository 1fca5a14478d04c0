package main

import (
	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newWebhookRotate(a *app) *cobra.Command {
	var secretFile string
	cmd := &cobra.Command{
		Use:               "rotate NAME",
		Short:             "Replace the key or secret of a webhook, and print the new one",
		Long:              `Replace the key or secret of a webhook, and print the new one, which is shown this once. The old one is refused from then on.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := a.givenSecret(secretFile)
			if err != nil {
				return err
			}
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			made, err := services.Webhooks.RotateWebhook(cmd.Context(), args[0], api.WebhookRotation{Secret: secret})
			if err != nil {
				return err
			}
			return a.printMade("rotated", made)
		},
	}
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the key or secret that the sender prescribes; - for stdin")
	return cmd
}
