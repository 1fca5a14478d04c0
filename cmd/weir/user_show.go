package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newUserShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a user, with the names of what is theirs",
		Long: `Show a user, with the names of what is theirs, and how many executions. What is in it only they see. On a
server, admins see all users, and others themselves.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			found, err := services.Users.User(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(plain(found), func(t *table) {
				t.row("name", found.Name)
				t.row("role", found.Role)
				t.row("state", userState(found.User))
				t.row("created", dateTime(found.Created))
				for _, of := range []struct {
					what  string
					names []string
				}{
					{"connections", found.Connections}, {"vaults", found.Vaults}, {"flows", found.Flows}, {"schedules", found.Schedules},
					{"webhooks", found.Webhooks}, {"settings", found.Settings},
				} {
					t.row(of.what, orDash(strings.Join(of.names, ", ")))
				}
				var counts []string
				for _, status := range statuses() {
					if n := found.Executions[status]; n > 0 {
						counts = append(counts, fmt.Sprint(n, " ", status))
					}
				}
				t.row("executions", orDash(strings.Join(counts, ", ")))
			})
		},
	}
}
