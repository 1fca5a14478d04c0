package main

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/flows"
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
			opened, err := a.store(cmd.Context())
			if err != nil {
				return err
			}
			data := []any{}
			var rows [][]any
			for _, f := range read {
				version, changed, err := opened.Flows().Apply(cmd.Context(), localOwner, f.name, f.text)
				if err != nil {
					return err
				}
				tree := flowTree(version)
				result := "unchanged"
				if changed {
					result = "stored"
				}
				tree["result"] = result
				data = append(data, tree)
				rows = append(rows, []any{result, version.Name, "version", version.Version})
			}
			return a.print(data, func(t *table) {
				for _, row := range rows {
					t.row(row...)
				}
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the flow's name, if it is not the file's")
	return cmd
}

type flowFile struct {
	name string
	text []byte
}

// readFlows reads and compiles the files, and tells all that is wrong with them.
func (a *app) readFlows(files []string, name string) ([]flowFile, error) {
	var read []flowFile
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

func (a *app) readFlow(file, name string) (flowFile, error) {
	if name == "" && file == "-" {
		return flowFile{}, &usageError{errors.New("a flow from stdin needs a --name")}
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(file), ".lua")
	}
	name, err := flowName(name)
	if err != nil {
		return flowFile{}, err
	}
	text, err := readLimited(file, a.in)
	if err != nil {
		return flowFile{}, err
	}
	_, err = flows.Compile(shownName(file), text)
	return flowFile{name, text}, err
}
