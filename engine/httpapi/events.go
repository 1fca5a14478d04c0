package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

const (
	// heartbeat is how often a stream shows that it lives.
	heartbeat = 15 * time.Second
	// streamPatience is how long a client may take to read what was written.
	streamPatience = 20 * time.Second
	// maxStreams bounds how many streams are open at the same time.
	maxStreams = 5000
)

type watchExecution struct {
	ID   string `path:"id" maxLength:"200" doc:"Of the execution, or its first letters"`
	From string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the last event that was seen: the stream goes on after it"`
}

type watchAll struct {
	From string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the last event that was seen; without it, the stream has what happens from now on"`
}

// OwnerLog is what Executions may do as well: give the lines of all of a caller's
// executions after a position.
type OwnerLog interface {
	OwnerLines(ctx context.Context, after int64, limit int) ([]api.Line, error)
}

func (s *Server) eventRoutes() {
	stream(s, "/v1/executions/{id}/events", "watch-execution", "The events of an execution and all that it started, as they happen",
		func(ctx context.Context, c call[watchExecution]) (*opened, error) {
			row, err := c.Executions.Execution(ctx, c.in.ID)
			if err != nil {
				return nil, err
			}
			o := &opened{id: engine.ID(row.ID), from: c.in.From, seen: true}
			o.state = func(ctx context.Context) (api.Execution, error) { return c.Executions.Execution(ctx, row.ID) }
			o.lines = func(ctx context.Context, after int64, limit int) ([]api.Line, error) {
				log, err := c.Executions.Log(ctx, row.ID, after, limit)
				return log.Lines, err
			}
			return o, nil
		})
	stream(s, "/v1/events", "watch-executions", "The events of all of the caller's executions, as they happen",
		func(_ context.Context, c call[watchAll]) (*opened, error) {
			o := &opened{from: c.in.From, seen: c.in.From != ""}
			if all, ok := c.Executions.(OwnerLog); ok {
				o.lines = all.OwnerLines
			}
			return o, nil
		})
}

// opened is a stream that is about to begin.
type opened struct {
	id    engine.ID // empty for all of the caller's
	from  string
	seen  bool // lines that are there already are wanted
	state func(context.Context) (api.Execution, error)
	lines func(ctx context.Context, after int64, limit int) ([]api.Line, error)
}

// stream registers a stream of server-sent events.
func stream[I any](s *Server, path, id, summary string, open func(context.Context, call[I]) (*opened, error)) {
	op := s.operation(http.MethodGet, path, id, summary)
	op.Description = "Server-sent events: `log` with a Line as data and an id from which the stream can be taken up again " +
		"(Last-Event-ID), and `state` with an Execution. The stream begins with what there is; it may end at any time."
	op.Responses["200"] = &huma.Response{Description: "The events", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}},
	}}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		caller := callerOf(ctx)
		n := notedIn(ctx)
		n.stream = true
		o, err := open(ctx, call[I]{s.config.Services(caller), caller, in})
		if err != nil {
			return nil, s.failure(n, err)
		}
		after, err := position(o.from)
		if err != nil {
			return nil, s.failure(n, err)
		}
		l, start, done, err := s.config.Hub.listen(ctx, caller.User.Owner, o.id)
		if err != nil {
			return nil, s.failure(n, err)
		}
		if s.config.Hub.listeners() > maxStreams {
			done()
			return nil, s.failure(n, &engine.Error{Kind: engine.Unavailable, Message: "too many streams of events are open", Hint: "try again later"})
		}
		left := s.quotas.stream(caller.User.Name)
		if left == nil {
			done()
			return nil, s.failure(n, statusError{busy("too many streams of events of yours are open")})
		}
		n.release() // it is no request at work
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer left()
			defer done()
			r, w := humago.Unwrap(hc)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no")
			w.WriteHeader(http.StatusOK)
			if r.Method == http.MethodHead {
				return
			}
			s.metrics.streams.Inc()
			defer s.metrics.streams.Dec()
			refused := make(chan struct{})
			t := &streaming{
				server: s, to: w, conn: n.conn, opened: o, listener: l, remote: caller.Remote,
				refused: refused, refuse: sync.OnceFunc(func() { close(refused) }),
			}
			defer s.streams.enter(bearer(r), t)()
			if err := t.begin(ctx, after, start); err != nil {
				return
			}
			t.goOn(ctx)
		}}, nil
	})
}

func position(from string) (int64, error) {
	if from == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(from, 10, 64)
	if err != nil || n < 0 {
		return 0, &engine.Error{Kind: engine.Invalid, Message: "Last-Event-ID is no id of an event", Hint: "it is the id of the last event that was seen"}
	}
	return n, nil
}

// streaming is a stream that is open.
type streaming struct {
	server   *Server
	to       io.Writer
	conn     *http.ResponseController
	opened   *opened
	listener *listener
	remote   string
	refused  chan struct{} // closed when its token does not count any more
	refuse   func()        // closes it
}

// begin sends what there is already: the lines up to where the hub goes on, and the
// state.
func (t *streaming) begin(ctx context.Context, after, start int64) error {
	if err := t.send([]byte("retry: 1000\n\n")); err != nil {
		return err
	}
	for t.opened.seen && t.opened.lines != nil && after < start {
		select {
		case <-t.refused:
			return errRefused
		default:
		}
		lines, err := t.opened.lines(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if l.Position > start {
				break
			}
			if _, err := t.to.Write(lineEvent(l).bytes); err != nil {
				return err
			}
		}
		if err := t.send(nil); err != nil {
			return err
		}
		if len(lines) < pageSize {
			break
		}
		after = lines[len(lines)-1].Position
	}
	if t.opened.state == nil {
		return nil
	}
	state, err := t.opened.state(ctx)
	if err != nil {
		return err
	}
	return t.state(ctx, state)
}

// state sends the state that an execution is in. One that has ended comes after all of
// its lines: the hub may not have handed out the last of them yet.
func (t *streaming) state(ctx context.Context, state api.Execution) error {
	if !state.HasEnded() {
		return t.send(stateEvent(state).bytes)
	}
	t.server.config.Hub.handOut(ctx)
	for {
		select {
		case e := <-t.listener.events:
			if err := t.send(e.bytes); err != nil {
				return err
			}
		default:
			select {
			case <-t.listener.over:
				return errBehind // there are lines that it has not got
			default:
				return t.send(stateEvent(state).bytes)
			}
		}
	}
}

// What ends a stream before its time.
var (
	errBehind  = errors.New("the stream is too far behind")
	errRefused = errors.New("the token does not count any more")
)

// goOn sends events until the client has gone, the server is to end, the token does
// not count any more, or the client is too far behind.
func (t *streaming) goOn(ctx context.Context) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case e := <-t.listener.events:
			if t.send(e.bytes) != nil {
				return
			}
		case <-beat.C:
			if t.send([]byte(": still here\n\n")) != nil {
				return
			}
		case <-t.refused:
			return
		case <-t.listener.over:
			return
		case <-t.server.stopping:
			return
		case <-ctx.Done():
			return
		}
	}
}

// send writes and flushes.
func (t *streaming) send(text []byte) error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(streamPatience)); err != nil {
		return err
	}
	if _, err := t.to.Write(text); err != nil {
		return err
	}
	return t.conn.Flush()
}
