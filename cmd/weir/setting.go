package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newSetting(a *app) *cobra.Command {
	cmd := group("setting", "Look at the values that flows share, and change them",
		newSettingList(a),
		newSettingGet(a),
		newSettingSet(a),
		newSettingDelete(a),
	)
	cmd.Long = `Look at the values that flows share by setting(name), and change them. While an execution holds the lock of one,
only this execution changes it.`
	return cmd
}

func newSettingList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the settings, and which execution holds their locks",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			list, err := services.Settings.ListSettings(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(plainList(list.Settings), func(t *table) {
				t.row("NAME", "CHANGED", "LOCKED BY", "UNTIL")
				for _, s := range list.Settings {
					t.row(s.Name, dateTime(at(s.Changed)), orDash(s.Holder), dateTime(at(s.Expires)))
				}
			})
		},
	}
}

func newSettingGet(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Print the value of a setting as JSON",
		Args:              exactly(1),
		ValidArgsFunction: a.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			found, err := services.Settings.Setting(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				a.flags.output = "json" // a value has no columns
			}
			return a.print(plain(found.Value), nil)
		},
	}
}

func newSettingSet(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "set NAME [VALUE]",
		Short: "Write the value of a setting",
		Long: `Write the value of a setting: the argument, which is JSON or plain text, or a file with one YAML or JSON document.
It is not for secrets: those belong into a Vault or a connection.`,
		Example:           "  weir setting set build-counter '{\"number\": 7}'\n  weir setting set hosts --value-file hosts.yaml",
		Args:              atMost(2),
		ValidArgsFunction: a.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || (len(args) == 2) == (file != "") {
				return &usageError{fmt.Errorf("either VALUE or --value-file is needed\nusage: %s", cmd.UseLine())}
			}
			value, err := a.settingValue(args[1:], file)
			if err != nil {
				return err
			}
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			done, err := services.Settings.SetSetting(cmd.Context(), args[0], api.SettingValue{Value: value})
			if err != nil {
				return err
			}
			return a.print(plain(done), func(t *table) { t.row(done.Result, done.Name) })
		},
	}
	cmd.Flags().StringVar(&file, "value-file", "", "file with the value, YAML or JSON; - for stdin")
	return cmd
}

// settingValue gives the value that an argument or a file has.
func (a *app) settingValue(argument []string, file string) (json.RawMessage, error) {
	var value any
	if len(argument) > 0 {
		value = plainValue(argument[0])
	} else {
		text, err := readLimited(file, a.in)
		if err != nil {
			return nil, err
		}
		documents, problems := schema.Parse(shownName(file), text)
		if len(problems) > 0 {
			return nil, problemsError(problems)
		}
		if len(documents) != 1 {
			return nil, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("%s: it has %d documents, not one", shownName(file), len(documents))}
		}
		value = documents[0].Node.Plain()
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("the value cannot be written as JSON: %v", err)}
	}
	return text, nil
}

func newSettingDelete(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "delete NAME",
		Short:             "Remove the value of a setting",
		Args:              exactly(1),
		ValidArgsFunction: a.completeSettings,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			if _, err := services.Settings.Setting(cmd.Context(), args[0]); err != nil {
				return err
			}
			if err := a.sure(cmd.Context(), yes, fmt.Sprintf("delete setting %q", args[0])); err != nil {
				return err
			}
			deleted, err := services.Settings.DeleteSetting(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(plain(deleted), func(t *table) { t.row("deleted", deleted.Name) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// completeSettings completes the name of a setting as the first word.
func (a *app) completeSettings(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.settingNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) settingNames(ctx context.Context) []string {
	services, err := a.services(ctx)
	if err != nil {
		return nil
	}
	list, _ := services.Settings.ListSettings(ctx)
	var names []string
	for _, s := range list.Settings {
		names = append(names, s.Name)
	}
	return names
}
