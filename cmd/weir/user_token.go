package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine/api"
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
	var token api.NewToken
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
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			token.Never = life == 0
			if life > 0 {
				expires := time.Now().Add(life)
				token.Expires = &expires
			}
			made, err := services.Tokens.CreateToken(cmd.Context(), args[0], token)
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				_, err = fmt.Fprintln(a.out, made.Text)
			} else {
				err = a.print(plain(made), nil)
			}
			if err == nil {
				a.say("note: token %s of %s %s; it is not shown again", made.ID, made.User, untilWhen(made.Token))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&token.Name, "name", "", "what the token is for")
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
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			list, err := services.Tokens.ListTokens(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(plainList(list.Tokens), func(t *table) {
				t.row("ID", "STATE", "CREATED", "LAST USED", "NAME")
				for _, token := range list.Tokens {
					t.row(token.ID, untilWhen(token), dateTime(token.Created), dateTime(at(token.LastUsed)), token.Name)
				}
			})
		},
	}
}

func newTokenRevoke(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "revoke USER ID",
		Short:             "Refuse a token from now on",
		Long:              "Refuse a token from now on. Streams of events that were opened with it end; other tokens of the user go on working.",
		Args:              exactly(2),
		ValidArgsFunction: a.completeTokens,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := a.people(cmd.Context(), false)
			if err != nil {
				return err
			}
			done, err := services.Tokens.RevokeToken(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return a.print(plain(done), func(t *table) { t.row(done.Result, done.Name) })
		},
	}
}

// completeTokens completes a user, and then the id of one of their tokens.
func (a *app) completeTokens(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeUsers(cmd, args, typed)
	}
	services, err := a.people(cmd.Context(), false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	list, _ := services.Tokens.ListTokens(cmd.Context(), args[0])
	var ids []string
	for _, token := range list.Tokens {
		ids = append(ids, token.ID)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// untilWhen says how long a token is good.
func untilWhen(token api.Token) string {
	switch {
	case token.Revoked != nil:
		return "revoked " + dateTime(*token.Revoked)
	case token.Expires == nil:
		return "never expires"
	case !time.Now().Before(*token.Expires):
		return "expired " + dateTime(*token.Expires)
	}
	return "expires " + dateTime(*token.Expires)
}

// dateTime gives a time as people read it; a dash for none.
func dateTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
