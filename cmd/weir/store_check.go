package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newStoreCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read all of the store, and tell what is wrong with it",
		Long: `Read all of the store as it is at one moment: whether its file is whole, everything can be decrypted in its
place, and every journal can be played back. The engine may run meanwhile.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.executionStore(cmd.Context())
			if err != nil {
				return err
			}
			var faults []error
			seen, err := opened.Check(cmd.Context(), func(fault error) { faults = append(faults, fault) })
			if err != nil {
				return errors.Join(append(faults, err)...)
			}
			var texts []string
			for _, fault := range faults {
				texts = append(texts, fault.Error())
			}
			data := map[string]any{
				"connections": seen.Connections, "documents": seen.Documents, "users": seen.Users, "audit_events": seen.AuditEvents, "settings": seen.Settings, "texts": seen.Texts,
				"executions": seen.Executions, "events": seen.Events, "lines": seen.Lines, "faults": anyList(texts),
			}
			err = a.print(data, func(t *table) {
				t.row("connections", seen.Connections)
				t.row("documents", seen.Documents)
				t.row("users", seen.Users)
				t.row("settings", seen.Settings)
				t.row("texts of flows", seen.Texts)
				t.row("executions", seen.Executions)
				t.row("events", seen.Events)
				t.row("lines of logs", seen.Lines)
				t.row("audit events", seen.AuditEvents)
				t.row("faults", len(faults))
			})
			if err != nil || len(faults) == 0 {
				return err
			}
			return fmt.Errorf("the store is damaged: %w", joinFaults(faults))
		},
	}
}
