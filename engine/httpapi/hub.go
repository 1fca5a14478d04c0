package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	// gatherInterval is how long events are gathered before they are handed out
	// together, and quietInterval how often it is looked for those of which nobody
	// told.
	gatherInterval = 20 * time.Millisecond
	quietInterval  = time.Second
	// pageSize is how many lines are read at once.
	pageSize = 1000
	// backlog is how many events a stream may be behind.
	backlog = 512
)

// NewsLine is a line of a log with the owner of the execution that wrote it.
type NewsLine struct {
	api.Line
	Owner string
	Flow  engine.ID // the execution in whose log it is
}

// News is where a Hub reads what has happened. What it gives is masked.
type News interface {
	// Position gives the position of the last line of all logs.
	Position(ctx context.Context) (int64, error)
	// Lines gives lines of all logs after a position, in their order and at most limit.
	Lines(ctx context.Context, after int64, limit int) ([]NewsLine, error)
	// Execution gives an execution and its owner. Its error is of kind notfound if
	// there is none.
	Execution(ctx context.Context, id engine.ID) (api.Execution, string, error)
}

// Hub hands the events of executions to whoever listens. Each event is read from the
// store and encoded once, however many listen.
type Hub struct {
	news    News
	told    chan struct{}
	tokens  chan struct{} // tokens or users have changed
	commits prometheus.Histogram
	ended   *prometheus.CounterVec

	pass     sync.Mutex // held while what is new is read
	position int64      // up to which lines were handed out; guarded by pass

	mu      sync.Mutex
	changed map[engine.ID]bool // states that changed since the last pass
	byID    map[engine.ID]map[*listener]bool
	byOwner map[string]map[*listener]bool
	count   int
}

// NewHub makes a Hub. Nothing is handed out until it runs.
func NewHub(news News) *Hub {
	return &Hub{
		news: news, told: make(chan struct{}, 1), tokens: make(chan struct{}, 1), changed: map[engine.ID]bool{},
		byID: map[engine.ID]map[*listener]bool{}, byOwner: map[string]map[*listener]bool{},
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_commit_seconds", Help: "How long it took until what the engine wrote was on disk.",
			Buckets: []float64{.0003, .001, .003, .01, .03, .1, .3, 1, 3, 10},
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_executions_ended_total", Help: "Executions that came to their end, children included, by status.",
		}, []string{"status"}),
	}
}

// listener is an open stream.
type listener struct {
	owner  string
	id     engine.ID // of the execution; empty for all of the owner's
	events chan event
	// over is closed when it was too far behind. It gets nothing more then: what it has
	// got is without a gap, and it goes on from there when it is opened again.
	over   chan struct{}
	behind bool // over is closed
}

// event is an event as it is sent.
type event struct {
	position int64 // of a line; 0 for a state
	bytes    []byte
}

// Committed tells the hub what the engine has just written, and how long that took.
// It never blocks.
func (h *Hub) Committed(changes []journal.Change, took time.Duration) {
	h.commits.Observe(took.Seconds())
	for _, c := range changes {
		if c.State != nil && c.State.Status.Ended() {
			h.ended.WithLabelValues(string(c.State.Status)).Inc()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 {
		return
	}
	for _, c := range changes {
		if c.Create != nil || c.State != nil {
			h.changed[c.ID] = true
		}
	}
	select {
	case h.told <- struct{}{}:
	default:
	}
}

// TokensChanged tells the hub that tokens were revoked or users disabled: their streams
// end. It never blocks.
func (h *Hub) TokensChanged() {
	select {
	case h.tokens <- struct{}{}:
	default:
	}
}

// Run hands out events until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	quiet := time.NewTicker(quietInterval)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
		case <-h.told:
			gather := time.NewTimer(gatherInterval)
			select {
			case <-gather.C:
			case <-ctx.Done():
			}
			gather.Stop()
		}
		h.handOut(ctx)
	}
}

// handOut reads what is new, and gives it to those who listen. States are read before
// lines and handed out after them, so that who sees an end has seen all lines.
func (h *Hub) handOut(ctx context.Context) {
	h.pass.Lock()
	defer h.pass.Unlock()
	h.mu.Lock()
	changed, listened := h.changed, h.count > 0
	h.changed = map[engine.ID]bool{}
	h.mu.Unlock()
	if !listened {
		return
	}
	states := h.states(ctx, changed)
	for {
		lines, err := h.news.Lines(ctx, h.position, pageSize)
		if err != nil {
			h.again(changed)
			return
		}
		for _, l := range lines {
			h.position = l.Position
			h.give(l.Owner, l.Flow, func() event { return lineEvent(l.Line) })
		}
		if len(lines) < pageSize {
			break
		}
	}
	for _, s := range states {
		h.give(s.owner, engine.ID(s.execution.ID), func() event { return stateEvent(s.execution) })
	}
}

type stateOf struct {
	execution api.Execution
	owner     string
}

// states reads the executions of which somebody wants to know.
func (h *Hub) states(ctx context.Context, changed map[engine.ID]bool) []stateOf {
	var states []stateOf
	for id := range changed {
		h.mu.Lock()
		wanted := len(h.byOwner) > 0 || len(h.interested("", id)) > 0
		h.mu.Unlock()
		if !wanted {
			continue
		}
		if execution, owner, err := h.news.Execution(ctx, id); err == nil {
			states = append(states, stateOf{execution, owner})
		}
	}
	return states
}

// again has states read in the next pass.
func (h *Hub) again(changed map[engine.ID]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range changed {
		h.changed[id] = true
	}
}

// interested gives who listens to an execution. It is called with the lock held.
func (h *Hub) interested(owner string, id engine.ID) []*listener {
	var found []*listener
	for l := range h.byOwner[owner] {
		found = append(found, l)
	}
	for i, r := range string(id) + "." { // the execution, and those above it
		if r != '.' {
			continue
		}
		for l := range h.byID[id[:i]] {
			found = append(found, l)
		}
	}
	return found
}

// give hands an event to those who listen to an execution.
func (h *Hub) give(owner string, id engine.ID, made func() event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	listeners := h.interested(owner, id)
	if len(listeners) == 0 {
		return
	}
	e := made()
	for _, l := range listeners {
		if l.owner != owner || l.behind {
			continue // ids are no secret, and no right
		}
		select {
		case l.events <- e:
		default:
			l.behind = true
			close(l.over)
		}
	}
}

// listen begins to listen, to one execution or to all of an owner's. What it gets are
// the events after the position. The caller must call the function when it is done.
func (h *Hub) listen(ctx context.Context, owner string, id engine.ID) (l *listener, position int64, done func(), err error) {
	h.pass.Lock()
	defer h.pass.Unlock()
	h.mu.Lock()
	idle := h.count == 0
	h.mu.Unlock()
	if idle {
		if h.position, err = h.news.Position(ctx); err != nil {
			return nil, 0, nil, err
		}
	}
	l = &listener{owner: owner, id: id, events: make(chan event, backlog), over: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	if id == "" {
		add(h.byOwner, owner, l)
	} else {
		add(h.byID, id, l)
	}
	return l, h.position, func() { h.leave(l) }, nil
}

func (h *Hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count--
	if l.id == "" {
		remove(h.byOwner, l.owner, l)
	} else {
		remove(h.byID, l.id, l)
	}
}

func add[K, V comparable](to map[K]map[V]bool, key K, v V) {
	if to[key] == nil {
		to[key] = map[V]bool{}
	}
	to[key][v] = true
}

func remove[K, V comparable](from map[K]map[V]bool, key K, v V) {
	delete(from[key], v)
	if len(from[key]) == 0 {
		delete(from, key)
	}
}

// lineEvent is a line as an event. Its id is where a stream goes on that is opened
// again.
func lineEvent(l api.Line) event {
	return event{l.Position, encoded(fmt.Sprintf("id: %d\nevent: log", l.Position), l)}
}

func stateEvent(e api.Execution) event { return event{0, encoded("event: state", e)} }

func encoded(head string, data any) []byte {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(data); err != nil { // a tree of values can be encoded
		return nil
	}
	return []byte(head + "\ndata: " + strings.TrimSuffix(text.String(), "\n") + "\n\n")
}

// listeners is how many streams are open.
func (h *Hub) listeners() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}
