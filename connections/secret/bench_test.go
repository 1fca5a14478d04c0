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
