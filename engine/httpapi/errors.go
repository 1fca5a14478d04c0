package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// statusError is an error of an operation, as huma takes it.
type statusError struct{ sent *api.Error }

// Error implements error.
func (e statusError) Error() string { return e.sent.Message }

// GetStatus implements huma.StatusError.
func (e statusError) GetStatus() int { return e.sent.Status }

// GetHeaders implements huma.HeadersError.
func (e statusError) GetHeaders() http.Header {
	if e.sent.Status == http.StatusTooManyRequests || e.sent.Status == http.StatusServiceUnavailable {
		return http.Header{"Retry-After": {retryAfter}}
	}
	return nil
}

// MarshalJSON gives the body.
func (e statusError) MarshalJSON() ([]byte, error) { return json.Marshal(e.sent) }

// failure is the error of a service as it is sent.
func (s *Server) failure(r *note, err error) error {
	var refused statusError
	if errors.As(err, &refused) { // by the server itself
		refused.sent.RequestID = r.id
		return refused
	}
	failure := s.config.Explain(err)
	if failure.Code == "" {
		failure.Code = failure.Kind
	}
	if failure.Status == 0 {
		failure.Status = api.StatusOf(failure.Kind)
	}
	if failure.Kind == string(engine.Internal) || failure.Kind == "" {
		s.config.Log.Error("a request failed", "request", r.id, "error", failure.Message)
		failure = defect()
	}
	failure.RequestID = r.id
	return statusError{failure}
}

// defect is what is told of what nobody foresaw: nothing that could be a secret.
func defect() *api.Error {
	return &api.Error{
		Status: http.StatusInternalServerError, Code: string(engine.Internal), Kind: string(engine.Internal),
		Message: "something went wrong in weir", Hint: "the server's log has it under the request id",
	}
}

func (s *Server) internal(r *http.Request, doing string, failure *api.Error) *api.Error {
	if r.Context().Err() == nil {
		s.config.Log.Error(doing, "request", noted(r).id, "error", failure.Message)
	}
	return defect()
}

// refuse answers with an error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, failure *api.Error) {
	failure.RequestID = noted(r).id
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(failure.Status)
	_ = json.NewEncoder(w).Encode(failure) // a client that has gone is none to be told
}

// uniform gives errors that huma makes the shape of all others. What was sent is left
// out of them: it may be a secret.
func uniform(ctx huma.Context, _ string, body any) (any, error) {
	model, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	ctx.SetHeader("Content-Type", "application/json")
	failure := &api.Error{
		Status: model.Status, Code: api.CodeBadRequest, Kind: string(engine.Invalid), Message: model.Detail,
		RequestID: notedIn(ctx.Context()).id,
	}
	if model.Status == http.StatusInternalServerError {
		failure = defect()
		failure.RequestID = notedIn(ctx.Context()).id
		return failure, nil
	}
	if model.Status == http.StatusUnprocessableEntity || len(model.Errors) == 0 {
		failure.Hint = "what it takes is described at /openapi.json"
	}
	for i, detail := range model.Errors {
		if i == 0 {
			failure.Where = detail.Location
		}
		failure.Message += "; " + detail.Message
		if detail.Location != "" {
			failure.Message += " (" + detail.Location + ")"
		}
	}
	return failure, nil
}

// guarded answers after a panic, and says where it was, not what: that may hold
// anything.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil || cause == http.ErrAbortHandler { //nolint:errorlint // what was thrown is no chain
				return
			}
			s.config.Log.Error("a request panicked", "request", noted(r).id, "cause", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
			if noted(r).status == 0 {
				s.refuse(w, r, defect())
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// routed hands the request to its route. A path or a method that there is not gets
// the same shape of error as all else.
func (s *Server) routed(w http.ResponseWriter, r *http.Request) {
	failure := &api.Error{
		Status: http.StatusNotFound, Code: api.CodeNoRoute, Kind: string(engine.NotFound),
		Message: "there is nothing at this path", Hint: "see /openapi.json; no path ends with a slash",
	}
	if clean := path.Clean(r.URL.Path); clean != strings.TrimSuffix(r.URL.Path, "/") && clean != r.URL.Path {
		s.refuse(w, r, failure) // the mux would lead it elsewhere
		return
	}
	handler, pattern := s.mux.Handler(r)
	if pattern != "" {
		noted(r).route = pattern
		s.mux.ServeHTTP(w, r)
		return
	}
	answer := &statusOnly{header: http.Header{}}
	handler.ServeHTTP(answer, r)
	if answer.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", answer.header.Get("Allow"))
		failure = &api.Error{
			Status: answer.status, Code: api.CodeMethod, Kind: string(engine.Invalid),
			Message: "the path does not know this method", Hint: "it knows " + answer.header.Get("Allow"),
		}
	}
	s.refuse(w, r, failure)
}

// statusOnly takes the status of an answer and drops the rest.
type statusOnly struct {
	header http.Header
	status int
}

func (a *statusOnly) Header() http.Header         { return a.header }
func (a *statusOnly) Write(p []byte) (int, error) { return len(p), nil }
func (a *statusOnly) WriteHeader(status int)      { a.status = status }
