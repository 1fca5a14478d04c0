package trace

import (
	"maps"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// flow is what is known of an execution that has not ended.
type flow struct {
	row     journal.Row
	place   link // its trace, and the span above it; zero for none
	next    int  // number of the event that comes next
	begun   time.Time
	retries int // how often it went on after it had failed
	// steps are those under way of which something is written, and all child flows that
	// came to be.
	steps map[journal.Address]*step
}

// step is a step under way.
type step struct {
	kind     engine.CallKind
	began    time.Time
	failures []failure
}

// failure is a try that another one follows.
type failure struct {
	ended, next time.Time
	kind        engine.Kind
}

// newFlow is an execution that has nothing written but how it began.
func newFlow(row journal.Row, begun *journal.Begun, by sampler) *flow {
	f := &flow{row: row, begun: begun.At, steps: map[journal.Address]*step{}}
	if caller, ok := parseLink(begun.Trace); ok {
		f.place = caller // it was decided on when it came
	} else {
		f.place = link{trace: traceOf(row.Root)}
		f.place.sampled = by.samples(f.place.trace, nil)
	}
	if row.Parent != "" {
		f.place.span = spanOf(row.Parent, 0)
	}
	return f
}

// read takes an event in, and gives the spans that it ends.
func (f *flow) read(event journal.Event, types func(string) bool) []*tracepb.Span {
	if !f.place.sampled {
		return nil
	}
	switch e := event.(type) {
	case *journal.Called:
		s := f.step(e.Address)
		s.kind = e.Kind
		s.began = earlier(s.began, e.At)
	case *journal.Tried:
		s := f.step(e.Address)
		s.failures = append(s.failures, failure{e.At, e.Next, kindOf(e.Error)})
	case *journal.Returned:
		return f.returned(e, types)
	case *journal.Retried:
		f.retries++
		f.begun, f.place.span = e.At, spanOf(f.row.ID, 0)
		maps.DeleteFunc(f.steps, func(_ journal.Address, s *step) bool { return s.kind != engine.CallFlow })
	case *journal.Finished:
		return []*tracepb.Span{f.finished(e)}
	}
	return nil
}

func (f *flow) step(at journal.Address) *step {
	s := f.steps[at]
	if s == nil {
		s = &step{}
		f.steps[at] = s
	}
	return s
}

// finished is the span of the execution.
func (f *flow) finished(e *journal.Finished) *tracepb.Span {
	s := f.span(spanOf(f.row.ID, f.retries), f.place.span, "flow "+f.row.Name, f.begun, e.At)
	s.Kind = tracepb.Span_SPAN_KIND_INTERNAL
	s.Attributes = append(s.Attributes, text("weir.execution.id", string(f.row.ID)), text("weir.execution.kind", "flow"), text("weir.flow", f.row.Name))
	if f.retries > 0 {
		s.Attributes = append(s.Attributes, number("weir.execution.retry", f.retries))
	}
	end(s, e.Status, kindOf(e.Error))
	return s
}

// returned are the spans of a step and of its tries. Those of a child flow come from
// its own journal, if it came to be.
func (f *flow) returned(e *journal.Returned, types func(string) bool) []*tracepb.Span {
	s := f.steps[e.Address]
	if s == nil {
		s = &step{}
	}
	if e.Kind == engine.CallFlow && s.kind == engine.CallFlow {
		return nil
	}
	delete(f.steps, e.Address)
	began := earlier(s.began, e.Started)
	if len(s.failures) > 0 { // the beginning of the first try is not always written
		began = earlier(began, s.failures[0].ended)
	}
	id := journal.ChildID(f.row.ID, e.Address)
	own := spanOf(id, f.retries)
	name := string(e.Kind)
	attributes := []attribute{text("weir.execution.id", string(id)), text("weir.execution.kind", string(e.Kind)), text("weir.call", e.String())}
	if known := types(e.Type); known {
		name = string(e.Kind) + " " + e.Type
		attributes = append(attributes, text("weir.task.type", e.Type))
	}
	if e.Uses.Connection != "" {
		name = string(e.Kind) + " " + e.Uses.Connection
		attributes = append(attributes, text("weir.connection", e.Uses.Connection))
	}
	tries := max(e.Tries, len(s.failures)+1)
	span := f.span(own, spanOf(f.row.ID, f.retries), name, began, e.Ended)
	span.Attributes = append(attributes, number("weir.tries", tries))
	end(span, e.Status, kindOf(e.Error))
	spans := []*tracepb.Span{span}
	if len(s.failures) == 0 {
		return spans
	}
	for i, failed := range s.failures {
		spans = append(spans, f.try(id, own, i+1, began, failed.ended, engine.Failed, failed.kind))
		began = failed.next
	}
	if began.After(e.Ended) { // it ended before the next try
		return spans
	}
	return append(spans, f.try(id, own, len(s.failures)+1, began, e.Ended, e.Status, kindOf(e.Error)))
}

func (f *flow) try(id engine.ID, parent spanID, n int, began, ended time.Time, status engine.Status, kind engine.Kind) *tracepb.Span {
	s := f.span(spanOf(id+engine.ID("/"+strconv.Itoa(n)), f.retries), parent, "try", began, ended)
	s.Attributes = append(s.Attributes, text("weir.execution.id", string(id)), number("weir.try", n))
	end(s, status, kind)
	return s
}

// span is one of the tree; its kind is that of a client.
func (f *flow) span(id, parent spanID, name string, began, ended time.Time) *tracepb.Span {
	return newSpan(link{trace: f.place.trace, span: id}, parent, tracepb.Span_SPAN_KIND_CLIENT, name, began, ended)
}

// end says what a span came to.
func end(s *tracepb.Span, status engine.Status, kind engine.Kind) {
	s.Attributes = append(s.Attributes, text("weir.status", string(status)))
	if kind != "" {
		s.Attributes = append(s.Attributes, text("error.type", string(kind)))
	}
	if status == engine.Failed {
		s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
}

func kindOf(e *engine.Error) engine.Kind {
	if e == nil {
		return ""
	}
	return e.Kind
}

// earlier is the earlier of two times that are not zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
