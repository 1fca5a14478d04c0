package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

// keyLife is for how long at least an idempotency key is remembered.
const keyLife = 24 * time.Hour

// startKeys is the kind of the store's documents that say which execution an
// idempotency key stands for.
const startKeys = "start key"

// startOnce starts an execution that a key stands for, unless that was done before. The
// key is in the store with the execution's id before the execution is: whoever comes
// again, after a crash too, starts the same one or finds it there.
func (d *desk) startOnce(ctx context.Context, request engine.Request, key string) (api.Execution, error) {
	ctx = context.WithoutCancel(ctx) // others may share in it
	started, err, _ := d.app.once.Do(d.owner+"\x00"+key, func() (any, error) { return d.startKeyed(ctx, request, key) })
	execution, _ := started.(api.Execution)
	return execution, err
}

func (d *desk) startKeyed(ctx context.Context, request engine.Request, key string) (api.Execution, error) {
	name, asked := hashed(key), requestDigest(request)
	documents := d.store.Documents(startKeys)
	id := local.NewID(time.Now())
	err := documents.Create(ctx, d.owner, name, string(id)+" "+asked)
	if exitCode(err) == exitConflict {
		known, getErr := documents.Get(ctx, d.owner, name)
		if getErr != nil {
			return api.Execution{}, getErr
		}
		text, before, _ := strings.Cut(known.Text(), " ")
		if before != asked {
			return api.Execution{}, &engine.Error{
				Kind: engine.Conflict, Message: "the idempotency key was used for another request before", Hint: "take a new key for a new request",
			}
		}
		id, err = engine.ID(text), nil
	}
	if err != nil {
		return api.Execution{}, err
	}
	if row, err := d.exactly(ctx, id); err == nil || exitCode(err) != exitNotFound {
		return executionOf(row), err
	}
	request.ID = id
	started, err := d.start(ctx, request)
	if exitCode(err) == exitConflict { // another request with the key was faster
		return d.Execution(ctx, string(id))
	}
	return started, err
}

// forgetKeys forgets the idempotency keys that were first used before a time.
func (a *app) forgetKeys(ctx context.Context, opened *store.Store, before time.Time) error {
	users, err := opened.Users().List(ctx)
	if err != nil {
		return err
	}
	owners := map[string]bool{localOwner: true}
	for _, u := range users {
		owners[u.Owner] = true
	}
	for owner := range owners {
		d := a.desk(opened)
		d.owner = owner
		if err := d.forgetKeys(ctx, before); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) forgetKeys(ctx context.Context, before time.Time) error {
	documents := d.store.Documents(startKeys)
	all, err := documents.List(ctx, d.owner)
	for _, known := range all {
		if !known.Changed.Before(before) {
			continue
		}
		if err := documents.Delete(ctx, d.owner, known.Name); err != nil && exitCode(err) != exitNotFound {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("forget idempotency keys: %w", err)
	}
	return nil
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// requestDigest tells requests apart.
func requestDigest(r engine.Request) string {
	inputs := journal.EncodeValue(r.Inputs)
	return hashed(strings.Join([]string{r.File, string(r.Text), r.Name, r.Files, string(inputs)}, "\x00"))
}
