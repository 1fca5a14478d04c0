package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Share is the right of a user on a connection of somebody else.
type Share struct {
	Connection string    `json:"connection" doc:"Its name with its owner"`
	With       string    `json:"with" doc:"The user that has the right"`
	Right      string    `json:"right" enum:"use,manage"`
	Since      time.Time `json:"since"`
}

// Shares is a list of shares.
type Shares struct {
	Shares []Share `json:"shares" nullable:"false"`
}

// NewShare asks for a share, in place of the one that there may be.
type NewShare struct {
	Right string `json:"right,omitempty" enum:"use,manage" default:"use"`
}

// Shared tells what became of a share.
type Shared struct {
	Connection string `json:"connection"`
	With       string `json:"with"`
	Right      string `json:"right,omitempty"`
	Result     string `json:"result"`
	Called     string `json:"called,omitempty" doc:"What the user calls the connection"`
}

func sharePath(connection, user string) string {
	return connectionPath(connection, "/shares/"+url.PathEscape(user))
}

// ListShares gives the shares of all connections, or of the one of that name.
func (c *Client) ListShares(ctx context.Context, connection string) (Shares, error) {
	query := url.Values{}
	if connection != "" {
		query.Set("connection", connection)
	}
	return get[Shares](ctx, c, "/v1/shares", query)
}

// ShareConnection lets a user use or manage a connection.
func (c *Client) ShareConnection(ctx context.Context, connection, user string, share NewShare) (Shared, error) {
	return send[Shared](ctx, c, http.MethodPut, sharePath(connection, user), share)
}

// UnshareConnection takes that back.
func (c *Client) UnshareConnection(ctx context.Context, connection, user string) (Shared, error) {
	return send[Shared](ctx, c, http.MethodDelete, sharePath(connection, user), nil)
}
