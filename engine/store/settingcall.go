package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	selectSetting = `SELECT key, body FROM setting WHERE owner = ? AND name = ?`
	upsertSetting = `INSERT INTO setting (owner, name, changed, key, body) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (owner, name) DO UPDATE SET changed = excluded.changed, key = excluded.key, body = excluded.body`
	selectLock = `SELECT fence, holder, expires FROM lock WHERE owner = ? AND name = ?`
	upsertLock = `INSERT INTO lock (owner, name, fence, holder, expires) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (owner, name) DO UPDATE SET fence = excluded.fence, holder = excluded.holder, expires = excluded.expires`
	locksOf     = `SELECT owner, name FROM lock WHERE holder = ? AND holder <> ''`
	releaseLock = `UPDATE lock SET holder = '', expires = 0 WHERE owner = ? AND name = ?`
	wakeWaiters = `UPDATE execution SET wake = ? WHERE waits = ? AND waits <> '' AND owner = ? AND status = 'waiting'`
)

// heldLock is a setting's lock. Its holder is empty if it is free.
type heldLock struct {
	fence   int64
	holder  engine.ID
	expires time.Time
}

// applySetting carries a call out within the writer's transaction. done is false
// if another holds the lock, and the change is not to be written.
func (e *Executions) applySetting(s *session, c *sealedChange) (done bool, err error) {
	call := c.Setting
	seen := call.Observed
	seen.Value, seen.Fence, seen.Error = nil, 0, nil
	call.Done, call.Until = false, time.Time{}
	if call.Verb == journal.SettingGet {
		seen.Value, err = e.settingValue(s, call.Owner, call.Name)
		call.Done = err == nil
		return call.Done, err
	}
	now := e.s.now()
	lock, err := readLock(s, call.Owner, call.Name, now)
	if err != nil {
		return false, err
	}
	switch call.Verb {
	case journal.SettingSet:
		err = e.set(s, c, lock)
	case journal.SettingLock:
		if lock.holder != "" && lock.holder != c.ID {
			return false, e.await(s, c, lock)
		}
		if lock.holder == "" {
			lock.fence++
		}
		seen.Fence = lock.fence
		lease := max(call.Lease, time.Millisecond)
		_, err = s.exec(upsertLock, call.Owner, call.Name, lock.fence, string(c.ID), micros(now.Add(lease)))
	case journal.SettingUnlock:
		held := lock.holder == c.ID
		seen.Value = held
		if held {
			err = e.unlock(s, call.Owner, call.Name)
		}
	default:
		err = fail(engine.Internal, "", "a setting knows no %q", string(call.Verb))
	}
	call.Done = err == nil
	return call.Done, err
}

// set writes the value, unless the lock is another's or was lost meanwhile: then
// the flow is told so.
func (e *Executions) set(s *session, c *sealedChange, lock heldLock) error {
	call := c.Setting
	switch {
	case lock.holder != "" && lock.holder != c.ID:
		call.Observed.Error = refusal(`setting %q is locked by execution %s until %s`, call.Name, lock.holder, lock.expires.UTC().Format(time.RFC3339))
		return nil
	case call.Fence != 0 && call.Fence != lock.fence:
		call.Observed.Error = refusal(`the lock of setting %q was lost: its lease ended, and another execution has had it since`, call.Name)
		return nil
	}
	root, err := e.members.rootKey(context.Background(), e.s.db, c.member.key)
	if err != nil {
		return err
	}
	body := root.sealer("setting", call.Owner, call.Name).seal(journal.EncodeValue(call.Value), "setting", 0)
	_, err = s.exec(upsertSetting, call.Owner, call.Name, micros(e.s.now()), c.member.key, body)
	return err
}

func refusal(format string, args ...any) *engine.Error {
	return &engine.Error{Kind: engine.Conflict, Message: fmt.Sprintf(format, args...), Hint: "take the lock before, for as long as the work may last"}
}

// await puts the execution among those that wait for the lock.
func (e *Executions) await(s *session, c *sealedChange, lock heldLock) error {
	c.Setting.Until = lock.expires
	if c.Setting.Waiting == nil {
		return nil
	}
	state := *c.Setting.Waiting
	if state.Wake.IsZero() || state.Wake.After(lock.expires) {
		state.Wake = lock.expires
	}
	return e.setState(s, c.ID, &state)
}

// readLock gives a setting's lock as it is at a time.
func readLock(s *session, owner, name string, now time.Time) (lock heldLock, err error) {
	err = s.query(selectLock, 3, func(row []driver.Value) error {
		lock.fence, _ = row[0].(int64)
		holder, _ := row[1].(string)
		expires, _ := row[2].(int64)
		if lock.expires = time.UnixMicro(expires); now.Before(lock.expires) {
			lock.holder = engine.ID(holder)
		}
		return nil
	}, owner, name)
	return lock, err
}

// settingValue gives a setting's value; nil if it was never set.
func (e *Executions) settingValue(s *session, owner, name string) (value any, err error) {
	var key int64
	var body []byte
	err = s.query(selectSetting, 2, func(row []driver.Value) error {
		key, _ = row[0].(int64)
		body, _ = row[1].([]byte)
		return nil
	}, owner, name)
	if err != nil || body == nil {
		return nil, err
	}
	root, err := e.members.rootKey(context.Background(), e.s.db, key)
	if err != nil {
		return nil, err
	}
	return openSetting(root, owner, name, body)
}

func openSetting(root *rootKey, owner, name string, body []byte) (any, error) {
	text, ok := root.sealer("setting", owner, name).open(body, "setting", 0)
	if !ok {
		return nil, damaged("setting %q", name)
	}
	value, err := journal.DecodeValue(text)
	if err != nil {
		return nil, fail(engine.Permanent, "", "setting %q: %v", name, err)
	}
	return value, nil
}

// unlockAll releases the locks of an execution.
func (e *Executions) unlockAll(s *session, id engine.ID) error {
	var held [][2]string
	err := s.query(locksOf, 2, func(row []driver.Value) error {
		owner, _ := row[0].(string)
		name, _ := row[1].(string)
		held = append(held, [2]string{owner, name})
		return nil
	}, string(id))
	for _, lock := range held {
		if err == nil {
			err = e.unlock(s, lock[0], lock[1])
		}
	}
	return err
}

// unlock releases a lock and wakes who waits for it.
func (e *Executions) unlock(s *session, owner, name string) error {
	if _, err := s.exec(releaseLock, owner, name); err != nil {
		return err
	}
	_, err := s.exec(wakeWaiters, micros(e.s.now()), journal.WaitsForLock(name), owner)
	return err
}
