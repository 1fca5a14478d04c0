package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/tasks"
)

func newTask(a *app) *cobra.Command {
	return group("task", "Show the task types and what each one takes and gives",
		newTaskList(a),
		newTaskDescribe(a),
	)
}

func newTaskList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the task types",
		Args:  exactly(0),
		RunE: func(*cobra.Command, []string) error {
			registry, err := a.tasks()
			if err != nil {
				return err
			}
			data := []any{}
			for _, name := range registry.Types() {
				spec, _ := registry.Spec(name)
				data = append(data, map[string]any{
					"type": name, "description": firstSentence(spec.Doc), "operations": operationNames(spec),
				})
			}
			return a.print(data, func(t *table) {
				t.row("TYPE", "OPERATIONS", "DESCRIPTION")
				for _, name := range registry.Types() {
					spec, _ := registry.Spec(name)
					t.row(name, joined(operationNames(spec)), firstSentence(spec.Doc))
				}
			})
		},
	}
}

func operationNames(spec tasks.Spec) []any {
	names := make([]any, len(spec.Operations))
	for i, o := range spec.Operations {
		names[i] = o.Name
	}
	return names
}

func joined(list []any) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = fmt.Sprint(v)
	}
	return strings.Join(texts, ", ")
}

// firstSentence gives a doc's first paragraph, which is one sentence.
func firstSentence(doc string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(doc), "\n\n")
	return strings.ReplaceAll(first, "\n", " ")
}

func newTaskDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "describe TYPE",
		Short: "Describe the inputs, operations and outputs of a task type",
		Long: `Describe a task type. With -o json or -o yaml, "inputs" is the JSON Schema of its inputs, as
editors and forms understand it.`,
		Example:           "  weir task describe git\n  weir task describe git -o json",
		Args:              exactly(1),
		ValidArgsFunction: a.completeTypes,
		RunE: func(_ *cobra.Command, args []string) error {
			spec, err := a.taskSpec(args[0])
			if err != nil {
				return err
			}
			return a.print(taskTree(spec), func(t *table) { taskTable(t, spec) })
		},
	}
}

// taskSpec gives the declaration of a task type; the error for one that does not
// exist names the nearest and all.
func (a *app) taskSpec(taskType string) (tasks.Spec, error) {
	registry, err := a.tasks()
	if err != nil {
		return tasks.Spec{}, err
	}
	spec, ok := registry.Spec(taskType)
	if ok {
		return spec, nil
	}
	return tasks.Spec{}, unknownType(taskType, registry.Types())
}

func unknownType(taskType string, known []string) error {
	hint := schema.DidYouMean(taskType, known)
	if hint == "" {
		hint = "the task types are " + strings.Join(known, ", ") + `; see "weir task list"`
	}
	return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("unknown task type %q", taskType), Hint: hint}
}

func (a *app) completeTypes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	registry, err := a.tasks()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return registry.Types(), cobra.ShellCompDirectiveNoFileComp
}

func taskTree(spec tasks.Spec) map[string]any {
	operations := []any{}
	for _, o := range spec.Operations {
		output := map[string]any{}
		for _, f := range o.Output {
			output[f.Name] = map[string]any{"type": string(f.Type), "description": f.Doc}
		}
		operations = append(operations, map[string]any{
			"name": o.Name, "description": o.Doc, "idempotent": o.Idempotent,
			"inputs": anyList(o.Inputs), "required": anyList(o.Required), "output": output,
		})
	}
	tree := map[string]any{
		"type": spec.Type, "description": spec.Doc, "inputs": spec.Inputs.JSONSchema(),
		"selector": spec.Selector, "operations": operations,
		"destinations": anyList(fieldNames(spec, func(f schema.Field) bool { return f.Destination })),
		"sensitive":    anyList(fieldNames(spec, func(f schema.Field) bool { return f.Sensitive })),
	}
	if spec.Default != nil {
		tree["default_connection"] = defaultName(spec.Type)
	}
	return tree
}

// defaultName is the name of a task type's implicit connection.
func defaultName(taskType string) string { return strings.ToLower(taskType) + ".default" }

func fieldNames(spec tasks.Spec, which func(schema.Field) bool) []string {
	var names []string
	for _, f := range spec.Inputs.Fields {
		if which(f) {
			names = append(names, f.Name)
		}
	}
	return names
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

func taskTable(t *table, spec tasks.Spec) {
	t.row(spec.Type)
	t.text(spec.Doc)
	if spec.Default != nil {
		t.row()
		t.text(fmt.Sprintf("connect(%q) needs no stored connection.", defaultName(spec.Type)))
	}
	t.row()
	t.row("INPUT", "TYPE", "DEFAULT", "", "DESCRIPTION")
	for _, f := range spec.Inputs.Fields {
		t.row(f.Name, typeText(f), defaultText(f), noteText(f), fieldDoc(f))
	}
	for _, group := range spec.Inputs.Conflicts {
		t.text("At most one of: " + strings.Join(group, ", "))
	}
	for _, o := range spec.Operations {
		t.row()
		t.row("OPERATION " + o.Name)
		operationTable(t, o)
	}
}

func operationTable(t *table, o tasks.Operation) {
	t.text(o.Doc)
	if !o.Idempotent {
		t.text("It is not repeated by itself when its fate is unknown.")
	}
	if len(o.Required) > 0 {
		t.text("Needs: " + strings.Join(o.Required, ", "))
	}
	if len(o.Inputs) > 0 {
		t.text("Looks at: " + strings.Join(o.Inputs, ", "))
	}
	if len(o.Output) == 0 {
		return
	}
	t.row("OUTPUT", "TYPE", "DESCRIPTION")
	for _, f := range o.Output {
		t.row(f.Name, f.Type, f.Doc)
	}
}

func typeText(f schema.Field) string {
	switch {
	case f.Elem != "" && f.Type == schema.List:
		return "list of " + string(f.Elem)
	case f.Elem != "" && f.Type == schema.Map:
		return "map of " + string(f.Elem)
	}
	return string(f.Type)
}

func defaultText(f schema.Field) string {
	switch v := f.Default.(type) {
	case nil:
		if f.Required {
			return "required"
		}
		return ""
	case time.Duration:
		return v.String()
	}
	return fmt.Sprint(f.Default)
}

func noteText(f schema.Field) string {
	var notes []string
	if f.Sensitive {
		notes = append(notes, "sensitive")
	}
	if f.Destination {
		notes = append(notes, "destination")
	}
	return strings.Join(notes, ", ")
}

func fieldDoc(f schema.Field) string {
	doc := f.Doc
	if len(f.Enum) > 0 {
		doc += " One of: " + strings.Join(f.Enum, ", ") + "."
	}
	if len(f.Examples) > 0 {
		doc += " Example: " + strings.Join(f.Examples, ", ")
	}
	return doc
}
