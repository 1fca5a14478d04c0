package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

func userPath(name, more string) string { return "/v1/users/" + url.PathEscape(name) + more }

// ListUsers gives all users; for admins.
func (c *Client) ListUsers(ctx context.Context) (Users, error) {
	return get[Users](ctx, c, "/v1/users", nil)
}

// User gives a user with the names of what is theirs: oneself, or anybody for admins.
func (c *Client) User(ctx context.Context, name string) (UserDetail, error) {
	return get[UserDetail](ctx, c, userPath(name, ""), nil)
}

// CreateUser makes a user; for admins.
func (c *Client) CreateUser(ctx context.Context, user NewUser) (User, error) {
	return send[User](ctx, c, http.MethodPost, "/v1/users", user)
}

// SetUserDisabled refuses all tokens of a user, or lets them in again; for admins.
func (c *Client) SetUserDisabled(ctx context.Context, name string, disabled bool) (Done, error) {
	verb := "/enable"
	if disabled {
		verb = "/disable"
	}
	return send[Done](ctx, c, http.MethodPost, userPath(name, verb), nil)
}

// ListTokens gives the tokens of a user: one's own, or anybody's for admins.
func (c *Client) ListTokens(ctx context.Context, user string) (Tokens, error) {
	return get[Tokens](ctx, c, userPath(user, "/tokens"), nil)
}

// CreateToken makes a token for a user.
func (c *Client) CreateToken(ctx context.Context, user string, token NewToken) (MadeToken, error) {
	return send[MadeToken](ctx, c, http.MethodPost, userPath(user, "/tokens"), token)
}

// RevokeToken refuses a token from now on.
func (c *Client) RevokeToken(ctx context.Context, user, id string) (Done, error) {
	return send[Done](ctx, c, http.MethodDelete, userPath(user, "/tokens/"+url.PathEscape(id)), nil)
}

// ListAudit gives a page of audit events, the newest first.
func (c *Client) ListAudit(ctx context.Context, filter AuditFilter) (Audit, error) {
	query := url.Values{"all": {strconv.FormatBool(filter.All)}}
	if filter.User != "" {
		query.Set("user", filter.User)
	}
	for name, at := range map[string]time.Time{"since": filter.Since, "until": filter.Until} {
		if !at.IsZero() {
			query.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if filter.Limit > 0 {
		query.Set("limit", strconv.Itoa(filter.Limit))
	}
	if filter.After > 0 {
		query.Set("after", strconv.FormatInt(filter.After, 10))
	}
	return get[Audit](ctx, c, "/v1/audit", query)
}
