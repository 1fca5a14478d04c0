package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
)

func redactor(texts ...string) *secret.Redactor {
	r := secret.NewRedactor()
	for _, text := range texts {
		r.Add(secret.New(text))
	}
	return r
}

func TestRedactorMasks(t *testing.T) {
	t.Parallel()
	r := redactor("hunter22", "er22abc", "my-hunter22-long", "p@ss/w=rd &y<", "abcde", "", "füße\"q",
		"trailing\n", "-----BEGIN KEY-----\nMIIEowIBAAKC\r\n  indented: x\nshort\n-----END KEY-----\n")
	r.Add(secret.Of(json.Number("73001234")))
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "no secret here", "no secret here"},
		{"empty", "", ""},
		{"plain", "the password is hunter22!", "the password is ***!"},
		{"alone", "hunter22", "***"},
		{"twice", "hunter22, hunter22", "***, ***"},
		{"touching", "hunter22hunter22", "***"},
		{"other case", "Hunter22", "Hunter22"},
		{"almost", "hunter2 hunter2", "hunter2 hunter2"},
		{"almost, then it", "hunterhunter22", "hunter***"},
		{"overlapping", "xx hunter22abc yy", "xx *** yy"},
		{"containing", "xx my-hunter22-long yy", "xx *** yy"},
		{"contained in a start", "xx my-hunter22-lo yy", "xx my-***-lo yy"},
		{"hex", "68756e7465723232", "***"},
		{"hex upper", "68756E7465723232.", "***."},
		{"hex inside hex", "0068756e746572323200", "00***00"},
		{"base64", "aHVudGVyMjI=", "***"},
		{"base64 unpadded", "aHVudGVyMjI", "***"},
		{"base64 of a:hunter22", "Basic YTpodW50ZXIyMg==", "Basic YT***"},
		{"base64 of ab:hunter22:x", "YWI6aHVudGVyMjI6eA==", "YWI6***6eA=="},
		{"base64 for urls", base64.URLEncoding.EncodeToString([]byte("__füße\"q__")), "X1***9f"},
		{"url", "https://x?p=p%40ss%2Fw%3Drd+%26y%3C", "https://x?p=***"},
		{"url in lower case", "https://x?p=p%40ss%2fw%3drd%20%26y%3c", "https://x?p=***"},
		{"url path", "https://x/" + url.PathEscape("p@ss/w=rd &y<") + "/", "https://x/***/"},
		{"url user", url.UserPassword("u", "p@ss/w=rd &y<").String() + "@host", "u:***@host"},
		{"json", `{"p":"p@ss/w=rd \u0026y\u003c"}`, `{"p":"***"}`},
		{"json without html", `{"p":"p@ss/w=rd &y<"}`, `{"p":"***"}`},
		{"json with slashes", `{"p":"p@ss\/w=rd &y<"}`, `{"p":"***"}`},
		{"json quotes", `{"p":"füße\"q"}`, `{"p":"***"}`},
		{"ascii", fmt.Sprintf("%+q", `füße"q`), `"***"`},
		{"without the newline", "trailing", "***"},
		{"with the newline", "trailing\n", "***\n"},
		{"line", "key MIIEowIBAAKC.", "key ***."},
		{"indented line", "indented: x", "***"},
		{"short line", "short", "short"},
		{"number", "id 73001234", "id ***"},
		{"short", "abcde", "abcde"},
	} {
		if got := r.String(tt.text); got != tt.want {
			t.Errorf("%s: String(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
		if got := string(r.Bytes([]byte(tt.text))); got != tt.want {
			t.Errorf("%s: Bytes(%q) = %q, want %q", tt.name, tt.text, got, tt.want)
		}
		for _, split := range [][]int{{1}, {2}, {3, 1}, {7}} {
			if got := stream(t, r, tt.text, split...); got != tt.want {
				t.Errorf("%s: written by %v: %q gives %q, want %q", tt.name, split, tt.text, got, tt.want)
			}
		}
	}
}

// stream writes the text in parts of these lengths, again and again.
func stream(tb testing.TB, r *secret.Redactor, text string, lengths ...int) string {
	tb.Helper()
	var b bytes.Buffer
	w := r.Writer(&b)
	for i := 0; len(text) > 0; i++ {
		n := min(len(text), max(1, lengths[i%len(lengths)]))
		if got, err := w.Write([]byte(text[:n])); got != n || err != nil {
			tb.Fatalf("Write = %d, %v", got, err)
		}
		text = text[n:]
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// TestRedactorEveryAlignment puts a secret into larger texts of every length
// modulo three and checks that base64 of them shows nothing that depends on it.
func TestRedactorEveryAlignment(t *testing.T) {
	t.Parallel()
	for n := 6; n < 12; n++ {
		text := "\xfb\xef\xbe?>s3cret"[:n]
		r := redactor(text)
		for before := range 4 {
			for after := range 4 {
				for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
					full := enc.EncodeToString([]byte("<<<<"[:before] + text + ">>>>"[:after]))
					head := full[:8*before/6]
					tail := full[min(len(full), (8*(before+n)+5)/6):]
					if after == 0 {
						tail = ""
					}
					if got, want := r.String("("+full+")"), "("+head+secret.Mask+tail+")"; got != want {
						t.Errorf("%d bytes before, %d after %d: %s gives %s, want %s", before, after, n, full, got, want)
					}
				}
			}
		}
	}
}

// TestRedactorAgainstOracle compares with masking every byte that lies in any
// occurrence, on texts and secrets of so few letters that they overlap a lot.
func TestRedactorAgainstOracle(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "gh"[random.IntN(2)] // no hex digits
		}
		return string(b)
	}
	for range 3000 {
		var secrets []string
		for range 1 + random.IntN(4) {
			secrets = append(secrets, letters(6+random.IntN(6)))
		}
		text := letters(random.IntN(60))
		covered := make([]bool, len(text))
		for _, s := range secrets {
			for i := range text {
				if strings.HasPrefix(text[i:], s) {
					for k := range s {
						covered[i+k] = true
					}
				}
			}
		}
		var want strings.Builder
		for i := range text {
			if !covered[i] {
				want.WriteByte(text[i])
			} else if i == 0 || !covered[i-1] {
				want.WriteString(secret.Mask)
			}
		}
		r := redactor(secrets...)
		if got := r.String(text); got != want.String() {
			t.Fatalf("secrets %q: %q gives %q, want %q", secrets, text, got, want.String())
		}
		if got := stream(t, r, text, 1+random.IntN(9), 1+random.IntN(3)); got != want.String() {
			t.Fatalf("secrets %q: %q written in parts gives %q, want %q", secrets, text, got, want.String())
		}
	}
}

func TestRedactorPair(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	r.AddPair("scott", secret.New("tiger"))
	r.AddPair("nobody", secret.New(""))
	r.AddPair("nobody", secret.Value{})
	for text, want := range map[string]string{
		"scott:tiger":            "***",
		"Basic c2NvdHQ6dGlnZXI=": "Basic ***",
		"tiger":                  "tiger",
		"nobody:":                "nobody:",
	} {
		if got := r.String(text); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestRedactorTree(t *testing.T) {
	t.Parallel()
	r := redactor("hunter22", "73001234", "82005678.5")
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tree := map[string]any{
		"hunter22": 1, "x hunter22": "a", "x ***": "b", "clean": "hunter22!",
		"list":   []any{"hunter22", nil, true, int64(5), 73001234, json.Number("73001234"), 82005678.5, int32(9)},
		"typed":  map[string]string{"hunter22": "hunter22"},
		"rows":   []map[string]any{{"v": secret.New("any")}},
		"secret": secret.New("hidden"), "bytes": []byte("hunter22"), "time": when, "names": []string{"a", "hunter22"},
		"struct": struct{ A string }{"hunter22"},
	}
	want := map[string]any{
		"***": 1, "x *** (2)": "a", "x ***": "b", "clean": "***!",
		"list":   []any{"***", nil, true, int64(5), "***", "***", "***", int32(9)},
		"typed":  map[string]any{"***": "***"},
		"rows":   []any{map[string]any{"v": "***"}},
		"secret": "***", "bytes": "***", "time": "2026-01-02T03:04:05Z", "names": []any{"a", "***"},
		"struct": "{***}",
	}
	if diff := cmp.Diff(any(want), r.Tree(tree)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	if tree["clean"] != "hunter22!" {
		t.Error("Tree changed what it was given")
	}
}

func TestRedactorLearnsMeanwhile(t *testing.T) {
	t.Parallel()
	r := secret.NewRedactor()
	if got := r.String("hunter22"); got != "hunter22" {
		t.Errorf("an empty redactor gives %q", got)
	}
	r.Add(secret.New("hunter22"))
	if got := r.String("hunter22"); got != "***" {
		t.Errorf("got %q after adding", got)
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			text := fmt.Sprintf("secret number %d", i)
			r.Add(secret.New(text))
			if got := r.String(text); got != "***" {
				t.Errorf("%q gives %q", text, got)
			}
		})
	}
	wait.Wait()
}

// encodings gives how programs commonly write the text.
func encodings(text string) []string {
	js, _ := json.Marshal(text)
	lower := hex.EncodeToString([]byte(text))
	return []string{
		text, lower, strings.ToUpper(lower), url.QueryEscape(text), url.PathEscape(text), string(js[1 : len(js)-1]),
		base64.StdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
}

// FuzzRedactor checks that texts which hold the secrets in all encodings show
// none of them, however they are written.
func FuzzRedactor(f *testing.F) {
	f.Add("hunter22\x00er22abc", "xx hunter22abc 68756e7465723232", uint8(3), uint8(1))
	f.Add("line one\nline two\x00two\x00 one\nli", "line one\nline one\nline two", uint8(1), uint8(9))
	f.Add("aaaaaa\x00aaaaaaaa", "aaaaaaaaaaaaaaYWFhYWFhYWE=aaaaa", uint8(2), uint8(2))
	f.Add("\"<&>\\\"\xff", "\"<&>\\\"\xff", uint8(2), uint8(2))
	f.Fuzz(func(t *testing.T, secrets, text string, first, second uint8) {
		texts := strings.Split(secrets, "\x00")
		r := redactor(texts...)
		for _, s := range texts {
			text += "|" + strings.Join(encodings(s), s+"|"+s)
		}
		masked := r.String(text)
		for _, s := range texts {
			if len(s) < 6 || strings.Contains(s, "*") {
				continue // a mask and what stands beside it may look like the secret
			}
			for _, encoding := range encodings(s) {
				if strings.Contains(masked, encoding) {
					t.Errorf("%q shows %q", masked, encoding)
				}
			}
		}
		if again := r.String(masked); again != masked && !strings.Contains(secrets, "*") {
			t.Errorf("masking %q again gives %q", masked, again)
		}
		if got := stream(t, r, text, int(first), int(second)); got != masked {
			t.Errorf("%q written by %d and %d gives %q, at once %q", text, first, second, got, masked)
		}
	})
}
