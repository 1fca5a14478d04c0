package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/weir-engine/weir/engine"
)

// schemaVersion is the number of the newest migration. Each migration sets it as
// the file's user_version, which a start reads in place of goose's own table.
const schemaVersion = 1

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
			"open store %s: it has schema version %d, and this weir knows none above %d", s.dir, version, schemaVersion)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err = provider.Up(ctx); err == nil {
		return nil
	}
	// Another process may have done it at the same time.
	if now, versionErr := s.version(ctx); versionErr == nil && now == schemaVersion {
		return nil
	}
	return fmt.Errorf("migrate from schema version %d: %w", version, err)
}

func (s *Store) version(ctx context.Context) (version int, err error) {
	err = s.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}
