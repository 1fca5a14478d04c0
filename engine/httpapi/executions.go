package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/engine/api"
)

// oneExecution names an execution.
type oneExecution struct {
	ID string `path:"id" maxLength:"200" doc:"Of the execution, or its first letters"`
}

type listExecutions struct {
	Status   string `query:"status" enum:"pending,running,waiting,paused,succeeded,failed,cancelled" doc:"Only executions in this state"`
	Flow     string `query:"flow" maxLength:"256" doc:"Only executions of the flow of this name"`
	Children bool   `query:"children" doc:"Those that other executions started, too"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"How many at most"`
	After    string `query:"after" maxLength:"200" doc:"The cursor that the page before gave"`
}

type readTree struct {
	ID    string `path:"id" maxLength:"200" doc:"Of the execution, or its first letters"`
	After string `query:"after" maxLength:"200" doc:"The cursor that the page before gave"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"How many at most"`
}

type readTimeline struct {
	ID    string `path:"id" maxLength:"200" doc:"Of the execution, or its first letters"`
	After string `query:"after" maxLength:"200" doc:"The step of this execution after which the page begins"`
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"How many steps at most, those of child flows included"`
}

type readLog struct {
	ID    string `path:"id" maxLength:"200" doc:"Of the execution, or its first letters"`
	After int64  `query:"after" minimum:"0" doc:"The position after which the page begins"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"How many lines at most"`
}

func (s *Server) executionRoutes() {
	handle(s, http.MethodGet, "/v1/executions", "list-executions", "List executions, the newest first",
		func(ctx context.Context, c call[listExecutions]) (api.Executions, error) {
			return c.Executions.ListExecutions(ctx, api.ExecutionFilter(*c.in))
		})
	handle(s, http.MethodGet, "/v1/executions/{id}", "get-execution", "An execution without its steps",
		func(ctx context.Context, c call[oneExecution]) (api.Execution, error) {
			return c.Executions.Execution(ctx, c.in.ID)
		})
	handle(s, http.MethodGet, "/v1/executions/{id}/tree", "get-execution-tree", "An execution and all that it started",
		func(ctx context.Context, c call[readTree]) (api.Executions, error) {
			return c.Executions.ExecutionTree(ctx, c.in.ID, c.in.After, c.in.Limit)
		})
	handle(s, http.MethodGet, "/v1/executions/{id}/timeline", "get-execution-timeline", "An execution with its inputs, output, steps and questions",
		func(ctx context.Context, c call[readTimeline]) (api.Detail, error) {
			return c.Executions.Timeline(ctx, c.in.ID, c.in.After, c.in.Limit)
		})
	handle(s, http.MethodGet, "/v1/executions/{id}/log", "get-execution-log", "The log of an execution and all that it started",
		func(ctx context.Context, c call[readLog]) (api.Log, error) {
			return c.Executions.Log(ctx, c.in.ID, c.in.After, c.in.Limit)
		})
}

type startExecution struct {
	Key  string `header:"Idempotency-Key" maxLength:"256" doc:"Makes the request safe to repeat: the same key gives the same execution, for a day at least"`
	Body api.Start
}

type answerExecution struct {
	ID   string `path:"id" maxLength:"200" doc:"Of the execution, or its first letters"`
	Body api.Answer
}

func (s *Server) orderRoutes() {
	handle(s, http.MethodPost, "/v1/executions", "start-execution", "Start a flow",
		func(ctx context.Context, c call[startExecution]) (api.Execution, error) {
			c.in.Body.Key = c.in.Key
			return c.Orders.Start(ctx, c.in.Body)
		})
	for verb, summary := range map[string]string{
		"cancel": "Cancel an execution and all that it started",
		"pause":  "Keep an execution from going on",
		"resume": "Have a paused execution go on",
		"retry":  "Have a failed execution go on from the step that failed",
	} {
		handle(s, http.MethodPost, "/v1/executions/{id}/"+verb, verb+"-execution", summary,
			func(ctx context.Context, c call[oneExecution]) (api.Ordered, error) {
				return c.Orders.Order(ctx, c.in.ID, api.Order{Verb: verb})
			})
	}
	handle(s, http.MethodPost, "/v1/executions/{id}/repeat", "repeat-execution", "Start a new execution of the same text and inputs",
		func(ctx context.Context, c call[oneExecution]) (api.Execution, error) {
			return c.Orders.Repeat(ctx, c.in.ID)
		})
	handle(s, http.MethodPost, "/v1/executions/{id}/answer", "answer-execution", "Answer a question of an execution",
		func(ctx context.Context, c call[answerExecution]) (api.Answered, error) {
			return c.Orders.Answer(ctx, c.in.ID, c.in.Body)
		})
}
