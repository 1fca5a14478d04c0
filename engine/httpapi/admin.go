package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// Users manages users. The server asks it for admins only, but for callers themselves.
type Users interface {
	// User gives a user with the names of what is theirs.
	User(ctx context.Context, name string) (api.UserDetail, error)
	ListUsers(ctx context.Context) (api.Users, error)
	CreateUser(ctx context.Context, user api.NewUser) (api.User, error)
	SetUserDisabled(ctx context.Context, name string, disabled bool) (api.Done, error)
}

// Tokens manages tokens of a user. The server asks it for others than the caller only
// if the caller is an admin.
type Tokens interface {
	ListTokens(ctx context.Context, user string) (api.Tokens, error)
	CreateToken(ctx context.Context, user string, token api.NewToken) (api.MadeToken, error)
	RevokeToken(ctx context.Context, user, id string) (api.Done, error)
}

// Audit gives audit events: the caller's own, or all of them for admins.
type Audit interface {
	ListAudit(ctx context.Context, filter api.AuditFilter) (api.Audit, error)
}

type oneUser struct {
	User string `path:"user" maxLength:"64"`
}

type newUser struct{ Body api.NewUser }

type newToken struct {
	User string `path:"user" maxLength:"64"`
	Body api.NewToken
}

type oneToken struct {
	User  string `path:"user" maxLength:"64"`
	Token string `path:"token" maxLength:"64" doc:"The token's id"`
}

type listAudit struct {
	All   bool      `query:"all" doc:"Those of everybody; for admins"`
	User  string    `query:"user" maxLength:"64" doc:"Those of this user; of others for admins"`
	Since time.Time `query:"since" doc:"Only events from then on"`
	Until time.Time `query:"until" doc:"Only events before then"`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	After int64     `query:"after" minimum:"0" doc:"The cursor that the page before gave"`
}

// admins refuses who is none.
func admins[I any](c call[I]) error {
	if !c.caller.Admin() {
		return statusError{forbidden()}
	}
	return nil
}

// ofUser lets callers at what is theirs, and admins at what is anybody's.
func ofUser[I any](c call[I], name string) error {
	if name == c.caller.User.Name {
		return nil
	}
	return admins(c)
}

func (s *Server) adminRoutes() {
	handle(s, http.MethodGet, "/v1/me", "get-me", "Who makes the request",
		func(_ context.Context, c call[struct{}]) (api.Me, error) {
			return api.Me{User: WireUser(c.caller.User), Token: WireToken(c.caller.Token)}, nil
		})
	handle(s, http.MethodGet, "/v1/users", "list-users", "List users; for admins",
		func(ctx context.Context, c call[struct{}]) (api.Users, error) {
			if err := admins(c); err != nil {
				return api.Users{}, err
			}
			return c.Users.ListUsers(ctx)
		})
	handle(s, http.MethodPost, "/v1/users", "create-user", "Make a user; for admins",
		func(ctx context.Context, c call[newUser]) (api.User, error) {
			if err := admins(c); err != nil {
				return api.User{}, err
			}
			return c.Users.CreateUser(ctx, c.in.Body)
		})
	handle(s, http.MethodGet, "/v1/users/{user}", "get-user", "A user, with the names of what is theirs; of others for admins",
		func(ctx context.Context, c call[oneUser]) (api.UserDetail, error) {
			if err := ofUser(c, c.in.User); err != nil {
				return api.UserDetail{}, err
			}
			return c.Users.User(ctx, c.in.User)
		})
	for verb, disabled := range map[string]bool{"disable": true, "enable": false} {
		handle(s, http.MethodPost, "/v1/users/{user}/"+verb, verb+"-user", "Refuse all tokens of a user, or let them in again; for admins",
			func(ctx context.Context, c call[oneUser]) (api.Done, error) {
				if err := admins(c); err != nil {
					return api.Done{}, err
				}
				return c.Users.SetUserDisabled(ctx, c.in.User, disabled)
			})
	}
	s.tokenRoutes()
	handle(s, http.MethodGet, "/v1/audit", "list-audit", "Who read which secret, and who let whom in",
		func(ctx context.Context, c call[listAudit]) (api.Audit, error) {
			if c.in.All || c.in.User != "" && c.in.User != c.caller.User.Name {
				if err := admins(c); err != nil {
					return api.Audit{}, err
				}
			}
			return c.Audit.ListAudit(ctx, api.AuditFilter(*c.in))
		})
}

func (s *Server) tokenRoutes() {
	handle(s, http.MethodGet, "/v1/users/{user}/tokens", "list-tokens", "List the tokens of a user",
		func(ctx context.Context, c call[oneUser]) (api.Tokens, error) {
			if err := ofUser(c, c.in.User); err != nil {
				return api.Tokens{}, err
			}
			return c.Tokens.ListTokens(ctx, c.in.User)
		})
	handle(s, http.MethodPost, "/v1/users/{user}/tokens", "create-token", "Make a token for a user; it is told this once",
		func(ctx context.Context, c call[newToken]) (api.MadeToken, error) {
			if err := ofUser(c, c.in.User); err != nil {
				return api.MadeToken{}, err
			}
			return c.Tokens.CreateToken(ctx, c.in.User, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/users/{user}/tokens/{token}", "revoke-token", "Refuse a token from now on",
		func(ctx context.Context, c call[oneToken]) (api.Done, error) {
			if err := ofUser(c, c.in.User); err != nil {
				return api.Done{}, err
			}
			return c.Tokens.RevokeToken(ctx, c.in.User, c.in.Token)
		})
}

// WireUser is a user as the API has it.
func WireUser(u engine.User) api.User {
	return api.User{Name: u.Name, Role: string(u.Role), Disabled: u.Disabled, Created: u.Created.UTC()}
}

// WireToken is a token as the API has it.
func WireToken(t engine.Token) api.Token {
	return api.Token{
		ID: t.ID, User: t.User, Name: t.Name, Created: t.Created.UTC(), Expires: wireTime(t.Expires),
		LastUsed: wireTime(t.LastUsed), Revoked: wireTime(t.Revoked),
	}
}

func wireTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
