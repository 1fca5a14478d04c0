package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/vaultint"
)

// The engine removes executions that ended long ago at this interval, and for the
// first time when it has taken up its work.
const (
	pruneInterval = time.Hour
	settling      = 2 * time.Second
)

// serving is what "weir serve" was told.
type serving struct {
	config    local.Config
	listening listening
	flowDirs  []string
	onlyCheck bool
	limits    []string
	retention time.Duration
	otlp      string // see [trace.FromEnvironment]
}

func newServe(a *app) *cobra.Command {
	var s serving
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the engine: it works on the executions of the store",
		Long: `Run the engine, which works on the executions of the store until it is told to end by SIGINT (Ctrl-C) or
SIGTERM. Tasks that run then may come to their end for the time of --grace; a second signal ends the
engine at once. However it ends, executions go on where they were when it is started again.

It starts what is due by schedules; see "weir help schedule". It serves an API, which is described at
/openapi.json. The first start on a store makes the user admin, and a file with a token for it beside the
store. With WEIR_ADDR and WEIR_TOKEN set, other commands work with it. A user has at most 32 requests at work
and 1,000 streams of events open; what is more waits for ten seconds, and is refused then with status 429.

With --flows DIR, each file DIR/team/deploy.lua is the flow team/deploy of the user admin. When it changes, a
new version is stored, as by "weir flow apply"; one with a mistake is told of, and the version before goes on. To
write a file in one step, write another and rename it. The flow of a file that is removed stays, until
"weir flow delete".

Traces go to the OpenTelemetry collector that OTEL_EXPORTER_OTLP_ENDPOINT or --otlp-endpoint names, by OTLP over
HTTP: a trace for each tree of executions, with names, times and kinds of errors, and never a value. The other
variables of OpenTelemetry for traces count, too.

One engine works on a store at a time. Its log is on stderr; with -o json, as JSON.`,
		Example: "  weir serve --connections ./connections --flows ./flows",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.check(a); err != nil {
				return err
			}
			if s.onlyCheck {
				return a.checkServe(cmd.Context(), &s)
			}
			return a.serve(cmd.Context(), s)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&s.flowDirs, "flows", nil, "directory of flows that is watched: its files become flows of the store; repeatable, first wins")
	flags.IntVar(&s.config.MaxParallel, "max-parallel", local.MaxParallel, "how many tasks run at the same time")
	flags.IntVar(&s.config.MaxResident, "max-resident", local.MaxResident, "how many flows are in memory at the same time")
	flags.StringArrayVar(&s.limits, "task-limit", nil, "how many tasks of one type run at the same time, TYPE=N; repeatable")
	flags.DurationVar(&s.config.Grace, "grace", 30*time.Second, "how long running tasks may take when the engine is to end")
	s.listening.flags(cmd)
	flags.BoolVar(&s.onlyCheck, "check", false, "only tell what would keep the engine from its work, and change nothing")
	flags.StringVar(&s.otlp, otlpEndpoint, "", "URL of an OpenTelemetry collector that takes traces by HTTP (OTEL_EXPORTER_OTLP_ENDPOINT)")
	flags.DurationVar(&s.retention, "retention", retention, "how long executions are kept after their end; 0 for ever")
	return cmd
}

// check reads and checks what the flags say.
func (s *serving) check(a *app) error {
	switch {
	case s.config.MaxParallel < 1 || s.config.MaxResident < 1:
		return &usageError{fmt.Errorf("--max-parallel and --max-resident are numbers from 1")}
	case s.config.Grace < 0 || s.retention < 0:
		return &usageError{fmt.Errorf("--grace and --retention are times such as 30s and 720h")}
	}
	types, err := a.tasks()
	if err != nil {
		return err
	}
	if err := s.listening.check(); err != nil {
		return err
	}
	s.config.TaskLimits = map[string]int{}
	for _, pair := range s.limits {
		name, text, err := keyValue("--task-limit", pair)
		if err != nil {
			return err
		}
		name = strings.ToUpper(name)
		if !slices.Contains(types.Types(), name) {
			err := &usageError{fmt.Errorf("--task-limit %s: there is no task type %q", pair, name)}
			return hinted(schema.DidYouMean(name, types.Types()), "%w", err)
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return &usageError{fmt.Errorf("--task-limit %s: a limit is a number from 1", pair)}
		}
		s.config.TaskLimits[name] = n
	}
	for i, dir := range s.flowDirs {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("it is no directory")
		}
		if err != nil {
			return fileError(dir, err)
		}
		if s.flowDirs[i], err = filepath.Abs(dir); err != nil {
			return err
		}
	}
	return nil
}

// serve runs the engine until ctx ends.
func (a *app) serve(ctx context.Context, s serving) error {
	opened, err := a.store(ctx)
	if err != nil {
		return err
	}
	release, err := opened.TakeEngine(ctx)
	if err != nil {
		return err
	}
	defer release()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(local.GCPercent)
	}
	log := engineLog(a.err, a.flags.output)
	s.config.Log = log
	a.serving = true
	served, err := a.newDaemon(ctx, opened, &s)
	if err != nil {
		return err
	}
	defer served.close()
	endTraces, err := a.traces(opened, served, &s)
	if err != nil {
		return err
	}
	defer endTraces()
	runner, err := a.engine(ctx, s.config)
	if err != nil {
		return err
	}
	endWatch, err := watchFlows(ctx, opened, s.flowDirs, log)
	if err != nil {
		return err
	}
	defer endWatch()
	if err := served.serves(runner); err != nil {
		return err
	}
	dir, err := a.dataDir()
	if err != nil {
		return err
	}
	log.Info("the engine serves the store", "store", dir, "pid", os.Getpid(), "retention", s.retention.String())
	sayEnd := sync.OnceFunc(func() {
		log.Info("the engine is to end; tasks that run may come to their end", "grace", s.config.Grace.String())
		a.tellManager(log, "STOPPING=1")
	})
	defer context.AfterFunc(ctx, sayEnd)()
	pruned := make(chan struct{})
	keep, stop := context.WithCancel(ctx)
	go func() {
		defer close(pruned)
		a.retain(keep, opened, s.retention, log)
	}()
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	served.open(ctx, fail)
	a.tellManager(log, "READY=1")
	err = runner.Serve(ctx)
	fail() // the API ends with the engine
	err = errors.Join(err, served.wait())
	stop()
	<-pruned
	if err == nil {
		sayEnd() // if it has not been said yet
		a.logVaults(log)
		log.Info("the engine has ended")
	}
	return err
}

// logVaults says what the engine asked of each Vault.
func (a *app) logVaults(log *slog.Logger) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(a.readers)) {
		client, ok := a.readers[name].(*vaultint.Client)
		if !ok {
			continue
		}
		stats := client.Stats()
		log.Info("the engine used a vault", "vault", name,
			"weir_vault_reads", stats.Reads, "weir_vault_errors", stats.Errors, "weir_vault_hits", stats.Hits, "weir_vault_stale", stats.Stale,
			"weir_vault_logins", stats.Logins, "weir_vault_login_errors", stats.LoginErrors, "weir_vault_renewals", stats.Renewals)
	}
}

// retain removes executions that ended long ago, until ctx ends.
func (a *app) retain(ctx context.Context, opened *store.Store, after time.Duration, log *slog.Logger) {
	if after == 0 {
		return
	}
	select {
	case <-time.After(settling):
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(pruneInterval)
	defer tick.Stop()
	for {
		n, err := a.prune(ctx, opened, time.Now().Add(-after))
		if n > 0 {
			log.Info("removed old executions", "executions", n)
		}
		if err != nil && ctx.Err() == nil {
			log.Error("cannot remove old executions", "error", err)
		}
		if _, err := opened.Audit().Prune(ctx, time.Now().Add(-store.AuditRetention)); err != nil && ctx.Err() == nil {
			log.Error("cannot remove old audit events", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// engineLog writes the engine's log as text, or as JSON.
func engineLog(to io.Writer, output string) *slog.Logger {
	if output == "json" {
		return slog.New(slog.NewJSONHandler(to, nil))
	}
	return slog.New(slog.NewTextHandler(to, nil))
}
