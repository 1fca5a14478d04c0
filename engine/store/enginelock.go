package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"

	"github.com/weir-engine/weir/engine"
)

const engineLockName = "engine.lock"

// TakeEngine makes the caller the one engine that works on the store's
// executions, until release is called or the process ends, in whatever way. Its
// error is of kind conflict if another is it.
func (s *Store) TakeEngine(ctx context.Context) (release func(), err error) {
	db, err := s.openEngineLock()
	if err != nil {
		return nil, s.explain("start the engine", err)
	}
	// Who only asks whether an engine runs holds the lock for a moment.
	brief, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for {
		tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
		if err == nil {
			return func() { _ = errors.Join(tx.Rollback(), db.Close()) }, nil
		}
		if !isBusy(err) {
			return nil, errors.Join(s.explain("start the engine", err), db.Close())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-brief.Done():
			if err := errors.Join(ctx.Err(), db.Close()); err != nil {
				return nil, err
			}
			return nil, fail(engine.Conflict, "stop it, or leave the work to it: it sees what other commands write to the store",
				"another process runs the engine of store %s", s.dir)
		}
	}
}

// EngineRuns tells whether a process runs the engine of the store, so that
// somebody will carry orders out.
func (s *Store) EngineRuns(ctx context.Context) (bool, error) {
	if _, err := os.Stat(filepath.Join(s.dir, engineLockName)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	db, err := s.openEngineLock()
	if err != nil {
		return false, s.explain("look for the engine", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = tx.Rollback()
	}
	err = errors.Join(err, db.Close())
	if isBusy(err) {
		return true, nil
	}
	return false, s.explain("look for the engine", err)
}

// openEngineLock opens the file whose write lock the engine holds. SQLite's locks
// are those of every system that weir runs on, and end with the process.
func (s *Store) openEngineLock() (*sql.DB, error) {
	path := filepath.Join(s.dir, engineLockName)
	if err := makeFile(path); err != nil {
		return nil, err
	}
	name := &url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: "_txlock=immediate&_pragma=busy_timeout(0)"}
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
