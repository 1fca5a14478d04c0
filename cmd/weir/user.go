package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/store"
)

func newUser(a *app) *cobra.Command {
	cmd := group("user", "Manage users and their tokens",
		newUserCreate(a),
		newUserList(a),
		newUserShow(a),
		newUserDisable(a),
		newUserEnable(a),
		newUserToken(a),
	)
	cmd.Long = `Each user has connections, flows, executions and settings of their own, which nobody else sees; the API lets
them in with a token. An admin manages users, and sees that things of others exist, but no values.

On a server, these commands are for admins, but for those on one's own tokens. On a local store, whoever may read
it and its key may do everything; what is made by commands on it belongs to its first admin.`
	return cmd
}

// localActor is whoever runs a command on the local store.
func localActor() engine.Actor { return engine.Actor{Owner: localOwner} }

func newUserCreate(a *app) *cobra.Command {
	var user api.NewUser
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a user",
		Long: `Make a user. Names are never used again, also not after a user was disabled, so that it stays clear who did
what. The first admin gets what was made on a store without a user.`,
		Example: "  weir user create ann\n  weir user token create ann",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			user.Name = args[0]
			services, err := a.people(cmd.Context(), true)
			if err != nil {
				return err
			}
			made, err := services.Users.CreateUser(cmd.Context(), user)
			if err != nil {
				return err
			}
			if err := a.print(plain(made), func(t *table) { t.row("created", made.Name, made.Role) }); err != nil {
				return err
			}
			a.say("note: to let them in: weir user token create %s", made.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&user.Role, "role", string(engine.RoleUser), "user or admin")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{string(engine.RoleUser), string(engine.RoleAdmin)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newUserList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			users, err := a.users(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(plainList(users), func(t *table) {
				t.row("NAME", "ROLE", "STATE", "CREATED")
				for _, user := range users {
					t.row(user.Name, user.Role, userState(user), dateTime(user.Created))
				}
			})
		},
	}
}

// users gives all users; none if there is no store.
func (a *app) users(ctx context.Context) ([]api.User, error) {
	services, err := a.people(ctx, false)
	if err != nil {
		if opened, other := a.existingStore(ctx); opened == nil && other == nil && a.getenv("WEIR_ADDR") == "" {
			return nil, nil
		}
		return nil, err
	}
	users, err := services.Users.ListUsers(ctx)
	return users.Users, err
}

func newUserDisable(a *app) *cobra.Command {
	return a.userSwitch("disable NAME", "Refuse all tokens of a user from now on",
		`Refuse all tokens of a user from now on. Their streams of events end, their schedules do not fire, and calls of
their webhooks are refused. What is theirs stays, also what they share with others, and executions that are at
work go on to their end. When the user is enabled again, all of it works as before.`, true)
}

func newUserEnable(a *app) *cobra.Command {
	return a.userSwitch("enable NAME", "Let a disabled user in again", "", false)
}

func (a *app) userSwitch(use, short, long string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:               use,
		Short:             short,
		Long:              long,
		Args:              exactly(1),
		ValidArgsFunction: a.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			done, err := services.Users.SetUserDisabled(cmd.Context(), args[0], disabled)
			if err != nil {
				return err
			}
			return a.print(plain(done), func(t *table) { t.row(done.Result, done.Name) })
		},
	}
}

// completeUsers completes the name of a user as the first word.
func (a *app) completeUsers(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.userNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) userNames(ctx context.Context) []string {
	users, _ := a.users(ctx)
	var names []string
	for _, user := range users {
		names = append(names, user.Name)
	}
	return names
}

func userState(user api.User) string {
	if user.Disabled {
		return "disabled"
	}
	return "active"
}

// ownerOf gives the key under which the things of the user of that name are stored.
func ownerOf(ctx context.Context, opened *store.Store, name string) (string, error) {
	user, err := opened.Users().Get(ctx, name)
	if err != nil {
		return "", err
	}
	return user.Owner, nil
}

// ownerNames maps the keys under which things are stored to the names of users. The
// first admin's is "(local)" where there is none yet.
func (a *app) ownerNames(ctx context.Context) (map[string]string, error) {
	names := map[string]string{localOwner: "(local)"}
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return names, err
	}
	users, err := opened.Users().List(ctx)
	for _, user := range users {
		names[user.Owner] = user.Name
	}
	if err != nil {
		return nil, fmt.Errorf("name the users: %w", err)
	}
	return names, nil
}
