package httpapi

import (
	"context"

	"github.com/weir-engine/weir/engine/api"
)

// Services are what one caller can reach. They see what is the caller's own and
// nothing else: for all the rest they give the error for what is not there.
//
// The command line works with the same services, on a store of its own or, through
// the client of package api, with those of a server.
type Services struct {
	Executions Executions
	Orders     Orders
	Flows      Flows

	Connections      Connections
	ConnectionStore  ConnectionStore
	ConnectionTrials ConnectionTrials

	Settings  Settings
	TaskTypes TaskTypes
	Vaults    Vaults
	Users     Users
	Tokens    Tokens
	Audit     Audit
	Shares    Shares
	Webhooks  Webhooks
	Schedules Schedules
}

// Executions are what a caller sees of executions. An id may be shortened to its
// first letters, as long as they mean one execution only.
type Executions interface {
	ListExecutions(ctx context.Context, filter api.ExecutionFilter) (api.Executions, error)
	Execution(ctx context.Context, id string) (api.Execution, error)
	// ExecutionTree gives an execution and all below it, itself first: at most limit of
	// them, from after the one of that id on. A limit of 0 gives all.
	ExecutionTree(ctx context.Context, id, after string, limit int) (api.Executions, error)
	// Timeline gives an execution with its steps, and those of the flows it started: at
	// most limit steps in sum, from after that step on. A limit of 0 gives all.
	Timeline(ctx context.Context, id, after string, limit int) (api.Detail, error)
	// Log gives lines of the log of an execution and all below it, after a position.
	Log(ctx context.Context, id string, after int64, limit int) (api.Log, error)
}

// Orders are what a caller has the engine do.
type Orders interface {
	// Start starts a flow. With a key, the same one gives the same execution.
	Start(ctx context.Context, start api.Start) (api.Execution, error)
	// Order cancels, pauses, resumes or retries an execution.
	Order(ctx context.Context, id string, order api.Order) (api.Ordered, error)
	// Repeat starts a new execution of the text and inputs of another.
	Repeat(ctx context.Context, id string) (api.Execution, error)
	Answer(ctx context.Context, id string, answer api.Answer) (api.Answered, error)
}

// Flows are a caller's flows.
type Flows interface {
	// ApplyFlows stores new versions of flows: all of them, or none if one has a
	// mistake.
	ApplyFlows(ctx context.Context, texts []api.FlowText) (api.Flows, error)
	ListFlows(ctx context.Context) (api.Flows, error)
	// Flow gives a version of a flow with its text; 0 is the newest.
	Flow(ctx context.Context, name string, version int) (api.Flow, error)
	FlowVersions(ctx context.Context, name string) (api.Flows, error)
	DeleteFlow(ctx context.Context, name string) (api.Deleted, error)
}
