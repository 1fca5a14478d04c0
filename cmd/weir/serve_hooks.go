package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
)

var _ httpapi.Hooks = (*daemon)(nil)

// deliveryLife is for how long a call that has an id is known again. Senders try for
// about a day.
const deliveryLife = 72 * time.Hour

// Admit implements httpapi.Hooks. It does the same, whatever is wrong.
func (d *daemon) Admit(ctx context.Context, call httpapi.HookCall) (engine.Webhook, error) {
	user, hook, secret, known, err := d.store.Webhooks().Called(ctx, call.User, call.Name)
	if err != nil {
		return engine.Webhook{}, err
	}
	proved := secret.Proves(call.Proof) && known && hook.Enabled && !user.Disabled
	stale := proved && hook.Auth == engine.WebhookHMAC && !inWindow(hook, call.Proof.Signed, d.app.clock())
	if proved && !stale {
		return hook, nil
	}
	if !call.Often {
		by := engine.Actor{Owner: hook.Owner, Remote: call.Remote}
		if recorded := d.store.Audit().Record(ctx, by.Did(engine.AuditWebhookDenied, hook.Name)); recorded != nil && ctx.Err() == nil {
			d.log.Error("cannot record a refused call of a webhook", "error", recorded)
		}
	}
	if stale {
		return engine.Webhook{}, &api.Error{
			Code: api.CodeStale, Kind: string(engine.Denied), Message: "the call was signed at a time too far from now", Hint: "compare the clocks, and sign again",
		}
	}
	return engine.Webhook{}, &engine.Error{Kind: engine.Denied, Message: "the call is not admitted"}
}

func inWindow(hook engine.Webhook, signed, now time.Time) bool {
	return now.Sub(signed).Abs() <= cmp.Or(hook.ReplayWindow, engine.WebhookWindow)
}

// Begin implements httpapi.Hooks.
func (d *daemon) Begin(ctx context.Context, hook engine.Webhook, call httpapi.HookCall) (api.Delivery, error) {
	inputs, err := hookInputs(hook, call)
	if err != nil {
		return api.Delivery{}, err
	}
	desk := d.desk(hook.Owner, call.User, call.Remote)
	desk.trace = call.Trace
	start := func(id engine.ID) (api.Delivery, error) {
		found, text, err := desk.flow(ctx, hook.Flow, 0)
		if err != nil {
			return api.Delivery{}, err
		}
		request := engine.Request{ID: id, Owner: hook.Owner, File: local.StoredFile(found.Name, found.Version), Text: text, Name: found.Name, Inputs: inputs}
		started, err := desk.start(ctx, request)
		return api.Delivery{Execution: started.ID}, err
	}
	if call.Delivery == "" {
		return start("")
	}
	first := false
	begun, err, _ := d.app.once.Do(strings.Join([]string{"webhook", hook.Owner, hook.Name, call.Delivery}, "\x00"), func() (any, error) {
		first = true
		return d.beginOnce(ctx, hook, call.Delivery, desk, start)
	})
	delivery, _ := begun.(api.Delivery)
	delivery.Repeated = delivery.Repeated || !first
	return delivery, err
}

// beginOnce starts the execution that a call stands for, unless that was done before.
// The call is on disk with the execution's id before the execution is: whatever comes
// between, the same call finds it or starts it with that id.
func (d *daemon) beginOnce(ctx context.Context, hook engine.Webhook, delivery string, desk *desk, start func(engine.ID) (api.Delivery, error)) (api.Delivery, error) {
	now := d.app.clock()
	id := local.NewID(now)
	known, err := d.store.Webhooks().Note(ctx, hook.Owner, hook.Name, []byte(delivery), id, now.Add(deliveryLife))
	if exitCode(err) == exitNotFound {
		return api.Delivery{}, &api.Error{Code: api.CodeUnauthenticated, Kind: string(engine.Denied), Message: err.Error()}
	}
	if err != nil {
		return api.Delivery{}, err
	}
	if known != id {
		if _, err := desk.exactly(ctx, known); err == nil || exitCode(err) != exitNotFound {
			return api.Delivery{Execution: string(known), Repeated: true}, err
		}
	}
	return start(known)
}

// Outcome implements httpapi.Hooks.
func (d *daemon) Outcome(ctx context.Context, id string) (any, error) {
	if _, err := d.runner.Wait(ctx, engine.ID(id)); err != nil {
		return nil, err
	}
	h, scope, err := loadMasked(ctx, d.store.Executions(), engine.ID(id))
	if err != nil {
		return nil, err
	}
	end := journal.NewOutline(h).Finished
	switch {
	case end == nil:
		return nil, &engine.Error{Kind: engine.Internal, Message: "execution " + id + " has ended without an end"}
	case end.Status == engine.Succeeded:
		return scope.Mask(end.Output), nil
	case end.Status == engine.Cancelled:
		return nil, &api.Error{Code: api.CodeFlowFailed, Kind: string(engine.Canceled), Message: "the flow was cancelled"}
	}
	return nil, outward(scope.Error(end.Error))
}

// outward is the failure of a flow as it is told to others than its owner: what it
// raised as a table with a message is meant for them, and all else is not.
func outward(e *engine.Error) *api.Error {
	told := &api.Error{Code: api.CodeFlowFailed, Kind: string(engine.Script), Message: "the flow failed"}
	if e == nil || e.Kind != engine.Script || e.Cause != nil {
		return told
	}
	if raised, ok := e.Value.(map[string]any); ok {
		if message, ok := raised["message"].(string); ok && message != "" {
			told.Message = message
		}
	}
	return told
}

// hookInputs are the inputs of a webhook's flow:
//
//	webhook   the webhook's name
//	delivery  the id that the sender gave the call, or ""
//	method    POST
//	headers   text by name in small letters, but for what is a credential or a signature
//	query     a list of texts by name
//	body      what was sent: a value if it is JSON, else text, or base64 if it is no UTF-8
//	encoding  json, text or base64: which of them
func hookInputs(hook engine.Webhook, call httpapi.HookCall) (map[string]any, error) {
	headers := map[string]any{}
	for name, values := range call.Header {
		if !httpapi.Credential(name) {
			headers[strings.ToLower(name)] = strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
		}
	}
	query := map[string]any{}
	for name, values := range call.Query {
		if call.Proof.Key != "" && slices.Contains(values, call.Proof.Key) {
			return nil, badCall("the key is in the address, too, which others write down", "send it in a header only, and rotate it: weir webhook rotate")
		}
		list := make([]any, len(values))
		for i, value := range values {
			list[i] = strings.ToValidUTF8(value, "\uFFFD")
		}
		query[strings.ToValidUTF8(name, "\uFFFD")] = list
	}
	inputs := map[string]any{
		"webhook": hook.Name, "delivery": strings.ToValidUTF8(call.Delivery, "\uFFFD"), "method": call.Method, "headers": headers, "query": query,
	}
	var err error
	inputs["body"], inputs["encoding"], err = hookBody(call.Header, call.Body)
	return inputs, err
}

func hookBody(header http.Header, body []byte) (value any, encoding string, err error) {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	isJSON := kind == "application/json" || strings.HasSuffix(kind, "+json")
	switch {
	case header.Get("Content-Encoding") != "" || !utf8.Valid(body):
		return base64.StdEncoding.EncodeToString(body), "base64", nil
	case !isJSON || len(body) == 0:
		return string(body), "text", nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err = decoder.Decode(&value); err == nil {
		if _, more := decoder.Token(); more == io.EOF { //nolint:errorlint // as it is documented
			return engineValue(value), "json", nil
		}
	}
	return nil, "", badCall("the body is no JSON, and its content type says that it is", "")
}

func badCall(message, hint string) *api.Error {
	return &api.Error{Code: api.CodeBadRequest, Kind: string(engine.Invalid), Message: message, Hint: hint}
}
