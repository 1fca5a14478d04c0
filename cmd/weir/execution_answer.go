package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
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
			services, err := a.services(ctx)
			if err != nil {
				return err
			}
			detail, err := services.Executions.Timeline(ctx, args[0], "", 0)
			if err != nil {
				return err
			}
			q, err := theQuestion(detail, step)
			if err != nil {
				return err
			}
			answer, err := givenAnswer(q, args[1:])
			if err != nil {
				return err
			}
			answered, err := services.Orders.Answer(ctx, q.Execution, answer)
			if err != nil {
				return err
			}
			if err := a.sayTaken(ctx, answered.Taken); err != nil {
				return err
			}
			data := map[string]any{"id": answered.ID, "step": answered.Step, "result": answered.Result}
			return a.print(data, func(t *table) { t.row("answered", answered.ID, answered.Title) })
		},
	}
	cmd.Flags().StringVar(&step, "step", "", "the step that asks; needed only if several do")
	return cmd
}

// questionID names the step that asks, among all steps of a tree.
func questionID(q api.Question) string {
	if q.Form == nil {
		return q.Step
	}
	return q.Execution + "/" + q.Step
}

// questions gives what an execution and those below it ask.
func questions(d api.Detail) []api.Question {
	found := d.Questions
	for _, step := range d.Steps {
		if step.Flow != nil {
			found = append(found, questions(*step.Flow)...)
		}
	}
	return found
}

// theQuestion gives the one question that is meant.
func theQuestion(d api.Detail, step string) (api.Question, error) {
	all := questions(d)
	if len(all) == 0 {
		failure := &engine.Error{Kind: engine.Conflict, Message: fmt.Sprintf("execution %s asks nothing: it is %s", d.ID, statusText(d.Execution))}
		if d.HasEnded() {
			failure.Message = fmt.Sprintf("execution %s asks nothing: it has ended, and %s", d.ID, endings()[engine.Status(d.Status)])
		}
		return api.Question{}, failure
	}
	var meant []api.Question
	var names []string
	for _, q := range all {
		names = append(names, questionID(q))
		if step == "" || step == q.Step || step == questionID(q) {
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
	return api.Question{}, failure
}

// givenAnswer reads what was given as an answer to the question.
func givenAnswer(q api.Question, given []string) (api.Answer, error) {
	answer := api.Answer{Step: q.Step}
	if q.Form == nil {
		var err error
		answer.Decision, err = decision(given)
		return answer, err
	}
	if len(given) == 0 && len(q.Form) > 0 {
		return answer, &usageError{fmt.Errorf("%s\n%s; give them as key=value", q.Title, fieldsText(q))}
	}
	inputs := map[string]schema.Input{}
	for _, pair := range given {
		key, text, err := keyValue("the answer", pair)
		if err != nil {
			return answer, &usageError{fmt.Errorf("%q: an answer is given as key=value; %s", pair, fieldsText(q))}
		}
		if _, twice := inputs[key]; twice {
			return answer, &usageError{fmt.Errorf("%q is given twice", key)}
		}
		inputs[key] = schema.Input{Value: answerValue(text)}
	}
	decoded, err := decodeAnswer(q, inputs)
	answer.Values = map[string]any{}
	for key := range inputs { // defaults are for the one who asks
		answer.Values[key] = decoded[key]
	}
	return answer, err
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

func decision(given []string) (string, error) {
	known := journal.Decisions()
	if len(given) == 1 && slices.Contains(known, given[0]) {
		return given[0], nil
	}
	err := &usageError{errors.New("the answer is one of " + strings.Join(known, ", "))}
	if len(given) == 1 {
		if near := schema.DidYouMean(given[0], known); near != "" {
			return "", hinted(near, "%w", err)
		}
	}
	return "", err
}

// formObject is the form of a question as a schema; see [engine.CallAsk].
func formObject(form map[string]any) schema.Object {
	object := schema.Object{Noun: "field"}
	order := map[string]int64{}
	for name, v := range form {
		described, _ := v.(map[string]any)
		field := schema.Field{Name: name, Type: schema.String, Default: engineValue(described["default"])}
		if text, ok := described["type"].(string); ok {
			field.Type = schema.Type(text)
		}
		field.Required, _ = described["required"].(bool)
		field.Doc, _ = described["description"].(string)
		choices, _ := described["enum"].([]any)
		for _, choice := range choices {
			field.Enum = append(field.Enum, fmt.Sprint(choice))
		}
		order[name], _ = engineValue(described["order"]).(int64)
		object.Fields = append(object.Fields, field)
	}
	slices.SortFunc(object.Fields, func(x, y schema.Field) int {
		return cmp.Or(cmp.Compare(order[x.Name], order[y.Name]), cmp.Compare(x.Name, y.Name))
	})
	return object
}

// fieldsText names the fields of the form, with their types.
func fieldsText(q api.Question) string {
	var texts []string
	for _, f := range formObject(q.Form).Fields {
		texts = append(texts, fmt.Sprintf("%s (%s)", f.Name, f.Type))
	}
	return "the fields are " + strings.Join(texts, ", ")
}

// exampleAnswer is a command line that answers the question.
func exampleAnswer(q api.Question, several bool) string {
	text := "weir execution answer " + q.Execution
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

// completeAnswer completes ids, and then the fields of the question.
func (a *app) completeAnswer(cmd *cobra.Command, args []string, part string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeExecutions(cmd, args, part)
	}
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	services, err := a.services(cmd.Context())
	if err != nil {
		return nil, directive
	}
	detail, err := services.Executions.Timeline(cmd.Context(), args[0], "", 0)
	if err != nil {
		return nil, directive
	}
	q, err := theQuestion(detail, "")
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
