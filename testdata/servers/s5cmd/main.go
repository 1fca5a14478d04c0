// Command s5cmd is the S3 client of that name, to be measured beside weir.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/peak/s5cmd/v2/command"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := command.Main(ctx, os.Args); err != nil {
		os.Exit(1)
	}
}
