package api

import "net/http"

// Error is the body of every answer that is none of success, whatever went wrong.
type Error struct {
	// Status is the HTTP status that it came with; no part of the body.
	Status int `json:"-"`
	// Code is one of the Code constants, or the kind.
	Code string `json:"code" doc:"What went wrong, for programs" example:"notfound"`
	// Kind is an engine.Kind. It decides on the exit code of the command line.
	Kind      string `json:"kind" doc:"The sort of failure: invalid, denied, notfound, conflict, unavailable, timeout, permanent, script, limit, cancelled or internal" example:"notfound"`
	Message   string `json:"message" doc:"What went wrong, for people"`
	Hint      string `json:"hint,omitempty" doc:"What to do about it"`
	Where     string `json:"where,omitempty" doc:"Place in a flow or in the request, such as flow.lua:12 or body.inputs"`
	RequestID string `json:"request_id,omitempty" doc:"Names the request in the server's log"`
}

// Codes of errors that say more than their kind.
const (
	CodeUnauthenticated = "unauthenticated"    // no token, or none that counts
	CodeForbidden       = "forbidden"          // only an admin may
	CodeThrottled       = "throttled"          // too many attempts; see Retry-After
	CodeBusy            = "too_many_requests"  // of this user at the same time; see Retry-After
	CodeTooLarge        = "too_large"          // the body is larger than the server reads
	CodeSlow            = "slow"               // the body did not come in time
	CodeBadRequest      = "bad_request"        // it is no request of this API
	CodeNoRoute         = "no_route"           // there is nothing at this path
	CodeMethod          = "method_not_allowed" // the path knows other methods
	CodeUsage           = "usage"              // the same on the command line would be wrong usage
	CodeStopping        = "stopping"           // the server is about to end
	CodeStale           = "stale"              // a call of a webhook was signed too long ago, or in the future
	CodeNotStarted      = "not_started"        // the flow of a webhook could not be started
	CodeFlowFailed      = "flow_failed"        // the flow of a sync webhook did not succeed
)

// Error implements error.
func (e *Error) Error() string { return e.Message }

// StatusOf gives the HTTP status for a kind of error; it is the only place that maps
// them.
func StatusOf(kind string) int {
	switch kind {
	case "invalid", "script", "limit":
		return http.StatusBadRequest
	case "denied":
		return http.StatusForbidden
	case "notfound":
		return http.StatusNotFound
	case "conflict":
		return http.StatusConflict
	case "unavailable":
		return http.StatusServiceUnavailable
	case "timeout":
		return http.StatusGatewayTimeout
	case "permanent":
		return http.StatusUnprocessableEntity
	case "cancelled":
		return 499 // what servers say of a client that has gone away
	}
	return http.StatusInternalServerError
}
