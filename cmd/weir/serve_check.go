package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
)

// checkServe tells what would keep "weir serve" from its work, and changes nothing.
func (a *app) checkServe(ctx context.Context, s *serving) error {
	report := newStages(a)
	var faults []error
	for _, stage := range []struct {
		name  string
		check func(context.Context) (string, error)
	}{
		{"store", a.checkStore},
		{"engine", a.checkEngine},
		{"listen", s.listening.try},
		{"connections", a.checkFiles},
		{"flows", checkFlows(s.flowDirs)},
		{"vaults", a.checkVaults},
		{"traces", func(context.Context) (string, error) { return a.checkTraces(s) }},
	} {
		began := time.Now()
		detail, err := stage.check(ctx)
		report.add(stage.name, detail, time.Since(began), err)
		if err != nil {
			faults = append(faults, err)
		}
	}
	if err := report.end(); err != nil {
		return err
	}
	return joinFaults(faults)
}

func (a *app) checkStore(ctx context.Context) (string, error) {
	dir, err := a.dataDir()
	if err != nil {
		return "", err
	}
	opened, err := a.existingStore(ctx)
	if err != nil {
		return "", err
	}
	if opened == nil {
		return "it will be made in " + dir, nil
	}
	users, err := opened.Users().List(ctx)
	if len(users) == 0 && err == nil {
		return dir + ", in which the first start makes the user " + firstUser, nil
	}
	return fmt.Sprintf("%s, %d users", dir, len(users)), err
}

func (a *app) checkEngine(ctx context.Context) (string, error) {
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return "no other one serves the store", nil // what is wrong with the store is told already
	}
	runs, err := opened.EngineRuns(ctx)
	if err == nil && runs {
		err = &engine.Error{Kind: engine.Conflict, Message: "another engine serves the store", Hint: "end it first"}
	}
	return "no other one serves the store", err
}

// try listens for a moment.
func (l *listening) try(ctx context.Context) (string, error) {
	listener, err := l.open(ctx)
	if err != nil || listener == nil {
		return "there is to be no API", err
	}
	return l.url(listener), listener.Close()
}

func (a *app) checkFiles(ctx context.Context) (string, error) {
	resolver, err := a.resolver()
	if err != nil {
		return "", err
	}
	all, err := resolver.List(ctx, a.owner)
	var faults []error
	for _, p := range resolver.Problems(a.owner) {
		faults = append(faults, hintedInvalid(p.Hint, "%s", p))
	}
	if err != nil {
		faults = append(faults, err)
	}
	dirs := a.connectionDirs()
	for i, dir := range dirs {
		dirs[i] = filepath.Clean(dir)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", len(all), strings.Join(dirs, ", "))), joinFaults(faults)
}

func (a *app) checkVaults(ctx context.Context) (string, error) {
	sources, err := a.secretSources(ctx, a.owner)
	var names []string
	for _, source := range sources {
		names = append(names, source.name+" from "+source.origin)
		err = errors.Join(err, a.checkSource(source))
	}
	if len(names) == 0 {
		return "none is configured", err
	}
	return strings.Join(names, ", "), err
}

// checkSource tells whether a source of secrets could be asked, without asking it.
func (a *app) checkSource(source secretSource) error {
	_, err := a.openSecretSource(a.owner, source)
	return err
}
