package main

import (
	"context"
	"errors"
	"strings"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// remoteEdit is a connection of a server that is being edited.
type remoteEdit struct {
	client     *api.Client
	connection api.Connection
	saved      api.Changes // what the server said when it was stored; empty as long as it was not
}

// editRemote lets the user edit a connection of a server. What is secret in it does not
// leave the server.
func (a *app) editRemote(ctx context.Context, client *api.Client, name, editor string) error {
	c, err := client.Connection(ctx, name, 0)
	if err != nil {
		return err
	}
	remote := &remoteEdit{client: client, connection: c}
	session := editSession{app: a, editor: editor, stored: localConnection(c), remote: remote}
	if _, err := session.run(ctx); err != nil {
		return err
	}
	if remote.saved.Changes == nil {
		remote.saved.Changes = []api.Change{{Name: c.Name, Type: c.Type, Result: resultUnchanged, Revision: c.Revision}}
	}
	return a.printRemote(remote.saved)
}

// save stores what the user made of the document, which stood below so many other
// lines. If somebody else was faster, saving again replaces what they did.
func (r *remoteEdit) save(ctx context.Context, typed []byte, below int) (err error) {
	text := strings.Repeat("\n", below) + string(typed)
	r.saved, err = r.client.EditConnection(ctx, r.connection.Name, api.ConnectionText{Document: text, Revision: r.connection.Revision})
	var failure *api.Error
	if errors.As(err, &failure) && failure.Kind == string(engine.Conflict) {
		if now, err := r.client.Connection(ctx, r.connection.Name, 0); err == nil {
			r.connection.Revision = now.Revision
		}
		return hinted("saving again replaces that", "%w", err)
	}
	return err
}
