package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/engine/api"
)

// oneFlow names a flow. Names have slashes in them, so they are no part of a path.
type oneFlow struct {
	Name string `query:"name" required:"true" minLength:"1" maxLength:"128" doc:"Of the flow"`
}

type flowVersion struct {
	Name    string `query:"name" required:"true" minLength:"1" maxLength:"128" doc:"Of the flow"`
	Version int    `query:"version" minimum:"0" doc:"0 for the newest"`
}

type applyFlows struct {
	Body struct {
		Flows []api.FlowText `json:"flows" nullable:"false" minItems:"1" maxItems:"1000"`
	}
}

func (s *Server) flowRoutes() {
	handle(s, http.MethodPut, "/v1/flows", "apply-flows", "Store flows, or new versions of them",
		func(ctx context.Context, c call[applyFlows]) (api.Flows, error) {
			return c.Flows.ApplyFlows(ctx, c.in.Body.Flows)
		})
	handle(s, http.MethodGet, "/v1/flows", "list-flows", "List the stored flows",
		func(ctx context.Context, c call[struct{}]) (api.Flows, error) {
			return c.Flows.ListFlows(ctx)
		})
	handle(s, http.MethodGet, "/v1/flow", "get-flow", "A version of a flow, with its text",
		func(ctx context.Context, c call[flowVersion]) (api.Flow, error) {
			return c.Flows.Flow(ctx, c.in.Name, c.in.Version)
		})
	handle(s, http.MethodGet, "/v1/flow/versions", "list-flow-versions", "List the versions of a flow, the newest first",
		func(ctx context.Context, c call[oneFlow]) (api.Flows, error) {
			return c.Flows.FlowVersions(ctx, c.in.Name)
		})
	handle(s, http.MethodDelete, "/v1/flow", "delete-flow", "Delete a flow and its versions",
		func(ctx context.Context, c call[oneFlow]) (api.Deleted, error) {
			return c.Flows.DeleteFlow(ctx, c.in.Name)
		})
}
