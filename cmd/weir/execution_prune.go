package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

// retention is for how long executions are kept after their end, unless the user
// says otherwise.
const retention = 30 * 24 * time.Hour

func newExecutionPrune(a *app) *cobra.Command {
	var olderThan time.Duration
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove executions that ended long ago",
		Long: `Remove executions that ended long ago, with their journals, logs and files directories, but for files
directories that they were given. "weir serve --retention" does the same once an hour.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if olderThan < 0 {
				return &usageError{errors.New("--older-than is a time such as 720h")}
			}
			if err := a.localOnly("execution prune", `a server does it by itself: weir serve --retention`); err != nil {
				return err
			}
			opened, err := a.executionStore(cmd.Context())
			if err != nil {
				return err
			}
			before := time.Now().Add(-olderThan)
			var n int
			if dryRun {
				n, err = countEnded(cmd.Context(), opened.Executions(), before)
			} else {
				n, err = a.prune(cmd.Context(), opened, before)
			}
			if err != nil {
				return err
			}
			data := map[string]any{"executions": n, "before": instant(before), "dry_run": dryRun}
			return a.print(data, func(t *table) {
				if dryRun {
					t.row("would remove", n)
					return
				}
				t.row("removed", n)
			})
		},
	}
	cmd.Flags().DurationVar(&olderThan, "older-than", retention, "those that ended longer ago than this")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell how many there are")
	return cmd
}

// countEnded counts the executions that ended before a time.
func countEnded(ctx context.Context, executions *store.Executions, before time.Time) (int, error) {
	filter := store.Filter{Owner: localOwner, Limit: 1000}
	n := 0
	for {
		rows, next, err := executions.List(ctx, filter)
		if err != nil {
			return n, err
		}
		for _, r := range rows {
			if r.Status.Ended() && r.Ended.Before(before) {
				n++
			}
		}
		if next == "" {
			return n, nil
		}
		filter.Before = next
	}
}

// prune removes executions that ended before a time, and the files directories of
// their own.
func (a *app) prune(ctx context.Context, opened *store.Store, before time.Time) (int, error) {
	dir, err := a.filesRoot()
	if err != nil {
		return 0, err
	}
	ended, err := withFiles(ctx, opened.Executions(), dir, before)
	if err != nil {
		return 0, err
	}
	n, err := opened.Executions().Prune(ctx, before)
	if err != nil {
		return n, err // the files are found the next time
	}
	for _, id := range ended {
		if _, err := opened.Executions().Row(ctx, id); exitCode(err) != exitNotFound {
			continue // it has come to life again
		}
		if err := os.RemoveAll(filepath.Join(dir, string(id))); err != nil {
			return n, fmt.Errorf("remove the files of execution %s: %w", id, err)
		}
	}
	return n, nil
}

// filesRoot is where executions have files directories of their own.
func (a *app) filesRoot() (string, error) {
	dir, err := a.dataDir()
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(dir)
	return filepath.Join(dir, "files"), err
}

// executionID is what [local.NewID] makes.
var executionID = regexp.MustCompile(`^[0-9a-f]{11}[a-z2-7]{12}$`)

// withFiles gives the executions that ended before a time and have a files directory
// of their own, also those of which nothing but that is left: somebody was interrupted.
func withFiles(ctx context.Context, executions *store.Executions, dir string, before time.Time) ([]engine.ID, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ended []engine.ID
	for _, entry := range entries {
		row, err := executions.Row(ctx, engine.ID(entry.Name()))
		switch {
		case exitCode(err) == exitNotFound:
			// Its execution was on disk before it was made, and is gone.
			if entry.IsDir() && executionID.MatchString(entry.Name()) {
				ended = append(ended, engine.ID(entry.Name()))
			}
		case err != nil:
			return nil, err
		case row.Status.Ended() && row.Ended.Before(before):
			ended = append(ended, row.ID)
		}
	}
	return ended, nil
}
