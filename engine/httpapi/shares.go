package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/engine/api"
)

// Shares are the rights that a caller gives others on the caller's connections.
type Shares interface {
	// ListShares gives those of one connection; of all if it has no name.
	ListShares(ctx context.Context, connection string) (api.Shares, error)
	ShareConnection(ctx context.Context, connection, user string, share api.NewShare) (api.Shared, error)
	UnshareConnection(ctx context.Context, connection, user string) (api.Shared, error)
}

type listShares struct {
	Connection string `query:"connection" maxLength:"200" doc:"Only those of this one"`
}

type oneShare struct {
	Name string `path:"name" maxLength:"200"`
	User string `path:"user" maxLength:"64"`
}

type newShare struct {
	Name string `path:"name" maxLength:"200"`
	User string `path:"user" maxLength:"64"`
	Body api.NewShare
}

func (s *Server) shareRoutes() {
	handle(s, http.MethodGet, "/v1/shares", "list-shares", "With whom connections are shared",
		func(ctx context.Context, c call[listShares]) (api.Shares, error) {
			return c.Shares.ListShares(ctx, c.in.Connection)
		})
	handle(s, http.MethodPut, "/v1/connections/{name}/shares/{user}", "share-connection", "Let another user use or manage a stored connection",
		func(ctx context.Context, c call[newShare]) (api.Shared, error) {
			return c.Shares.ShareConnection(ctx, c.in.Name, c.in.User, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/connections/{name}/shares/{user}", "unshare-connection", "Take a share of a connection back",
		func(ctx context.Context, c call[oneShare]) (api.Shared, error) {
			return c.Shares.UnshareConnection(ctx, c.in.Name, c.in.User)
		})
}
