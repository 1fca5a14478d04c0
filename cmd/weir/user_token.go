package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
)

// tokenLife is how long a token is good unless somebody says otherwise.
const tokenLife = 90 * 24 * time.Hour

func newUserToken(a *app) *cobra.Command {
	return group("token", "Manage the tokens of users",
		newTokenCreate(a),
		newTokenList(a),
		newTokenRevoke(a),
	)
}

func newTokenCreate(a *app) *cobra.Command {
	var name string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "create USER",
		Short: "Make a token for a user, and print it",
		Long: `Make a token for a user, and print it. Whoever has it acts as the user, so keep it like a password: it is
printed this once, and the store keeps a digest of it only.`,
		Example:           "  export WEIR_TOKEN=$(weir user token create ann --name laptop)",
		Args:              exactly(1),
		ValidArgsFunction: a.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if life < 0 {
				return &usageError{errors.New("--expires is a time such as 720h; 0 for never")}
			}
			opened, err := a.userStore(cmd.Context())
			if err != nil {
				return err
			}
			var expires time.Time
			if life > 0 {
				expires = time.Now().Add(life)
			}
			token, text, err := opened.Users().CreateToken(cmd.Context(), localActor(), args[0], name, expires)
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				_, err = fmt.Fprintln(a.out, text)
			} else {
				tree := tokenTree(token)
				tree["token"] = text
				err = a.print(tree, nil)
			}
			if err == nil {
				a.say("note: token %s of %s %s; it is not shown again", token.ID, token.User, untilWhen(token))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what the token is for")
	cmd.Flags().DurationVar(&life, "expires", tokenLife, "how long it is good; 0 for ever")
	return cmd
}

func newTokenList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "list USER",
		Short:             "List the tokens of a user",
		Args:              exactly(1),
		ValidArgsFunction: a.completeUsers,
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.userStore(cmd.Context())
			if err != nil {
				return err
			}
			tokens, err := opened.Users().Tokens(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			data := []any{}
			for _, token := range tokens {
				data = append(data, tokenTree(token))
			}
			return a.print(data, func(t *table) {
				t.row("ID", "STATE", "CREATED", "LAST USED", "NAME")
				for _, token := range tokens {
					t.row(token.ID, untilWhen(token), dateTime(token.Created), dateTime(token.LastUsed), token.Name)
				}
			})
		},
	}
}

func newTokenRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "revoke USER ID",
		Short:             "Refuse a token from now on",
		Args:              exactly(2),
		ValidArgsFunction: a.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.userStore(cmd.Context())
			if err != nil {
				return err
			}
			if err := opened.Users().RevokeToken(cmd.Context(), localActor(), args[0], args[1]); err != nil {
				return err
			}
			return a.print(map[string]any{"id": args[1], "user": args[0], "result": "revoked"}, func(t *table) { t.row("revoked", args[1]) })
		},
	}
}

// completeTokens completes a user, and then the id of one of their tokens.
func (a *app) completeTokens(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeUsers(cmd, args, typed)
	}
	opened, err := a.existingStore(cmd.Context())
	if opened == nil || err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	tokens, _ := opened.Users().Tokens(cmd.Context(), args[0])
	var ids []string
	for _, token := range tokens {
		ids = append(ids, token.ID)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func tokenTree(token engine.Token) map[string]any {
	return map[string]any{
		"id": token.ID, "user": token.User, "name": token.Name, "created": instant(token.Created), "expires": instant(token.Expires),
		"last_used": instant(token.LastUsed), "revoked": instant(token.Revoked),
	}
}

// untilWhen says how long a token is good.
func untilWhen(token engine.Token) string {
	switch {
	case !token.Revoked.IsZero():
		return "revoked " + dateTime(token.Revoked)
	case token.Expires.IsZero():
		return "never expires"
	case !token.Valid(time.Now()):
		return "expired " + dateTime(token.Expires)
	}
	return "expires " + dateTime(token.Expires)
}

// dateTime gives a time as people read it; a dash for none.
func dateTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
