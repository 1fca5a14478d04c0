package secret_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections/secret"
)

// BenchmarkRedactor masks 64 KiB of log with one secret in it, with few and with
// many secrets known, beside strings.Replacer looking for as many texts.
func BenchmarkRedactor(b *testing.B) {
	var lines strings.Builder
	for i := 0; lines.Len() < 64<<10; i++ {
		fmt.Fprintf(&lines, `{"time":"2026-11-21T10:00:%02d.123Z","level":"INFO","msg":"step done","step":%d,"connection":"library"}`+"\n", i%60, i)
	}
	for _, n := range []int{1, 3, 30, 300} {
		var texts, pairs []string
		for i := range n {
			s := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))[:20]
			texts = append(texts, s)
			for _, encoding := range encodings(s) {
				pairs = append(pairs, encoding, secret.Mask)
			}
		}
		text := lines.String() + "password: " + texts[0] + "\n"
		r, replacer := redactor(texts...), strings.NewReplacer(pairs...)
		for _, way := range []struct {
			name string
			mask func()
		}{
			{"String", func() { _ = r.String(text) }},
			{"Writer", func() {
				w := r.Writer(io.Discard)
				for line := range bytes.Lines([]byte(text)) {
					_, _ = w.Write(line)
				}
				_ = w.Close()
			}},
			{"strings.Replacer", func() { _ = replacer.Replace(text) }},
		} {
			b.Run(fmt.Sprintf("secrets=%d/%s", n, way.name), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					way.mask()
				}
			})
		}
	}
}

// BenchmarkScope opens a redaction scope with three secrets: what every step
// pays, and what the first line shown costs beside it.
func BenchmarkScope(b *testing.B) {
	values := []secret.Value{secret.New("a-user-name"), secret.New("a-p@ssw0rd-of-20-byt"), secret.New("some-t0ken-of-forty-bytes-0123456789abcd")}
	key := secret.New("-----BEGIN OPENSSH PRIVATE KEY-----\n" + strings.Repeat("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAABlwAAAAdzc2gtcn\n", 35) + "-----END OPENSSH PRIVATE KEY-----\n")
	for _, bench := range []struct {
		name string
		run  func()
	}{
		{"Add", func() { scope(values) }},
		{"Add+String", func() { _ = scope(values).String("a line of log, as short as most of them are") }},
		{"Add+String/ssh-key", func() { _ = scope([]secret.Value{key}).String("a line of log") }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.run()
			}
		})
	}
}

func scope(values []secret.Value) *secret.Redactor {
	r := secret.NewRedactor()
	r.Add(values...)
	return r
}

// tokens are ten secrets as people have them in a vault: passwords, tokens, keys.
func tokens() []string {
	return []string{
		"hunter22", "Tr0ub4dor&3", "c0rrect horse battery staple", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
		"hvs.CAESIJ0kq0x1bVvWn2Zy8mHq7b9oR4tL", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "p@ssw0rd-of-the-db", "xoxb-2147483647-abcdefghijklmnop",
	}
}

// BenchmarkTraced masks 64 KiB of text by traces alone: of ten secrets without and with
// an SSH key, and of ten secrets of different lengths with characters that everything
// escapes. With those in any text, and with all in hex, every place may be a start.
func BenchmarkTraced(b *testing.B) {
	var log, words, hex strings.Builder
	for i := 0; log.Len() < 64<<10; i++ {
		fmt.Fprintf(&log, `{"time":"2026-11-21T10:00:%02d.123Z","level":"INFO","msg":"step done","step":%d,"connection":"library"}`+"\n", i%60, i)
	}
	for i := 0; words.Len() < 64<<10; i++ {
		fmt.Fprintf(&words, "2026-11-21 10:00:%02d step %d of flow nightly-report has copied 17 files to s3://bucket/path/%d\n", i%60, i, i)
	}
	for i := 0; hex.Len() < 64<<10; i++ {
		fmt.Fprintf(&hex, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	ten := tokens()
	var special []string
	for i := range 10 {
		special = append(special, strings.Repeat("é <\"&", 5)[:10+2*i])
	}
	for _, secrets := range []struct {
		name  string
		texts []string
	}{{"1", ten[:1]}, {"10", ten}, {"10+ssh-key", append(ten[:10:10], sshKey(50))}, {"ssh-key", []string{sshKey(50)}}, {"10-special", special}} {
		r := traced(b, redactor(secrets.texts...))
		for _, text := range []struct{ name, text string }{{"log", log.String()}, {"words", words.String()}, {"hex", hex.String()}} {
			b.Run("secrets="+secrets.name+"/"+text.name, func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				b.ReportAllocs()
				for b.Loop() {
					_ = r.String(text.text)
				}
			})
		}
		b.Run("secrets="+secrets.name+"/log/Writer", func(b *testing.B) {
			b.SetBytes(int64(log.Len()))
			for b.Loop() {
				w := r.Writer(io.Discard)
				for line := range strings.Lines(log.String()) {
					_, _ = io.WriteString(w, line)
				}
				_ = w.Close()
			}
		})
		both := traced(b, redactor(secrets.texts...))
		for _, text := range secrets.texts {
			both.Add(secret.New(text))
		}
		b.Run("secrets="+secrets.name+"/log/known", func(b *testing.B) {
			b.SetBytes(int64(log.Len()))
			for b.Loop() {
				_ = both.String(log.String())
			}
		})
		b.Run("secrets="+secrets.name+"/line", func(b *testing.B) {
			for b.Loop() {
				_ = r.String("a line of log, as short as most of them are")
			}
		})
	}
}

// BenchmarkTracesOfNone is what an execution pays that uses no secrets.
func BenchmarkTracesOfNone(b *testing.B) {
	key := traceKey(0)
	b.ReportAllocs()
	for b.Loop() {
		r := secret.NewRedactor()
		_ = r.AddTraces(key)
		_, _ = r.Traces(key, 0)
	}
}

// BenchmarkTraces makes traces and adds them, each time with a new key.
func BenchmarkTraces(b *testing.B) {
	for _, secrets := range []struct {
		name  string
		texts []string
	}{{"3", tokens()[:3]}, {"10", tokens()}, {"ssh-key", []string{sshKey(50)}}, {"1000 lines", []string{sshKey(1000)}}} {
		r := redactor(secrets.texts...)
		traces, _ := r.Traces(traceKey(0), 0)
		var size float64
		for _, trace := range traces {
			size += float64(len(trace))
		}
		b.Run("make/"+secrets.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.Traces(traceKey(0), 0)
			}
			b.ReportMetric(size, "B/traces")
		})
		b.Run("add/"+secrets.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = secret.NewRedactor().AddTraces(traceKey(0), traces...)
			}
		})
		b.Run("add+String/"+secrets.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := secret.NewRedactor()
				_ = r.AddTraces(traceKey(0), traces...)
				_ = r.String("a line of log, as short as most of them are")
			}
		})
	}
}
