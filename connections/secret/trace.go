package secret

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

// TraceKey is the key of traces, best another one for each tree of executions; see
// [Redactor.Traces]. It prints as "***", as a [Value] does, and is safe for
// concurrent use. The zero TraceKey is no key: no traces are made with it.
type TraceKey struct{ p *tracePayload }

// tracePayload keeps the key in a closure, for the reasons of payload.
type tracePayload struct{ hash func() *traceHash }

// NewTraceKey gives the key with these bytes, which must be random; 32 zero bytes are no
// key. It costs next to nothing until it is used.
func NewTraceKey(key [32]byte) TraceKey {
	if key == [32]byte{} {
		return TraceKey{}
	}
	return TraceKey{&tracePayload{sync.OnceValue(func() *traceHash { return newTraceHash(key) })}}
}

// IsZero tells whether it is no key.
func (k TraceKey) IsZero() bool { return k.p == nil }

// String gives "***".
func (k TraceKey) String() string { return Mask }

// GoString gives "***".
func (k TraceKey) GoString() string { return Mask }

// Format writes "***" for every verb and flag.
func (k TraceKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// MarshalJSON gives the JSON string "***".
func (k TraceKey) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// MarshalText gives "***".
func (k TraceKey) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// LogValue gives "***".
func (k TraceKey) LogValue() slog.Value { return slog.StringValue(Mask) }

// Traces gives a trace of each secret, and of each pair, that was added to the Redactor
// since it knew after of them; n is how many it knows now, to be passed the next time.
// With 0 it begins at the first one. Secrets known by their traces only are not among them.
//
// A trace is what may be stored in place of a secret: with it and the same key,
// another Redactor masks all that it would mask if it had the secret, see
// [Redactor.AddTraces]. The same secret and key always give the same trace, so that a
// store need not keep it twice. There is none of a secret that is too short to be masked,
// and none at all if the key is zero.
//
// A trace holds, for each form of the secret that is looked for, a keyed MAC and 16
// bits of a keyed hash. The secret can't be computed from them, but:
//   - It shows how long the secret and its lines are, which of a few alphabets they
//     need (hex, base64, URL, any), and where else the same secret was used with the
//     same key. Therefore traces are to be stored encrypted.
//   - With the key, guesses of the secret can be tried, as fast as SHA-256 is. A random
//     token withstands that, a password that somebody made up may not. Therefore the
//     key is to be stored apart from the traces, or encrypted with a key that is.
//   - Without the key no guess can be tried. The 16 bits are no MAC, though: somebody
//     who sees traces and can have thousands of secrets of his choice traced with the
//     same key may learn enough to try guesses on the others. Therefore a key is best
//     for one tree of executions only.
func (r *Redactor) Traces(key TraceKey, after int) (traces [][]byte, n int) {
	r.mu.Lock()
	n = len(r.texts)
	texts := r.texts[min(max(after, 0), n):]
	r.mu.Unlock()
	if len(texts) == 0 || key.IsZero() {
		return nil, n
	}
	hash := key.p.hash()
	traces = make([][]byte, len(texts))
	for i, text := range texts {
		traces[i] = hash.trace(text)
	}
	return traces, n
}

// AddTraces has the secrets masked from now on whose traces these are, as if they had
// been added themselves. Adding a trace again does nothing, and one of a secret that
// the Redactor has itself makes it no slower.
//
// A trace that is damaged, was made with another key or by a later version is an error; the
// others are added nevertheless. What is shown after an error may hold a secret.
//
// The start of a secret can't be told from other text by a trace. A [Writer] therefore
// holds back what was written of a line until the line ends, or has become longer
// than every form of the secrets.
func (r *Redactor) AddTraces(key TraceKey, traces ...[]byte) error {
	if len(traces) == 0 {
		return nil
	}
	if key.IsZero() {
		return errors.New("add traces of secrets: there is no key")
	}
	hash := key.p.hash()
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.traceSet(hash)
	var errs []error
	for i, trace := range traces {
		if _, known := set.forms[string(trace)]; known {
			continue
		}
		forms, err := hash.parse(trace)
		if err != nil {
			errs = append(errs, fmt.Errorf("add trace %d of %d of secrets: %w", i+1, len(traces), err))
			continue
		}
		set.forms[string(trace)] = forms
		r.matcher.Store(nil)
	}
	return errors.Join(errs...)
}

// traceSet is what a Redactor knows by traces of one key.
type traceSet struct {
	hash    *traceHash
	forms   map[string][]traceForm // by trace; nil for that of a secret which is known itself
	checked int                    // how many of the Redactor's texts have their traces in forms
}

// traceSet gives the set of the key. The caller holds the lock.
func (r *Redactor) traceSet(hash *traceHash) *traceSet {
	for _, set := range r.traced {
		if set.hash.id == hash.id {
			return set
		}
	}
	set := &traceSet{hash: hash, forms: make(map[string][]traceForm)}
	r.traced = append(r.traced, set)
	return set
}

// tracer gives what finds the traced secrets that are not among the texts; nil if
// there are none.
func (s *traceSet) tracer(texts []string) *tracer {
	for _, text := range texts[s.checked:] {
		s.forms[string(s.hash.trace(text))] = nil
	}
	s.checked = len(texts)
	var forms []traceForm
	for _, f := range s.forms {
		forms = append(forms, f...)
	}
	if len(forms) == 0 {
		return nil
	}
	return newTracer(s.hash, forms)
}
