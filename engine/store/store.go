package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	fileName    = "weir.db"
	lockName    = "migrate.lock"
	keyFileName = "master.key"
	// busyTimeout bounds how long a write waits for one of another process.
	busyTimeout = 10 * time.Second
)

// Config says where a store is and how it is opened.
type Config struct {
	// Dir is the store's directory. It is made, for its owner alone, if it is not there.
	Dir string
	// Key is the master key; zero means the file master.key in Dir.
	Key MasterKey
	// Now is the clock; nil means the machine's.
	Now func() time.Time
	// Driver wraps the SQLite driver, to see all that is asked of it; nil leaves it as
	// it is.
	Driver func(driver.Connector) driver.Connector
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	dir    string
	db     *sql.DB
	now    func() time.Time
	keys   keyring
	writer chan struct{} // held by the one goroutine that writes

	executions *Executions
}

// Exists tells whether there is a store in the directory, without opening it. One
// that cannot be looked at exists: opening it tells why.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, fileName))
	return !errors.Is(err, fs.ErrNotExist)
}

// Open opens the store, or makes a new one. The caller must Close it.
func Open(ctx context.Context, config Config) (*Store, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if config.Key.read == nil {
		config.Key = KeyFile(filepath.Join(dir, keyFileName))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Store{dir: dir, now: config.Now, writer: make(chan struct{}, 1)}
	s.executions = newExecutions(s)
	if err := s.open(ctx, config); err != nil {
		if better := reason(err); better != nil {
			err = better
		}
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, config Config) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	db, err := openFile(filepath.Join(s.dir, fileName), config.Driver)
	if err != nil {
		return err
	}
	s.db = db
	if err := whileBusy(ctx, func() error { return s.migrate(ctx) }); err != nil {
		return err
	}
	return s.openKeys(ctx, config.Key)
}

// whileBusy repeats what another process is in the way of, for as long as
// busyTimeout. SQLite waits by itself, except for the change of a new file to a
// write-ahead log: there it fails at once if another process changes it too.
func whileBusy(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	for {
		err := do()
		var fault *sqlite.Error
		if !errors.As(err, &fault) || fault.Code()&0xff != sqlite3.SQLITE_BUSY {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// maxConnections bounds how many reads go on at once, beside one write.
const maxConnections = 8

// openFile opens a SQLite file with the settings of the store: nothing is
// acknowledged before it is on disk, what is deleted is overwritten, and nothing
// is spilled into temporary files.
func openFile(path string, wrap func(driver.Connector) driver.Connector) (*sql.DB, error) {
	if err := makeFile(path); err != nil {
		return nil, err
	}
	settings := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)", "temp_store(MEMORY)",
	}}
	name := &url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: settings.Encode()}
	var connector driver.Connector
	connector, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, err
	}
	if wrap != nil {
		connector = wrap(connector)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	return db, nil
}

// makeFile makes an empty file for its owner alone, unless there is one. SQLite
// gives the files that it makes beside it the same rights. A file that is there is
// not opened: closing it would take away the locks that this process has on it.
func makeFile(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) //nolint:gosec // whoever configures the store names the directory
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// Close writes what is being committed and ends the use of the store.
func (s *Store) Close() error {
	return s.explain("close", errors.Join(s.executions.writer.close(), s.executions.queries.close(), s.db.Close()))
}

// write runs a change as one transaction, with the keys that hold during it.
func (s *Store) write(ctx context.Context, doing string, change func(*sql.Tx, *keys) error) error {
	select {
	case s.writer <- struct{}{}:
		defer func() { <-s.writer }()
	case <-ctx.Done():
		return s.explain(doing, ctx.Err())
	}
	return s.explain(doing, s.transact(ctx, change))
}

func (s *Store) transact(ctx context.Context, change func(*sql.Tx, *keys) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	var sealed []byte
	if err := tx.QueryRowContext(ctx, selectKeyset).Scan(&sealed); err != nil {
		return err
	}
	keys, err := s.keys.unwrap(sealed)
	if err != nil {
		return err
	}
	if err := change(tx, keys); err != nil {
		return err
	}
	return tx.Commit()
}
