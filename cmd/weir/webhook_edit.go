package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newWebhookEdit(a *app) *cobra.Command {
	var flow, mode string
	var limits hookFlags
	cmd := &cobra.Command{
		Use:               "edit NAME",
		Short:             "Change the flow, the mode or the limits of a webhook",
		Long:              `Change a webhook: what is not given stays. How its callers prove that they may call does not change.`,
		Example:           "  weir webhook edit orders --timeout 10s --per-minute 600",
		Args:              exactly(1),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			change, err := limits.change(cmd)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("flow") {
				change.Flow = &flow
			}
			if cmd.Flags().Changed("mode") {
				change.Mode = &mode
			}
			if change == (api.WebhookChange{}) {
				return &usageError{fmt.Errorf("nothing is to be changed\nsee: %s --help", cmd.CommandPath())}
			}
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			changed, err := services.Webhooks.ChangeWebhook(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			return a.printWebhook(changed)
		},
	}
	cmd.Flags().StringVar(&flow, "flow", "", "the stored flow that it starts")
	cmd.Flags().StringVar(&mode, "mode", "", "what its caller waits for: async or sync")
	limits.add(cmd)
	completeHookFlags(a, cmd)
	return cmd
}

func newWebhookEnable(a *app) *cobra.Command {
	return a.hookSwitch("enable NAME", "Let a disabled webhook be called again", true)
}

func newWebhookDisable(a *app) *cobra.Command {
	return a.hookSwitch("disable NAME", "Refuse all calls of a webhook from now on", false)
}

func (a *app) hookSwitch(use, short string, enabled bool) *cobra.Command {
	return &cobra.Command{
		Use:               use,
		Short:             short,
		Args:              exactly(1),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			changed, err := services.Webhooks.ChangeWebhook(cmd.Context(), args[0], api.WebhookChange{Enabled: &enabled})
			if err != nil {
				return err
			}
			return a.print(map[string]any{"name": changed.Name, "result": hookState(changed)}, func(t *table) { t.row(hookState(changed), changed.Name) })
		},
	}
}
