package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// maxBatch is how many spans are posted together.
	maxBatch = 1 << 9
	// After a failure it is waited, from firstDelay to maxDelay, before anything is
	// posted again. The same spans are posted maxTries times.
	firstDelay = time.Second
	maxDelay   = 30 * time.Second
	maxTries   = 5
	// quiet is how long the log says nothing after it has said that spans are not taken.
	quiet = time.Minute
)

// sender posts spans.
type sender struct {
	exporter *Exporter
	client   *http.Client
	woken    chan struct{}
	ending   chan struct{}

	delay   time.Duration // before the next post; 0 after one that was taken
	silent  time.Time     // until when the log says nothing
	failing bool          // since the log said so
}

func newSender(e *Exporter) *sender {
	wire := e.config.Settings.wire
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: wire.tls, ForceAttemptHTTP2: true, MaxIdleConns: 1,
		TLSHandshakeTimeout: wire.timeout, IdleConnTimeout: time.Minute,
	}
	return &sender{
		exporter: e, woken: make(chan struct{}, 1), ending: make(chan struct{}),
		client: &http.Client{
			Transport: transport,
			// What goes with a request is for the collector, not for whom it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// wake has spans sent that wait.
func (s *sender) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// end has run return when all is sent.
func (s *sender) end() { close(s.ending) }

func (s *sender) ended() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

// run posts spans until all are sent after end, or ctx ends. After end nothing is
// posted twice.
func (s *sender) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	for ending := false; !ending; {
		select {
		case <-s.woken:
		case <-s.ending:
			ending = true
		}
		for batch := s.exporter.batch(); len(batch) > 0; batch = s.exporter.batch() {
			if s.delay > 0 && s.ended() {
				s.exporter.count(0, len(batch))
				continue
			}
			s.send(ctx, batch)
		}
	}
}

// batch takes spans that wait.
func (e *Exporter) batch() []*tracepb.Span {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(len(e.spans), maxBatch)
	batch := e.spans[:n:n]
	if e.spans = e.spans[n:]; len(e.spans) == 0 {
		e.spans = nil
	}
	return batch
}

// send posts spans until they are taken, or there is no use in it.
func (s *sender) send(ctx context.Context, spans []*tracepb.Span) {
	body, err := encode(s.exporter.config.Settings, s.exporter.config.Version, spans)
	if err == nil && s.exporter.config.Settings.wire.gzip {
		body, err = zipped(body)
	}
	rejected := len(spans)
	for try := 1; err == nil; try++ {
		var failure *refusal
		if rejected, failure = s.post(ctx, body, len(spans)); failure == nil {
			s.recovered()
			break
		}
		s.failed(failure)
		s.wait(ctx, failure.after)
		if !failure.passing || try == maxTries || ctx.Err() != nil || s.ended() {
			break
		}
	}
	s.exporter.count(len(spans)-rejected, rejected)
}

// refusal is why spans were not taken.
type refusal struct {
	reason  string // without what came with the request or the answer
	hint    string
	passing bool          // it may be different later
	after   time.Duration // how long the collector wants to be left alone; 0 if it does not say
}

// post posts spans once, and tells how many of them were not taken.
func (s *sender) post(ctx context.Context, body []byte, spans int) (rejected int, failure *refusal) {
	wire := s.exporter.config.Settings.wire
	ctx, cancel := context.WithTimeout(ctx, wire.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, wire.url, bytes.NewReader(body))
	if err != nil {
		return spans, &refusal{reason: "the address cannot be used"}
	}
	r.Header = wire.headers.Clone()
	r.Header.Set("Content-Type", "application/x-protobuf")
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "weir/"+s.exporter.config.Version)
	}
	if wire.gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	response, err := s.client.Do(r)
	if err != nil {
		return spans, &refusal{reason: unreached(err), passing: true}
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	const most = 64 << 10
	text, _ := io.ReadAll(io.LimitReader(response.Body, most))
	if response.StatusCode/100 == 2 {
		var said collectorpb.ExportTraceServiceResponse
		if proto.Unmarshal(text, &said) == nil {
			return min(int(max(said.GetPartialSuccess().GetRejectedSpans(), 0)), spans), nil
		}
		return 0, nil
	}
	return spans, refused(response)
}

// unreached says why there was no answer. Errors of the network and of certificates are
// shown; others may hold the password of a proxy, or what came back.
func unreached(err error) string {
	var network *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "there was no answer in time"
	case errors.As(err, &network):
		return network.Error()
	case errors.As(err, &name):
		return name.Error()
	case errors.As(err, &certificate):
		return certificate.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended without an answer"
	}
	return "the request cannot be made, or the answer is none of HTTP"
}

// refused says what an answer means. Its body is not shown: it may have come back with
// what was sent.
func refused(response *http.Response) *refusal {
	f := &refusal{reason: fmt.Sprintf("the answer was %d", response.StatusCode)}
	if text := http.StatusText(response.StatusCode); text != "" {
		f.reason += " " + text
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		f.passing = true
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			f.after = time.Duration(min(seconds, int(maxDelay/time.Second))) * time.Second
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		f.hint = "see OTEL_EXPORTER_OTLP_HEADERS"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		f.hint = "see OTEL_EXPORTER_OTLP_ENDPOINT: a collector takes spans by HTTP on port 4318, below /v1/traces"
	}
	return f
}

// failed says once in a while that spans are not taken.
func (s *sender) failed(failure *refusal) {
	now := time.Now()
	if now.Before(s.silent) {
		return
	}
	s.silent, s.failing = now.Add(quiet), true
	_, dropped := s.exporter.Counts()
	attributes := []any{"endpoint", s.exporter.config.Settings.Endpoint, "error", failure.reason, "dropped", dropped}
	if failure.hint != "" {
		attributes = append(attributes, "hint", failure.hint)
	}
	s.exporter.config.Log.Warn("cannot send traces", attributes...)
}

func (s *sender) recovered() {
	s.delay = 0
	if s.failing {
		s.failing = false
		_, dropped := s.exporter.Counts()
		s.exporter.config.Log.Info("traces are sent again", "dropped", dropped)
	}
}

// wait waits after a failure.
func (s *sender) wait(ctx context.Context, after time.Duration) {
	s.delay = min(max(2*s.delay, s.exporter.config.Delay), maxDelay)
	timer := time.NewTimer(max(s.delay, after))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.ending:
	case <-ctx.Done():
	}
}

func zipped(body []byte) ([]byte, error) {
	var to bytes.Buffer
	w := gzip.NewWriter(&to)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return to.Bytes(), err
}
