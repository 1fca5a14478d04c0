package main

import "github.com/spf13/cobra"

func newWebhookShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show a webhook, without its key or secret",
		Args:              exactly(1),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			found, err := services.Webhooks.Webhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.printWebhook(found)
		},
	}
}
