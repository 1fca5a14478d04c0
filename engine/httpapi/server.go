package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/weir-engine/weir/engine/api"
)

// Limits of requests.
const (
	// MaxBody is how large a body may be, in bytes.
	MaxBody = 4 << 20
	// bodyPatience is how long a client may take for its body, and writePatience for
	// the answer.
	bodyPatience  = 30 * time.Second
	writePatience = time.Minute
	// headerPatience is how long a client may take for the header of a request.
	headerPatience = 10 * time.Second
	maxHeader      = 64 << 10
)

// Config says what a Server works with.
type Config struct {
	Version string // of weir, for the OpenAPI document
	// Authenticator tells whose a token is; required.
	Authenticator Authenticator
	// Services gives what a caller can reach; required. It is called for each request.
	Services func(Caller) Services
	// Hooks are the webhooks that others call; nil if there are none.
	Hooks Hooks
	// Explain turns an error of a service into one to be sent. It gives Kind, Message
	// and what else it knows. Required.
	Explain func(error) *api.Error
	// Hub gives the events of executions; required.
	Hub *Hub
	// Ready tells why the engine cannot work, nil if it can; nil means that it can.
	Ready func(context.Context) error
	// Measures are shown at /metrics beside what the server counts itself; nil means
	// that there are none.
	Measures func(context.Context) []Measure
	// Trace begins the span of a request that came with a traceparent, which may be
	// empty. It gives the traceparent of what the request leads to, and what is called
	// at its end. Nil means that requests are not traced.
	Trace func(traceparent string) (trace string, end func(Answered))
	// Log receives a line for each request; nil drops them.
	Log *slog.Logger
	// BodyPatience is how long a client may take for a body; zero means 30s.
	BodyPatience time.Duration
	// RoomPatience is how long a request waits while its user has as many at work as
	// one may; zero means 10s.
	RoomPatience time.Duration
	// UserStreams is how many streams of events a user may have open; zero means 1000.
	UserStreams int
}

// Server serves the API.
type Server struct {
	config   Config
	api      huma.API
	mux      *http.ServeMux
	throttle *throttle
	quotas   *quotas
	streams  *openStreams
	origins  *http.CrossOriginProtection
	metrics  *metrics
	stopping chan struct{} // closed when streams are to end
	handler  http.Handler

	receiving receiving
}

// New makes a Server.
func New(config Config) (*Server, error) {
	switch {
	case config.Authenticator == nil || config.Services == nil || config.Explain == nil || config.Hub == nil:
		return nil, errors.New("httpapi: authenticator, services, explain and hub are required")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	config.BodyPatience = cmp.Or(config.BodyPatience, bodyPatience)
	config.RoomPatience = cmp.Or(config.RoomPatience, roomPatience)
	config.UserStreams = cmp.Or(config.UserStreams, userStreams)
	s := &Server{
		config: config, mux: http.NewServeMux(), throttle: newThrottle(), quotas: newQuotas(config.UserStreams), streams: newOpenStreams(),
		origins: http.NewCrossOriginProtection(), stopping: make(chan struct{}),
	}
	s.origins.AddInsecureBypassPattern("/v1/hooks/") // calls of webhooks prove what they may by themselves
	s.metrics = newMetrics(config)
	strictNames()
	s.api = humago.New(s.mux, description(config.Version))
	s.routes()
	s.handler = s.identified(s.counted(s.guarded(s.limited(s.authenticated(s.fair(http.HandlerFunc(s.routed)))))))
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers requests on the listener until ctx ends. Then streams end, and other
// requests may come to their end for as long as grace.
func (s *Server) Serve(ctx context.Context, listener net.Listener, grace time.Duration) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerPatience, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
	checking, stop := context.WithCancel(ctx)
	var checks sync.WaitGroup
	checks.Go(func() { s.recheck(checking) })
	defer checks.Wait()
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	close(s.stopping)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if end := <-ended; !errors.Is(end, http.ErrServerClosed) {
		return end
	}
	return err
}

// strictNames has "FLOW" not taken for "flow": of the two in one body, one would be
// checked and the other used.
var strictNames = sync.OnceFunc(func() { huma.ValidateStrictCasing = true }) //nolint:gochecknoglobals // huma has it as one

// unmarshal is json.Unmarshal, but for numbers that have no type of their own: they
// stay as they were written.
func unmarshal(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(into)
	if tree, checked := into.(*any); checked && err == nil { // it is only held against the schema
		*tree = withFloats(*tree)
	}
	return err
}

// withFloats gives a tree the numbers that a schema is held against.
func withFloats(tree any) any {
	switch node := tree.(type) {
	case json.Number:
		f, _ := node.Float64() // the nearest there is, if it is too large
		return f
	case []any:
		for i, child := range node {
			node[i] = withFloats(child)
		}
	case map[string]any:
		for key, child := range node {
			node[key] = withFloats(child)
		}
	}
	return tree
}

// description is what the OpenAPI document says of the API as a whole.
func description(version string) huma.Config {
	format := huma.Format{
		Marshal: func(w io.Writer, v any) error {
			encoder := json.NewEncoder(w)
			encoder.SetEscapeHTML(false)
			return encoder.Encode(v)
		},
		Unmarshal: unmarshal,
	}
	config := huma.DefaultConfig("weir", version)
	config.Info.Description = "The engine of weir: flows, their executions, and the connections that they use."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/openapi", "", ""
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.RejectUnknownQueryParameters = true
	config.CreateHooks = nil // no $schema in bodies
	config.Transformers = []huma.Transformer{uniform}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "A token of a user, made by `weir user token`."},
	}
	config.Security = []map[string][]string{{"bearer": {}}}
	return config
}
