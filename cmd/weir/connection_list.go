package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionList(a *app) *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the connections, and where each one comes from",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if done, err := a.onServer(func(c *api.Client) error { return a.listRemote(cmd.Context(), c, verbose) }); done {
				return err
			}
			resolver, err := a.resolver()
			if err != nil {
				return err
			}
			all, listErr := resolver.List(cmd.Context(), a.owner)
			data := []any{}
			for _, c := range all {
				data = append(data, listed(c))
			}
			if err := a.print(data, func(t *table) { listTable(t, all, verbose) }); err != nil {
				return err
			}
			a.sayProblems(resolver.Problems(a.owner))
			return listErr
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show revisions, secrets, labels, and what is hidden by another of the same name")
	return cmd
}

func listed(c connections.Connection) map[string]any {
	tree := connectionTree(c, valueText{})
	delete(tree, "value")
	tree["hides"] = anyList(hides(c))
	return tree
}

func hides(c connections.Connection) []string {
	var places []string
	for _, pos := range c.Origin.Hides {
		places = append(places, pos.String())
	}
	return places
}

func listTable(t *table, all []connections.Connection, verbose bool) {
	if !verbose {
		t.row("NAME", "TYPE", "SOURCE", "DESCRIPTION")
		for _, c := range all {
			t.row(c.Name, c.Type, sourceText(c), c.Description)
		}
		return
	}
	t.row("NAME", "TYPE", "SOURCE", "REVISION", "SECRETS", "HIDES", "LABELS", "DESCRIPTION")
	for _, c := range all {
		revision := ""
		if c.Revision != 0 {
			revision = strconv.FormatInt(c.Revision, 10)
		}
		t.row(c.Name, c.Type, sourceText(c), revision, refTexts(c), strings.Join(hides(c), ", "), labelText(c.Labels), c.Description)
	}
}

func refTexts(c connections.Connection) string {
	var refs []string
	for _, s := range c.Secrets {
		refs = append(refs, s.Ref().String())
	}
	return strings.Join(refs, ", ")
}

func labelText(labels map[string]string) string { return strings.TrimSpace(fields(labelTree(labels))) }

// sayProblems tells of files that could not be read; the others are used.
func (a *app) sayProblems(problems []schema.Problem) {
	for _, p := range problems {
		a.say("warning: %s", p)
		if p.Hint != "" {
			a.say("  hint: %s", p.Hint)
		}
	}
}
