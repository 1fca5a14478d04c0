package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

func newUser(a *app) *cobra.Command {
	cmd := group("user", "Manage the users of the store, and their tokens",
		newUserCreate(a),
		newUserList(a),
		newUserDisable(a),
		newUserEnable(a),
		newUserToken(a),
	)
	cmd.Long = `Each user has connections, flows, executions and settings of their own, which nobody else sees; the API lets
them in with a token. An admin manages users, and sees that things of others exist, but no values.

These commands work on the local store, with the rights of whoever may read it and its key. What is made by
commands on the store belongs to its first admin.`
	return cmd
}

// localActor is whoever runs a command on the local store.
func localActor() engine.Actor { return engine.Actor{Owner: localOwner} }

func newUserCreate(a *app) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a user",
		Long: `Make a user. Names are never used again, also not after a user was disabled, so that it stays clear who did
what. The first admin gets what was made on this store without a user.`,
		Example: "  weir user create ann\n  weir user token create ann",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.usersAreLocal(); err != nil {
				return err
			}
			opened, err := a.store(cmd.Context())
			if err != nil {
				return err
			}
			user, err := opened.Users().Create(cmd.Context(), localActor(), args[0], engine.Role(role))
			if err != nil {
				return err
			}
			if err := a.print(userTree(user), func(t *table) { t.row("created", user.Name, string(user.Role)) }); err != nil {
				return err
			}
			a.say("note: to let them in: weir user token create %s", user.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&role, "role", string(engine.RoleUser), "user or admin")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{string(engine.RoleUser), string(engine.RoleAdmin)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newUserList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.usersAreLocal(); err != nil {
				return err
			}
			users, err := a.users(cmd.Context())
			if err != nil {
				return err
			}
			data := []any{}
			for _, user := range users {
				data = append(data, userTree(user))
			}
			return a.print(data, func(t *table) {
				t.row("NAME", "ROLE", "STATE", "CREATED")
				for _, user := range users {
					t.row(user.Name, string(user.Role), userState(user), user.Created.Local().Format(time.DateTime))
				}
			})
		},
	}
}

// users gives all users; none if there is no store.
func (a *app) users(ctx context.Context) ([]engine.User, error) {
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return nil, err
	}
	return opened.Users().List(ctx)
}

// usersAreLocal refuses to do to the local store what is meant for a server.
func (a *app) usersAreLocal() error {
	return a.localOnly("this", "run it on the machine of the server, without WEIR_ADDR")
}

// userStore opens the store, which must be there.
func (a *app) userStore(ctx context.Context) (*store.Store, error) {
	if err := a.usersAreLocal(); err != nil {
		return nil, err
	}
	opened, err := a.existingStore(ctx)
	if opened == nil && err == nil {
		err = a.noStore()
	}
	return opened, err
}

func newUserDisable(a *app) *cobra.Command {
	return a.userSwitch("disable NAME", "Refuse all tokens of a user from now on",
		"Refuse all tokens of a user from now on. What is theirs stays, and what is at work goes on.", "disabled", true)
}

func newUserEnable(a *app) *cobra.Command {
	return a.userSwitch("enable NAME", "Let a disabled user in again", "", "enabled", false)
}

func (a *app) userSwitch(use, short, long, done string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:               use,
		Short:             short,
		Long:              long,
		Args:              exactly(1),
		ValidArgsFunction: a.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.userStore(cmd.Context())
			if err != nil {
				return err
			}
			if err := opened.Users().SetDisabled(cmd.Context(), localActor(), args[0], disabled); err != nil {
				return err
			}
			return a.print(map[string]any{"name": args[0], "result": done}, func(t *table) { t.row(done, args[0]) })
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

func userTree(user engine.User) map[string]any {
	return map[string]any{
		"name": user.Name, "role": string(user.Role), "disabled": user.Disabled, "created": instant(user.Created),
	}
}

func userState(user engine.User) string {
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
	users, err := a.users(ctx)
	names := map[string]string{localOwner: "(local)"}
	for _, user := range users {
		names[user.Owner] = user.Name
	}
	if err != nil {
		return nil, fmt.Errorf("name the users: %w", err)
	}
	return names, nil
}
