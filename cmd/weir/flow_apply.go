package main

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
)

func newFlowApply(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "apply FILE.lua...",
		Short: "Store flows, or new versions of them",
		Long: `Store flows under the names of their files without .lua. A text that is the newest version already changes
nothing. If one of the files has a mistake, nothing is stored.`,
		Example: "  weir flow apply deploy.lua rollback.lua\n  weir flow apply lib/dates.lua --name lib/dates",
		Args:    someArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if name != "" && len(args) > 1 {
				return &usageError{errors.New("--name is for one file")}
			}
			read, err := a.readFlows(args, name)
			if err != nil {
				return err
			}
			flows, err := a.flows(cmd.Context(), true)
			if err != nil {
				return err
			}
			applied, err := flows.ApplyFlows(cmd.Context(), read)
			if err != nil {
				return err
			}
			return a.print(plainList(applied.Flows), func(t *table) {
				for _, f := range applied.Flows {
					t.row(f.Result, f.Name, "version", f.Version)
				}
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the flow's name, if it is not the file's")
	return cmd
}

// readFlows reads and compiles the files, and tells all that is wrong with them.
func (a *app) readFlows(files []string, name string) ([]api.FlowText, error) {
	var read []api.FlowText
	var faults []error
	for _, file := range files {
		f, err := a.readFlow(file, name)
		if err != nil {
			faults = append(faults, err)
		}
		read = append(read, f)
	}
	return read, joinFaults(faults)
}

func (a *app) readFlow(file, name string) (api.FlowText, error) {
	if name == "" && file == "-" {
		return api.FlowText{}, &usageError{errors.New("a flow from stdin needs a --name")}
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(file), ".lua")
	}
	name, err := flowName(name)
	if err != nil {
		return api.FlowText{}, err
	}
	text, err := readLimited(file, a.in)
	if err != nil {
		return api.FlowText{}, err
	}
	f := api.FlowText{Name: name, File: shownName(file), Text: string(text)}
	return f, checkFlow(&f, f.File)
}
