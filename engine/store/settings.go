package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	// listSettings gives those that have a value or a lock that is held.
	listSettings = `SELECT s.name, s.changed, coalesce(l.holder, ''), coalesce(l.expires, 0)
			FROM setting s LEFT JOIN lock l ON l.owner = s.owner AND l.name = s.name WHERE s.owner = ?1
		UNION ALL SELECT l.name, 0, l.holder, l.expires FROM lock l
			WHERE l.owner = ?1 AND l.holder <> '' AND NOT EXISTS (SELECT 1 FROM setting WHERE owner = l.owner AND name = l.name)
		ORDER BY 1`
	deleteSetting = `DELETE FROM setting WHERE owner = ? AND name = ?`
)

// Settings are the settings of flows, as people see and change them. A lock keeps
// them from writing as it does flows that do not hold it. It is safe for concurrent use.
type Settings struct{ s *Store }

// Settings gives the store's settings.
func (s *Store) Settings() *Settings { return &Settings{s} }

// Setting is a setting without its value.
type Setting struct {
	Name    string
	Changed time.Time // zero if it has no value
	// Holder is the execution that has the lock, until Expires; empty if none has.
	Holder  engine.ID
	Expires time.Time
}

// List gives the owner's settings, sorted by name.
func (st *Settings) List(ctx context.Context, owner string) ([]Setting, error) {
	rows, err := st.s.db.QueryContext(ctx, listSettings, owner)
	if err != nil {
		return nil, st.s.explain("list settings", err)
	}
	defer func() { _ = rows.Close() }()
	var found []Setting
	for rows.Next() {
		var one Setting
		var changed, expires int64
		if err := rows.Scan(&one.Name, &changed, (*string)(&one.Holder), &expires); err != nil {
			return nil, st.s.explain("list settings", err)
		}
		if changed != 0 {
			one.Changed = time.UnixMicro(changed).UTC()
		}
		one.Expires = time.UnixMicro(expires).UTC()
		if one.Holder == "" || !st.s.now().Before(one.Expires) {
			one.Holder, one.Expires = "", time.Time{}
		}
		if one.Holder != "" || changed != 0 {
			found = append(found, one)
		}
	}
	return found, st.s.explain("list settings", rows.Err())
}

// Get gives a setting's value. Its error is of kind notfound if it has none.
func (st *Settings) Get(ctx context.Context, owner, name string) (any, error) {
	doing := fmt.Sprintf("read setting %q", name)
	var key int64
	var body []byte
	err := st.s.db.QueryRowContext(ctx, selectSetting, owner, name).Scan(&key, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, missingSetting(name)
	}
	if err != nil {
		return nil, st.s.explain(doing, err)
	}
	root, err := st.s.executions.members.rootKey(ctx, st.s.db, key)
	if err != nil {
		return nil, st.s.explain(doing, err)
	}
	return openSetting(root, owner, name, body)
}

// Set writes a setting's value, which is a tree of values. Its error is of kind conflict
// if an execution holds the lock.
func (st *Settings) Set(ctx context.Context, owner, name string, value any) error {
	doing := fmt.Sprintf("write setting %q", name)
	if name == "" {
		return fail(engine.Invalid, "", "a setting needs a name")
	}
	members := st.s.executions.members
	key, err := members.newestKey(ctx)
	if err != nil {
		return st.s.explain(doing, err)
	}
	root, err := members.rootKey(ctx, st.s.db, key)
	if err != nil {
		return st.s.explain(doing, err)
	}
	body := root.sealer("setting", owner, name).seal(journal.EncodeValue(value), "setting", 0)
	return st.s.write(ctx, doing, func(tx *sql.Tx, _ *keys) error {
		if err := st.free(ctx, tx, owner, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, upsertSetting, owner, name, micros(st.s.now()), key, body)
		return err
	})
}

// free gives an error if an execution holds the lock of a setting.
func (st *Settings) free(ctx context.Context, tx *sql.Tx, owner, name string) error {
	var fence, expires int64
	var holder string
	err := tx.QueryRowContext(ctx, selectLock, owner, name).Scan(&fence, &holder, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if until := time.UnixMicro(expires).UTC(); err == nil && holder != "" && st.s.now().Before(until) {
		return fail(engine.Conflict, "wait for its end, or cancel it: weir execution cancel "+holder,
			"setting %q is locked by execution %s until %s", name, holder, until.Format(time.RFC3339))
	}
	return err
}

// Delete removes a setting's value. Its error is of kind notfound if it has none, and of
// kind conflict if an execution holds the lock.
func (st *Settings) Delete(ctx context.Context, owner, name string) error {
	return st.s.write(ctx, fmt.Sprintf("delete setting %q", name), func(tx *sql.Tx, _ *keys) error {
		if err := st.free(ctx, tx, owner, name); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, deleteSetting, owner, name)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, missingSetting(name))
		}
		return nil
	})
}

func missingSetting(name string) error {
	return fail(engine.NotFound, "", "no such setting: %q", name)
}
