package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weir-engine/weir/engine"
)

const vacuumInto = `VACUUM INTO ?`

// Backup writes a copy of the store's file, as it is at one moment, while others
// go on to read and write. It appears at path at once and as a whole, on disk, for
// its owner alone; what is there is never overwritten.
//
// All that is encrypted in the store is encrypted in the copy. To restore it, put
// it into a directory as weir.db, with nothing else but the master key that the
// store has now, which is no part of the copy: without it nobody can read it.
func (s *Store) Backup(ctx context.Context, path string) error {
	err := s.backup(ctx, path)
	if errors.Is(err, fs.ErrExist) {
		return fail(engine.Conflict, "name a file that does not exist", "back up to %s: the file exists", path)
	}
	return s.explain(fmt.Sprintf("back up to %s", path), err)
}

func (s *Store) backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	dir := filepath.Dir(path)
	draft, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	if err := draft.Close(); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, vacuumInto, draft.Name()); err != nil {
		return err
	}
	if err := syncFile(draft.Name()); err != nil {
		return err
	}
	// A link fails if there is a file meanwhile, where a renaming would replace it.
	if err := os.Link(draft.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // made here
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
