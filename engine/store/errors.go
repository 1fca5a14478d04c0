package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/weir-engine/weir/engine"
)

// fail gives an error with its kind and what to do about it.
func fail(kind engine.Kind, hint, format string, args ...any) error {
	return &engine.Error{Kind: kind, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// explain gives an error of SQLite or of the file system in words that help, and
// any other as it is.
func (s *Store) explain(doing string, err error) error {
	if err == nil || errors.As(err, new(*engine.Error)) {
		return err
	}
	what := doing + " in store " + s.dir
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fail(engine.Denied, "check who owns the directory, and its rights", "%s: %v", what, err)
	}
	var fault *sqlite.Error
	if !errors.As(err, &fault) {
		return err
	}
	switch primary := fault.Code() & 0xff; primary {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fail(engine.Unavailable, "another process holds the store; try again when it is done",
			"%s: it was busy for %s", what, busyTimeout)
	case sqlite3.SQLITE_FULL:
		return fail(engine.Unavailable, "make room; nothing was changed", "%s: the disk is full", what)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fail(engine.Denied, "weir must be able to write to the directory and the files in it; nothing was changed",
			"%s: it cannot be written: %v", what, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fail(engine.Permanent, "restore the directory from a backup", "%s: %s is damaged, or no store: %v", what, fileName, err)
	case sqlite3.SQLITE_IOERR:
		return fail(engine.Unavailable, "look at the disk and at limits on file sizes; nothing was changed",
			"%s: the disk failed: %v", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
