package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// Measure is a figure that somebody else counts. Its labels must not come from users,
// or there would be no end of them.
type Measure struct {
	Name    string
	Help    string
	Counter bool // it only grows; a gauge otherwise
	Labels  map[string]string
	Value   float64
}

// metrics are what the server counts.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec // by route, method and status
	refused  prometheus.Counter
	streams  prometheus.Gauge
}

func newMetrics(config Config) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_http_request_seconds", Help: "How long requests took, but for streams of events.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30},
		}, []string{"route", "method", "status"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_http_refused_total", Help: "Requests without a valid token.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_http_streams", Help: "Streams of events that are open.",
		}),
	}
	m.registry.MustRegister(m.requests, m.refused, m.streams, config.Hub.commits, config.Hub.ended,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if config.Measures != nil {
		m.registry.MustRegister(measured(config.Measures))
	}
	return m
}

// measured is a collector of measures.
type measured func(context.Context) []Measure

// Describe implements prometheus.Collector: what there is, is seen when it is
// collected.
func (m measured) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m measured) Collect(to chan<- prometheus.Metric) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, one := range m(ctx) {
		kind := prometheus.GaugeValue
		if one.Counter {
			kind = prometheus.CounterValue
		}
		metric, err := prometheus.NewConstMetric(prometheus.NewDesc(one.Name, one.Help, nil, one.Labels), kind, one.Value)
		if err != nil {
			metric = prometheus.NewInvalidMetric(prometheus.NewDesc(one.Name, one.Help, nil, nil), err)
		}
		to <- metric
	}
}

// counted measures requests. The labels are those of the routes, so that no client
// can make up more of them.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		next.ServeHTTP(w, r)
		n := noted(r)
		if n.stream {
			return
		}
		s.metrics.requests.WithLabelValues(n.route, methodName(r), strconv.Itoa(n.status)).Observe(time.Since(began).Seconds())
	})
}

// showMetrics serves /metrics, to admins.
func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request) {
	if !callerOf(r.Context()).Admin() {
		s.refuse(w, r, forbidden())
		return
	}
	promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

func forbidden() *api.Error {
	return &api.Error{
		Status: http.StatusForbidden, Code: api.CodeForbidden, Kind: string(engine.Denied),
		Message: "only an admin may do this",
	}
}
