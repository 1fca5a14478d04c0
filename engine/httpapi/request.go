package httpapi

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// note is what is known of a request for its line in the log.
type note struct {
	id     string
	route  string // its pattern, which holds no value
	caller string
	status int
	stream bool   // it is a stream of events
	trace  string // see [Caller.Trace]
	conn   *http.ResponseController
	// release gives back what the request has of its user's share of requests at work.
	release func()
}

type noteKey struct{}

func noted(r *http.Request) *note { return notedIn(r.Context()) }

func notedIn(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return &note{}
}

// Answered is a request that came to its end.
type Answered struct {
	ID     string
	Method string
	Route  string // its pattern, which holds no value; empty if there is none
	Status int
	Began  time.Time
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	note *note
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.note.status == 0 && status >= 200 {
		w.note.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(p []byte) (int, error) {
	if w.note.status == 0 {
		w.note.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// identified gives each request an id, which the answer and the log have, and writes
// the log: the route, never the path's values, the query or the body.
func (s *Server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		n := &note{id: strings.ToLower(rand.Text()[:16]), conn: http.NewResponseController(w), release: func() {}}
		w.Header().Set("X-Request-Id", n.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		end := s.traced(n, r, began)
		next.ServeHTTP(&recorder{w, n}, r.WithContext(context.WithValue(r.Context(), noteKey{}, n)))
		end()
		level := slog.LevelInfo
		if n.status < http.StatusBadRequest && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			level = slog.LevelDebug // who only looks is not worth a line
		}
		s.config.Log.Log(r.Context(), level, "request", "request", n.id, "method", methodName(r), "route", n.route, "status", n.status,
			"user", n.caller, "remote", remoteHost(r), "took", time.Since(began).Round(time.Microsecond).String())
	})
}

// traced begins the span of a request. Only those of users and calls of webhooks are
// traced, once they are let in, and neither streams nor what watches the engine.
func (s *Server) traced(n *note, r *http.Request, began time.Time) (end func()) {
	if s.config.Trace == nil || bearer(r) == "" && !s.isHookCall(r) {
		return func() {}
	}
	trace, done := s.config.Trace(r.Header.Get("Traceparent"))
	n.trace = trace
	return func() {
		if n.caller != "" && !n.stream && n.route != metricsRoute {
			_, route, _ := strings.Cut(n.route, " ") // without the method
			done(Answered{ID: n.id, Method: methodName(r), Route: route, Status: n.status, Began: began})
		}
	}
}

// methodName is the method if it is one that exists: what else was sent is not logged.
func methodName(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// limited bounds what a client can make the server read, and how long it can keep it
// busy with that.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > MaxBody {
			w.Header().Set("Connection", "close")
			s.refuse(w, r, tooLarge())
			return
		}
		if s.origins.Check(r) != nil {
			s.refuse(w, r, &api.Error{
				Status: http.StatusForbidden, Code: api.CodeForbidden, Kind: string(engine.Denied),
				Message: "the request comes from a page of another site",
			})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		_ = noted(r).conn.SetWriteDeadline(time.Now().Add(s.config.BodyPatience + writePatience))
		next.ServeHTTP(w, r)
	})
}
