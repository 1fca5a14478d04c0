package httpapi

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-engine/weir/engine/api"
)

const metricsRoute = "GET /metrics"

// routes registers all there is. What is registered by handle is in the OpenAPI
// document; all of it needs a token.
func (s *Server) routes() {
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	s.mux.HandleFunc("GET /readyz", s.showReady)
	s.mux.HandleFunc(metricsRoute, s.showMetrics)
	s.executionRoutes()
	s.orderRoutes()
	s.eventRoutes()
	s.flowRoutes()
	s.connectionRoutes()
	s.settingRoutes()
	s.vaultRoutes()
	s.adminRoutes()
	s.shareRoutes()
	s.webhookRoutes()
	s.scheduleRoutes()
	s.receiveRoute()
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own, which is never sent
	delete(schemas, "ErrorDetail")
}

// showReady tells whether the engine can work.
func (s *Server) showReady(w http.ResponseWriter, r *http.Request) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if s.isStopping() {
		s.refuse(w, r, stopping())
		return
	}
	if s.config.Ready != nil {
		if err := s.config.Ready(ctx); err != nil {
			s.config.Log.Error("the engine is not ready", "error", err)
			s.refuse(w, r, &api.Error{
				Status: http.StatusServiceUnavailable, Code: "unavailable", Kind: "unavailable",
				Message: "the engine cannot work", Hint: "the server's log says why",
			})
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}

// body is an answer with a body.
type body[T any] struct{ Body T }

// call is what an operation is given.
type call[I any] struct {
	Services
	caller Caller
	in     *I
}

// handle registers an operation. Its answer is what run gives, or its error.
func handle[I, O any](s *Server, method, path, id, summary string, run func(context.Context, call[I]) (O, error)) {
	op := s.operation(method, path, id, summary)
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*body[O], error) {
		n := notedIn(ctx)
		caller := callerOf(ctx)
		out, err := run(ctx, call[I]{s.config.Services(caller), caller, in})
		_ = n.conn.SetWriteDeadline(time.Now().Add(writePatience))
		if err != nil {
			return nil, s.failure(n, err)
		}
		return &body[O]{out}, nil
	})
}

// operation is what all operations have in common.
func (s *Server) operation(method, path, id, summary string) huma.Operation {
	schemas := s.api.OpenAPI().Components.Schemas
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		MaxBodyBytes: -1, BodyReadTimeout: -1, // it is in memory
		Responses: map[string]*huma.Response{"default": {
			Description: "It failed",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: schemas.Schema(reflect.TypeFor[api.Error](), true, "Error")},
			},
		}},
	}
}
