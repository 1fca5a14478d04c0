package main

import (
	"context"
	"errors"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// errSeen ends a stream whose execution has ended.
var errSeen = errors.New("it has ended")

// untilRemoteEnded watches an execution of a server to its end.
func (f *follower) untilRemoteEnded(ctx context.Context) error {
	if err := f.untilTaken(ctx); err != nil {
		return err
	}
	after := f.position
	if f.show == nil { // the log is not wanted
		after = int64(1)<<62 - 1
	}
	lost := false
	err := f.client.Watch(ctx, f.id, after, func(e api.Event) error {
		lost = false
		if e.Line != nil && f.show != nil {
			return f.show(*e.Line)
		}
		if e.State == nil {
			return nil
		}
		if e.State.ID == f.id && e.State.HasEnded() {
			return errSeen
		}
		f.sayWaiting(*e.State)
		return nil
	}, func(error) {
		if !lost {
			f.app.say("note: the server cannot be reached; trying again")
		}
		lost = true
	})
	if errors.Is(err, errSeen) {
		return nil
	}
	return err
}

// untilTaken waits until the engine has taken the order that is to bring the execution
// on. Giving it again is no second order, as long as the first one waits.
func (f *follower) untilTaken(ctx context.Context) error {
	for f.order != nil && !f.order.Taken {
		ordered, err := f.services.Orders.Order(ctx, f.id, api.Order{Verb: "retry"})
		var failure *api.Error
		if errors.As(err, &failure) && failure.Kind == string(engine.Conflict) {
			return nil // it goes on already
		}
		if err != nil {
			return err
		}
		f.order = &ordered
	}
	return nil
}
