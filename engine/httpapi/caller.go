package httpapi

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// Caller is who makes a request.
type Caller struct {
	User   engine.User
	Token  engine.Token
	Remote string // network address
	// Trace is the W3C traceparent of what the request leads to; empty if it is not
	// traced.
	Trace string
}

// Admin tells whether the caller may manage users.
func (c Caller) Admin() bool { return c.User.Role == engine.RoleAdmin }

// Authenticator knows tokens.
type Authenticator interface {
	// Authenticate gives the user and the token that a text is of. Its error is of
	// kind denied, and the same after the same work, whether there is no such token,
	// it is not good any more, or its user is disabled. A refusal is recorded, unless
	// there were too many of them already: often.
	Authenticate(ctx context.Context, text, remote string, often bool) (engine.User, engine.Token, error)
}

type callerKey struct{}

// callerOf gives the caller of a request that has been let in.
func callerOf(ctx context.Context) Caller {
	caller, _ := ctx.Value(callerKey{}).(Caller)
	return caller
}

// open tells whether a path is answered without a token. Calls of webhooks prove
// something else.
func (s *Server) open(r *http.Request) bool {
	if s.isHookCall(r) {
		return true
	}
	switch r.URL.Path {
	case "/healthz", "/readyz", "/openapi.json", "/openapi-3.0.json":
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	return false
}

// authenticated lets in who has a token, and everybody where the path is open.
func (s *Server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.open(r) {
			next.ServeHTTP(w, r)
			return
		}
		caller, failure := s.authenticate(r)
		if failure != nil {
			if failure.Code == api.CodeThrottled {
				w.Header().Set("Retry-After", "5")
			} else {
				w.Header().Set("WWW-Authenticate", `Bearer realm="weir"`)
			}
			s.refuse(w, r, failure)
			return
		}
		noted(r).caller = caller.User.Name
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

func (s *Server) authenticate(r *http.Request) (Caller, *api.Error) {
	remote := remoteHost(r)
	text := bearer(r)
	denied := &api.Error{
		Status: http.StatusUnauthorized, Code: api.CodeUnauthenticated, Kind: string(engine.Denied),
		Message: "no valid token", Hint: "send a token of yours: Authorization: Bearer TOKEN",
	}
	if text == "" {
		return Caller{}, denied // it costs nothing, and tries nothing
	}
	often := !s.throttle.allows(remote, text)
	if often {
		denied = &api.Error{
			Status: http.StatusTooManyRequests, Code: api.CodeThrottled, Kind: string(engine.Unavailable),
			Message: "too many attempts without a valid token", Hint: "wait some seconds",
		}
		if !s.throttle.enter(r.Context()) {
			s.metrics.refused.Inc()
			return Caller{}, denied
		}
		defer s.throttle.leave()
	}
	user, token, err := s.config.Authenticator.Authenticate(r.Context(), text, remote, often)
	if err != nil {
		failure := s.config.Explain(err)
		if failure.Kind != string(engine.Denied) {
			return Caller{}, s.internal(r, "cannot look a token up", failure)
		}
		s.metrics.refused.Inc()
		s.throttle.failed(remote, text)
		return Caller{}, denied
	}
	s.throttle.succeeded(remote, text)
	return Caller{User: user, Token: token, Remote: remote, Trace: noted(r).trace}, nil
}

// bearer gives the token of a request; empty if it has none.
func bearer(r *http.Request) string {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	const most = 512
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(text) > most {
		return ""
	}
	return strings.TrimSpace(text)
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
