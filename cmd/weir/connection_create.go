package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/tasks"
)

// connectionFlags are the parts of a connection as flags give them.
type connectionFlags struct {
	taskType, valueFile, description string
	sets, secrets, labels, pins      []string
	ttl                              int
	ifNotExists                      bool
}

func newConnectionCreate(a *app) *cobra.Command {
	var given connectionFlags
	cmd := &cobra.Command{
		Use:   "create NAME --type TYPE [--set key=value ...] [--value-file FILE] [--secret PATH ...]",
		Short: "Store a new connection",
		Long: `Store a new connection. A value may be partial: what it leaves out comes from attached secrets, from
the flow, or from the task type's defaults.

Secrets have no place on a command line, where other users of the machine can read them. Attach one from
Vault with --secret, let weir ask for it with --set key (no "="), or give it in the file of --value-file.`,
		Example: `  weir connection create oracle --type SQLORACLE --set host=db.example.com --secret secret/data/oracle
  weir connection create library --type GIT --value-file library.yaml`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.newConnectionOf(cmd.Context(), args[0], given)
			if err != nil {
				return err
			}
			if done, err := a.onServer(func(client *api.Client) error {
				return a.createRemote(cmd.Context(), client, c, given.ifNotExists)
			}); done {
				return err
			}
			return a.create(cmd.Context(), c, given.ifNotExists)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&given.taskType, "type", "", "the task type (see: weir task list)")
	flags.StringArrayVar(&given.sets, "set", nil, "an input, key=value; repeatable; the value is JSON or plain text; key alone asks for it, not shown")
	flags.StringVar(&given.valueFile, "value-file", "", "file with the value, a YAML mapping of inputs; - for stdin")
	flags.StringArrayVar(&given.secrets, "secret", nil, "attach a secret, [vault:]path[@version]; repeatable, later ones win")
	flags.StringVar(&given.description, "description", "", "what the connection is for")
	flags.StringArrayVar(&given.labels, "label", nil, "a label, key=value; repeatable")
	flags.StringArrayVar(&given.pins, "pin", nil, "an input that flows may not override; repeatable")
	flags.IntVar(&given.ttl, "ttl", 0, "seconds that temporary credentials may be reused")
	flags.BoolVar(&given.ifNotExists, "if-not-exists", false, "leave a connection of that name as it is")
	_ = cmd.RegisterFlagCompletionFunc("type", a.completeTypes)
	return cmd
}

// newConnectionOf builds the connection that the flags describe.
func (a *app) newConnectionOf(ctx context.Context, name string, given connectionFlags) (connections.Connection, error) {
	none := connections.Connection{}
	if !connections.ValidName(name) {
		return none, &engine.Error{
			Kind: engine.Invalid, Message: fmt.Sprintf("connection name %q: it is 1 to 128 of a-z 0-9 . _ -, starting with a letter or digit", name),
		}
	}
	if given.taskType == "" {
		return none, &usageError{errors.New("--type is required; see: weir task list")}
	}
	spec, err := a.taskSpec(given.taskType)
	if err != nil {
		return none, err
	}
	value, err := a.givenValue(ctx, spec, given)
	if err != nil {
		return none, err
	}
	c := withValue(connections.Connection{
		Name: name, Type: spec.Type, Description: given.description, Pinned: given.pins, TTL: given.ttl, Owner: a.owner,
	}, value)
	if given.ttl < 0 {
		return none, &usageError{errors.New("--ttl is a number of seconds from 0")}
	}
	if c.Labels, err = labelsOf(given.labels); err != nil {
		return none, err
	}
	for _, text := range given.secrets {
		attached, err := parseAttached(text)
		if err != nil {
			return none, err
		}
		c.Secrets = append(c.Secrets, attached)
	}
	return c, nil
}

// givenValue lays the inputs of --set over those of --value-file.
func (a *app) givenValue(ctx context.Context, spec tasks.Spec, given connectionFlags) (valueText, error) {
	value := valueText{node: schema.Node{Kind: schema.MapNode}}
	if given.valueFile != "" {
		text, err := readLimited(given.valueFile, a.in)
		if err != nil {
			return value, err
		}
		file := given.valueFile
		if file == "-" {
			file = "stdin"
		}
		node, typed, problems := connections.ParseValue(file, text)
		if len(problems) > 0 {
			return value, problemsError(problems)
		}
		value = valueText{node: node, text: typed}
	}
	var entries []schema.Entry
	for _, pair := range given.sets {
		entry, err := a.setEntry(ctx, spec, pair)
		if err != nil {
			return value, err
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return value, nil
	}
	done := value.set(entries, nil)
	done.node = overlaid(value.node, entries) // with the places of the file's lines
	return done, nil
}

// setEntry reads one --set. Sensitive inputs are asked for.
func (a *app) setEntry(ctx context.Context, spec tasks.Spec, pair string) (schema.Entry, error) {
	key, text, hasValue := strings.Cut(pair, "=")
	if key == "" {
		return schema.Entry{}, &usageError{errors.New("--set takes key=value")}
	}
	f, known := spec.Inputs.Field(key)
	instead := fmt.Sprintf("attach it from Vault (--secret), put it in the file of --value-file, or let weir ask: --set %s", key)
	switch {
	case hasValue && known && f.Sensitive:
		return schema.Entry{}, hintedInvalid(instead, "--set %s=...: a secret on the command line is seen by every user of this machine", key)
	case !known:
		return schema.Entry{}, unknownInput(spec, key)
	case hasValue:
		return schema.Entry{Key: key, Value: setNode(text)}, nil
	case !f.Sensitive:
		return schema.Entry{}, &usageError{fmt.Errorf("--set %s: it takes key=value", key)}
	}
	typed, err := a.askSecret(ctx, key, "attach it from Vault (--secret), or put it in the file of --value-file")
	if err != nil {
		return schema.Entry{}, err
	}
	return schema.Entry{Key: key, Value: schema.Node{Scalar: schema.Scalar{Text: typed, Value: typed}}}, nil
}

// setNode reads the value of key=value as plainValue does, and keeps how a number
// was typed.
func setNode(text string) schema.Node {
	asText := schema.Node{Scalar: schema.Scalar{Text: text, Value: text}}
	if _, isText := plainValue(text).(string); isText {
		if !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, "'") {
			return asText
		}
	}
	documents, problems := schema.Parse("", []byte(text))
	if len(problems) > 0 || len(documents) != 1 {
		return asText
	}
	return placeless(documents[0].Node)
}

// placeless gives a value without places: a command line has no lines.
func placeless(n schema.Node) schema.Node {
	n = n.Clone()
	n.Pos, n.Scalar.Pos = schema.Pos{}, schema.Pos{}
	for i := range n.Items {
		n.Items[i] = placeless(n.Items[i])
	}
	for i := range n.Entries {
		n.Entries[i].Pos, n.Entries[i].Value = schema.Pos{}, placeless(n.Entries[i].Value)
	}
	return n
}

func unknownInput(spec tasks.Spec, key string) error {
	names := fieldNames(spec, func(schema.Field) bool { return true })
	hint := schema.DidYouMean(key, names)
	if hint == "" {
		hint = fmt.Sprintf("see: weir task describe %s", spec.Type)
	}
	return hintedInvalid(hint, "task type %s has no input %q", spec.Type, key)
}

func hintedInvalid(hint, format string, args ...any) error {
	return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// create stores a new connection. With ifNotExists, one that is there is left as
// it is, and what differs is said.
func (a *app) create(ctx context.Context, c connections.Connection, ifNotExists bool) error {
	done, err := a.created(ctx, c, ifNotExists)
	if err != nil {
		return err
	}
	return a.printChanges(ctx, []change{done})
}

func (a *app) created(ctx context.Context, c connections.Connection, ifNotExists bool) (change, error) {
	store, err := a.connectionStore(ctx)
	if err != nil {
		return change{}, err
	}
	open, err := a.checkConnection(c)
	if err != nil {
		return change{}, err
	}
	done := change{wanted: c, open: open, result: resultCreated}
	done.wanted, err = store.Create(ctx, c)
	if err == nil {
		return done, nil
	}
	if !errors.Is(err, connections.ErrExists) {
		return change{}, fmt.Errorf("store connection %q: %w", c.Name, err)
	}
	old, err := store.Get(ctx, a.owner, c.Name)
	if err != nil {
		return change{}, err
	}
	differ := differences(old, c)
	if !ifNotExists {
		return change{}, exists(old, differ)
	}
	if len(differ) > 0 {
		a.say("note: connection %q is stored already and differs in: %s; it was left as it is", c.Name, strings.Join(differ, ", "))
	}
	return change{wanted: old, result: resultUnchanged}, nil
}

// exists is the error for a name that is taken.
func exists(old connections.Connection, differ []string) error {
	how := "and is the same"
	if len(differ) > 0 {
		how = "and differs in: " + strings.Join(differ, ", ")
	}
	hint := fmt.Sprintf("change it: weir connection edit %s, or weir connection apply FILE; create leaves it alone with --if-not-exists", old.Name)
	return hinted(hint, "%w: %q is at revision %d, %s", connections.ErrExists, old.Name, old.Revision, how)
}
