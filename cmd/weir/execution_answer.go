package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

func newExecutionAnswer(a *app) *cobra.Command {
	var step string
	cmd := &cobra.Command{
		Use:   "answer ID key=value...|repeat|failed|done",
		Short: "Answer a question of a flow, or of the engine",
		Long: `Answer the question that an execution waits with; "weir execution show ID" shows it. A question of a flow has
a form: give key=value for its fields. The engine asks what is to become of a step of which it cannot
know whether it took effect, because it ended while the step ran:

  repeat  run the step again
  failed  take it as failed, so that the flow can deal with it
  done    take it as done, with an empty output`,
		Example:           "  weir execution answer 019b approve=true comment='looks good'\n  weir execution answer 019b repeat",
		ValidArgsFunction: a.completeAnswer,
		Args:              someArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			opened, err := a.executionStore(ctx)
			if err != nil {
				return err
			}
			row, err := find(ctx, opened.Executions(), args[0])
			if err != nil {
				return err
			}
			asked, err := theQuestion(ctx, opened.Executions(), row, step)
			if err != nil {
				return err
			}
			order := journal.Order{Execution: asked.execution, Verb: journal.VerbAnswer, Step: asked.Step}
			if order.Value, err = asked.answer(args[1:]); err != nil {
				return err
			}
			if err := notYetAnswered(ctx, opened.Executions(), order); err != nil {
				return err
			}
			if _, err := a.order(ctx, opened, order); err != nil {
				return err
			}
			data := map[string]any{"id": string(asked.execution), "step": asked.Step, "result": "answered"}
			return a.print(data, func(t *table) { t.row("answered", asked.execution, asked.Title) })
		},
	}
	cmd.Flags().StringVar(&step, "step", "", "the step that asks; needed only if several do")
	return cmd
}

// question is what an execution asks of a person.
type question struct {
	journal.Question
	execution engine.ID
}

// id names the step that asks, among all steps of a tree.
func (q question) id() string {
	if q.Form == nil {
		return q.Step
	}
	return string(q.execution) + "/" + q.Step
}

// questions gives what an execution and those below it ask.
func questions(ctx context.Context, executions *store.Executions, id engine.ID) ([]question, error) {
	rows, err := executions.Tree(ctx, id)
	if err != nil {
		return nil, err
	}
	var found []question
	for _, r := range rows {
		if r.Status.Ended() {
			continue
		}
		h, err := executions.Load(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		for _, s := range journal.NewOutline(h).Steps {
			if s.Question != nil {
				found = append(found, question{*s.Question, r.ID})
			}
		}
	}
	return found, nil
}

// theQuestion gives the one question that is meant.
func theQuestion(ctx context.Context, executions *store.Executions, row journal.Row, step string) (question, error) {
	all, err := questions(ctx, executions, row.ID)
	if err != nil {
		return question{}, err
	}
	if len(all) == 0 {
		failure := &engine.Error{
			Kind: engine.Conflict, Message: fmt.Sprintf("execution %s asks nothing: it is %s", row.ID, statusText(row)),
		}
		if row.Status.Ended() {
			failure.Message = fmt.Sprintf("execution %s asks nothing: it has ended, and %s", row.ID, endings()[row.Status])
		}
		return question{}, failure
	}
	var meant []question
	var names []string
	for _, q := range all {
		names = append(names, q.id())
		if step == "" || step == q.Step || step == q.id() {
			meant = append(meant, q)
		}
	}
	if len(meant) == 1 {
		return meant[0], nil
	}
	failure := &engine.Error{Kind: engine.Invalid, Message: "several steps ask something", Hint: "say which with --step: " + strings.Join(names, ", ")}
	if len(meant) == 0 {
		failure.Message = fmt.Sprintf("no step %q asks anything", step)
		failure.Hint = cmp.Or(schema.DidYouMean(step, names), "these do: "+strings.Join(names, ", "))
	}
	return question{}, failure
}

// notYetAnswered refuses a second answer while the first waits for an engine.
func notYetAnswered(ctx context.Context, executions *store.Executions, order journal.Order) error {
	before, waits, err := waitingOrder(ctx, executions, func(o journal.Order) bool { return same(o, order) })
	if err != nil || !waits {
		return err
	}
	return &engine.Error{
		Kind: engine.Conflict, Message: "this was answered at " + clock(before.At) + "; the engine has not taken the answer yet",
		Hint: "if no engine runs, start one: weir serve",
	}
}

// answer reads what was given as an answer to the question.
func (q question) answer(given []string) (any, error) {
	if q.Form == nil {
		return decision(given)
	}
	if len(given) == 0 && len(q.Form) > 0 {
		return nil, &usageError{fmt.Errorf("%s\n%s; give them as key=value", q.Title, q.fieldsText())}
	}
	inputs := map[string]schema.Input{}
	for _, pair := range given {
		key, text, err := keyValue("the answer", pair)
		if err != nil {
			return nil, &usageError{fmt.Errorf("%q: an answer is given as key=value; %s", pair, q.fieldsText())}
		}
		if _, twice := inputs[key]; twice {
			return nil, &usageError{fmt.Errorf("%q is given twice", key)}
		}
		inputs[key] = schema.Input{Value: answerValue(text)}
	}
	object := formObject(q.Form)
	decoded, problems := object.Decode(inputs)
	if len(problems) > 0 {
		return nil, problemsError(problems)
	}
	answer := map[string]any{}
	for _, f := range object.Fields {
		if decoded.Has(f.Name) {
			answer[f.Name] = decoded.Any(f.Name)
		}
	}
	return answer, nil
}

// answerValue is a value as it was typed: what it means is up to the field's type.
func answerValue(text string) any {
	return schema.Scalar{Text: text, Value: plainScalar(text)}
}

func plainScalar(text string) any {
	switch v := plainValue(text).(type) {
	case []any, map[string]any:
		return text
	default:
		return v
	}
}

func decision(given []string) (any, error) {
	known := journal.Decisions()
	if len(given) == 1 && slices.Contains(known, given[0]) {
		return given[0], nil
	}
	err := &usageError{errors.New("the answer is one of " + strings.Join(known, ", "))}
	if len(given) == 1 {
		if near := schema.DidYouMean(given[0], known); near != "" {
			return nil, hinted(near, "%w", err)
		}
	}
	return nil, err
}

// formObject is the form of a question as a schema; see [engine.CallAsk].
func formObject(form map[string]any) schema.Object {
	object := schema.Object{Noun: "field"}
	order := map[string]int64{}
	for name, v := range form {
		described, _ := v.(map[string]any)
		field := schema.Field{Name: name, Type: schema.String, Default: described["default"]}
		if text, ok := described["type"].(string); ok {
			field.Type = schema.Type(text)
		}
		field.Required, _ = described["required"].(bool)
		field.Doc, _ = described["description"].(string)
		choices, _ := described["enum"].([]any)
		for _, choice := range choices {
			field.Enum = append(field.Enum, fmt.Sprint(choice))
		}
		order[name], _ = described["order"].(int64)
		object.Fields = append(object.Fields, field)
	}
	slices.SortFunc(object.Fields, func(x, y schema.Field) int {
		return cmp.Or(cmp.Compare(order[x.Name], order[y.Name]), cmp.Compare(x.Name, y.Name))
	})
	return object
}

// fieldsText names the fields of the form, with their types.
func (q question) fieldsText() string {
	var texts []string
	for _, f := range formObject(q.Form).Fields {
		texts = append(texts, fmt.Sprintf("%s (%s)", f.Name, f.Type))
	}
	return "the fields are " + strings.Join(texts, ", ")
}

// example is a command line that answers the question.
func (q question) example(several bool) string {
	text := "weir execution answer " + string(q.execution)
	if several {
		text += " --step " + q.Step
	}
	if q.Form == nil {
		return text + " " + strings.Join(journal.Decisions(), "|")
	}
	for _, f := range formObject(q.Form).Fields {
		value := strings.ToUpper(string(f.Type))
		if f.Type == schema.Bool {
			value = "true|false"
		}
		if len(f.Enum) > 0 {
			value = strings.Join(f.Enum, "|")
		}
		pair := f.Name + "=" + value
		if !f.Required {
			pair = "[" + pair + "]"
		}
		text += " " + pair
	}
	return text
}

// tree is the question for programs.
func (q question) tree() map[string]any {
	tree := map[string]any{
		"execution": string(q.execution), "step": q.Step, "title": q.Title, "asked": instant(q.Asked), "form": q.Form,
	}
	if q.Form == nil {
		tree["answers"] = anyList(journal.Decisions())
	}
	return tree
}

// completeAnswer completes ids, and then the fields of the question.
func (a *app) completeAnswer(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeExecutions(cmd, args, part)
	}
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	opened, err := a.existingStore(cmd.Context())
	if opened == nil || err != nil {
		return nil, directive
	}
	row, err := find(cmd.Context(), opened.Executions(), args[0])
	if err != nil {
		return nil, directive
	}
	q, err := theQuestion(cmd.Context(), opened.Executions(), row, "")
	if err != nil {
		return nil, directive
	}
	if q.Form == nil {
		return journal.Decisions(), cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(q.Form)) {
		words = append(words, name+"=")
	}
	return words, directive
}
