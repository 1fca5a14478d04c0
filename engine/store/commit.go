package store

import (
	"context"
	"errors"
	"slices"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// commit is a list of changes that are written together or not at all.
type commit struct {
	changes []sealedChange
	also    func(*session) error // written after the changes; may be nil
	err     error
	done    func(error)
}

// sealedChange is a change as it is written.
type sealedChange struct {
	journal.Change
	member *member // nil if nothing of the change needs it
	events [][]byte
	lines  [][]byte
	texts  []sealedText
	traces []sealedTrace
}

type sealedText struct {
	digest string
	key    int64
	body   []byte
}

type sealedTrace struct{ mark, body []byte }

// Commit writes changes, all of them or none, and calls done when they are on
// disk or the error is known. It returns before that. What is committed while
// others are being written is written together with all that waits then, in one
// transaction and with one wait for the disk, in the order of the calls.
//
// done is called in the order of the calls too, on the goroutine that writes: it
// must be quick and must not wait for another commit. Its error is of kind
// conflict if an event's number is not the next one of its journal, of kind
// notfound if an execution is not there, and of kind unavailable if the disk is
// full or fails; nothing is written then, and a later commit may succeed.
//
// Events are encrypted before Commit returns; the changes belong to the store
// until done is called.
func (e *Executions) Commit(changes []journal.Change, done func(error)) {
	c := &commit{changes: make([]sealedChange, 0, len(changes)), done: done}
	for i := range changes {
		sealed := sealedChange{Change: changes[i]}
		err := e.seal(context.Background(), &sealed)
		c.changes = append(c.changes, sealed)
		if err != nil {
			c.err = e.fault(err)
			break
		}
	}
	e.writer.add(c)
}

// seal encrypts what a change appends.
func (e *Executions) seal(ctx context.Context, c *sealedChange) (err error) {
	switch {
	case c.Create != nil:
		c.member, err = e.members.create(ctx, c.ID, c.Create.Root, c.Create.Parent, c.Create.Owner)
	case len(c.Events)+len(c.Lines)+len(c.Texts)+len(c.Traces) > 0 || c.Setting != nil:
		c.member, err = e.members.pin(ctx, c.ID)
	}
	if err != nil {
		return err
	}
	if len(c.Events) > 0 {
		c.events = make([][]byte, len(c.Events))
	}
	for i, event := range c.Events {
		c.events[i] = c.member.seal(journal.Encode(event), "journal", c.First+i)
	}
	for _, line := range c.Lines {
		c.lines = append(c.lines, c.member.seal(encodeLine(line.Event), "log", line.Number))
	}
	if len(c.Traces) > 0 {
		if err := e.sealTraces(ctx, c); err != nil {
			return err
		}
	}
	for digest, text := range c.Texts {
		sealed, err := e.sealText(ctx, c.member.key, digest, text)
		if err != nil {
			return err
		}
		c.texts = append(c.texts, sealed)
	}
	return nil
}

func (e *Executions) sealTraces(ctx context.Context, c *sealedChange) error {
	root, err := e.members.rootKey(ctx, e.s.db, c.member.key)
	if err != nil {
		return err
	}
	tree := root.sealer("tree", c.member.root, c.member.owner)
	for _, trace := range c.Traces {
		mark := root.derive("mark", c.member.root, string(trace))
		c.traces = append(c.traces, sealedTrace{mark[:16], tree.seal(trace, "trace", 0)})
	}
	return nil
}

func (e *Executions) sealText(ctx context.Context, key int64, digest string, text []byte) (sealedText, error) {
	root, err := e.members.rootKey(ctx, e.s.db, key)
	if err != nil {
		return sealedText{}, err
	}
	return sealedText{digest, key, root.sealer("text", digest).seal(text, "text", 0)}, nil
}

// release lets go of what the commit kept in memory.
func (e *Executions) release(c *commit) {
	for i := range c.changes {
		change := &c.changes[i]
		if change.member == nil {
			continue
		}
		ended := change.State != nil && change.State.Status.Ended()
		e.members.unpin(change.ID, change.member, ended || c.err != nil)
	}
}

// fault gives the error of a commit. Whatever the disk refuses, it may take later.
func (e *Executions) fault(err error) error {
	if err == nil {
		return nil
	}
	err = e.s.explain("write executions", err)
	var failure *engine.Error
	if errors.As(err, &failure) && failure.Kind == engine.Denied {
		unavailable := *failure
		unavailable.Kind = engine.Unavailable
		return &unavailable
	}
	return err
}

// writeAll writes commits in one transaction. If that fails it looks for the
// culprits, by halves, so that the others do not fail with them.
func (w *writer) writeAll(batch []*commit) {
	batch = slices.DeleteFunc(batch, func(c *commit) bool {
		if c.err == nil {
			return false
		}
		w.finish(c)
		return true
	})
	if len(batch) == 0 {
		return
	}
	err := w.transact(batch)
	if err != nil && len(batch) > 1 && !isBusy(err) {
		half := len(batch) / 2
		w.writeAll(batch[:half])
		w.writeAll(batch[half:])
		return
	}
	for _, c := range batch {
		c.err = w.e.fault(err)
		w.finish(c)
	}
}

func (w *writer) finish(c *commit) {
	w.e.release(c)
	c.done(c.err)
}
