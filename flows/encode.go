package flows

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // checksums of other systems, not security
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// jsonEncode is json.encode(value [, {indent = n}]). Keys are sorted; a secret is
// written as its name.
func (r *runtime) jsonEncode(L *lua.LState) int {
	indent := 0
	if t := L.OptTable(2, nil); t != nil {
		r.readFields(L, t, "json.encode", map[string]func(lua.LValue){"indent": func(v lua.LValue) {
			n, ok := v.(lua.LNumber)
			if !ok || n < 0 || n > 16 {
				r.fail(L, "json.encode: indent is a number from 0 to 16, not %s", quoteKey(v))
			}
			indent = int(n)
		}})
	}
	tree := r.tree(L, 1, "json.encode")
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", strings.Repeat(" ", indent))
	if err := e.Encode(tree); err != nil {
		r.fail(L, "json.encode: %s", err.Error())
	}
	return r.pushText(L, strings.TrimSuffix(b.String(), "\n"))
}

// tree converts an argument that is to be written as text.
func (r *runtime) tree(L *lua.LState, n int, what string) any {
	v, err := r.fromLua(L.CheckAny(n), "value")
	if err != nil {
		r.refuseValue(L, what, err)
	}
	return nameSecrets(v)
}

// nameSecrets puts the names of secrets in their places.
func nameSecrets(v any) any {
	switch v := v.(type) {
	case engine.SecretRef:
		return "secret(" + string(v) + ")"
	case []any:
		for i := range v {
			v[i] = nameSecrets(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = nameSecrets(v[k])
		}
	}
	return v
}

func (r *runtime) pushText(L *lua.LState, s string) int {
	r.take(L, len(s)+stringBytes)
	r.meter.work(len(s))
	L.Push(lua.LString(s))
	return 1
}

// jsonDecode builds the Lua values while it reads, so that what it takes is
// accounted for from element to element. Objects keep their order.
func (r *runtime) jsonDecode(L *lua.LState) int {
	text := L.CheckString(1)
	if !utf8.ValidString(text) {
		r.fail(L, "json.decode: the text is not valid UTF-8")
	}
	r.meter.work(len(text))
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := r.decodeValue(L, d, 0)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			L.Push(v)
			return 1
		}
		err = errors.New("there is more after the end of the value")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the text ends before the value does")
	}
	var syntax *json.SyntaxError
	offset := d.InputOffset()
	if errors.As(err, &syntax) {
		offset = syntax.Offset
	}
	line := 1 + strings.Count(text[:min(int(offset), len(text))], "\n")
	r.fail(L, "json.decode: line %d, byte %d: %s", line, offset, err.Error())
	return 0
}

func (r *runtime) decodeValue(L *lua.LState, d *json.Decoder, depth int) (lua.LValue, error) {
	if !r.meter.step() {
		r.die(L)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d levels deep", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return r.toLua(L, token), nil
	}
	r.take(L, tableBytes)
	if delim == '[' {
		t := r.newArray(0)
		L.Push(t) // where the census finds it
		for n := 0; d.More(); n++ {
			v, err := r.decodeValue(L, d, depth+1)
			if err != nil {
				return nil, err
			}
			if n >= maxList {
				return nil, fmt.Errorf("a list of more than %d elements", maxList)
			}
			r.take(L, slotBytes)
			t.Append(v)
		}
		L.Pop(1)
		_, err = d.Token()
		return t, err
	}
	t := r.newObject(0)
	L.Push(t)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := r.decodeValue(L, d, depth+1)
		if err != nil {
			return nil, err
		}
		r.take(L, keyBytes+slotBytes)
		t.RawSetString(key.(string), v)
	}
	L.Pop(1)
	_, err = d.Token()
	return t, err
}

func (r *runtime) yaml(L *lua.LState) YAML {
	if r.cfg.YAML == nil {
		r.fail(L, "yaml is not available here")
	}
	return r.cfg.YAML
}

func (r *runtime) yamlEncode(L *lua.LState) int {
	codec := r.yaml(L)
	text, err := codec.Encode(r.tree(L, 1, "yaml.encode"))
	if err != nil {
		r.fail(L, "yaml.encode: %s", err.Error())
	}
	return r.pushText(L, string(text))
}

func (r *runtime) yamlDecode(L *lua.LState) int {
	codec, text := r.yaml(L), L.CheckString(1)
	r.take(L, len(text)*yamlFactor)
	tree, err := codec.Decode([]byte(text))
	if err != nil {
		r.fail(L, "yaml.decode: %s", err.Error())
	}
	L.Push(r.toLua(L, tree))
	return 1
}

func (r *runtime) base64Encode(L *lua.LState) int {
	s := L.CheckString(1)
	r.take(L, base64.StdEncoding.EncodedLen(len(s)))
	return r.pushText(L, base64.StdEncoding.EncodeToString([]byte(s)))
}

// base64Decode reads the standard alphabet and that of URLs, with or without
// padding and line breaks.
func (r *runtime) base64Decode(L *lua.LState) int {
	s := L.CheckString(1)
	r.take(L, 2*len(s))
	clean := strings.NewReplacer("\n", "", "\r", "", "-", "+", "_", "/").Replace(s)
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(clean, "="))
	if err != nil {
		r.fail(L, "base64.decode: the text is not base64")
	}
	return r.pushText(L, string(b))
}

func (r *runtime) hashLibrary() *lua.LTable {
	kinds := []struct {
		name string
		new  func() hash.Hash
	}{{"md5", md5.New}, {"sha1", sha1.New}, {"sha256", sha256.New}, {"sha512", sha512.New}}
	var entries []entry
	for _, k := range kinds {
		entries = append(entries, entry{k.name, func(L *lua.LState) int { return r.digest(L, k.new(), L.CheckString(1)) }})
	}
	entries = append(entries, entry{"hmac", func(L *lua.LState) int {
		name := L.CheckString(1)
		for _, k := range kinds {
			if k.name == name {
				return r.digest(L, hmac.New(k.new, []byte(L.CheckString(2))), L.CheckString(3))
			}
		}
		r.fail(L, "hash.hmac: %s is no hash; there are md5, sha1, sha256 and sha512", quoteKey(lua.LString(name)))
		return 0
	}})
	return r.library(entries...)
}

func (r *runtime) digest(L *lua.LState, h hash.Hash, text string) int {
	r.meter.work(len(text))
	_, _ = io.WriteString(h, text) // a hash never fails
	return r.pushText(L, hex.EncodeToString(h.Sum(nil)))
}
