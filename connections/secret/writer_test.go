package secret_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections/secret"
)

// TestWriterHoldsBackStartsOnly looks at what is out after each write.
func TestWriterHoldsBackStartsOnly(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := redactor("hunter22", "hunter22-and-more").Writer(&b)
	for _, step := range []struct{ write, out string }{
		{"a line.\n", "a line.\n"},
		{"hunt.\n", "a line.\nhunt.\n"},
		{"= hunt", "a line.\nhunt.\n= "},
		{"er2", "a line.\nhunt.\n= "},
		{"2", "a line.\nhunt.\n= "}, // may become the longer one
		{"-and", "a line.\nhunt.\n= "},
		{".", "a line.\nhunt.\n= ***-and."},
		{" hunter22-and-more", "a line.\nhunt.\n= ***-and. ***"},
		{"hunter22", "a line.\nhunt.\n= ***-and. ***"},
		{"!", "a line.\nhunt.\n= ***-and. ***!"},
		{" hun", "a line.\nhunt.\n= ***-and. ***! "},
	} {
		if _, err := w.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != step.out {
			t.Errorf("after writing %q: %q, want %q", step.write, got, step.out)
		}
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "a line.\nhunt.\n= ***-and. ***! hun"; got != want {
		t.Errorf("after Close: %q, want %q", got, want)
	}
	if _, err := w.Write([]byte("more")); err == nil {
		t.Error("a closed Writer takes more")
	}
}

// TestWriterEveryCut cuts a text in two at every place.
func TestWriterEveryCut(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter22", "er22abcdef", "line one\nline two", "my-hunter22-long"}
	r := redactor(secrets...)
	var all strings.Builder
	for _, s := range secrets {
		all.WriteString(strings.Join(encodings(s), " ") + strings.Join(encodings("x"+s+"yz"), ""))
	}
	text := all.String()
	want := r.String(text)
	for cut := range len(text) {
		if got := stream(t, r, text, cut, len(text)); got != want {
			t.Fatalf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}

func TestWriterLearnsMeanwhile(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	r := redactor("first one")
	w := r.Writer(&b)
	_, err := w.Write([]byte("first "))
	r.Add(secret.New("second one"))
	_, err2 := w.Write([]byte("one, second one."))
	if err := errors.Join(err, err2, w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), "***, ***."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestWriterError(t *testing.T) {
	t.Parallel()
	w := redactor("hunter22").Writer(&failing{after: 3})
	for i, want := range []error{nil, io.ErrClosedPipe, io.ErrClosedPipe} {
		if _, err := w.Write([]byte("..\n")); !errors.Is(err, want) {
			t.Errorf("write %d: got %v, want %v", i, err, want)
		}
	}
	if err := w.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Close: got %v, want %v", err, io.ErrClosedPipe)
	}
}
