package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/weir-engine/weir/engine"
)

// schemaVersion is the number of the newest migration. Each migration sets it as
// the file's user_version, which a start reads in place of goose's own table.
const schemaVersion = 6

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the file to the newest schema.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.version(ctx)
	if err != nil || version == schemaVersion {
		return err
	}
	if version > schemaVersion {
		return fail(engine.Invalid, "use the weir that wrote it, or a newer one",
			"it has schema version %d, and this weir knows none above %d", version, schemaVersion)
	}
	unlock, err := s.lockMigrations(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err = provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate from schema version %d: %w", version, err)
	}
	return nil
}

// lockMigrations keeps other processes from migrating at the same time, which
// goose does not do on SQLite. The lock is a transaction on a file of its own: it
// ends with the process.
func (s *Store) lockMigrations(ctx context.Context) (unlock func(), err error) {
	db, err := openFile(filepath.Join(s.dir, lockName), nil)
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return func() { _ = errors.Join(tx.Rollback(), db.Close()) }, nil
}

func (s *Store) version(ctx context.Context) (version int, err error) {
	err = s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}
