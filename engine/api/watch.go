package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Event is an event of a stream: either of its fields is set.
type Event struct {
	Line  *Line
	State *Execution
}

// silence is after how long without a sign of life a stream is taken for dead. A
// server gives one every 15 seconds.
const silence = 45 * time.Second

// Watch hands on the events of an execution and all below it, lines after a position
// first, until show gives an error, which is given back. A stream that breaks off is
// taken up where it was, for as long as ctx lasts; lost is called each time that this
// takes long, and may be nil.
func (c *Client) Watch(ctx context.Context, id string, after int64, show func(Event) error, lost func(error)) error {
	for wait := patience; ; wait = min(2*wait, 5*time.Second) {
		s := &stream{client: c, show: show, position: after}
		err := s.read(ctx, executionPath(id, "/events"))
		if s.position > after || s.alive {
			wait = patience
		}
		after = s.position
		var failure *Error
		switch {
		case s.refused != nil:
			return s.refused
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &failure) && failure.Kind != "unavailable":
			return err
		}
		if lost != nil && wait > patience {
			lost(err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// stream is a stream of server-sent events that is open.
type stream struct {
	client   *Client
	show     func(Event) error
	position int64
	alive    bool
	refused  error // by show
}

func (s *stream) read(ctx context.Context, path string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := s.client.send(ctx, request{
		method: http.MethodGet, path: path,
		header: map[string]string{"Accept": "text/event-stream", "Last-Event-ID": strconv.FormatInt(s.position, 10)},
	})
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	silent := time.AfterFunc(silence, cancel)
	defer silent.Stop()
	reader := bufio.NewReader(response.Body)
	var kind string
	var data []byte
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		silent.Reset(silence)
		s.alive = true
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			data = append(data, value...)
		case "":
			if err := s.event(kind, data); err != nil {
				return err
			}
			kind, data = "", nil
		}
	}
}

func (s *stream) event(kind string, data []byte) error {
	var e Event
	var into any
	switch kind {
	case "log":
		e.Line = &Line{}
		into = e.Line
	case "state":
		e.State = &Execution{}
		into = e.State
	default:
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if e.Line != nil {
		s.position = e.Line.Position
	}
	s.refused = s.show(e)
	return s.refused
}
