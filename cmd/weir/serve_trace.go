package main

import (
	"context"
	"net/url"
	"time"

	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/engine/trace"
)

// tracesPatience is how long the last traces may take when the engine has ended.
const tracesPatience = 5 * time.Second

// traces has what the engine writes told to whom it concerns: the hub, if there is an
// API, and who sends traces, if they are to be sent. The function sends the last ones;
// it is to be called when the engine and the API have ended. A mistake in what says
// where traces go does not keep the engine from its work.
func (a *app) traces(opened *store.Store, d *daemon, s *serving) (end func(), err error) {
	end = func() {}
	settings, wrong := trace.FromEnvironment(a.getenv, s.otlp)
	if wrong != nil {
		d.log.Error("no traces are sent", "error", wrong)
	}
	if settings != nil {
		types, err := a.tasks()
		if err != nil {
			return end, err
		}
		version, _ := buildVersion()
		d.traces, err = trace.New(trace.Config{
			Settings: settings, Load: opened.Executions().Load, TaskTypes: types.Types(), Version: version, Log: d.log, Patience: tracesPatience,
		})
		if err != nil {
			return end, err
		}
		d.log.Info("traces are sent", "endpoint", settings.Endpoint, "service", settings.Service, "sampler", settings.Sampler)
		end = runTraces(d.traces)
	}
	if d.hub != nil || d.traces != nil {
		s.config.Store = &toldStore{opened.Executions(), d.hub, d.traces}
	}
	return end, nil
}

func runTraces(e *trace.Exporter) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// traceRequest is what the API tells of requests; nil if there are no traces.
func (d *daemon) traceRequest() func(string) (string, func(httpapi.Answered)) {
	if d.traces == nil {
		return nil
	}
	return func(traceparent string) (string, func(httpapi.Answered)) {
		at, end := d.traces.Begin(traceparent)
		return at, func(r httpapi.Answered) {
			end(trace.Request{ID: r.ID, Method: r.Method, Route: r.Route, Status: r.Status, Began: r.Began, Ended: time.Now()})
		}
	}
}

// traceMeasures are the figures of traces.
func (d *daemon) traceMeasures() []httpapi.Measure {
	if d.traces == nil {
		return nil
	}
	sent, dropped := d.traces.Counts()
	return []httpapi.Measure{
		{Name: "weir_trace_spans_total", Help: "Spans that the collector took.", Counter: true, Value: float64(sent)},
		{Name: "weir_trace_spans_dropped_total", Help: "Spans that were lost on the way to the collector.", Counter: true, Value: float64(dropped)},
	}
}

// toldStore is a store whose commits are told to a hub, and to who sends traces;
// either may be nil.
type toldStore struct {
	*store.Executions
	hub    *httpapi.Hub
	traces *trace.Exporter
}

// Commit implements local.Store.
func (s *toldStore) Commit(changes []journal.Change, done func(error)) {
	began := time.Now()
	s.Executions.Commit(changes, func(err error) {
		if err == nil && s.hub != nil {
			s.hub.Committed(changes, time.Since(began))
		}
		if err == nil && s.traces != nil {
			s.traces.Committed(changes)
		}
		done(err)
	})
}

// otlpEndpoint is the flag that says where traces go. The variables of OpenTelemetry
// say it as well, that for traces before that for all.
const otlpEndpoint = "otlp-endpoint"

func otlpVariable(getenv func(string) string) string {
	const traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	if getenv(traces) != "" {
		return traces
	}
	return "OTEL_EXPORTER_OTLP_ENDPOINT"
}

// shownAddress is an address without what may be a secret in it.
func shownAddress(text string) string {
	address, err := url.Parse(text)
	if err != nil {
		return "***"
	}
	address.RawQuery, address.Fragment = "", ""
	return address.Redacted()
}

func (a *app) checkTraces(s *serving) (string, error) {
	settings, err := trace.FromEnvironment(a.getenv, s.otlp)
	switch {
	case err != nil:
		return "", hintedInvalid("the engine would serve without traces", "%v", err)
	case settings == nil:
		return "none are sent", nil
	}
	return settings.Endpoint + ", as " + settings.Service, nil
}
