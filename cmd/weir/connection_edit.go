package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine/api"
)

func newConnectionEdit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "edit NAME",
		Short: "Edit a stored connection in your editor",
		Long: `Edit a stored connection in $VISUAL, else $EDITOR. It is checked when the editor ends; if something is
wrong, the editor opens again with the problems as comments.

Secrets that the connection holds are shown as ***, which means: unchanged. So none of them is in the file
that the editor works with, which only you can read and which is removed at the end.`,
		Args:              exactly(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(cmd *cobra.Command, args []string) error {
			// A closed terminal must not leave the file behind.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			editor := firstOf(a.getenv("VISUAL"), a.getenv("EDITOR"))
			if editor == "" {
				return &usageError{hinted("set EDITOR, or use: weir connection apply FILE", "edit connection %q: neither VISUAL nor EDITOR is set", args[0])}
			}
			if done, err := a.onServer(func(c *api.Client) error { return a.editRemote(ctx, c, args[0], editor) }); done {
				return err
			}
			store, c, err := a.stored(ctx, args[0])
			if err != nil {
				return err
			}
			session := editSession{app: a, store: store, editor: editor, stored: c}
			changed, err := session.run(ctx)
			if err != nil {
				return err
			}
			return a.printChanges(ctx, []change{changed})
		},
	}
}

// editSession is one use of an editor on one connection.
type editSession struct {
	app    *app
	store  connections.Store
	editor string
	stored connections.Connection
	masked valueText // its value, as the editor shows it
	file   string    // what the editor works with
	remote *remoteEdit
}

// remark starts the lines that are said to the user and are left out.
const remark = "# weir: "

// run lets the user edit until the connection is valid, or the user gives up.
func (s *editSession) run(ctx context.Context) (change, error) {
	text, err := s.shown()
	if err != nil {
		return change{}, err
	}
	dir, err := os.MkdirTemp(s.memoryDir(), "weir-edit-")
	if err != nil {
		return change{}, fmt.Errorf("make a directory for the editor: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing more can be done
	s.file = filepath.Join(dir, s.stored.Name+".yaml")
	remarks := remark + "lines like this one are left out; '***' stands for a secret that stays as it is\n"
	before := text
	for {
		typed, err := s.edit(ctx, append([]byte(remarks), before...))
		if err != nil {
			return change{}, err
		}
		typed = withoutRemarks(typed)
		if bytes.Equal(bytes.TrimSpace(typed), bytes.TrimSpace(text)) {
			return change{wanted: s.stored, result: resultUnchanged}, nil
		}
		changed, err := s.save(ctx, typed, strings.Count(remarks, "\n"))
		if err == nil || ctx.Err() != nil {
			return changed, err
		}
		if again, other := s.again(ctx, err); other != nil || !again {
			return change{}, errors.Join(err, other)
		}
		remarks, before = s.remarks(ctx, typed, err), typed
	}
}

// shown gives the stored connection as the editor shows it.
func (s *editSession) shown() ([]byte, error) {
	if s.remote != nil {
		return []byte(s.remote.connection.Document), nil
	}
	s.masked, _ = s.app.maskedText(s.stored)
	return connections.Format(withValue(s.stored, s.masked))
}

// remarks says what is wrong, with the lines as they will be below the remarks.
func (s *editSession) remarks(ctx context.Context, typed []byte, cause error) string {
	text := asRemarks(cause)
	if s.remote != nil {
		if err := s.remote.save(ctx, typed, strings.Count(text, "\n")); err != nil { // as before, with other lines
			return asRemarks(err)
		}
		return text
	}
	if _, err := s.check(ctx, typed, strings.Count(text, "\n")); err != nil {
		return asRemarks(err)
	}
	return text
}

// memoryDir gives a directory whose files are not on disk, where there is one; ""
// stands for the one of temporary files.
func (s *editSession) memoryDir() string {
	for _, dir := range []string{s.app.getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if info, err := os.Stat(dir); dir != "" && err == nil && info.IsDir() {
			if probe, err := os.MkdirTemp(dir, "weir-edit-"); err == nil {
				_ = os.Remove(probe)
				return dir
			}
		}
	}
	return ""
}

// edit runs the editor on a text and gives what it became.
func (s *editSession) edit(ctx context.Context, text []byte) ([]byte, error) {
	if err := os.WriteFile(s.file, text, 0o600); err != nil {
		return nil, fmt.Errorf("write the editor's file: %w", err)
	}
	// The variable may hold arguments, so a shell reads it, as for other programs.
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", s.editor+` "$@"`, "sh", s.file) //nolint:gosec // it is the user's own editor
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.app.in, s.app.err, s.app.err
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, hinted("nothing was changed; see EDITOR and VISUAL", "run editor %q: %w", s.editor, err)
	}
	typed, err := os.ReadFile(s.file)
	if err != nil {
		return nil, fmt.Errorf("read the editor's file: %w", err)
	}
	return typed, nil
}

// again asks whether to go back to the editor. What was typed is lost otherwise.
func (s *editSession) again(ctx context.Context, cause error) (bool, error) {
	if !s.app.interactive() {
		return false, nil
	}
	s.app.printError(cause)
	return s.app.confirm(ctx, "Edit it again?")
}

// save checks and stores what the user made of the masked text, which stood below
// so many other lines.
func (s *editSession) save(ctx context.Context, typed []byte, below int) (change, error) {
	if s.remote != nil {
		return change{}, s.remote.save(ctx, typed, below)
	}
	changes, err := s.check(ctx, typed, below)
	if err != nil {
		return change{}, err
	}
	if now := changes[0].old; now.Revision != s.stored.Revision {
		differ := strings.Join(differences(s.stored, now), ", ")
		s.stored = now
		if _, err := s.shown(); err != nil {
			return change{}, err
		}
		return change{}, hinted("saving again replaces that", "%w, in: %s", connections.ErrConflict, differ)
	}
	if err := write(ctx, s.store, changes); err != nil {
		return change{}, err
	}
	return changes[0], nil
}

// check tells what is wrong with the text, which stands below so many other lines.
func (s *editSession) check(ctx context.Context, typed []byte, below int) ([]change, error) {
	text := append(bytes.Repeat([]byte("\n"), below), typed...)
	all, problems := connections.Parse(s.stored.Name+".yaml", text)
	switch {
	case len(problems) > 0:
		return nil, problemsError(problems)
	case len(all) != 1:
		return nil, hintedInvalid("to delete it: weir connection delete "+s.stored.Name, "there are %d connections where one was", len(all))
	case all[0].Name != s.stored.Name:
		return nil, hintedInvalid("to have another: weir connection export, change the name, weir connection apply",
			"the name was changed from %q to %q", s.stored.Name, all[0].Name)
	}
	return s.app.plan(ctx, s.store, []connections.Connection{s.unmasked(all[0])})
}

// unmasked puts the secrets back where the user left their mask.
func (s *editSession) unmasked(c connections.Connection) connections.Connection {
	stored := newValueText(s.stored.Text)
	var entries []schema.Entry
	lines := map[string]string{}
	value := c.Value.Clone() // with the places of its lines
	for i, e := range value.Entries {
		was, ok := stored.node.Get(e.Key)
		shown, _ := s.masked.node.Get(e.Key)
		if !isMask(e.Value) || !ok || !isMask(shown) {
			continue
		}
		value.Entries[i].Value = was
		entries = append(entries, schema.Entry{Key: e.Key, Value: was})
		if text, ok := stored.lines(e.Key); ok {
			lines[e.Key] = text
		}
	}
	if len(entries) > 0 {
		c.Value, c.Text = value, newValueText(c.Text).set(entries, lines).text
	}
	return c
}

func asRemarks(err error) string {
	var b strings.Builder
	lines := strings.Split(err.Error(), "\n")
	if hint := hintOf(err); hint != "" {
		lines = append(lines, "hint: "+hint)
	}
	for _, line := range lines {
		b.WriteString(remark + line + "\n")
	}
	return b.String()
}

func withoutRemarks(text []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(strings.TrimSpace(remark))) {
			kept = append(kept, line...)
		}
	}
	return kept
}
