package trace

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	// maxTold and maxSpans are how much waits to be made into spans, and to be sent;
	// what comes beyond is dropped. At soon, it is not waited for the interval.
	maxTold  = 1 << 15
	maxSpans = 1 << 13
	soon     = 1 << 11
	// maxFlows is how many executions are remembered that have not ended. Others are
	// read from the store when they go on.
	maxFlows = 1 << 15
	// interval is how long spans are gathered, and flushPatience how long it may take to
	// send the last ones.
	interval      = time.Second
	flushPatience = 5 * time.Second
)

// Config says what an Exporter works with.
type Config struct {
	Settings *Settings // required
	// Load reads an execution whose beginning was not seen; required.
	Load func(context.Context, engine.ID) (journal.History, error)
	// TaskTypes are those whose names are sent.
	TaskTypes []string
	Version   string        // of weir
	Log       *slog.Logger  // says what cannot be sent; required
	Interval  time.Duration // how long spans are gathered; zero means a second
	// Delay is how long is waited after a first failure to send; zero means a second.
	// It grows from failure to failure.
	Delay time.Duration
	// Patience is how long it may take to send the last spans; zero means 5s.
	Patience time.Duration
}

// Exporter makes spans of what it is told, and sends them.
type Exporter struct {
	config Config
	sender *sender
	types  map[string]bool
	full   chan struct{}

	mu      sync.Mutex
	told    []told
	spans   []*tracepb.Span
	dropped int // spans, and tellings of which none were made
	sent    int

	flows map[engine.ID]*flow // of the one that makes spans
}

// New makes an Exporter. Nothing is sent until it runs.
func New(config Config) (*Exporter, error) {
	if config.Settings == nil || config.Load == nil || config.Log == nil {
		return nil, errors.New("trace: settings, load and log are required")
	}
	if config.Interval == 0 {
		config.Interval = interval
	}
	if config.Delay == 0 {
		config.Delay = firstDelay
	}
	if config.Patience == 0 {
		config.Patience = flushPatience
	}
	e := &Exporter{config: config, types: map[string]bool{}, full: make(chan struct{}, 1), flows: map[engine.ID]*flow{}}
	for _, name := range config.TaskTypes {
		e.types[name] = true
	}
	e.sender = newSender(e)
	return e, nil
}

// Committed tells what was written to the store. It never blocks, and keeps nothing of
// the changes.
func (e *Exporter) Committed(changes []journal.Change) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range changes {
		if t, some := tell(&changes[i]); some {
			if len(e.told) < maxTold {
				e.told = append(e.told, t)
			} else {
				e.dropped++
			}
		}
	}
	if len(e.told) >= soon {
		e.hurry()
	}
}

func (e *Exporter) hurry() {
	select {
	case e.full <- struct{}{}:
	default:
	}
}

// Begin begins the span of a request that came with a traceparent, which may be empty.
// It gives the traceparent of what the request leads to, and what ends the span. It is
// not sent if it is not ended.
func (e *Exporter) Begin(traceparent string) (trace string, end func(Request)) {
	var at link
	var parent spanID
	caller, ok := parseLink(traceparent)
	if ok {
		at.trace, parent = caller.trace, caller.span
		at.sampled = e.config.Settings.sampler.samples(at.trace, &caller)
	} else {
		_, _ = rand.Read(at.trace[:])
		at.sampled = e.config.Settings.sampler.samples(at.trace, nil)
	}
	_, _ = rand.Read(at.span[:])
	return at.String(), func(r Request) {
		if at.sampled {
			e.put(requestSpan(at, parent, r))
		}
	}
}

// put has spans sent.
func (e *Exporter) put(spans ...*tracepb.Span) {
	e.mu.Lock()
	defer e.mu.Unlock()
	room := min(maxSpans-len(e.spans), len(spans))
	e.spans = append(e.spans, spans[:room]...)
	e.dropped += len(spans) - room
	if len(e.spans) >= soon {
		e.hurry()
	}
}

// Counts tells how many spans were taken by the collector, and how many were dropped
// on the way.
func (e *Exporter) Counts() (sent, dropped int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sent, e.dropped
}

func (e *Exporter) count(sent, dropped int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sent += sent
	e.dropped += dropped
}

// Run makes and sends spans until ctx ends, and then what there is still, for as long
// as the Config says.
func (e *Exporter) Run(ctx context.Context) {
	last, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		e.sender.run(last)
	}()
	tick := time.NewTicker(e.config.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-e.full:
		}
		e.make(last)
		e.sender.wake()
	}
	patience := time.AfterFunc(e.config.Patience, giveUp)
	defer patience.Stop()
	e.make(last) // of what was told meanwhile
	e.sender.end()
	<-sent
}

// make makes spans of what was told.
func (e *Exporter) make(ctx context.Context) {
	e.mu.Lock()
	all := e.told
	e.told = nil
	e.mu.Unlock()
	for i := range all {
		e.put(e.take(ctx, &all[i])...)
	}
}

// take gives the spans that end with what was told of an execution.
func (e *Exporter) take(ctx context.Context, t *told) (spans []*tracepb.Span) {
	f := e.flow(ctx, t)
	if f == nil {
		return nil
	}
	for _, n := range t.events {
		spans = append(spans, f.read(n.event, e.known)...)
		if _, over := n.event.(*journal.Finished); over {
			delete(e.flows, t.id)
		}
	}
	f.next = t.first + t.count
	return spans
}

func (e *Exporter) known(taskType string) bool { return e.types[taskType] }

// flow gives what is known of an execution before what was told; nil if that cannot
// be found out.
func (e *Exporter) flow(ctx context.Context, t *told) *flow {
	if f := e.flows[t.id]; f != nil && f.next == t.first {
		return f
	}
	f := e.fresh(t)
	if f == nil {
		f = e.load(ctx, t)
	}
	if f == nil {
		delete(e.flows, t.id)
		return nil
	}
	for id := range e.flows { // any one
		if len(e.flows) < maxFlows {
			break
		}
		delete(e.flows, id)
	}
	e.flows[t.id] = f
	return f
}

// fresh is an execution that has just begun; nil for another.
func (e *Exporter) fresh(t *told) *flow {
	if t.row == nil || t.first != 0 || len(t.events) == 0 {
		return nil
	}
	begun, ok := t.events[0].event.(*journal.Begun)
	if !ok {
		return nil
	}
	return newFlow(*t.row, begun, e.config.Settings.sampler)
}

// load reads an execution up to what was told.
func (e *Exporter) load(ctx context.Context, t *told) *flow {
	h, err := e.config.Load(ctx, t.id)
	if err != nil || len(h.Events) < t.first || t.first == 0 {
		return nil // it was removed meanwhile, or cannot be read: the engine tells of that
	}
	begun, ok := h.Events[0].(*journal.Begun)
	if !ok {
		return nil
	}
	f := newFlow(h.Row, begun, e.config.Settings.sampler)
	for _, event := range h.Events[1:t.first] {
		if kept := bare(event); kept != nil {
			f.read(kept, e.known)
		}
	}
	return f
}
