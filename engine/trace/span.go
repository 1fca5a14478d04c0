package trace

import (
	"net/http"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

type attribute = *commonpb.KeyValue

func text(key, value string) attribute {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value int) attribute {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(value)}}}
}

// newSpan is a span without attributes. The parent is zero for none.
func newSpan(at link, parent spanID, kind tracepb.Span_SpanKind, name string, began, ended time.Time) *tracepb.Span {
	const sampled = 1
	s := &tracepb.Span{
		TraceId: at.trace[:], SpanId: at.span[:], Name: name, Kind: kind, Flags: sampled,
		StartTimeUnixNano: nanos(began), EndTimeUnixNano: max(nanos(began), nanos(ended)),
	}
	if parent != (spanID{}) {
		s.ParentSpanId = parent[:]
	}
	return s
}

func nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) } //nolint:gosec // it is not negative

// requestSpan is the span of a request of the API.
func requestSpan(at link, parent spanID, r Request) *tracepb.Span {
	name := r.Method
	attributes := []attribute{
		text("http.request.method", r.Method), number("http.response.status_code", r.Status), text("weir.request.id", r.ID),
	}
	if r.Route != "" {
		name += " " + r.Route
		attributes = append(attributes, text("http.route", r.Route))
	}
	s := newSpan(at, parent, tracepb.Span_SPAN_KIND_SERVER, name, r.Began, r.Ended)
	s.Attributes = attributes
	if r.Status >= http.StatusInternalServerError {
		s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
	return s
}

// encode gives spans as they are posted.
func encode(s *Settings, version string, spans []*tracepb.Span) ([]byte, error) {
	resource := &resourcepb.Resource{Attributes: []attribute{text("service.name", s.Service), text("service.version", version)}}
	for _, pair := range s.attributes {
		resource.Attributes = append(resource.Attributes, text(pair[0], pair[1]))
	}
	scope := &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: "github.com/weir-engine/weir", Version: version}, Spans: spans}
	return proto.Marshal(&collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{Resource: resource, ScopeSpans: []*tracepb.ScopeSpans{scope}}}})
}
