package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Schedule starts a flow of its owner at given times.
type Schedule struct {
	Name     string    `json:"name"`
	Flow     string    `json:"flow" doc:"Name of a stored flow; its newest version is run"`
	Cron     string    `json:"cron" doc:"Minute, hour, day of the month, month, day of the week; or one such as @daily" example:"30 2 * * MON-FRI"`
	TimeZone string    `json:"time_zone" doc:"In which the times are meant" example:"Europe/Vienna"`
	Overlap  string    `json:"overlap" enum:"skip,queue,allow" doc:"What happens if the last execution is at work"`
	Missed   string    `json:"missed" enum:"skip,once,all" doc:"What happens with runs that were due while no engine was there"`
	Enabled  bool      `json:"enabled"`
	Changed  time.Time `json:"changed"`

	NextRun       *time.Time `json:"next_run" doc:"When it is due; null for never"`
	LastRun       *time.Time `json:"last_run" doc:"When the last run was due; null before the first"`
	LastExecution string     `json:"last_execution" doc:"What the last run that took place became"`
	Problem       string     `json:"problem" doc:"Why the last run did not take place, or what it waits for; empty once one has"`
	ProblemAt     *time.Time `json:"problem_at"`
}

// Schedules is a list of schedules.
type Schedules struct {
	Schedules []Schedule `json:"schedules" nullable:"false"`
}

// ScheduleDetail is a schedule with all that is known of it.
type ScheduleDetail struct {
	Schedule
	Inputs   map[string]any `json:"inputs" nullable:"false" doc:"Of the flow, masked as those of its executions"`
	NextRuns []ScheduleTime `json:"next_runs" nullable:"false" doc:"The next five times; empty if it is disabled"`
}

// ScheduleTime is a time at which a schedule is due.
type ScheduleTime struct {
	UTC   time.Time `json:"utc"`
	Local string    `json:"local" doc:"In the schedule's time zone" example:"2026-03-29T02:30:00+02:00"`
}

// NewSchedule asks for a schedule.
type NewSchedule struct {
	Name     string          `json:"name" maxLength:"128"`
	Flow     string          `json:"flow" maxLength:"128" doc:"Name of a stored flow"`
	Cron     string          `json:"cron" maxLength:"256"`
	TimeZone string          `json:"time_zone,omitempty" maxLength:"64" doc:"UTC if not given"`
	Overlap  string          `json:"overlap,omitempty" enum:"skip,queue,allow" default:"skip"`
	Missed   string          `json:"missed,omitempty" enum:"skip,once,all" default:"once"`
	Disabled bool            `json:"disabled,omitempty" doc:"It is stored, and does not run until it is enabled"`
	Inputs   json.RawMessage `json:"inputs,omitempty" doc:"The flow's inputs, an object"`
}

// ScheduleChange changes a schedule; what is null stays.
type ScheduleChange struct {
	Flow     *string         `json:"flow,omitempty" maxLength:"128"`
	Cron     *string         `json:"cron,omitempty" maxLength:"256"`
	TimeZone *string         `json:"time_zone,omitempty" maxLength:"64"`
	Overlap  *string         `json:"overlap,omitempty" enum:"skip,queue,allow"`
	Missed   *string         `json:"missed,omitempty" enum:"skip,once,all"`
	Enabled  *bool           `json:"enabled,omitempty"`
	Inputs   json.RawMessage `json:"inputs,omitempty" doc:"Inputs to be set, an object; the others stay"`
	Unset    []string        `json:"unset,omitempty" maxItems:"1000" doc:"Names of inputs to be taken away"`
}

func schedulePath(name, more string) string { return "/v1/schedules/" + url.PathEscape(name) + more }

// ListSchedules gives all schedules, without inputs.
func (c *Client) ListSchedules(ctx context.Context) (Schedules, error) {
	return get[Schedules](ctx, c, "/v1/schedules", nil)
}

// Schedule gives a schedule.
func (c *Client) Schedule(ctx context.Context, name string) (ScheduleDetail, error) {
	return get[ScheduleDetail](ctx, c, schedulePath(name, ""), nil)
}

// CreateSchedule stores a new schedule.
func (c *Client) CreateSchedule(ctx context.Context, schedule NewSchedule) (ScheduleDetail, error) {
	return send[ScheduleDetail](ctx, c, http.MethodPost, "/v1/schedules", schedule)
}

// ChangeSchedule changes a schedule.
func (c *Client) ChangeSchedule(ctx context.Context, name string, change ScheduleChange) (ScheduleDetail, error) {
	return send[ScheduleDetail](ctx, c, http.MethodPatch, schedulePath(name, ""), change)
}

// DeleteSchedule deletes a schedule. What it started goes on.
func (c *Client) DeleteSchedule(ctx context.Context, name string) (Deleted, error) {
	return send[Deleted](ctx, c, http.MethodDelete, schedulePath(name, ""), nil)
}

// RunSchedule starts what a schedule starts, now. With a key, the same one gives the same
// execution.
func (c *Client) RunSchedule(ctx context.Context, name, key string) (out Execution, err error) {
	r := request{method: http.MethodPost, path: schedulePath(name, "/run")}
	if key != "" {
		r.header = map[string]string{"Idempotency-Key": key}
	}
	err = c.call(ctx, r, &out)
	return out, err
}
