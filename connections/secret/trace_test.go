package secret_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
)

func traceKey(n byte) secret.TraceKey { return secret.NewTraceKey([32]byte{1, n}) }

// traced gives a redactor that has only traces of what the other one knows.
func traced(tb testing.TB, of *secret.Redactor) *secret.Redactor {
	tb.Helper()
	r := secret.NewRedactor()
	traces, _ := of.Traces(traceKey(0), 0)
	if err := r.AddTraces(traceKey(0), traces...); err != nil {
		tb.Fatal(err)
	}
	return r
}

// sshKey gives a key as ssh-keygen writes it, with so many lines of base64.
func sshKey(lines int) string {
	random := rand.New(rand.NewPCG(3, 4))
	body := make([]byte, lines*70*3/4)
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(body)
	var b strings.Builder
	b.WriteString("-----BEGIN OPENSSH PRIVATE KEY-----\n")
	for line := range slices.Chunk([]byte(text), 70) {
		b.Write(append(line, '\n'))
	}
	b.WriteString("-----END OPENSSH PRIVATE KEY-----\n")
	return b.String()
}

func TestTracesMaskLikeTheirSecrets(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	r.Add(secret.New("hunter22"), secret.New("p@ss/w=rd &y<"), secret.New(sshKey(2)), secret.New("{\n  \"user\": \"me\",\n  \"pin\": 1\n}"),
		secret.New("a\nb\nc\nd"), secret.New("\xfb\xef\xbe?>s3cret"))
	r.AddPair("scott", secret.New("tiger"))
	r = traced(t, r)
	key := sshKey(2)
	quoted, _ := json.Marshal(key)
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "no secret here", "no secret here"},
		{"empty", "", ""},
		{"plain", "the password is hunter22!", "the password is ***!"},
		{"touching", "hunter22hunter22", "***"},
		{"almost", "hunter2 hunter2", "hunter2 hunter2"},
		{"hex", "0068756e746572323200 68756E7465723232.", "00***00 ***."},
		{"base64 of ab:hunter22:x", "YWI6aHVudGVyMjI6eA==", "YWI6***6eA=="},
		{"pair", "scott:tiger tiger", "*** tiger"},
		{"pair in basic auth", "Basic c2NvdHQ6dGlnZXI=", "Basic ***"},
		{"url", "https://x?p=p%40ss%2Fw%3Drd+%26y%3C&q", "https://x?p=***&q"},
		{"json", `{"p":"p@ss/w=rd \u0026y\u003c"}`, `{"p":"***"}`},
		{"left edge of bytes past ascii", base64.StdEncoding.EncodeToString([]byte("__\xfb\xef\xbe?>s3cret")), "X1***"},
		{"key", "is " + key + "it", "is ***\nit"},
		{"key with other line ends", strings.ReplaceAll(key, "\n", "\r\n"), "***\r\n***\r\n***\r\n***\r\n"},
		{"key in json", string(quoted), `"***\n"`},
		{"start of a key", key[:120], "***\n***\n" + key[107:120]},
		{"json file", "{\n  \"user\": \"me\",\n  \"pin\": 1\n}", "***"},
		{"json file, changed", "{\n  \"user\": \"me\",\n  \"pin\": 2\n}", "{\n  ***\n  \"pin\": 2\n}"},
		{"no line is a secret", "a\nb\nc\nd!", "***!"},
	} {
		if got := r.String(tt.text); got != tt.want {
			t.Errorf("%s: String(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
		if got := string(r.Bytes([]byte(tt.text))); got != tt.want {
			t.Errorf("%s: Bytes(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
		for _, split := range [][]int{{1}, {2}, {3, 1}, {7}, {50}} {
			if got := stream(t, r, tt.text, split...); got != tt.want {
				t.Errorf("%s: written by %v: %q gives %q, want %q", tt.name, split, tt.text, got, tt.want)
			}
		}
	}
	tree := r.Tree(map[string]any{"hunter22": []any{"x hunter22", 7, map[string]any{"p": "p@ss/w=rd &y<"}}})
	if diff := cmp.Diff(any(map[string]any{"***": []any{"x ***", 7, map[string]any{"p": "***"}}}), tree); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// samples makes secrets, and texts that hold all and parts of their forms.
type samples struct{ *rand.Rand }

func (s samples) letters(n int, of string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = of[s.IntN(len(of))]
	}
	return string(b)
}

func (s samples) secret() string {
	n := 4 + s.IntN(30)
	switch s.IntN(9) {
	case 0:
		return s.letters(n, "gh")
	case 1:
		return s.letters(n, "0123456789abcdef")
	case 2:
		return s.letters(n, "ABCDwxyz0189_-.")
	case 3:
		return s.letters(n, "aB1@/=&+ %<\"\\'é")
	case 4:
		return s.letters(n, "\x00\x01\xff\xfe\xc3\xbc?>")
	case 5:
		return s.letters(3*n, "ab \n\r\"") // several lines
	case 6:
		return " {\n  \"a\": \"" + s.letters(n, "xyz") + "\",\n  \"b\": \"" + s.letters(n, "xy@") + "\"\n}\n"
	case 7:
		return sshKey(1 + s.IntN(4))
	}
	return s.letters(n, "aaaaab")
}

// text strings together encodings of the secrets, larger and smaller than they are.
func (s samples) text(secrets []string) string {
	var b strings.Builder
	for range 1 + s.IntN(12) {
		from := secrets[s.IntN(len(secrets))]
		if s.IntN(3) == 0 {
			from = s.letters(s.IntN(4), "<x\n?\xff") + from + s.letters(s.IntN(4), ">x\n?\xff")
		}
		forms := append(encodings(from), strconv.QuoteToASCII(from), base64.StdEncoding.EncodeToString([]byte(from)))
		forms = append(forms, strings.Fields(from)...)
		part := forms[s.IntN(len(forms))]
		switch s.IntN(4) {
		case 0:
			part = part[:s.IntN(len(part)+1)]
		case 1:
			part = part[s.IntN(len(part)+1):]
		}
		b.WriteString(part)
		if s.IntN(2) == 0 {
			b.WriteString(s.letters(s.IntN(8), "g0A=\n +/"))
		}
	}
	return b.String()
}

// agree checks that a redactor with the secrets, one with their traces and one with
// some of each mask the text alike, at once and in parts.
func agree(t *testing.T, secrets []string, text string, first, second int) {
	t.Helper()
	plain := redactor(secrets...)
	want := plain.String(text)
	only, mixed := traced(t, plain), traced(t, redactor(secrets[:len(secrets)/2]...))
	for _, s := range secrets[len(secrets)/2:] {
		mixed.Add(secret.New(s))
	}
	for _, tt := range []struct {
		name string
		got  string
	}{
		{"traces", only.String(text)},
		{"traces, in parts", stream(t, only, text, first, second)},
		{"both", mixed.String(text)},
		{"both, in parts", stream(t, mixed, text, first, second)},
	} {
		if tt.got != want {
			t.Fatalf("secrets %q, %s (by %d and %d):\n%q gives\n%q, want\n%q", secrets, tt.name, first, second, text, tt.got, want)
		}
	}
}

func TestTracesAgreeWithSecrets(t *testing.T) {
	t.Parallel()
	s := samples{rand.New(rand.NewPCG(5, 6))}
	for range 300 {
		var secrets []string
		for range 1 + s.IntN(4) {
			secrets = append(secrets, s.secret())
		}
		agree(t, secrets, s.text(secrets), 1+s.IntN(40), 1+s.IntN(7))
	}
}

// TestTracesInLongTexts has the search go on from block to block.
func TestTracesInLongTexts(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter22-and-more", sshKey(40), strings.Repeat("long p@ssphrase ", 400)}
	var b strings.Builder
	for i := range 12 {
		b.WriteString(strings.Repeat("word", 211*i) + secrets[i%3])
		quoted, _ := json.Marshal(secrets[(i+1)%3])
		b.Write(quoted)
	}
	agree(t, secrets, b.String(), 1000, 3000)
	r := traced(t, redactor(secrets[0]))
	for n := 4070; n < 4110; n++ {
		before := strings.Repeat("x", n)
		if got, want := r.String(before+secrets[0]), before+secret.Mask; got != want {
			t.Errorf("after %d bytes: got %q, want %q", n, got[4000:], want[4000:])
		}
	}
}

// TestTracesOfEqualForms has a secret that is the base64 form of another: both masks apply.
func TestTracesOfEqualForms(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]string{{"hunter22", "aHVudGVyMj"}, {"aHVudGVyMj", "hunter22"}, {"y-hunter22", "1bnRlcjIy"}, {"hunter222", "hunter22"}} {
		agree(t, secrets, "hunter222! aHVudGVyMjI= aHVudGVyMj= eC1odW50ZXIyMg== eHktaHVudGVyMjI= 1bnRlcjIy aHVudGVyMjI", 3, 5)
	}
}

func FuzzTraces(f *testing.F) {
	f.Add("hunter22\x00er22abc", "xx hunter22abc 68756e7465723232", uint8(3), uint8(1))
	f.Add("line one\nline two\x00two\x00 one\nli", "line one\nline one\nline two", uint8(1), uint8(9))
	f.Add("aaaaaa\x00aaaaaaaa", "aaaaaaaaaaaaaaYWFhYWFhYWE=aaaaa", uint8(2), uint8(2))
	f.Add("a\nbb\ncc\rd", "a\nbb\ncc\nd a\nbb\ncc\rd", uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, secrets, text string, first, second uint8) {
		texts := strings.Split(secrets, "\x00")
		for _, s := range texts {
			text += "|" + strings.Join(encodings(s), s+"|"+s)
		}
		agree(t, texts, text, int(first), int(second))
	})
}

func TestTracesSinceAPosition(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	traces, n := r.Traces(traceKey(0), 0)
	if traces != nil || n != 0 {
		t.Errorf("none known: got %d traces, position %d", len(traces), n)
	}
	r.Add(secret.New("first one"), secret.New("short"), secret.New("first one"))
	first, n := r.Traces(traceKey(0), n)
	if len(first) != 1 || n != 1 {
		t.Errorf("one known: got %d traces, position %d", len(first), n)
	}
	r.AddPair("scott", secret.New("tiger7"))
	more, n := r.Traces(traceKey(0), n)
	if len(more) != 2 || n != 3 {
		t.Errorf("a pair more: got %d traces, position %d", len(more), n)
	}
	if none, n := r.Traces(traceKey(0), n); none != nil || n != 3 {
		t.Errorf("nothing new: got %d traces, position %d", len(none), n)
	}
	all, _ := r.Traces(traceKey(0), -1)
	if diff := cmp.Diff(append(first, more...), all); diff != "" {
		t.Errorf("traces of the same secrets differ (-since +all):\n%s", diff)
	}
	if other, _ := r.Traces(traceKey(1), 0); cmp.Equal(other[0], all[0]) {
		t.Error("another key gives the same trace")
	}
	if none, n := r.Traces(secret.TraceKey{}, 0); none != nil || n != 3 {
		t.Errorf("no key: got %d traces, position %d", len(none), n)
	}
	if none, n := r.Traces(traceKey(0), 99); none != nil || n != 3 {
		t.Errorf("past the end: got %d traces, position %d", len(none), n)
	}
}

func TestTracesRefused(t *testing.T) {
	t.Parallel()
	traces, _ := redactor("hunter22", "other secret").Traces(traceKey(0), 0)
	good, victim := traces[0], traces[1]
	later := append([]byte{9}, victim[1:]...)
	for _, tt := range []struct {
		name  string
		key   secret.TraceKey
		trace []byte
		want  string
	}{
		{"empty", traceKey(0), nil, "add trace 1 of 2 of secrets: it was made with another key, or is damaged"},
		{"cut", traceKey(0), victim[:len(victim)-1], "add trace 1 of 2 of secrets: it was made with another key, or is damaged"},
		{"later version", traceKey(0), later, "add trace 1 of 2 of secrets: it was made by a later version"},
		{"no key", secret.TraceKey{}, victim, "add traces of secrets: there is no key"},
		{"zero key", secret.NewTraceKey([32]byte{}), victim, "add traces of secrets: there is no key"},
	} {
		r := secret.NewRedactor()
		err := r.AddTraces(tt.key, tt.trace, good)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: got error %v, want %s", tt.name, err, tt.want)
		}
		if got := r.String("hunter22"); got != "***" && !tt.key.IsZero() {
			t.Errorf("%s: the other trace was not added: %q", tt.name, got)
		}
	}
	for i := range victim {
		changed := slices.Clone(victim)
		changed[i] ^= 1 << (i % 8)
		if err := secret.NewRedactor().AddTraces(traceKey(0), changed); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
	}
	r := secret.NewRedactor()
	if err := r.AddTraces(traceKey(1), traces...); err == nil || strings.Count(err.Error(), "another key") != 2 {
		t.Errorf("another key: got error %v", err)
	}
	if err := r.AddTraces(secret.TraceKey{}); err != nil {
		t.Errorf("no traces and no key: %v", err)
	}
}

// TestTracesOfSeveralKeys adds traces of two keys, again and beside the secret.
func TestTracesOfSeveralKeys(t *testing.T) {
	t.Parallel()
	one, two := redactor("first one", "common secret"), redactor("second one", "common secret")
	r := redactor("common secret")
	for range 2 {
		for k, of := range []*secret.Redactor{one, two} {
			traces, _ := of.Traces(traceKey(byte(k)), 0)
			if err := r.AddTraces(traceKey(byte(k)), traces...); err != nil {
				t.Fatal(err)
			}
			if got, want := r.String("common secret|first one"), "***|***"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	r.Add(secret.New("first one"))
	if got, want := r.String("first one, second one, common secret, third one"), "***, ***, ***, third one"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if traces, n := r.Traces(traceKey(0), 0); len(traces) != 2 || n != 2 {
		t.Errorf("got %d traces, position %d, want those of the 2 secrets it has", len(traces), n)
	}
}

// TestTracesShowNothing looks for the secret, and for what is not keyed, in traces.
func TestTracesShowNothing(t *testing.T) {
	t.Parallel()
	key := sshKey(5)
	traces, _ := redactor("hunter22", "secret-of-somebody", key).Traces(traceKey(0), 0)
	shown := string(slices.Concat(traces...))
	for _, text := range append(strings.Fields(key), "hunter22", "secret-of-somebody") {
		for _, encoding := range encodings(text) {
			for i := range len(encoding) - 4 {
				if part := encoding[i : i+5]; strings.Contains(shown, part) {
					t.Errorf("traces show %q", part)
				}
			}
		}
	}
	// Secrets that differ in their first character have left edges that differ.
	a, _ := redactor("Aunter22").Traces(traceKey(0), 0)
	if edge := "AQgw"; strings.Contains(string(a[0]), edge) {
		t.Errorf("a trace shows the left edge %q", edge)
	}
	k := traceKey(0)
	for _, got := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %x %d", k, k, k, k, k, k), fmt.Sprintf("%+v", struct{ K secret.TraceKey }{k}),
	} {
		if strings.Trim(got, "*{}K: ") != "" {
			t.Errorf("the key prints as %s", got)
		}
	}
	if got := fmt.Sprintf("%+v", struct{ k secret.TraceKey }{k}); strings.Contains(got, "1 0 0") {
		t.Errorf("the key in an unexported field prints as %s", got)
	}
	if got, err := json.Marshal(map[string]any{"k": k}); err != nil || string(got) != `{"k":"***"}` {
		t.Errorf("the key in JSON is %s, %v", got, err)
	}
}

// TestTracedWriterHoldsBackALine looks at what is out after each write.
func TestTracedWriterHoldsBackALine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	w := traced(t, redactor("hunter 22", sshKey(10))).Writer(&b)
	for _, step := range []struct{ write, out string }{
		{"a line, however long it is and whatever it says.\n", "a line, however long it is and whatever it says.\n"},
		{"= hunter", "a line, however long it is and whatever it says.\n"},
		{" 22", "a line, however long it is and whatever it says.\n"},
		{"!\n", "a line, however long it is and whatever it says.\n= ***!\n"},
	} {
		if _, err := w.Write([]byte(step.write)); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); got != step.out {
			t.Errorf("after writing %q: %q, want %q", step.write, got, step.out)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTracesMeanwhile(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			text := fmt.Sprintf("secret number %d", i)
			traces, _ := redactor(text).Traces(traceKey(byte(i%2)), 0)
			if err := r.AddTraces(traceKey(byte(i%2)), traces...); err != nil {
				t.Error(err)
			}
			if got := r.String(text); got != "***" {
				t.Errorf("%q gives %q", text, got)
			}
			r.Add(secret.New(text))
			if got := r.String(text + "|" + text); got != "***|***" {
				t.Errorf("%q gives %q", text, got)
			}
			r.Traces(traceKey(0), i)
		})
	}
	wait.Wait()
	if traces, n := r.Traces(traceKey(0), 0); len(traces) != 8 || n != 8 {
		t.Errorf("got %d traces, position %d", len(traces), n)
	}
}
