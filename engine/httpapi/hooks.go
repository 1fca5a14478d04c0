package httpapi

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// Hooks are the webhooks, for those who call them. They have no token: what they show
// is good for one webhook.
type Hooks interface {
	// Admit gives the webhook that a call is for. The error is of kind denied, and the
	// same after the same work, whether there is no such user or webhook, either is
	// disabled, or the call does not prove that it may; refusals are recorded. The error
	// has the code api.CodeStale for a call that proves it, and was signed too long ago.
	Admit(ctx context.Context, call HookCall) (engine.Webhook, error)
	// Begin starts the webhook's flow with what was sent. A call whose Delivery was here
	// before has the execution that it had then. An *api.Error of the code
	// api.CodeBadRequest, or CodeUnauthenticated for a webhook that is gone, is sent as it
	// is, and no other.
	Begin(ctx context.Context, hook engine.Webhook, call HookCall) (api.Delivery, error)
	// Outcome waits until an execution has ended, or ctx has, and gives what its flow
	// returned, or as an *api.Error what those outside may know of its failure. What is
	// secret in either is masked.
	Outcome(ctx context.Context, id string) (any, error)
}

// HookCall is a call of a webhook, as it came.
type HookCall struct {
	User, Name string
	Remote     string // network address
	Proof      engine.WebhookProof
	// Delivery is the sender's name of what it sends, the same each time that it sends it;
	// empty if it has none.
	Delivery string
	Method   string
	Header   http.Header
	Query    url.Values
	Body     []byte
	// Trace is the W3C traceparent of what the call leads to; empty if it is not traced.
	Trace string
	// Often is set if there were too many calls from this address already that proved
	// nothing: another one is not recorded.
	Often bool
}

// receivePattern is where webhooks are called.
const receivePattern = "POST /v1/hooks/{user}/{name}"

// The headers of calls.
const (
	keyHeader       = "X-Webhook-Key"
	idHeader        = "Webhook-Id"
	timeHeader      = "Webhook-Timestamp"
	signatureHeader = "Webhook-Signature"
	githubSignature = "X-Hub-Signature-256"
	githubDelivery  = "X-Github-Delivery"
	idempotencyKey  = "Idempotency-Key"
)

const (
	// maxUnproven bounds what is held of bodies of which nobody knows yet who sent
	// them, in bytes.
	maxUnproven = 64 << 20
	// maxSums bounds the signatures of one call, and maxDelivery the length of its id.
	maxSums     = 16
	maxDelivery = 256
)

// receiving is what the server knows of calls.
type receiving struct {
	unproven atomic.Int64 // bytes that are held
	failed   limiters     // by network address
	calls    limiters     // by webhook
}

// isHookCall tells whether a request calls a webhook.
func (s *Server) isHookCall(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	return pattern == receivePattern
}

// receive answers a call of a webhook.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	if failure := s.received(w, r); failure != nil {
		if failure.Status == http.StatusServiceUnavailable || failure.Code == api.CodeThrottled && w.Header().Get("Retry-After") == "" {
			w.Header().Set("Retry-After", "5")
		}
		s.refuse(w, r, failure)
	}
}

func (s *Server) received(w http.ResponseWriter, r *http.Request) *api.Error {
	if s.isStopping() {
		return stopping()
	}
	call := HookCall{
		User: r.PathValue("user"), Name: r.PathValue("name"), Remote: remoteHost(r), Trace: noted(r).trace,
		Method: r.Method, Header: r.Header, Query: r.URL.Query(),
	}
	if failure := call.prove(); failure != nil {
		return failure
	}
	hook, failure := s.admit(r, &call)
	if failure != nil {
		return failure
	}
	noted(r).caller = call.User
	if most := cmp.Or(hook.MaxBody, engine.WebhookBody); int64(len(call.Body)) > most {
		return &api.Error{
			Status: http.StatusRequestEntityTooLarge, Code: api.CodeTooLarge, Kind: string(engine.Invalid),
			Message: fmt.Sprintf("the body is larger than %d bytes", most),
		}
	}
	if perMinute := cmp.Or(hook.PerMinute, engine.WebhookPerMinute); !s.receiving.calls.allow(hook.Owner+"\x00"+hook.Name, rate.Limit(perMinute)/60, perMinute) {
		w.Header().Set("Retry-After", strconv.Itoa(1+60/perMinute))
		failure := busy(fmt.Sprintf("more than %d calls a minute", perMinute))
		failure.Hint = ""
		return failure
	}
	// A sender that goes away now is answered when it comes again.
	delivery, err := s.config.Hooks.Begin(context.WithoutCancel(r.Context()), hook, call)
	if err != nil {
		return s.notBegun(r, err)
	}
	if hook.Mode == engine.WebhookSync {
		return s.await(w, r, hook, delivery)
	}
	answer(w, http.StatusAccepted, delivery)
	return nil
}

// prove takes out of the headers what the call shows. What it does depends on the call
// alone; what makes no sense proves nothing.
func (c *HookCall) prove() *api.Error {
	get := c.Header.Get
	switch {
	case get(keyHeader) != "":
		c.Proof = engine.WebhookProof{Auth: engine.WebhookKey, Key: get(keyHeader)}
		c.Delivery = get(idempotencyKey)
	case get(signatureHeader) != "":
		c.Delivery = get(idHeader)
		c.Proof = engine.WebhookProof{Auth: engine.WebhookHMAC, Sums: standardSums(get(signatureHeader))}
		seconds, err := strconv.ParseInt(get(timeHeader), 10, 64)
		if c.Proof.Signed = time.Unix(seconds, 0); err != nil || c.Delivery == "" {
			c.Proof.Sums = nil
		}
	case get(githubSignature) != "":
		c.Delivery = get(githubDelivery)
		c.Proof = engine.WebhookProof{Auth: engine.WebhookGitHub}
		text, ok := strings.CutPrefix(get(githubSignature), "sha256=")
		if sum, err := hex.DecodeString(text); ok && err == nil && c.Delivery != "" {
			c.Proof.Sums = [][]byte{sum}
		}
	default:
		scheme, text, _ := strings.Cut(get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || text == "" {
			return c.provesNothing()
		}
		c.Proof = engine.WebhookProof{Auth: engine.WebhookKey, Key: strings.TrimSpace(text)}
		c.Delivery = get(idempotencyKey)
	}
	if len(c.Delivery) > maxDelivery {
		return &api.Error{
			Status: http.StatusBadRequest, Code: api.CodeBadRequest, Kind: string(engine.Invalid),
			Message: fmt.Sprintf("the id of the call is longer than %d bytes", maxDelivery),
		}
	}
	return nil
}

// provesNothing is the answer to a call that shows nothing. A key in the address would
// be in the logs of all that is between.
func (c *HookCall) provesNothing() *api.Error {
	for name := range c.Query {
		if Credential(name) {
			return &api.Error{
				Status: http.StatusBadRequest, Code: api.CodeBadRequest, Kind: string(engine.Invalid),
				Message: "a key or a signature does not belong into the address, which others write down",
				Hint:    "send it in a header: " + keyHeader + "; and rotate it: weir webhook rotate",
			}
		}
	}
	return notAdmitted()
}

// Credential tells whether a header or a parameter of this name is likely to be secret,
// or to prove something.
func Credential(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for i, word := range words {
		switch word {
		case "auth", "authorization", "cookie", "token", "secret", "signature", "password", "passwd", "credential", "credentials", "session", "apikey", "hmac":
			return true
		case "key": // not each is one: Bitbucket's X-Event-Key tells what happened
			if i == 0 || words[i-1] == "api" || words[i-1] == "access" || words[i-1] == "webhook" || words[i-1] == "private" {
				return true
			}
		}
	}
	return false
}

// standardSums gives the signatures of the header Webhook-Signature that are HMACs: it
// has one or more, each after its version, with spaces between.
func standardSums(header string) (sums [][]byte) {
	for part := range strings.FieldsSeq(header) {
		text, ok := strings.CutPrefix(part, "v1,")
		if sum, err := base64.StdEncoding.DecodeString(text); ok && err == nil && len(sums) < maxSums {
			sums = append(sums, sum)
		}
	}
	return sums
}

// admit reads the body, and looks whether the call may start anything.
func (s *Server) admit(r *http.Request, call *HookCall) (engine.Webhook, *api.Error) {
	var held int64
	defer func() { s.receiving.unproven.Add(-held) }()
	body, failure := s.bodyOf(r, &held)
	if failure != nil {
		return engine.Webhook{}, failure
	}
	call.Body = body
	switch call.Proof.Auth {
	case engine.WebhookHMAC:
		call.Proof.Message = [][]byte{[]byte(call.Delivery + "." + call.Header.Get(timeHeader) + "."), body}
	case engine.WebhookGitHub:
		call.Proof.Message = [][]byte{body}
	}
	call.Often = s.receiving.failed.spent(call.Remote)
	hook, err := s.config.Hooks.Admit(r.Context(), *call)
	if err == nil {
		return hook, nil
	}
	failure = s.config.Explain(err)
	switch {
	case failure.Code == api.CodeStale:
		failure.Status = http.StatusUnauthorized
		return engine.Webhook{}, failure
	case failure.Kind != string(engine.Denied):
		return engine.Webhook{}, s.internal(r, "cannot look a webhook up", failure)
	}
	s.metrics.refused.Inc()
	if !s.receiving.failed.allow(call.Remote, rate.Every(attemptInterval), attempts) {
		return engine.Webhook{}, &api.Error{
			Status: http.StatusTooManyRequests, Code: api.CodeThrottled, Kind: string(engine.Unavailable),
			Message: "too many calls that were not admitted", Hint: "wait some seconds",
		}
	}
	return engine.Webhook{}, notAdmitted()
}

// bodyOf reads a body. held counts what of it is held of all that is unproven.
func (s *Server) bodyOf(r *http.Request, held *int64) ([]byte, *api.Error) {
	const step = 32 << 10
	conn := noted(r).conn
	_ = conn.SetReadDeadline(time.Now().Add(s.config.BodyPatience))
	var body []byte
	for {
		if len(body) == cap(body) {
			more := int64(max(step, cap(body)))
			*held += more
			if s.receiving.unproven.Add(more) > maxUnproven {
				return nil, &api.Error{
					Status: http.StatusServiceUnavailable, Code: "unavailable", Kind: string(engine.Unavailable), Message: "too much is being received",
				}
			}
			body = append(make([]byte, 0, int64(len(body))+more), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			_ = conn.SetReadDeadline(time.Time{}) // its end would end the request
			return body, nil
		}
		return nil, bodyFault(err)
	}
}

// await answers with what the flow comes to, or, if that takes too long, that it is
// under way. Who waits has one of the streams that the webhook's owner may have open.
func (s *Server) await(w http.ResponseWriter, r *http.Request, hook engine.Webhook, delivery api.Delivery) *api.Error {
	leave := s.quotas.stream(noted(r).caller)
	if leave == nil {
		answer(w, http.StatusAccepted, delivery)
		return nil
	}
	defer leave()
	patience := cmp.Or(hook.Timeout, engine.WebhookTimeout)
	_ = noted(r).conn.SetWriteDeadline(time.Now().Add(patience + writePatience))
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	go func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	output, err := s.config.Hooks.Outcome(ctx, delivery.Execution)
	var failure *api.Error
	switch {
	case r.Context().Err() != nil:
		return &api.Error{Status: api.StatusOf(string(engine.Canceled)), Code: string(engine.Canceled), Kind: string(engine.Canceled), Message: "the caller has gone away"}
	case err == nil:
		answer(w, http.StatusOK, output)
		return nil
	case ctx.Err() != nil:
		answer(w, http.StatusAccepted, delivery)
		return nil
	case errors.As(err, &failure):
		failure.Status = http.StatusInternalServerError
		return failure
	}
	return s.internal(r, "cannot give what a webhook's flow returned", s.config.Explain(err))
}

// notBegun is the answer to a call whose flow could not be started. Why it could not is
// for the owner's eyes, unless it was the call's own fault.
func (s *Server) notBegun(r *http.Request, err error) *api.Error {
	failure := s.config.Explain(err)
	switch failure.Code {
	case api.CodeBadRequest:
		failure.Status = http.StatusBadRequest
		return failure
	case api.CodeUnauthenticated: // it was deleted meanwhile
		return notAdmitted()
	}
	s.config.Log.Error("a webhook's flow was not started", "request", noted(r).id, "error", failure.Message)
	if failure.Kind == string(engine.Unavailable) {
		return &api.Error{Status: http.StatusServiceUnavailable, Code: failure.Kind, Kind: failure.Kind, Message: "the flow could not be started"}
	}
	return &api.Error{
		Status: http.StatusInternalServerError, Code: api.CodeNotStarted, Kind: string(engine.Internal),
		Message: "the flow could not be started", Hint: "its owner sees why by starting it: weir execution start",
	}
}

// notAdmitted is the one answer to all that is not let in.
func notAdmitted() *api.Error {
	return &api.Error{
		Status: http.StatusUnauthorized, Code: api.CodeUnauthenticated, Kind: string(engine.Denied),
		Message: "there is no such webhook, or it is not called as it wants to be",
		Hint:    "it wants a key in the header " + keyHeader + ", or a signature",
	}
}

// isStopping tells whether the server is about to end.
func (s *Server) isStopping() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

func stopping() *api.Error {
	return &api.Error{Status: http.StatusServiceUnavailable, Code: api.CodeStopping, Kind: string(engine.Unavailable), Message: "the server is about to end"}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // a client that has gone is none to be told
}

// receiveRoute registers the calls of webhooks, and describes them.
func (s *Server) receiveRoute() {
	if s.config.Hooks == nil {
		return
	}
	s.mux.HandleFunc(receivePattern, s.receive)
	document := s.api.OpenAPI()
	schemas := document.Components.Schemas
	header := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	place := func(name string) *huma.Param {
		return &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	for name, at := range map[string]string{"webhookKey": keyHeader, "webhookSignature": signatureHeader, "githubSignature": githubSignature} {
		document.Components.SecuritySchemes[name] = &huma.SecurityScheme{Type: "apiKey", In: "header", Name: at}
	}
	op := s.operation(http.MethodPost, "/v1/hooks/{user}/{name}", "call-webhook", "Call a webhook")
	op.Description = "Starts the webhook's flow. Its caller has no token, but the webhook's key in " + keyHeader + " or as a bearer token, or signs: as " +
		"Standard Webhooks has it, or as GitHub does. What is sent again with the same id has the same execution."
	op.Parameters = []*huma.Param{
		place("user"), place("name"), header(idHeader, "The id of what is sent, if it is signed"), header(timeHeader, "When it was signed"),
		header(githubDelivery, "The id of what GitHub sends"), header(idempotencyKey, "The id of what is sent with a key"),
	}
	op.RequestBody = &huma.RequestBody{Description: "Anything", Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{}}, "application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}
	op.Security = []map[string][]string{{"webhookKey": {}}, {"bearer": {}}, {"webhookSignature": {}}, {"githubSignature": {}}}
	op.Responses["200"] = &huma.Response{Description: "What the flow of a sync webhook returned", Content: map[string]*huma.MediaType{
		"application/json": {Schema: &huma.Schema{}},
	}}
	op.Responses["202"] = &huma.Response{Description: "The execution is on disk", Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemas.Schema(reflect.TypeFor[api.Delivery](), true, "Delivery")},
	}}
	document.AddOperation(&op)
}

// limiters bound how often things happen, by key.
type limiters struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// allow tells whether one more may happen, and counts it.
func (l *limiters) allow(key string, limit rate.Limit, burst int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.by) >= maxKnown {
		for key, limiter := range l.by {
			if limiter.Tokens() >= float64(limiter.Burst()) {
				delete(l.by, key)
			}
		}
	}
	if l.by == nil || len(l.by) >= maxKnown {
		l.by = map[string]*rate.Limiter{}
	}
	limiter := l.by[key]
	if limiter == nil || limiter.Limit() != limit || limiter.Burst() != burst {
		limiter = rate.NewLimiter(limit, burst)
		l.by[key] = limiter
	}
	return limiter.Allow()
}

// spent tells whether nothing more may happen now.
func (l *limiters) spent(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.by[key]
	return limiter != nil && limiter.Tokens() < 1
}
