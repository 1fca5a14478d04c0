package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
)

// Start implements httpapi.Orders.
func (d *desk) Start(ctx context.Context, start api.Start) (api.Execution, error) {
	request, err := d.request(ctx, start)
	if err != nil {
		return api.Execution{}, err
	}
	if start.Key != "" {
		return d.startOnce(ctx, request, start.Key)
	}
	return d.start(ctx, request)
}

func (d *desk) start(ctx context.Context, request engine.Request) (api.Execution, error) {
	runner, err := d.engine(ctx)
	if err != nil {
		return api.Execution{}, err
	}
	request.Trace = d.trace
	id, err := runner.Start(ctx, request)
	if err != nil {
		return api.Execution{}, err
	}
	return d.Execution(ctx, string(id))
}

// request is what is asked for as the engine takes it. A text that was sent has no
// directory beside which other flows are looked for, and no files directory but its own.
func (d *desk) request(ctx context.Context, start api.Start) (engine.Request, error) {
	request := engine.Request{Owner: d.owner, Name: start.Name}
	err := showable("name", start.Name)
	if err != nil {
		return request, err
	}
	if request.Inputs, err = sentObject("inputs", start.Inputs); err != nil {
		return request, err
	}
	if (start.Flow == "") == (start.Text == "") {
		return request, &engine.Error{Kind: engine.Invalid, Message: "a start names either a stored flow or a text"}
	}
	if len(start.Text) > maxInputs {
		return request, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("the text of a flow is larger than %d MiB", maxInputs>>20)}
	}
	if start.Flow == "" {
		file := cmp.Or(filepath.Base(filepath.ToSlash(start.File)), ".")
		if file == "." {
			file = "flow.lua"
		}
		request.File, request.Text = local.SentFile(file), []byte(start.Text)
		request.Name = cmp.Or(request.Name, strings.TrimSuffix(file, ".lua"))
		return request, nil
	}
	found, text, err := d.flow(ctx, start.Flow, start.Version)
	if err != nil {
		return request, err
	}
	request.File, request.Text, request.Name = local.StoredFile(found.Name, found.Version), text, cmp.Or(request.Name, found.Name)
	return request, nil
}

// showable refuses what would not look like a name in a list, or would do something to
// the terminal that shows it.
func showable(what, text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("%s %q: it has characters that cannot be shown", what, text)}
	}
	return nil
}

// sentObject reads an object that was sent, with numbers as flows have them.
func sentObject(what string, text json.RawMessage) (map[string]any, error) {
	if len(text) == 0 {
		return map[string]any{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err == nil {
		if object, ok := engineValue(tree).(map[string]any); ok {
			return object, nil
		}
	}
	return nil, &engine.Error{Kind: engine.Invalid, Message: what + ": this must be an object"}
}

// engineValue gives a tree that was read from JSON the numbers that the engine's trees
// have: int64, float64, and json.Number for what neither holds exactly.
func engineValue(tree any) any {
	switch node := tree.(type) {
	case json.Number:
		if !strings.ContainsAny(string(node), ".eE") {
			if n, err := strconv.ParseInt(string(node), 10, 64); err == nil {
				return n
			}
			return node
		}
		if f, ok := exactFloat(string(node)); ok {
			return f
		}
		return node
	case []any:
		for i, child := range node {
			node[i] = engineValue(child)
		}
	case map[string]any:
		for key, child := range node {
			node[key] = engineValue(child)
		}
	}
	return tree
}

// exactFloat gives the float64 of a number of JSON; ok is false if it may not hold it
// exactly enough to be written the same way again.
func exactFloat(text string) (f float64, ok bool) {
	const digits, small, large = 15, 1e-290, 1e290
	mantissa, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(text, "-")), "e")
	significant := strings.Trim(strings.Replace(mantissa, ".", "", 1), "0")
	f, err := strconv.ParseFloat(text, 64)
	size := math.Abs(f)
	return f, err == nil && len(significant) <= digits && (significant == "" || size > small && size < large)
}

// orderPatience is how long an order waits for the engine to take it.
const orderPatience = 5 * time.Second

// Order implements httpapi.Orders. An order that changes nothing is not given, and one
// that waits for the engine already is not given twice.
func (d *desk) Order(ctx context.Context, id string, order api.Order) (api.Ordered, error) {
	row, err := d.row(ctx, id)
	if err != nil {
		return api.Ordered{}, err
	}
	verb := journal.Verb(order.Verb)
	o := journal.Order{Execution: row.ID, Verb: verb, By: d.by}
	if verb == journal.VerbRetry {
		return d.retry(ctx, row, o)
	}
	already, err := inState(verb, row)
	if err != nil {
		return api.Ordered{}, err
	}
	if already {
		return api.Ordered{Execution: executionOf(row), Taken: true}, nil
	}
	return d.give(ctx, o)
}

// inState tells that an execution is in the state that an order is to bring it to. The
// error is for one that cannot come to it.
func inState(verb journal.Verb, r journal.Row) (bool, error) {
	switch verb {
	case journal.VerbCancel:
		if r.Status == engine.Cancelled {
			return true, nil
		}
		if r.Status.Ended() {
			return false, ended(r, "")
		}
		return false, nil
	case journal.VerbPause:
		if r.Status.Ended() {
			return false, ended(r, "")
		}
		return r.Status == engine.Paused, nil
	case journal.VerbResume:
		switch {
		case r.Status.Ended():
			return false, ended(r, fmt.Sprintf("to go on from the step that failed: weir execution retry %s", r.ID))
		case r.Waits == journal.WaitsForDecision:
			return false, &engine.Error{
				Kind: engine.Conflict, Message: fmt.Sprintf("execution %s waits for a decision on what is to become of a step", r.ID),
				Hint: fmt.Sprintf("weir execution show %s tells which, and how to answer", r.ID),
			}
		}
		return false, nil
	}
	return false, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("%q is nothing that can be asked of an execution", verb)}
}

// retry orders that a failed execution goes on from the step that failed.
func (d *desk) retry(ctx context.Context, row journal.Row, order journal.Order) (api.Ordered, error) {
	if row.Parent != "" {
		return api.Ordered{}, startedByAnother(row)
	}
	before, waits, err := waitingOrder(ctx, d.store.Executions(), func(o journal.Order) bool { return same(o, order) })
	if err != nil {
		return api.Ordered{}, err
	}
	if waits {
		return d.taken(ctx, before)
	}
	again := fmt.Sprintf("to run it from its beginning: weir execution retry %s --from-start", row.ID)
	switch {
	case !row.Status.Ended():
		return api.Ordered{}, &engine.Error{
			Kind: engine.Conflict, Message: fmt.Sprintf("execution %s has not ended: it is %s", row.ID, statusText(executionOf(row))),
		}
	case row.Status == engine.Succeeded:
		return api.Ordered{}, &engine.Error{
			Kind: engine.Conflict, Message: fmt.Sprintf("execution %s succeeded: no step of it failed", row.ID), Hint: again,
		}
	}
	h, err := d.store.Executions().Load(ctx, row.ID)
	if err != nil {
		return api.Ordered{}, err
	}
	if end := journal.NewOutline(h).Finished; end != nil {
		if _, _, ok := journal.FailedStep(h.Events, end.Error, row.ID); !ok {
			failure := *local.NoFailedStep(row.ID)
			failure.Hint = again
			return api.Ordered{}, &failure
		}
	}
	return d.give(ctx, order)
}

func startedByAnother(row journal.Row) error {
	return &engine.Error{
		Kind: engine.Invalid, Message: fmt.Sprintf("execution %s was started by another flow", row.ID),
		Hint: fmt.Sprintf("retry all of it: weir execution retry %s", row.Root),
	}
}

// give gives an order to the engine, and waits for a while until it has taken it.
func (d *desk) give(ctx context.Context, o journal.Order) (api.Ordered, error) {
	o.At = time.Now().UTC().Truncate(time.Microsecond)
	if err := d.store.Executions().Order(ctx, o); err != nil {
		return api.Ordered{}, err
	}
	return d.taken(ctx, o)
}

// taken waits until an engine has taken an order, if there is one.
func (d *desk) taken(ctx context.Context, o journal.Order) (api.Ordered, error) {
	ordered := api.Ordered{At: o.At}
	runs, err := d.store.EngineRuns(ctx)
	if err != nil {
		return ordered, err
	}
	tick := time.NewTicker(followInterval / 5)
	defer tick.Stop()
	patience := time.NewTimer(orderPatience)
	defer patience.Stop()
	for late := !runs; !late && !ordered.Taken; {
		if ordered.Taken, err = isTaken(ctx, d.store.Executions(), o); err != nil || ordered.Taken {
			break
		}
		select {
		case <-tick.C:
		case <-patience.C:
			late = true
		case <-ctx.Done():
			return ordered, ctx.Err()
		}
	}
	if err != nil {
		return ordered, err
	}
	row, err := d.store.Executions().Row(ctx, o.Execution)
	ordered.Execution = executionOf(row)
	return ordered, err
}

// Repeat implements httpapi.Orders.
func (d *desk) Repeat(ctx context.Context, id string) (api.Execution, error) {
	row, err := d.row(ctx, id)
	if err != nil {
		return api.Execution{}, err
	}
	if row.Parent != "" {
		return api.Execution{}, startedByAnother(row)
	}
	h, err := d.store.Executions().Load(ctx, row.ID)
	if err != nil {
		return api.Execution{}, err
	}
	begun := journal.NewOutline(h).Begun
	if begun == nil {
		return api.Execution{}, &engine.Error{Kind: engine.Permanent, Message: fmt.Sprintf("execution %s has no beginning", row.ID)}
	}
	text, err := d.store.Executions().Text(ctx, begun.Text)
	if err != nil {
		return api.Execution{}, err
	}
	request := engine.Request{Owner: h.Owner, File: begun.File, Text: text, Name: h.Name, Inputs: begun.Inputs, Again: row.ID}
	if filepath.Base(begun.Files) != string(row.ID) { // a directory of its own is not for another
		request.Files = begun.Files
	}
	return d.start(ctx, request)
}

// Answer implements httpapi.Orders.
func (d *desk) Answer(ctx context.Context, id string, answer api.Answer) (api.Answered, error) {
	row, err := d.row(ctx, id)
	if err != nil {
		return api.Answered{}, err
	}
	detail, err := d.Timeline(ctx, string(row.ID), "", 0)
	if err != nil {
		return api.Answered{}, err
	}
	q, err := theQuestion(detail, answer.Step)
	if err != nil {
		return api.Answered{}, err
	}
	if err := d.unmasked(ctx, &q); err != nil {
		return api.Answered{}, err
	}
	order := journal.Order{Execution: engine.ID(q.Execution), Verb: journal.VerbAnswer, Step: q.Step, By: d.by}
	if order.Value, err = answerOf(q, answer); err != nil {
		return api.Answered{}, err
	}
	before, waits, err := waitingOrder(ctx, d.store.Executions(), func(o journal.Order) bool { return same(o, order) })
	if err != nil {
		return api.Answered{}, err
	}
	if waits {
		return api.Answered{}, &engine.Error{
			Kind: engine.Conflict, Message: "this was answered at " + clock(before.At) + "; the engine has not taken the answer yet",
			Hint: "if no engine runs, start one: weir serve",
		}
	}
	ordered, err := d.give(ctx, order)
	if err != nil {
		return api.Answered{}, err
	}
	return api.Answered{ID: q.Execution, Step: q.Step, Title: q.Title, Result: "answered", Taken: ordered.Taken}, nil
}

// unmasked gives a question the form that its flow gave it: a default may be a secret.
func (d *desk) unmasked(ctx context.Context, q *api.Question) error {
	h, err := d.store.Executions().Load(ctx, engine.ID(q.Execution))
	if err != nil {
		return err
	}
	for _, s := range journal.NewOutline(h).Steps {
		if s.Question != nil && s.Question.Step == q.Step {
			q.Form = s.Question.Form
		}
	}
	return nil
}

// answerOf checks an answer against the question.
func answerOf(q api.Question, answer api.Answer) (any, error) {
	if q.Form == nil {
		if !slices.Contains(journal.Decisions(), answer.Decision) || len(answer.Values) > 0 {
			return nil, &engine.Error{Kind: engine.Invalid, Message: "the answer is one of " + strings.Join(journal.Decisions(), ", ")}
		}
		return answer.Decision, nil
	}
	if answer.Decision != "" {
		return nil, &engine.Error{Kind: engine.Invalid, Message: "the question has a form; " + fieldsText(q)}
	}
	inputs := map[string]schema.Input{}
	for key, value := range answer.Values {
		inputs[key] = schema.Input{Value: engineValue(value)}
	}
	return decodeAnswer(q, inputs)
}

// decodeAnswer reads the fields of an answer as the form has them.
func decodeAnswer(q api.Question, inputs map[string]schema.Input) (map[string]any, error) {
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
