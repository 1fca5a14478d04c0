package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is one run of the program: its streams, its global flags, and what they
// lead to (see wiring.go).
type app struct {
	process
	flags struct {
		connections []string
		dataDir     string
		secrets     string
		vaultFile   string
		output      string
		noInput     bool
	}
	owner string // whose things are meant; localOwner on the command line
	*wired
}

// as gives the same program for another user, whose talk goes into notes.
func (a *app) as(owner string, notes io.Writer) *app {
	view := &app{process: a.process, owner: owner, wired: a.wired, flags: a.flags}
	view.in, view.out, view.err = strings.NewReader(""), io.Discard, notes
	view.terminal = func(any) bool { return false }
	view.flags.output, view.flags.noInput = "json", true
	return view
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "Run flows that reach other systems with credentials that must not leak",
		Long: `weir runs flows written in Lua. A flow calls connect("name"); weir takes the stored value of that
connection, lays its attached Vault secrets over it, lays the flow's inputs over that, and runs the task.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.check() },
		Args:              noSuchCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringArrayVar(&a.flags.connections, "connections", nil, "directory of connection files; repeatable, first wins; then WEIR_CONNECTION_PATH")
	flags.StringVar(&a.flags.dataDir, "data-dir", "", "directory of the store (WEIR_DATA_DIR; default ~/.local/share/weir)")
	flags.StringVar(&a.flags.secrets, "secrets", "", "file of secrets that stands in for the default Vault in development (WEIR_SECRETS)")
	flags.StringVar(&a.flags.vaultFile, "vault-file", "", "file of Vault configurations (WEIR_VAULT_FILE)")
	flags.StringVarP(&a.flags.output, "output", "o", "table", "how to print data: table, json or yaml")
	flags.BoolVar(&a.flags.noInput, "no-input", false, "never ask; the default when stdin is no terminal")
	serve := newServe(a)
	serve.PreRunE = func(cmd *cobra.Command, _ []string) error {
		_, err := a.configure(cmd)
		return err
	}
	root.AddCommand(
		newRun(a),
		serve,
		newConfig(a, serve),
		newExecution(a),
		newFlow(a),
		newConnection(a),
		newTask(a),
		newVault(a),
		newSchedule(a),
		newWebhook(a),
		newSetting(a),
		newUser(a),
		newAudit(a),
		newStore(a),
		newHealth(a),
		newVersion(a),
	)
	return root
}

// check validates the global flags.
func (a *app) check() error {
	switch a.flags.output {
	case "table", "json", "yaml":
		return nil
	}
	return &usageError{fmt.Errorf("--output %q: it is table, json or yaml", a.flags.output)}
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// noSuchCommand refuses a word that is no command, with the nearest one, where
// cobra would print the help.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return &usageError{fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), hint)}
}

// exactly is cobra.ExactArgs with an error that shows the usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return &usageError{fmt.Errorf("usage: %s", cmd.UseLine())}
		}
		return nil
	}
}

// interactive tells whether the user can be asked.
func (a *app) interactive() bool { return !a.flags.noInput && a.terminal(a.in) }

// say writes a line of talk to stderr.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, format+"\n", args...)
}

// connectionDirs gives the directories of connection files in their order.
func (a *app) connectionDirs() []string {
	dirs := append([]string(nil), a.flags.connections...)
	for _, dir := range filepath.SplitList(a.getenv("WEIR_CONNECTION_PATH")) {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// dataDir gives the directory of the store.
func (a *app) dataDir() (string, error) {
	if a.flags.dataDir != "" {
		return a.flags.dataDir, nil
	}
	if dir := a.getenv("WEIR_DATA_DIR"); dir != "" {
		return dir, nil
	}
	if dir := a.getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "weir"), nil
	}
	home, err := a.home()
	if err != nil {
		return "", fmt.Errorf("find the directory of the store: %w\nhint: set WEIR_DATA_DIR", err)
	}
	return filepath.Join(home, ".local", "share", "weir"), nil
}

// keyValue splits "key=value".
func keyValue(flag, text string) (key, value string, err error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" {
		return "", "", &usageError{fmt.Errorf("%s takes key=value", flag)}
	}
	return key, value, nil
}

// clock is what the clock shows.
func (a *app) clock() time.Time {
	if a.now == nil {
		return time.Now()
	}
	return a.now()
}
