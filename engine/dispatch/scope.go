package dispatch

import (
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
)

// Scope is what the executions of one tree share: the redactor, fed with each
// secret that any of them used. Safe for concurrent use.
type Scope struct {
	redactor *secret.Redactor
	key      secret.TraceKey
}

// NewScope makes a scope. With a key, which is 32 random bytes, it has traces of its
// secrets; see [secret.Redactor.Traces].
func NewScope(key [32]byte) *Scope {
	return &Scope{redactor: secret.NewRedactor(), key: secret.NewTraceKey(key)}
}

// AddTraces has the scope mask the secrets of another scope with the same key.
func (s *Scope) AddTraces(traces [][]byte) error { return s.redactor.AddTraces(s.key, traces...) }

// Traces gives the traces of the secrets after the first so many, and how many
// there are now.
func (s *Scope) Traces(after int) ([][]byte, int) { return s.redactor.Traces(s.key, after) }

// Mask gives a copy of a tree of values in which secrets are masked.
func (s *Scope) Mask(tree any) any { return s.redactor.Tree(tree) }

// Event gives the event with its texts masked.
func (s *Scope) Event(e engine.Event) engine.Event {
	e.Message = s.redactor.String(e.Message)
	if e.Fields != nil {
		e.Fields, _ = s.redactor.Tree(e.Fields).(map[string]any)
	}
	if e.State != nil {
		state := *e.State
		state.Output = nil
		state.Name = s.redactor.String(state.Name)
		state.Error = s.Error(state.Error)
		e.State = &state
	}
	return e
}

// Error gives a copy of the error with its texts masked, nil for nil.
func (s *Scope) Error(e *engine.Error) *engine.Error {
	if e == nil {
		return nil
	}
	masked := *e
	masked.Message = s.redactor.String(e.Message)
	masked.Hint = s.redactor.String(e.Hint)
	masked.Traceback = s.redactor.String(e.Traceback)
	masked.Value = s.redactor.Tree(e.Value)
	masked.Cause = s.Error(e.Cause)
	return &masked
}
