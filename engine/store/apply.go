package store

import (
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	insertExecution = `INSERT INTO execution (id, root, parent, owner, name, status, created, wake, waits, ended, kind, key)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	updateExecution = `UPDATE execution SET status = ?, wake = ?, waits = ?, ended = ?, kind = ? WHERE id = ?`
	insertEvent     = `INSERT INTO journal (execution, number, body) VALUES (?, ?, ?)`
	lastEvent       = `SELECT max(number) FROM journal WHERE execution = ?`
	// insertLine gives a line the time of its writing for its position, or the next
	// number if that is taken: so positions tell nobody how much others write.
	insertLine = `INSERT INTO log (position, root, execution, number, ordinal, body)
		VALUES (max(?, (SELECT coalesce(max(position), 0) + 1 FROM log)), ?, ?, ?, ?, ?)`
	insertText    = `INSERT INTO text (digest, key, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	insertTextUse = `INSERT INTO text_use (root, text) SELECT ?, id FROM text WHERE digest = ? ON CONFLICT DO NOTHING`
	insertTrace   = `INSERT INTO trace (root, mark, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	wakeExecution = `UPDATE execution SET wake = ? WHERE id = ? AND status = 'waiting'`
	deleteOrder   = `DELETE FROM orders WHERE number = ?`
)

// applyChange writes one change within the writer's transaction.
func (e *Executions) applyChange(s *session, c *sealedChange) error {
	if c.Create != nil {
		if err := e.insert(s, c); err != nil {
			return err
		}
	}
	if c.Setting != nil {
		done, err := e.applySetting(s, c)
		if err != nil || !done {
			return err
		}
	}
	if err := e.append(s, c, c.events); err != nil {
		return err
	}
	if c.Setting != nil {
		number := c.First + len(c.events)
		if err := e.appendAt(s, c, number, c.member.seal(journal.Encode(c.Setting.Observed), "journal", number)); err != nil {
			return err
		}
	}
	if err := e.applyRest(s, c); err != nil {
		return err
	}
	if c.State != nil {
		return e.setState(s, c.ID, c.State)
	}
	return nil
}

func (e *Executions) insert(s *session, c *sealedChange) error {
	r := c.Create
	_, err := s.exec(insertExecution, string(r.ID), string(r.Root), string(r.Parent), r.Owner, r.Name,
		string(r.Status), micros(r.Created), microsOrNull(r.Wake), r.Waits, microsOrNull(r.Ended), string(r.Kind), c.member.key)
	if isConstraint(err) {
		return fail(engine.Conflict, "", "there is an execution %q already", string(r.ID))
	}
	c.member.next = 0
	return err
}

func (e *Executions) append(s *session, c *sealedChange, events [][]byte) error {
	for i, body := range events {
		if err := e.appendAt(s, c, c.First+i, body); err != nil {
			return err
		}
	}
	return nil
}

// appendAt appends an event, whose number must be the next. A journal that has
// it already is written by another engine; one that lacks those before it would
// never be read again.
func (e *Executions) appendAt(s *session, c *sealedChange, number int, body []byte) error {
	if c.member.next < 0 {
		last, ok, err := s.number(lastEvent, string(c.ID))
		if err != nil {
			return err
		}
		c.member.next = 0
		if ok {
			c.member.next = int(last) + 1
		}
	}
	if number != c.member.next {
		return wrongNumber(c.ID, number, c.member.next)
	}
	_, err := s.exec(insertEvent, string(c.ID), int64(number), body)
	if isConstraint(err) {
		return wrongNumber(c.ID, number, -1)
	}
	if err == nil {
		c.member.next++
	}
	return err
}

func wrongNumber(id engine.ID, number, next int) error {
	if next >= 0 && number > next {
		return fail(engine.Conflict, "", "event %d of execution %s cannot be written before event %d", number, id, next)
	}
	return fail(engine.Conflict, "let one engine work on the store; end the others",
		"event %d of execution %s is there already: another engine works on it", number, id)
}

func (e *Executions) applyRest(s *session, c *sealedChange) error {
	for i, line := range c.Lines {
		_, err := s.exec(insertLine, micros(line.Event.Time), c.member.root, string(c.ID), int64(line.Number), int64(line.Ordinal), c.lines[i])
		if isConstraint(err) {
			return fail(engine.Conflict, "let one engine work on the store; end the others",
				"line %d of the log of execution %s is there already", line.Number, c.ID)
		}
		if err != nil {
			return err
		}
	}
	for _, text := range c.texts {
		if _, err := s.exec(insertText, text.digest, text.key, text.body); err != nil {
			return err
		}
		if _, err := s.exec(insertTextUse, c.member.root, text.digest); err != nil {
			return err
		}
	}
	for _, trace := range c.traces {
		if _, err := s.exec(insertTrace, c.member.root, trace.mark, trace.body); err != nil {
			return err
		}
	}
	for _, id := range c.Wake {
		if _, err := s.exec(wakeExecution, micros(e.s.now()), string(id)); err != nil {
			return err
		}
	}
	for _, number := range c.Done {
		if _, err := s.exec(deleteOrder, number); err != nil {
			return err
		}
	}
	if c.Unlock {
		return e.unlockAll(s, c.ID)
	}
	return nil
}

func (e *Executions) setState(s *session, id engine.ID, state *journal.State) error {
	changed, err := s.exec(updateExecution, string(state.Status), microsOrNull(state.Wake), state.Waits,
		microsOrNull(state.Ended), string(state.Kind), string(id))
	if err == nil && changed == 0 {
		return missingExecution(id)
	}
	return err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func isConstraint(err error) bool {
	var fault *sqlite.Error
	return errors.As(err, &fault) && fault.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}
