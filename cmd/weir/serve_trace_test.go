package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weir-engine/weir/engine/api"
)

// traceSink takes spans by OTLP over HTTP. Below /refused it says that it has none of
// them.
type traceSink struct {
	*httptest.Server
	mu     sync.Mutex
	came   []*tracepb.Span
	text   bytes.Buffer
	header http.Header
}

func newTraceSink(t testing.TB) *traceSink {
	s := &traceSink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collectorpb.ExportTraceServiceRequest
		if err != nil || !strings.HasSuffix(r.URL.Path, "/v1/traces") || proto.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.text.Write(body)
		s.header = r.Header
		for _, resource := range sent.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				s.came = append(s.came, scope.GetSpans()...)
			}
		}
		if strings.HasPrefix(r.URL.Path, "/refused") {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("not with " + r.Header.Get("Api-Key")))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *traceSink) spans() []*tracepb.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came
}

func (s *traceSink) bodies() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestTraces: what a request starts is in the trace of who made it, whatever flag or
// variable says where traces go; and the last spans are sent at the end.
func TestTraces(t *testing.T) {
	t.Parallel()
	sink := newTraceSink(t)
	for _, args := range [][]string{
		{"--" + otlpEndpoint, sink.URL, "OTEL_EXPORTER_OTLP_HEADERS=api-key=k"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + sink.URL + "/v1/traces", "OTEL_EXPORTER_OTLP_HEADERS=api-key=k"},
	} {
		s := newAPISite(t, args...)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.address+"/v1/executions", strings.NewReader(`{"text":"task('FAKE', {})", "file":"mine.lua"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		response, err := http.DefaultClient.Do(r)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", response, err)
		}
		_ = response.Body.Close()
		s.run(s.client(s.token), api.Start{Text: "return 1", File: "other.lua"})
		s.stop()
		found := map[string]*tracepb.Span{}
		for _, span := range sink.spans() {
			if hex.EncodeToString(span.GetTraceId()) == "4bf92f3577b34da6a3ce929d0e0e4736" || span.GetName() == "flow other" {
				found[span.GetName()] = span
			}
		}
		request, mine, step, other := found["POST /v1/executions"], found["flow mine"], found["task FAKE"], found["flow other"]
		if request == nil || mine == nil || step == nil || other == nil {
			t.Fatalf("spans %v", found)
		}
		if hex.EncodeToString(request.GetParentSpanId()) != "00f067aa0ba902b7" || !bytes.Equal(mine.GetParentSpanId(), request.GetSpanId()) ||
			!bytes.Equal(step.GetParentSpanId(), mine.GetSpanId()) || bytes.Equal(other.GetTraceId(), mine.GetTraceId()) {
			t.Errorf("request %v\nmine %v\nstep %v\nother %v", request, mine, step, other)
		}
		sink.mu.Lock()
		if sink.header.Get("Api-Key") != "k" {
			t.Errorf("header %v", sink.header)
		}
		sink.came = nil
		sink.mu.Unlock()
	}
}

// TestTracesThatAreRefused: the log says so, and nothing of what was sent or answered.
func TestTracesThatAreRefused(t *testing.T) {
	t.Parallel()
	sink := newTraceSink(t)
	const key = "canary-of-a-key"
	s := newAPISite(t, "--"+otlpEndpoint, sink.URL+"/refused?key="+key, "OTEL_EXPORTER_OTLP_HEADERS=api-key="+key)
	s.run(s.client(s.token), api.Start{Text: "return 1"})
	s.stop()
	if said := s.said.String(); !strings.Contains(said, "cannot send traces") || !strings.Contains(said, "403") || strings.Contains(said, key) {
		t.Errorf("the log says %s", said)
	}
}

// TestTracesThatCannotBeSent: a mistake in the environment is said, and the engine
// works.
func TestTracesThatCannotBeSent(t *testing.T) {
	t.Parallel()
	s := newAPISite(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
	s.run(s.client(s.token), api.Start{Text: "return 1"})
	s.stop()
	if !strings.Contains(s.said.String(), "http/protobuf only; collectors take it on port 4318") {
		t.Errorf("the log says %s", s.said)
	}
}
