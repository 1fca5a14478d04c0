package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine/api"
)

// Connections are what a caller sees of connections: theirs, and what is shared with
// them. Nothing secret is in it.
type Connections interface {
	ListConnections(ctx context.Context) (api.Connections, error)
	// Connection gives a connection, or a revision of a stored one; 0 is the newest.
	Connection(ctx context.Context, name string, revision int64) (api.Connection, error)
	ConnectionRevisions(ctx context.Context, name string) (api.Revisions, error)
	// ExportConnections gives those that are named, or all stored ones.
	ExportConnections(ctx context.Context, names []string, revision int64) (api.Export, error)
}

// ConnectionStore changes a caller's connections.
type ConnectionStore interface {
	CreateConnection(ctx context.Context, text api.ConnectionText) (api.Changes, error)
	// ApplyConnections creates and updates connections: all of them, or none.
	ApplyConnections(ctx context.Context, text api.ConnectionText) (api.Changes, error)
	// EditConnection changes one. "***" stands for a secret that stays as it is.
	EditConnection(ctx context.Context, name string, text api.ConnectionText) (api.Changes, error)
	ChangeSecret(ctx context.Context, name string, change api.SecretChange) (api.Changes, error)
	DeleteConnection(ctx context.Context, name string) (api.Deleted, error)
}

// ConnectionTrials look into what a caller's connections come to.
type ConnectionTrials interface {
	ExplainConnection(ctx context.Context, name string, overrides api.Overrides) (connections.Explanation, error)
	// TestConnection tries a connection. That it failed is no error.
	TestConnection(ctx context.Context, name string, overrides api.Overrides) (api.Tested, error)
}

// oneConnection names a connection. That of somebody else is "owner/name".
type oneConnection struct {
	Name string `path:"name" maxLength:"200"`
}

type connectionRevision struct {
	Name     string `path:"name" maxLength:"200"`
	Revision int64  `query:"revision" minimum:"0" doc:"0 for the newest"`
}

type exportConnections struct {
	Names    []string `query:"name,explode" maxItems:"1000" doc:"Those that are wanted; all stored ones if none is named"`
	Revision int64    `query:"revision" minimum:"0" doc:"0 for the newest"`
}

type textOfConnections struct{ Body api.ConnectionText }

type textOfConnection struct {
	Name string `path:"name" maxLength:"200"`
	Body api.ConnectionText
}

type changeSecret struct {
	Name string `path:"name" maxLength:"200"`
	Body api.SecretChange
}

type tryConnection struct {
	Name string `path:"name" maxLength:"200"`
	Body api.Overrides
}

func (s *Server) connectionRoutes() {
	handle(s, http.MethodGet, "/v1/connections", "list-connections", "List connections, and where each one comes from",
		func(ctx context.Context, c call[struct{}]) (api.Connections, error) {
			return c.Connections.ListConnections(ctx)
		})
	handle(s, http.MethodGet, "/v1/connections/{name}", "get-connection", "A connection as it was written, secrets masked",
		func(ctx context.Context, c call[connectionRevision]) (api.Connection, error) {
			return c.Connections.Connection(ctx, c.in.Name, c.in.Revision)
		})
	handle(s, http.MethodGet, "/v1/connections/{name}/revisions", "list-connection-revisions", "The revisions of a stored connection",
		func(ctx context.Context, c call[oneConnection]) (api.Revisions, error) {
			return c.Connections.ConnectionRevisions(ctx, c.in.Name)
		})
	handle(s, http.MethodGet, "/v1/connection-export", "export-connections", "Connections as YAML documents, without plain secrets",
		func(ctx context.Context, c call[exportConnections]) (api.Export, error) {
			return c.Connections.ExportConnections(ctx, c.in.Names, c.in.Revision)
		})
	handle(s, http.MethodPost, "/v1/connections", "create-connection", "Store a new connection",
		func(ctx context.Context, c call[textOfConnections]) (api.Changes, error) {
			return c.ConnectionStore.CreateConnection(ctx, c.in.Body)
		})
	handle(s, http.MethodPut, "/v1/connections", "apply-connections", "Create or update connections",
		func(ctx context.Context, c call[textOfConnections]) (api.Changes, error) {
			return c.ConnectionStore.ApplyConnections(ctx, c.in.Body)
		})
	handle(s, http.MethodPut, "/v1/connections/{name}", "edit-connection", "Change a connection; *** stands for a secret that stays",
		func(ctx context.Context, c call[textOfConnection]) (api.Changes, error) {
			return c.ConnectionStore.EditConnection(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodPost, "/v1/connections/{name}/secrets", "change-connection-secret", "Attach a secret to a connection, or detach one",
		func(ctx context.Context, c call[changeSecret]) (api.Changes, error) {
			return c.ConnectionStore.ChangeSecret(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/connections/{name}", "delete-connection", "Delete a stored connection and its revisions",
		func(ctx context.Context, c call[oneConnection]) (api.Deleted, error) {
			return c.ConnectionStore.DeleteConnection(ctx, c.in.Name)
		})
	handle(s, http.MethodPost, "/v1/connections/{name}/explain", "explain-connection", "Where each input of a connection comes from",
		func(ctx context.Context, c call[tryConnection]) (connections.Explanation, error) {
			return c.ConnectionTrials.ExplainConnection(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodPost, "/v1/connections/{name}/test", "test-connection", "Try a connection stage by stage, without any effect",
		func(ctx context.Context, c call[tryConnection]) (api.Tested, error) {
			return c.ConnectionTrials.TestConnection(ctx, c.in.Name, c.in.Body)
		})
}
