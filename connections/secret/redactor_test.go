package secret_test

import (
	"testing"

	"github.com/weir-engine/weir/connections/secret"
)

func TestRedactorString(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "no secret here", "no secret here"},
		{"empty", "", ""},
		{"plain", "the password is hunter22!", "the password is ***!"},
		{"twice", "hunter22, hunter22", "***, ***"},
		{"touching", "hunter22hunter22", "***"},
		{"case matters", "Hunter22", "Hunter22"},
		{"almost", "hunter2 hunter2", "hunter2 hunter2"},
		{"overlapping", "xx hunter22abc yy", "xx *** yy"},
		{"containing", "xx my-hunter22-long yy", "xx *** yy"},
		{"hex", "68756e7465723232", "***"},
		{"hex upper", "68756E7465723232.", "***."},
		{"base64", "aHVudGVyMjI=", "***"},
		{"base64 unpadded", "aHVudGVyMjI", "***"},
		{"base64 of a:hunter22", "Basic YTpodW50ZXIyMg==", "Basic YT***"},
		{"base64 of ab:hunter22:x", "YWI6aHVudGVyMjI6eA==", "YWI6***6eA=="},
		{"url", "https://x?p=p%40ss%2Fw%3Drd+%26y", "https://x?p=***"},
		{"url lower", "https://x?p=p%40ss%2fw%3drd%20%26y", "https://x?p=***"},
		{"json", `{"p":"p@ss/w=rd \u0026y"}`, `{"p":"***"}`},
		{"short", "abcde", "abcde"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := secret.NewRedactor()
			r.Add(secret.New("hunter22"), secret.New("er22abc"), secret.New("my-hunter22-long"),
				secret.New("p@ss/w=rd &y"), secret.New("abcde"), secret.New(""))
			if got := r.String(tt.text); got != tt.want {
				t.Errorf("String(%q) = %q, want %q", tt.text, got, tt.want)
			}
			if got := string(r.Bytes([]byte(tt.text))); got != tt.want {
				t.Errorf("Bytes(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}
