package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/schedule"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/engine/trace"
	"github.com/weir-engine/weir/vaultint"
)

const (
	firstUser      = "admin"
	firstTokenFile = "admin.token"
	// closingPatience is how long requests may take when the server is to end.
	closingPatience = 10 * time.Second
)

// daemon is the API of an engine.
type daemon struct {
	app      *app
	store    *store.Store
	log      *slog.Logger
	hub      *httpapi.Hub
	traces   *trace.Exporter // nil if none are sent
	listener net.Listener
	url      string
	runner   *local.Runner

	schedules *schedule.Loop

	work   sync.WaitGroup
	failed error // of the server; read after work
}

// newDaemon listens for the API. Without an address there is none.
func (a *app) newDaemon(ctx context.Context, opened *store.Store, s *serving) (*daemon, error) {
	d := &daemon{app: a, store: opened, log: s.config.Log}
	var err error
	if d.listener, err = s.listening.open(ctx); err != nil || d.listener == nil {
		return d, err
	}
	d.url = s.listening.url(d.listener)
	d.hub = httpapi.NewHub(news{opened.Executions()})
	if err := d.firstStart(ctx); err != nil {
		return d, errors.Join(err, d.listener.Close())
	}
	return d, nil
}

// firstStart makes the first user of a store that has none, and a file with a token.
// The token is nowhere else: what a service says on stderr is kept by others.
func (d *daemon) firstStart(ctx context.Context) error {
	dir, err := d.app.dataDir()
	if err != nil {
		return err
	}
	_, text, made, err := d.store.Users().Bootstrap(ctx, firstUser)
	if err != nil || !made {
		return err
	}
	file := filepath.Join(dir, firstTokenFile)
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		return fileError(file, err)
	}
	d.log.Info("the user "+firstUser+" was made; a token of this user is in a file that only you can read", "file", file)
	d.app.say("to use the API: export WEIR_ADDR=%s WEIR_TOKEN=$(cat %s)", d.url, file)
	return nil
}

// open begins to start what schedules say and to answer requests, until ctx ends. The
// server is made beside the engine, which has its executions to take up; if it cannot be
// made, fail is called.
func (d *daemon) open(ctx context.Context, fail func()) {
	d.work.Go(func() { d.schedules.Run(ctx) })
	if d.listener == nil {
		return
	}
	d.log.Info("the API is served", "address", d.url)
	hubbing, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.work.Go(func() { d.hub.Run(hubbing) })
	d.work.Go(func() { d.forgetKeys(ctx) })
	d.work.Go(func() {
		defer stop()
		version, _ := buildVersion()
		server, err := httpapi.New(httpapi.Config{
			Version: version, Authenticator: d, Services: d.services, Hooks: d, Explain: explained, Hub: d.hub,
			Ready: d.ready, Measures: d.measures, Trace: d.traceRequest(), Log: d.log,
		})
		if err != nil {
			d.failed = errors.Join(err, d.listener.Close())
			fail()
			return
		}
		d.failed = server.Serve(ctx, d.listener, closingPatience)
	})
}

// forgetKeys forgets idempotency keys, once an hour.
func (d *daemon) forgetKeys(ctx context.Context) {
	tick := time.NewTicker(pruneInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := d.app.forgetKeys(ctx, d.store, time.Now().Add(-keyLife)); err != nil && ctx.Err() == nil {
			d.log.Error("cannot forget old idempotency keys", "error", err)
		}
	}
}

// wait waits for the end of the server.
func (d *daemon) wait() error {
	d.work.Wait()
	return d.failed
}

// close ends what was opened if the server never came to serve.
func (d *daemon) close() {
	if d.listener != nil {
		_ = d.listener.Close()
	}
}

// services gives what a caller reaches.
func (d *daemon) services(caller httpapi.Caller) httpapi.Services {
	desk := d.desk(caller.User.Owner, caller.User.Name, caller.Remote)
	desk.trace = caller.Trace
	return desk.services()
}

// desk gives the desk of a user, for a request from a network address.
func (d *daemon) desk(owner, name, remote string) *desk {
	return &desk{
		app: d.app, store: d.store, owner: owner, by: name,
		actor:  engine.Actor{Owner: owner, Remote: remote},
		engine: func(context.Context) (*local.Runner, error) { return d.runner, nil },
		letGo:  d.hub.TokensChanged,
	}
}

// Authenticate implements httpapi.Authenticator.
func (d *daemon) Authenticate(ctx context.Context, text, remote string, often bool) (engine.User, engine.Token, error) {
	user, token, err := d.store.Users().Login(ctx, text)
	if kindOf(err) == engine.Denied && !often {
		by := engine.Actor{Owner: user.Owner, Remote: remote} // a text that is no token is the first admin's affair
		event := by.Did(engine.AuditLoginDenied, strings.TrimSpace(token.User+" "+token.ID))
		if recorded := d.store.Audit().Record(ctx, event); recorded != nil && ctx.Err() == nil {
			d.log.Error("cannot record a refused login", "error", recorded)
		}
	}
	return user, token, err
}

// ready tells whether the store can be read.
func (d *daemon) ready(ctx context.Context) error {
	_, err := d.store.Executions().Position(ctx)
	return err
}

// measures are the figures of the store and of the vaults.
func (d *daemon) measures(ctx context.Context) []httpapi.Measure {
	all := d.traceMeasures()
	users, err := d.store.Users().List(ctx)
	if err != nil {
		d.log.Error("cannot count executions", "error", err)
	}
	byStatus := map[engine.Status]int{}
	for _, u := range users {
		counts, err := d.store.Executions().Counts(ctx, u.Owner)
		if err != nil {
			d.log.Error("cannot count executions", "error", err)
			break
		}
		for status, n := range counts {
			byStatus[status] += n
		}
	}
	for _, status := range statuses() {
		all = append(all, httpapi.Measure{
			Name: "weir_executions", Help: "Executions in the store, children included, by status.",
			Labels: map[string]string{"status": status}, Value: float64(byStatus[engine.Status(status)]),
		})
	}
	all = append(all, d.scheduleMeasures()...)
	reads := map[string]float64{}
	d.app.mu.Lock()
	defer d.app.mu.Unlock()
	for _, reader := range d.app.readers {
		if client, ok := reader.(*vaultint.Client); ok {
			for name, n := range vaultFigures(client.Stats()) {
				reads[name] += n
			}
		}
	}
	for name, n := range reads {
		all = append(all, httpapi.Measure{Name: name, Help: "What the engine asked of Vaults.", Counter: true, Value: n})
	}
	return all
}

func vaultFigures(s vaultint.Stats) map[string]float64 {
	return map[string]float64{
		"weir_vault_reads_total": float64(s.Reads), "weir_vault_errors_total": float64(s.Errors), "weir_vault_hits_total": float64(s.Hits),
		"weir_vault_stale_total": float64(s.Stale), "weir_vault_logins_total": float64(s.Logins),
		"weir_vault_login_errors_total": float64(s.LoginErrors), "weir_vault_renewals_total": float64(s.Renewals),
	}
}

// news is a store as a hub reads it.
type news struct{ executions *store.Executions }

// Position implements httpapi.News.
func (n news) Position(ctx context.Context) (int64, error) { return n.executions.Position(ctx) }

// Lines implements httpapi.News.
func (n news) Lines(ctx context.Context, after int64, limit int) ([]httpapi.NewsLine, error) {
	found, err := n.executions.News(ctx, nil, after, limit)
	lines := make([]httpapi.NewsLine, 0, len(found))
	for _, l := range found {
		lines = append(lines, httpapi.NewsLine{Line: lineOf(l.LogLine), Owner: l.Owner, Flow: l.Execution})
	}
	return lines, err
}

// Execution implements httpapi.News.
func (n news) Execution(ctx context.Context, id engine.ID) (api.Execution, string, error) {
	row, err := n.executions.Row(ctx, id)
	return executionOf(row), row.Owner, err
}

// explained is an error as the API sends it: what the command line would say.
func explained(err error) *api.Error {
	var sent *api.Error
	if errors.As(err, &sent) {
		return sent
	}
	failure := &api.Error{Kind: string(kindOf(err)), Message: err.Error(), Hint: hintOf(err)}
	var flow *engine.Error
	if errors.As(err, &flow) {
		failure.Where = flow.Where
		for cause := flow; cause != nil && failure.Hint == ""; cause = cause.Cause {
			failure.Hint = cause.Hint
		}
	}
	var read *secret.ReadError
	if errors.As(err, &read) && failure.Hint == "" {
		failure.Hint = read.Hint
	}
	switch {
	case failure.Kind != "":
	case errors.As(err, new(*usageError)):
		failure.Kind, failure.Code = string(engine.Invalid), api.CodeUsage
	default:
		failure.Kind = string(engine.Internal)
		failure.Message = fmt.Sprintf("%T: %v", err, err)
	}
	return failure
}
