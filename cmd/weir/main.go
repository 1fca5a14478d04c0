// Command weir runs flows, and manages the connections and secrets they use.
//
// Data goes to stdout, talk to stderr. Each command is one file of this package;
// wiring.go puts the packages of the engine together.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() { os.Exit(runOn(time.Now)) }

// runOn runs the command line of the process by a clock, and gives its exit code.
func runOn(now func() time.Time) int {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // whoever asks twice does not want to wait
		os.Exit(exitCancelled)
	}()
	stdout := os.Stdout
	os.Stdout = nil // what libraries print by themselves is no data, and nobody has masked it
	return execute(ctx, os.Args[1:], process{
		in: os.Stdin, out: stdout, err: os.Stderr, now: now,
		getenv: os.Getenv, home: os.UserHomeDir,
		terminal: func(stream any) bool {
			file, ok := stream.(*os.File)
			return ok && term.IsTerminal(int(file.Fd()))
		},
	})
}

// process is the part of the operating system that commands work with.
type process struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time // the clock of the engine and the store
	getenv   func(string) string
	home     func() (string, error)
	terminal func(stream any) bool
}

// execute runs one command line and gives its exit code.
func execute(ctx context.Context, args []string, p process) int {
	a := &app{process: p, wired: &wired{}}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	err := root.ExecuteContext(ctx)
	err = errors.Join(err, a.close())
	if err != nil {
		a.printError(err)
	}
	return exitCode(err)
}
