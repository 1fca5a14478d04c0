package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// What a user can have of the server at the same time, so that none keeps the others
// out. A request for which there is no room waits for a while; then it is refused with
// status 429.
const (
	// userRequests is how many requests of a user are at work. Streams of events are
	// none of them.
	userRequests = 32
	// userBodies is how large the bodies of a user's requests may be in sum, in bytes.
	userBodies = 16 * MaxBody
	// userHeavy is how much memory the values of bodies may take in sum while they are
	// worked on, about, in bytes; those of all users may take four times as much. A body
	// that takes more is worked on alone.
	userHeavy = 64 << 20
	allHeavy  = 4 * userHeavy
	// userStreams is how many streams of events a user has open, a fifth of all.
	userStreams = maxStreams / 5
	// roomPatience is how long a request waits for room, and retryAfter what a client
	// that is refused is told to wait, in seconds.
	roomPatience = 10 * time.Second
	retryAfter   = "2"
)

// quotas are what users have of the server now.
type quotas struct {
	maxStreams int
	heavy      *semaphore.Weighted // of all users
	mu         sync.Mutex
	byUser     map[string]*quota
}

func newQuotas(streams int) *quotas {
	return &quotas{maxStreams: streams, heavy: semaphore.NewWeighted(allHeavy), byUser: map[string]*quota{}}
}

// quota is what one user has.
type quota struct {
	requests *semaphore.Weighted
	bodies   *semaphore.Weighted
	heavy    *semaphore.Weighted
	streams  int // guarded by the mutex of quotas
	holders  int // requests and streams that know it; guarded by the mutex of quotas
}

// of gives the quota of a user. done must be called when the request is done.
func (q *quotas) of(user string) (mine *quota, done func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	mine = q.byUser[user]
	if mine == nil {
		mine = &quota{requests: semaphore.NewWeighted(userRequests), bodies: semaphore.NewWeighted(userBodies), heavy: semaphore.NewWeighted(userHeavy)}
		q.byUser[user] = mine
	}
	mine.holders++
	return mine, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if mine.holders--; mine.holders == 0 {
			delete(q.byUser, user)
		}
	}
}

// stream takes room for a stream of events; nil if there is none. It must be given
// back.
func (q *quotas) stream(user string) (done func()) {
	mine, leave := q.of(user)
	q.mu.Lock()
	full := mine.streams >= q.maxStreams
	if !full {
		mine.streams++
	}
	q.mu.Unlock()
	if full {
		leave()
		return nil
	}
	return func() {
		q.mu.Lock()
		mine.streams--
		q.mu.Unlock()
		leave()
	}
}

// fair gives a request its share of the server, and its body, which is read before it
// is worked on: so a client that is slow to send it keeps nobody waiting.
func (s *Server) fair(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := callerOf(r.Context()).User.Name
		if user == "" {
			next.ServeHTTP(w, r)
			return
		}
		mine, done := s.quotas.of(user)
		defer done()
		if size := bodySize(r); size > 0 {
			if failure := s.roomFor(r.Context(), mine.bodies, size, "bodies of requests"); failure != nil {
				s.refuseBusy(w, r, failure)
				return
			}
			defer mine.bodies.Release(size)
			text, failure := s.readBody(r)
			if failure != nil {
				w.Header().Set("Connection", "close")
				s.refuse(w, r, failure)
				return
			}
			if failure := checkBody(r.Header, text); failure != nil {
				s.refuse(w, r, failure)
				return
			}
			failure, lighter := s.roomForValues(r.Context(), mine, text)
			if failure != nil {
				s.refuseBusy(w, r, failure)
				return
			}
			defer lighter()
		}
		if failure := s.roomFor(r.Context(), mine.requests, 1, "requests"); failure != nil {
			s.refuseBusy(w, r, failure)
			return
		}
		n := noted(r)
		n.release = sync.OnceFunc(func() { mine.requests.Release(1) })
		defer n.release()
		next.ServeHTTP(w, r)
	})
}

// roomForValues waits for room for the values of a body. done gives it back.
func (s *Server) roomForValues(ctx context.Context, mine *quota, text []byte) (failure *api.Error, done func()) {
	const each, light = 64, 1 << 20
	weight := min(int64(each*(bytes.Count(text, []byte(","))+bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")))), userHeavy)
	if weight < light {
		return nil, func() {}
	}
	const what = "large bodies of requests"
	if failure := s.roomFor(ctx, mine.heavy, weight, what); failure != nil {
		return failure, nil
	}
	if failure := s.roomFor(ctx, s.quotas.heavy, weight, what); failure != nil {
		mine.heavy.Release(weight)
		return failure, nil
	}
	return nil, func() {
		s.quotas.heavy.Release(weight)
		mine.heavy.Release(weight)
	}
}

// roomFor waits for room.
func (s *Server) roomFor(ctx context.Context, room *semaphore.Weighted, n int64, what string) *api.Error {
	if room.TryAcquire(n) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.RoomPatience)
	defer cancel()
	if room.Acquire(ctx, n) == nil {
		return nil
	}
	return busy("too many " + what + " of yours are at work")
}

func busy(message string) *api.Error {
	return &api.Error{
		Status: http.StatusTooManyRequests, Code: api.CodeBusy, Kind: string(engine.Unavailable),
		Message: message, Hint: "wait some seconds, and send fewer at the same time",
	}
}

func (s *Server) refuseBusy(w http.ResponseWriter, r *http.Request, failure *api.Error) {
	w.Header().Set("Retry-After", retryAfter)
	w.Header().Set("Connection", "close") // what comes with the body is not read
	s.refuse(w, r, failure)
}
