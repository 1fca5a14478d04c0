package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/vaultint"
)

// checkServe tells what would keep "weir serve" from its work, and changes nothing.
func (a *app) checkServe(ctx context.Context, s *serving) error {
	report := newStages(a)
	var faults []error
	for _, stage := range []struct {
		name  string
		check func(context.Context) (string, error)
	}{
		{"key", a.checkKey},
		{"disk", a.checkDisk},
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
		name := source.name + " from " + source.origin
		wrong, unreached := a.checkSource(ctx, source)
		if unreached != nil {
			name += ", which does not answer now"
			a.say("warning: %v; flows that need it fail until it does", unreached)
		}
		names = append(names, name)
		err = errors.Join(err, wrong)
	}
	if len(names) == 0 {
		return "none is configured", err
	}
	return strings.Join(names, ", "), err
}

// checkSource tells whether a source of secrets could be asked, and whether it answers
// now, without a login.
func (a *app) checkSource(ctx context.Context, source secretSource) (wrong, unreached error) {
	reader, err := a.openSecretSource(a.owner, source)
	client, ok := reader.(*vaultint.Client)
	if err != nil || !ok {
		return err, nil
	}
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return nil, client.Reach(ctx)
}

// checkKey tells where the master key is read. A store that is there was opened with it.
func (a *app) checkKey(context.Context) (string, error) {
	config, err := a.storeConfig()
	if err != nil {
		return "", err
	}
	detail := config.Key.String()
	if a.getenv("CREDENTIALS_DIRECTORY") != "" && detail == keyFile(config.Dir).String() {
		a.say("warning: $CREDENTIALS_DIRECTORY has no %s: the key is beside what it protects", masterKeyCredential)
	}
	if !store.Exists(config.Dir) {
		err = config.Key.Check()
	}
	return detail, err
}

// checkDisk tells whether files can be written where the store is, or is to be made.
func (a *app) checkDisk(context.Context) (string, error) {
	dir, err := a.dataDir()
	if err != nil {
		return "", err
	}
	for parent := filepath.Dir(dir); parent != dir; parent = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		dir = parent
	}
	file, err := os.CreateTemp(dir, ".weir-check-*")
	if err != nil {
		return "", &engine.Error{
			Kind: engine.Unavailable, Message: fmt.Sprintf("cannot write to %s: %v", dir, reason(err)),
			Hint: "the engine needs a directory that it may write to: --data-dir, WEIR_DATA_DIR",
		}
	}
	_, err = file.Write(make([]byte, 1<<20))
	err = errors.Join(err, file.Close(), os.Remove(file.Name()))
	if err != nil {
		return "", &engine.Error{Kind: engine.Unavailable, Message: fmt.Sprintf("cannot write to %s: %v", dir, reason(err))}
	}
	return dir + " can be written to", nil
}
