package secret

import (
	"sync"
	"sync/atomic"
)

// Redactor masks the secrets it was given, and their usual encodings, in
// everything that is shown: base64 at any alignment, hex, URL- and JSON-escaped
// text, and each line of a secret with several lines.
//
// Every occurrence is masked, also where occurrences overlap; a run of masked
// bytes becomes one "***". Secrets under six bytes are not looked for. Traces do for a
// secret that is not at hand any more, see [Redactor.Traces].
//
// Adding is cheap; the search is prepared when a text comes. The zero Redactor
// is ready to use, and safe for concurrent use.
type Redactor struct {
	matcher atomic.Pointer[matcher] // of all forms; nil when something was added since

	mu     sync.Mutex
	known  map[string]bool // texts that were added
	texts  []string        // the same in their order; only appended to
	formed int             // of how many of them the forms are made
	forms  []form
	traced []*traceSet // one for each key
}

// NewRedactor gives a Redactor that knows no secrets yet.
func NewRedactor() *Redactor { return &Redactor{} }

// Add has the secrets masked from now on. Adding one again does nothing.
func (r *Redactor) Add(values ...Value) {
	for _, v := range values {
		r.add(v.Reveal())
	}
}

// AddPair has "user:password" masked as well, as basic authentication sends it.
// It does so for a password that is too short to be masked alone.
func (r *Redactor) AddPair(user string, password Value) {
	text := password.Reveal()
	if text == "" {
		return
	}
	r.add(text)
	r.add(user + ":" + text)
}

func (r *Redactor) add(text string) {
	if len(text) < minMaskable {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[text] {
		return
	}
	if r.known == nil {
		r.known = make(map[string]bool)
	}
	r.known[text] = true
	r.texts = append(r.texts, text)
	r.matcher.Store(nil)
}

// current gives the matcher of all that was added so far.
func (r *Redactor) current() *matcher {
	if m := r.matcher.Load(); m != nil {
		return m
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range r.texts[r.formed:] {
		r.forms = appendForms(r.forms, text)
	}
	r.formed = len(r.texts)
	var tracers []*tracer
	for _, set := range r.traced {
		if t := set.tracer(r.texts); t != nil {
			tracers = append(tracers, t)
		}
	}
	m := newMatcher(r.forms, tracers)
	r.matcher.Store(m)
	return m
}

// String gives the text with every secret masked.
func (r *Redactor) String(text string) string {
	out, found := r.current().all([]byte(text))
	if !found {
		return text
	}
	return string(out)
}

// Bytes gives the text with every secret masked. The result is text itself if
// there is none in it; text is not changed.
func (r *Redactor) Bytes(text []byte) []byte {
	out, found := r.current().all(text)
	if !found {
		return text
	}
	return out
}
