package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/engine/api"
)

// Schedules are a caller's schedules.
type Schedules interface {
	ListSchedules(ctx context.Context) (api.Schedules, error)
	Schedule(ctx context.Context, name string) (api.ScheduleDetail, error)
	CreateSchedule(ctx context.Context, schedule api.NewSchedule) (api.ScheduleDetail, error)
	ChangeSchedule(ctx context.Context, name string, change api.ScheduleChange) (api.ScheduleDetail, error)
	DeleteSchedule(ctx context.Context, name string) (api.Deleted, error)
	// RunSchedule starts what a schedule starts, beside whatever is at work. With a key,
	// the same one gives the same execution.
	RunSchedule(ctx context.Context, name, key string) (api.Execution, error)
}

type newSchedule struct{ Body api.NewSchedule }

type changeSchedule struct {
	Name string `path:"name" maxLength:"128"`
	Body api.ScheduleChange
}

type runSchedule struct {
	Name string `path:"name" maxLength:"128"`
	Key  string `header:"Idempotency-Key" maxLength:"256" doc:"Makes the request safe to repeat: the same key gives the same execution, for a day at least"`
}

func (s *Server) scheduleRoutes() {
	handle(s, http.MethodGet, "/v1/schedules", "list-schedules", "List schedules, without their inputs",
		func(ctx context.Context, c call[struct{}]) (api.Schedules, error) {
			return c.Schedules.ListSchedules(ctx)
		})
	handle(s, http.MethodPost, "/v1/schedules", "create-schedule", "Store a schedule",
		func(ctx context.Context, c call[newSchedule]) (api.ScheduleDetail, error) {
			return c.Schedules.CreateSchedule(ctx, c.in.Body)
		})
	handle(s, http.MethodGet, "/v1/schedules/{name}", "get-schedule", "A schedule with its inputs and its next five times",
		func(ctx context.Context, c call[named]) (api.ScheduleDetail, error) {
			return c.Schedules.Schedule(ctx, c.in.Name)
		})
	handle(s, http.MethodPatch, "/v1/schedules/{name}", "change-schedule", "Change a schedule, enable or disable it",
		func(ctx context.Context, c call[changeSchedule]) (api.ScheduleDetail, error) {
			return c.Schedules.ChangeSchedule(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/schedules/{name}", "delete-schedule", "Delete a schedule; what it started goes on",
		func(ctx context.Context, c call[named]) (api.Deleted, error) {
			return c.Schedules.DeleteSchedule(ctx, c.in.Name)
		})
	handle(s, http.MethodPost, "/v1/schedules/{name}/run", "run-schedule", "Start now what a schedule starts",
		func(ctx context.Context, c call[runSchedule]) (api.Execution, error) {
			return c.Schedules.RunSchedule(ctx, c.in.Name, c.in.Key)
		})
}
