package secret

import (
	"errors"
	"io"
)

// Writer masks what is written through it. It holds back only what may be the
// start of a secret, so that no secret shows in part because it was written in
// parts: what comes out is what [Redactor.Bytes] gives for the whole.
//
// It is for one goroutine at a time.
type Writer struct {
	r    *Redactor
	w    io.Writer
	held []byte // not written yet
	out  []byte
	s    stream
	err  error // of w, or that it is closed
}

// Writer gives a Writer to w, which masks the secrets that are known when it is
// written to. Close it to have the last bytes written.
func (r *Redactor) Writer(w io.Writer) *Writer {
	return &Writer{r: r, w: w, s: newStream()}
}

// Write masks and writes p, except for what may be the start of a secret. Its
// count is that of bytes taken, all of them unless there is an error. After an
// error of the underlying writer every Write gives that error.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.held = append(w.held, p...)
	if w.pass(false); w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Close writes what was held back. It does not close the underlying writer.
// Closing again does nothing.
func (w *Writer) Close() error {
	if errors.Is(w.err, errClosed) {
		return nil
	}
	if w.err == nil {
		w.pass(true)
	}
	err := w.err
	w.err = errClosed
	return err
}

var errClosed = errors.New("secret: write to a closed Writer")

// pass writes what can be decided.
func (w *Writer) pass(final bool) {
	out, rest := w.r.current().mask(w.out[:0], w.held, &w.s, final)
	w.out = out
	w.held = w.held[:copy(w.held, w.held[rest:])]
	if len(out) == 0 {
		return
	}
	n, err := w.w.Write(out)
	if err == nil && n < len(out) {
		err = io.ErrShortWrite
	}
	w.err = err
}
