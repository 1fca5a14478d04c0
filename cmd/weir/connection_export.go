package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionExport(a *app) *cobra.Command {
	var reveal bool
	var to string
	var revision int64
	cmd := &cobra.Command{
		Use:   "export [NAME ...]",
		Short: "Write connections as YAML documents",
		Long: `Write connections as documents of a connection file: those that are named, or all that the store holds.
Sensitive inputs that they hold in plain text are left out, unless --reveal is given; attached secrets are
written as references in either case.`,
		Example: `  weir connection export > connections.yaml
  weir connection export --reveal --to backup.yaml`,
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.flags.output == "json" {
				return &usageError{errors.New("--output json: an export is YAML, as connection files are")}
			}
			if reveal && to == "" && a.terminal(a.out) {
				return &usageError{errors.New("--reveal: secrets are not shown on a terminal: give --to FILE, or pipe them")}
			}
			if done, err := a.onServer(func(c *api.Client) error { return a.exportRemote(cmd.Context(), c, args, revision, reveal, to) }); done {
				return err
			}
			all, err := a.exported(cmd.Context(), args, revision)
			if err != nil {
				return err
			}
			text, err := a.exportText(all, reveal)
			if err != nil {
				return err
			}
			if to != "" {
				return a.writePrivate(to, text)
			}
			_, err = a.out.Write(text)
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&reveal, "reveal", false, "write sensitive inputs in plain text")
	flags.StringVar(&to, "to", "", "write a new file that only you can read, instead of stdout")
	flags.Int64Var(&revision, "revision", 0, "an earlier revision of one stored connection")
	return cmd
}

func (a *app) exported(ctx context.Context, names []string, revision int64) ([]connections.Connection, error) {
	if len(names) == 0 {
		if revision != 0 {
			return nil, &usageError{errors.New("--revision: name the connection")}
		}
		opened, err := a.existingStore(ctx)
		if opened == nil || err != nil {
			return nil, err
		}
		return opened.Connections().List(ctx, a.owner)
	}
	var all []connections.Connection
	for _, name := range names {
		c, err := a.connectionAt(ctx, name, revision)
		if err != nil {
			return nil, err
		}
		if c.Shared != "" {
			return nil, elsewhere(c)
		}
		all = append(all, c)
	}
	return all, nil
}

// exportText gives the documents, and says what was left out of them.
func (a *app) exportText(all []connections.Connection, reveal bool) ([]byte, error) {
	var b bytes.Buffer
	held := 0
	for i, c := range all {
		if keys := a.hiddenKeys(c); len(keys) > 0 {
			held++
			if !reveal {
				value := newValueText(c.Text).without(keys).maskComments(a.sensitiveNames(c.Type))
				c = withValue(c, value)
				a.say("note: %s: left out: %s; --reveal writes secrets too", c.Name, strings.Join(keys, ", "))
			}
		}
		text, err := connections.Format(c)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	if reveal && held > 0 {
		a.say("warning: this export holds secrets of %d connections in plain text", held)
	}
	return b.Bytes(), nil
}

// writePrivate writes a new file that only its owner can read.
func (a *app) writePrivate(file string, text []byte) error {
	f, err := os.OpenFile(filepath.Clean(file), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &engine.Error{Kind: engine.Conflict, Message: fmt.Sprintf("write %s: the file exists", file), Hint: "name another file, or remove it first"}
	}
	if err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	a.say("wrote %s", file)
	return nil
}
