package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/local"
)

func newExecutionStart(a *app) *cobra.Command {
	var inputs []string
	var inputFile, name, files, key string
	var watching watching
	cmd := &cobra.Command{
		Use:   "start FLOW|FILE.lua",
		Short: "Start a flow of the store, or of a file",
		Long: `Start a durable execution of a flow, and print its id. FLOW is the name of a flow that "weir flow apply"
has stored, or NAME@VERSION for one of its versions. The flow's text becomes part of the execution:
what is changed later does not change what is running.

The engine ("weir serve") runs it, with the engine's connections and secrets.`,
		Example:           "  weir execution start deploy -i ref=v2 --wait\n  weir execution start ./deploy.lua --input-file inputs.yaml",
		Args:              exactly(1),
		ValidArgsFunction: a.completeFlowsAndFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			given := starting{arg: args[0], name: name, files: files, key: key}
			start := a.startLocal
			client, err := a.remote()
			if err != nil {
				return err
			}
			if client != nil {
				start = a.startRemote
			}
			if given.inputs, err = a.readInputs(inputFile, inputs); err != nil {
				return err
			}
			id, err := start(ctx, given)
			if err != nil {
				return err
			}
			services, err := a.services(ctx)
			if err != nil {
				return err
			}
			return watching.watch(ctx, a, services, id)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&inputs, "input", "i", nil, "an input of the flow, key=value; repeatable; the value is JSON or plain text")
	flags.StringVar(&inputFile, "input-file", "", "file with a YAML mapping of inputs; - for stdin")
	flags.StringVar(&name, "name", "", "what lists call the execution; the flow's name if not given")
	flags.StringVar(&files, "files", "", "directory that tasks read and write files in; one of its own in the store's directory if not given")
	flags.StringVar(&key, "key", "", "idempotency key: for a day, the same one gives the same execution")
	watching.flags(cmd)
	return cmd
}

// starting is what "execution start" was told.
type starting struct {
	arg, name, files, key string
	inputs                map[string]any
}

// startLocal starts an execution in the local store.
func (a *app) startLocal(ctx context.Context, s starting) (string, error) {
	request, err := a.flowRequest(ctx, s.arg)
	if err != nil {
		return "", err
	}
	request.Inputs, request.Name = s.inputs, cmp.Or(s.name, request.Name)
	if request.Files, err = filesDir(s.files); err != nil {
		return "", err
	}
	opened, err := a.store(ctx)
	if err != nil {
		return "", err
	}
	d := a.desk(opened)
	if s.key == "" {
		started, err := d.start(ctx, request)
		return started.ID, err
	}
	started, err := d.startOnce(ctx, request, s.key)
	return started.ID, err
}

// flowRequest reads the flow that an argument names.
func (a *app) flowRequest(ctx context.Context, arg string) (engine.Request, error) {
	if strings.HasSuffix(arg, ".lua") {
		text, err := readLimited(arg, nil)
		if err != nil {
			return engine.Request{}, err
		}
		file, err := filepath.Abs(arg)
		return engine.Request{Owner: localOwner, File: file, Text: text}, err
	}
	name, version, err := flowVersion(arg)
	if err != nil {
		return engine.Request{}, err
	}
	found, text, err := a.storedFlow(ctx, localOwner, name, version)
	if err != nil {
		return engine.Request{}, err
	}
	return engine.Request{Owner: localOwner, File: local.StoredFile(found.Name, found.Version), Text: text, Name: found.Name}, nil
}

// flowVersion splits NAME@VERSION; version is 0 if none is named.
func flowVersion(arg string) (name string, version int, err error) {
	name, text, ok := cutLast(arg, "@")
	if !ok {
		return arg, 0, nil
	}
	version, err = strconv.Atoi(text)
	if err != nil || version < 1 {
		return "", 0, &usageError{fmt.Errorf("flow %q: what follows @ is a version, a number from 1", arg)}
	}
	return name, version, nil
}

// filesDir makes the path of a files directory absolute. It must be there.
func filesDir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return "", fileError(dir, err)
	}
	return filepath.Abs(dir)
}

// unknownFlow says that the store has no such flow, and what may have been meant.
func unknownFlow(name string, known []string) error {
	failure := &engine.Error{Kind: engine.NotFound, Message: fmt.Sprintf("no such flow: %q", name)}
	near := schema.DidYouMean(name, known)
	_, missing := os.Stat(name + ".lua")
	switch {
	case missing == nil:
		failure.Hint = fmt.Sprintf("for the file, write %s.lua; to store it: weir flow apply %s.lua", name, name)
	case near != "":
		failure.Hint = near
	case len(known) > 0:
		failure.Hint = "there are " + strings.Join(known[:min(len(known), 10)], ", ")
	default:
		failure.Hint = "store one with: weir flow apply FILE.lua"
	}
	return failure
}
