package main

import (
	"context"
	"log/slog"
	"net"
	"time"
)

// tellManager tells the service manager that has started the engine, if it wants to
// know, what state it is in: see sd_notify(3). It is called when the API listens, and
// when the engine is to end.
func (a *app) tellManager(log *slog.Logger, state string) {
	socket := a.getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	const patience = time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	manager, err := new(net.Dialer).DialContext(ctx, "unixgram", socket)
	if err == nil {
		_, err = manager.Write([]byte(state))
		_ = manager.Close()
	}
	if err != nil {
		log.Warn("cannot tell the service manager", "state", state, "error", err)
	}
}
