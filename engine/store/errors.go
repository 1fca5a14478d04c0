package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

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
	better := reason(err)
	if better == nil {
		return err
	}
	return fmt.Errorf("%s in store %s: %w", doing, s.dir, better)
}

// reason gives a better error for one of SQLite, the file system or the context;
// nil if there is none.
func reason(err error) error {
	var fault *sqlite.Error
	switch {
	case err == nil || errors.As(err, new(*engine.Error)):
		return nil
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fail(engine.Denied, "check who owns the directory, its rights, and that its disk can be written", "%v", err)
	case errors.Is(err, syscall.ENOSPC):
		return fail(engine.Unavailable, "make room; nothing was changed", "%v", err)
	case !errors.As(err, &fault):
		return nil
	}
	switch fault.Code() & 0xff { // the primary code
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fail(engine.Unavailable, "another process holds the store; try again when it is done", "it was busy for %s", busyTimeout)
	case sqlite3.SQLITE_FULL:
		return fail(engine.Unavailable, "make room; nothing was changed", "the disk is full")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fail(engine.Denied, "weir must be able to write to the directory and the files in it; nothing was changed", "it cannot be written: %v", err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fail(engine.Permanent, "restore the directory from a backup", "%s is damaged, or no store: %v", fileName, err)
	case sqlite3.SQLITE_IOERR:
		return fail(engine.Unavailable, "see whether the disk is full or broken, and at limits on file sizes; nothing was changed", "the disk failed: %v", err)
	}
	return err
}
