package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
)

// healthPatience is how long an engine may take to say that it is ready.
const healthPatience = 5 * time.Second

func newHealth(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Tell whether an engine is ready, as probes of containers ask",
		Long: `Ask the engine at WEIR_ADDR, or else at http://` + defaultListen + `, whether it is ready to work. No token is
needed. The exit code is 0 if it is, else 7.`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			address := strings.TrimSuffix(cmp.Or(a.getenv("WEIR_ADDR"), "http://"+defaultListen), "/")
			if err := a.askReady(cmd.Context(), address); err != nil {
				return &engine.Error{Kind: engine.Unavailable, Message: fmt.Sprintf("the engine at %s is not ready: %v", shownAddress(address), err)}
			}
			return a.print(map[string]any{"address": address, "ready": true}, func(t *table) { t.row("ready", address) })
		},
	}
}

func (a *app) askReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("WEIR_ADDR is no address such as http://%s", defaultListen)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was not read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}
