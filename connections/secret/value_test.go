package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
)

const canary = "canary-5ecret-of-many-bytes"

// holders gives values that hold the secret in every way Go has to hold one.
func holders(v secret.Value) map[string]any {
	type exported struct{ Password secret.Value }
	type unexported struct{ password secret.Value }
	type embedded struct{ secret.Value }
	type nested struct {
		Out exported
		in  *unexported
		any any
	}
	ch := make(chan secret.Value, 1)
	ch <- v
	return map[string]any{
		"value":             v,
		"pointer":           &v,
		"exported field":    exported{v},
		"pointer to struct": &exported{v},
		"unexported field":  unexported{v},
		"embedded":          embedded{v},
		"nested":            nested{exported{v}, &unexported{v}, v},
		"map":               map[string]secret.Value{"k": v},
		"map of any":        map[string]any{"k": map[string]any{"l": []any{v}}},
		"map key":           map[secret.Value]int{v: 1},
		"slice":             []secret.Value{v},
		"array":             [1]secret.Value{v},
		"slice of structs":  []unexported{{v}},
		"any":               []any{v, &v, exported{v}},
		"data":              secret.Data{Keys: map[string]any{"password": v}},
		"func":              func() secret.Value { return v },
		"chan":              ch,
	}
}

// ways gives all ways of printing and encoding that are not verbs.
func ways() map[string]func(x any) string {
	logged := func(handler func(*bytes.Buffer) slog.Handler, log func(*slog.Logger, any)) func(any) string {
		return func(x any) string {
			var b bytes.Buffer
			log(slog.New(handler(&b)), x)
			return b.String()
		}
	}
	text := func(b *bytes.Buffer) slog.Handler {
		return slog.NewTextHandler(b, &slog.HandlerOptions{AddSource: true})
	}
	js := func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }
	attr := func(l *slog.Logger, x any) { l.Info("m", "x", x) }
	group := func(l *slog.Logger, x any) { l.WithGroup("g").With("y", x).Info("m", slog.Group("h", "x", x)) }
	into := func(encode func(*bytes.Buffer, any) error) func(any) string {
		return func(x any) string {
			var b bytes.Buffer
			if err := encode(&b, x); err != nil {
				b.WriteString(err.Error())
			}
			return b.String()
		}
	}
	return map[string]func(any) string{
		"Sprint":       func(x any) string { return fmt.Sprint(x) },
		"Sprintln":     func(x any) string { return fmt.Sprintln("x", x) },
		"Errorf":       func(x any) string { return fmt.Errorf("%w %v", errors.ErrUnsupported, x).Error() },
		"surplus args": func(x any) string { return fmt.Sprintf(strings.Repeat("x", 1), x) },
		"log":          into(func(b *bytes.Buffer, x any) error { log.New(b, "", 0).Print(x); return nil }),
		"json":         into(func(b *bytes.Buffer, x any) error { return json.NewEncoder(b).Encode(x) }),
		"xml":          into(func(b *bytes.Buffer, x any) error { return xml.NewEncoder(b).Encode(x) }),
		"gob":          into(func(b *bytes.Buffer, x any) error { return gob.NewEncoder(b).Encode(x) }),
		"template": into(func(b *bytes.Buffer, x any) error {
			return template.Must(template.New("").Parse(`{{.}} {{printf "%s" .}} {{js .}}`)).Execute(b, x)
		}),
		"html template": into(func(b *bytes.Buffer, x any) error {
			return htmltemplate.Must(htmltemplate.New("").Parse(`<a b="{{.}}">{{.}}</a><script>{{.}}</script>`)).Execute(b, x)
		}),
		"slog text":       logged(text, attr),
		"slog json":       logged(js, attr),
		"slog text group": logged(text, group),
		"slog json group": logged(js, group),
		"cmp": func(x any) string {
			all := cmp.Exporter(func(reflect.Type) bool { return true })
			defer func() { _ = recover() }()
			return cmp.Diff(x, "other", all)
		},
		"following every pointer": func(x any) string { return walk(reflect.ValueOf(x), 0) },
	}
}

// walk prints all that reflection reaches, unexported fields and pointers included.
func walk(v reflect.Value, depth int) string {
	if depth > 10 || !v.IsValid() {
		return ""
	}
	var b strings.Builder
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return walk(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			b.WriteString(walk(v.Field(i), depth+1))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			b.WriteString(walk(v.Index(i), depth+1))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			b.WriteString(walk(it.Key(), depth+1) + walk(it.Value(), depth+1))
		}
	default:
		return fmt.Sprint(v)
	}
	return b.String()
}

func TestValueNeverPrints(t *testing.T) {
	t.Parallel()
	all := ways()
	for _, verb := range "vTtbcdoOqxXUeEfFgGspw!z" {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "20", ".3", "+#"} {
			format := "%" + flags + string(verb)
			all["Sprintf "+format] = func(x any) string { return fmt.Sprintf(format, x) }
		}
	}
	secrets := map[string]secret.Value{
		canary: secret.New(canary), "730042117": secret.Of(json.Number("730042117")), "840053229": secret.Of(840053229),
	}
	for text, v := range secrets {
		for held, x := range holders(v) {
			for way, print := range all {
				got := print(x)
				for _, form := range spellings(text) {
					if strings.Contains(got, form) {
						t.Errorf("%s of a %s shows the secret: %s", way, held, got)
					}
				}
			}
		}
	}
}

// spellings gives the text and how it looks in the base64 and hex of a larger text.
func spellings(text string) []string {
	all := []string{text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text)))}
	for before := range 3 {
		inside := base64.StdEncoding.EncodeToString([]byte("xxx"[:before] + text))
		all = append(all, inside[4:len(inside)-4])
	}
	return all
}

func TestValuePrintsMask(t *testing.T) {
	t.Parallel()
	for _, v := range []secret.Value{{}, secret.New(""), secret.New(canary), secret.Of(nil), secret.Of(true)} {
		js, err := json.Marshal(map[string]any{"v": v})
		if err != nil {
			t.Fatal(err)
		}
		got := []string{v.String(), fmt.Sprint(v), fmt.Sprintf("%#v %d %+v", v, v, &v), string(js), v.LogValue().String()}
		want := []string{"***", "***", "*** *** ***", `{"v":"***"}`, "***"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("prints (-want +got):\n%s", diff)
		}
	}
}

func TestValueReveals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		of       any
		text     string
		any      any
		maskable bool
	}{
		{"secret", "secret", "secret", true},
		{"", "", "", false},
		{json.Number("1.50000"), "1.50000", json.Number("1.50000"), true},
		{true, "true", true, false},
		{nil, "", nil, false},
		{int64(-5), "-5", int64(-5), false},
		{7, "7", int64(7), false},
		{uint64(1 << 63), "9223372036854775808", json.Number("9223372036854775808"), true},
		{1e6, "1000000", 1e6, true},
		{secret.New("inner"), "inner", "inner", false},
	} {
		v := secret.Of(tt.of)
		if v.Reveal() != tt.text || v.RevealAny() != tt.any || v.Maskable() != tt.maskable || v.IsZero() {
			t.Errorf("Of(%v) reveals %q, %v, maskable %t; want %q, %v, %t",
				tt.of, v.Reveal(), v.RevealAny(), v.Maskable(), tt.text, tt.any, tt.maskable)
		}
	}
	var zero secret.Value
	if !zero.IsZero() || zero.Reveal() != "" || zero.RevealAny() != nil {
		t.Error("the zero Value is not absent")
	}
}

func TestValueOfList(t *testing.T) {
	t.Parallel()
	defer func() {
		if got, want := fmt.Sprint(recover()), "secret: Of([]string)"; got != want {
			t.Errorf("panics with %q, want %q", got, want)
		}
	}()
	secret.Of([]string{canary})
}

func TestValueEqual(t *testing.T) {
	t.Parallel()
	var zero secret.Value
	for _, tt := range []struct {
		a, b secret.Value
		want bool
	}{
		{secret.New("a"), secret.New("a"), true},
		{secret.New("a"), secret.New("b"), false},
		{secret.New("a"), secret.New("ab"), false},
		{secret.New("1"), secret.Of(1), true},
		{zero, zero, true},
		{zero, secret.New(""), false},
		{secret.New(""), zero, false},
	} {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("Equal(%q, %q) = %t, want %t", tt.a.Reveal(), tt.b.Reveal(), got, tt.want)
		}
	}
}
