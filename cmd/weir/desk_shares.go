package main

import (
	"context"
	"errors"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
)

var _ httpapi.Shares = (*desk)(nil)

// owned looks for a stored connection of the user's own. Files and what is shared with
// the user cannot be shared.
func (d *desk) owned(ctx context.Context, name string) error {
	view, _ := d.view()
	_, c, err := view.stored(ctx, name)
	if err == nil && c.Shared != "" {
		err = elsewhere(c)
	}
	return err
}

// ListShares implements httpapi.Shares.
func (d *desk) ListShares(ctx context.Context, connection string) (api.Shares, error) {
	if connection != "" {
		if err := d.owned(ctx, connection); err != nil {
			return api.Shares{}, err
		}
	}
	found, err := d.store.Shares().Of(ctx, d.owner, connection)
	if err != nil {
		return api.Shares{}, err
	}
	names, err := d.app.ownerNames(ctx)
	shares := api.Shares{Shares: []api.Share{}}
	for _, s := range found {
		shares.Shares = append(shares.Shares, api.Share{Connection: s.Connection, With: names[s.With], Right: string(s.Right), Since: s.Since.UTC()})
	}
	return shares, err
}

// ShareConnection implements httpapi.Shares.
func (d *desk) ShareConnection(ctx context.Context, connection, user string, share api.NewShare) (api.Shared, error) {
	done := api.Shared{Connection: connection, With: user, Right: firstOf(share.Right, string(connections.RightUse)), Result: "shared"}
	if err := d.owned(ctx, connection); err != nil {
		return api.Shared{}, err
	}
	with, err := ownerOf(ctx, d.store, user)
	if err != nil {
		return api.Shared{}, err
	}
	granted := connections.Share{Owner: d.owner, Connection: connection, With: with, Right: connections.Right(done.Right)}
	if err := d.store.Shares().Grant(ctx, d.actor, granted); err != nil {
		return api.Shared{}, err
	}
	names, err := d.app.ownerNames(ctx)
	done.Called = connections.SharedName(names[d.owner], connection)
	return done, err
}

// UnshareConnection implements httpapi.Shares.
func (d *desk) UnshareConnection(ctx context.Context, connection, user string) (api.Shared, error) {
	if _, err := d.store.Connections().Get(ctx, d.owner, connection); errors.Is(err, connections.ErrNotFound) {
		return api.Shared{}, err
	}
	with, err := ownerOf(ctx, d.store, user)
	if err != nil {
		return api.Shared{}, err
	}
	done := api.Shared{Connection: connection, With: user, Result: "unshared"}
	return done, d.store.Shares().Revoke(ctx, d.actor, d.owner, connection, with)
}
