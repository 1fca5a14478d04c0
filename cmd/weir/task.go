package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/tasks"
)

func newTask(a *app) *cobra.Command {
	return group("task", "Show the task types and what each one takes and gives",
		newTaskList(a),
		newTaskDescribe(a),
	)
}

// taskTypes gives what the commands show task types with: the server that WEIR_ADDR
// names, or those of this weir, which need no store.
func (a *app) taskTypes() (httpapi.TaskTypes, error) {
	client, err := a.remote()
	if err != nil || client != nil {
		return client, err
	}
	return a.desk(nil), nil
}

func newTaskList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the task types",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			types, err := a.taskTypes()
			if err != nil {
				return err
			}
			list, err := types.ListTaskTypes(cmd.Context())
			if err != nil {
				return err
			}
			return a.print(plainList(list.Types), func(t *table) {
				t.row("TYPE", "OPERATIONS", "DESCRIPTION")
				for _, one := range list.Types {
					t.row(one.Type, strings.Join(one.Operations, ", "), one.Description)
				}
			})
		},
	}
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
		RunE: func(cmd *cobra.Command, args []string) error {
			types, err := a.taskTypes()
			if err != nil {
				return err
			}
			tree, err := types.TaskType(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			shown, err := shownTaskOf(tree)
			if err != nil {
				return err
			}
			return a.print(plain(tree), shown.table)
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

func (a *app) completeTypes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	types, err := a.taskTypes()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	list, _ := types.ListTaskTypes(cmd.Context())
	var names []string
	for _, one := range list.Types {
		names = append(names, one.Type)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// taskTree is all about a task type, for programs: the JSON Schema of its inputs, and
// as "fields" inputs and outputs in the order in which people should see them.
func taskTree(spec tasks.Spec) map[string]any {
	operations := []any{}
	for _, o := range spec.Operations {
		output, fields := map[string]any{}, []any{}
		for _, f := range o.Output {
			output[f.Name] = map[string]any{"type": string(f.Type), "description": f.Doc}
			fields = append(fields, map[string]any{"name": f.Name, "type": string(f.Type), "description": f.Doc})
		}
		operations = append(operations, map[string]any{
			"name": o.Name, "description": o.Doc, "idempotent": o.Idempotent,
			"inputs": anyList(o.Inputs), "required": anyList(o.Required), "output": output, "fields": fields,
		})
	}
	conflicts := []any{}
	for _, group := range spec.Inputs.Conflicts {
		conflicts = append(conflicts, anyList(group))
	}
	tree := map[string]any{
		"type": spec.Type, "description": spec.Doc, "inputs": spec.Inputs.JSONSchema(), "fields": inputTrees(spec.Inputs.Fields), "conflicts": conflicts,
		"selector": spec.Selector, "operations": operations,
		"destinations": anyList(fieldNames(spec, func(f schema.Field) bool { return f.Destination })),
		"sensitive":    anyList(fieldNames(spec, func(f schema.Field) bool { return f.Sensitive })),
	}
	if spec.Default != nil {
		tree["default_connection"] = defaultName(spec.Type)
	}
	return tree
}

func inputTrees(fields []schema.Field) []any {
	list := []any{}
	for _, f := range fields {
		list = append(list, map[string]any{
			"name": f.Name, "type": typeText(f), "default": defaultText(f), "notes": noteText(f), "description": fieldDoc(f),
		})
	}
	return list
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

// shownTask is what a table shows of a task type.
type shownTask struct {
	Type, Description string
	DefaultConnection string `json:"default_connection"`
	Fields            []shownField
	Conflicts         [][]string
	Operations        []shownOperation
}

type shownField struct{ Name, Type, Default, Notes, Description string }

type shownOperation struct {
	Name, Description string
	Idempotent        bool
	Inputs, Required  []string
	Fields            []shownField
}

func shownTaskOf(tree map[string]any) (shown shownTask, err error) {
	text, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(text, &shown)
	}
	return shown, err
}

func (s shownTask) table(t *table) {
	t.row(s.Type)
	t.text(s.Description)
	if s.DefaultConnection != "" {
		t.row()
		t.text(fmt.Sprintf("connect(%q) needs no stored connection.", s.DefaultConnection))
	}
	t.row()
	t.row("INPUT", "TYPE", "DEFAULT", "", "DESCRIPTION")
	for _, f := range s.Fields {
		t.row(f.Name, f.Type, f.Default, f.Notes, f.Description)
	}
	for _, group := range s.Conflicts {
		t.text("At most one of: " + strings.Join(group, ", "))
	}
	for _, o := range s.Operations {
		t.row()
		t.row("OPERATION " + o.Name)
		o.table(t)
	}
}

func (o shownOperation) table(t *table) {
	t.text(o.Description)
	if !o.Idempotent {
		t.text("It is not repeated by itself when its fate is unknown.")
	}
	if len(o.Required) > 0 {
		t.text("Needs: " + strings.Join(o.Required, ", "))
	}
	if len(o.Inputs) > 0 {
		t.text("Looks at: " + strings.Join(o.Inputs, ", "))
	}
	if len(o.Fields) == 0 {
		return
	}
	t.row("OUTPUT", "TYPE", "DESCRIPTION")
	for _, f := range o.Fields {
		t.row(f.Name, f.Type, f.Description)
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
