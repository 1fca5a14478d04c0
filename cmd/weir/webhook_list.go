package main

import "github.com/spf13/cobra"

func newWebhookList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the webhooks",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			list, err := services.Webhooks.ListWebhooks(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(plainList(list.Webhooks), func(t *table) {
				t.row("NAME", "FLOW", "MODE", "AUTH", "STATE", "URL")
				for _, w := range list.Webhooks {
					t.row(w.Name, w.Flow, w.Mode, w.Auth, hookState(w), a.url(w.Path))
				}
			})
		},
	}
}
