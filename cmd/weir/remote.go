package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// remote gives a client of the server that WEIR_ADDR names; nil if it names none.
func (a *app) remote() (*api.Client, error) {
	address := a.getenv("WEIR_ADDR")
	if address == "" {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	token := strings.TrimSpace(a.getenv("WEIR_TOKEN"))
	if token == "" {
		return nil, hinted("it is a token of yours; without WEIR_ADDR the local store is used", "%w",
			&usageError{fmt.Errorf("WEIR_ADDR is set, and WEIR_TOKEN is not")})
	}
	client, err := api.NewClient(address, token)
	if err != nil {
		return nil, &usageError{fmt.Errorf("WEIR_ADDR: %w", err)}
	}
	a.client = client
	a.closers = append(a.closers, func() error { client.Close(); return nil })
	return client, nil
}

// startRemote starts an execution on a server: of a flow of its store, or of the text
// of a file here. It has a key, so that it can be asked for again if the answer is lost.
func (a *app) startRemote(ctx context.Context, s starting) (string, error) {
	if s.files != "" {
		return "", a.localOnly("--files", "an execution of a server has a directory of its own")
	}
	start := api.Start{Name: s.name, Key: cmp.Or(s.key, rand.Text())}
	if strings.HasSuffix(s.arg, ".lua") {
		text, err := readLimited(s.arg, nil)
		if err != nil {
			return "", err
		}
		start.File, start.Text = filepath.Base(s.arg), string(text)
	} else {
		var err error
		if start.Flow, start.Version, err = flowVersion(s.arg); err != nil {
			return "", err
		}
	}
	inputs, err := json.Marshal(s.inputs)
	if err != nil {
		return "", &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("the inputs cannot be sent: %v", err)}
	}
	start.Inputs = inputs
	client, err := a.remote()
	if err != nil {
		return "", err
	}
	started, err := client.Start(ctx, start)
	return started.ID, err
}

// localOnly refuses what a server does not do for its users.
func (a *app) localOnly(what, hint string) error {
	if a.getenv("WEIR_ADDR") == "" {
		return nil
	}
	return &engine.Error{Kind: engine.Invalid, Message: what + " is for a local store, and WEIR_ADDR names a server", Hint: hint}
}
