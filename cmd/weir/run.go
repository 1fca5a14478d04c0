package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
)

// maxInputs is how large an input file or a flow may be.
const maxInputs = 1 << 20

func newRun(a *app) *cobra.Command {
	var inputs []string
	var inputFile, files string
	var flowDirs []string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "run FLOW.lua",
		Short: "Run a flow now, with live log and progress",
		Long: `Run a flow in this process. Its log and progress go to stderr, its output to stdout, as JSON or,
with -o yaml, as YAML. Secrets are masked in both. Ctrl-C cancels the flow and all it started.`,
		Example: "  weir run deploy.lua -i ref=v2 --connections ./connections",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readLimited(args[0], a.in)
			if err != nil {
				return err
			}
			values, err := a.readInputs(inputFile, inputs)
			if err != nil {
				return err
			}
			runner, err := a.runner(flowDirs)
			if err != nil {
				return err
			}
			view := a.newView(quiet)
			finished, err := runner.Run(cmd.Context(), engine.Request{
				File: shownName(args[0]), Text: text, Inputs: values, Files: files, Watch: view.watch,
			})
			view.close()
			if err != nil {
				return err
			}
			return a.printFinished(finished)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&inputs, "input", "i", nil, "an input of the flow, key=value; repeatable; the value is JSON or plain text")
	flags.StringVar(&inputFile, "input-file", "", "file with a YAML mapping of inputs; - for stdin")
	flags.StringArrayVar(&flowDirs, "flows", nil, "directory of other flows; repeatable; searched after the flow's own")
	flags.StringVar(&files, "files", ".", "directory that tasks read and write files in")
	flags.BoolVarP(&quiet, "quiet", "q", false, "show warnings and errors only")
	return cmd
}

// printFinished prints what a flow returned. A flow that did not succeed is an error.
func (a *app) printFinished(finished engine.Finished) error {
	if failure := finished.Execution.Error; failure != nil {
		return failure
	}
	output := finished.Mask(finished.Execution.Output)
	if a.flags.output == "yaml" {
		text, err := schema.Encode(output)
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	}
	if output == nil {
		return nil
	}
	return a.printJSON(output)
}

// readInputs gives the inputs of a file with those of the command line over them.
func (a *app) readInputs(file string, pairs []string) (map[string]any, error) {
	values := map[string]any{}
	if file != "" {
		node, err := a.readMapping(file)
		if err != nil {
			return nil, err
		}
		if tree, ok := node.Plain().(map[string]any); ok {
			values = tree
		}
	}
	for _, pair := range pairs {
		key, text, err := keyValue("--input", pair)
		if err != nil {
			return nil, err
		}
		values[key] = plainValue(text)
	}
	return values, nil
}

// readMapping reads a file, or stdin for "-", that holds one YAML mapping.
func (a *app) readMapping(file string) (schema.Node, error) {
	text, err := readLimited(file, a.in)
	if err != nil {
		return schema.Node{}, err
	}
	file = shownName(file)
	documents, problems := schema.Parse(file, text)
	if len(problems) > 0 {
		return schema.Node{}, problemsError(problems)
	}
	failure := &engine.Error{Kind: engine.Invalid, Hint: "write one `key: value` a line"}
	switch {
	case len(documents) == 0:
		return schema.Node{Kind: schema.MapNode}, nil
	case len(documents) > 1:
		failure.Message, failure.Hint = documents[1].Node.Pos.String()+": here a second YAML document starts", "keep one of them"
	case documents[0].Node.Kind != schema.MapNode:
		failure.Message = fmt.Sprintf("%s: this must be a mapping, and it is a %s", documents[0].Node.Pos, documents[0].Node.Kind)
	default:
		return documents[0].Node, nil
	}
	return schema.Node{}, failure
}

// problemsError puts the problems of a file into one error: one with its hint, or
// several, a line each.
func problemsError(problems []schema.Problem) error {
	if len(problems) == 1 {
		return &engine.Error{Kind: engine.Invalid, Message: problems[0].String(), Hint: problems[0].Hint}
	}
	lines := make([]string, 0, len(problems))
	for _, p := range problems {
		line := p.String()
		if p.Hint != "" {
			line += "; " + p.Hint
		}
		lines = append(lines, line)
	}
	return &engine.Error{Kind: engine.Invalid, Message: strings.Join(lines, "\n")}
}

// plainValue reads the value of key=value: a number, true, false, null, a quoted
// text, [a, list] or {a: mapping}; anything else is the text itself.
func plainValue(text string) any {
	documents, problems := schema.Parse("", []byte(text))
	if len(problems) > 0 || len(documents) != 1 || strings.TrimSpace(text) == "" {
		return text
	}
	node := documents[0].Node
	if node.Kind != schema.ScalarNode && !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "{") {
		return text
	}
	return node.Plain()
}

// readLimited reads a file of inputs or a flow, or stdin for "-".
func readLimited(file string, stdin io.Reader) ([]byte, error) {
	return readAtMost(maxInputs, file, stdin)
}

// readAtMost reads a file, or stdin for "-", of a bounded size in bytes.
func readAtMost(most int64, file string, stdin io.Reader) ([]byte, error) {
	reader := stdin
	if file != "-" {
		f, err := os.Open(filepath.Clean(file))
		if err != nil {
			return nil, fileError(file, err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		reader = f
	}
	text, err := io.ReadAll(io.LimitReader(reader, most+1))
	if err != nil {
		return nil, fileError(shownName(file), err)
	}
	if int64(len(text)) > most {
		return nil, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("%s: larger than %d bytes (%d MiB)", shownName(file), most, most>>20)}
	}
	return text, nil
}

// fileError names a file of the command line that cannot be read, and why.
func fileError(file string, err error) error {
	kind := engine.Invalid
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = engine.NotFound
	case errors.Is(err, fs.ErrPermission):
		kind = engine.Denied
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return &engine.Error{Kind: kind, Message: fmt.Sprintf("read %s: %v", file, err)}
}
