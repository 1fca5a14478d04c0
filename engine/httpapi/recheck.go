package httpapi

import (
	"context"
	"sync"
	"time"

	"github.com/weir-engine/weir/engine"
)

// recheckInterval is how often it is looked whether the tokens of streams still count:
// another process may have revoked one, or disabled its user.
const recheckInterval = 2 * time.Second

// openStreams are the streams that are open, by their tokens.
type openStreams struct {
	mu      sync.Mutex
	byToken map[string]map[*streaming]bool
}

func newOpenStreams() *openStreams {
	return &openStreams{byToken: map[string]map[*streaming]bool{}}
}

// enter has a stream ended when its token does not count any more. done must be called
// at its end.
func (o *openStreams) enter(token string, t *streaming) (done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	add(o.byToken, token, t)
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		remove(o.byToken, token, t)
	}
}

// remotes gives a network address from which each token is used.
func (o *openStreams) remotes() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	remotes := map[string]string{}
	for token, streams := range o.byToken {
		for t := range streams {
			remotes[token] = t.remote
		}
	}
	return remotes
}

// end ends the streams of a token.
func (o *openStreams) end(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for t := range o.byToken[token] {
		t.refuse()
	}
}

// recheck ends streams whose tokens do not count any more, until ctx ends: when the hub
// is told that tokens have changed, and now and then.
func (s *Server) recheck(ctx context.Context) {
	tick := time.NewTicker(recheckInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.config.Hub.tokens:
		case <-ctx.Done():
			return
		}
		for token, remote := range s.streams.remotes() {
			_, _, err := s.config.Authenticator.Authenticate(ctx, token, remote, false)
			if err != nil && s.config.Explain(err).Kind == string(engine.Denied) {
				s.streams.end(token)
			}
		}
	}
}
