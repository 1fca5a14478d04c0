package flows

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// maxText is the length of the longest text, in bytes.
const maxText = 32 << 20

// installStrings gives texts their methods. Their metatable cannot be reached.
func (r *runtime) installStrings() {
	meta := r.first.CreateTable(0, 2)
	meta.RawSetString("__metatable", lua.LFalse)
	meta.RawSetString("__index", r.function(func(L *lua.LState) int {
		library := L.GetGlobal("string")
		meta.RawSetString("__index", library) // from now on without this function
		L.Push(L.GetTable(library, L.Get(2)))
		return 1
	}))
	r.first.SetMetatable(lua.LString(""), meta)
}

func (r *runtime) stringLibrary() *lua.LTable {
	return r.library(
		entry{"byte", r.stringByte}, entry{"char", r.stringChar}, entry{"find", r.stringFind},
		entry{"format", r.stringFormat}, entry{"gmatch", r.stringGmatch}, entry{"gsub", r.stringGsub},
		entry{"len", func(L *lua.LState) int {
			L.Push(lua.LNumber(len(L.CheckString(1))))
			return 1
		}},
		entry{"lower", r.mapBytes('A', 'Z', 0x20)}, entry{"upper", r.mapBytes('a', 'z', 0x20)},
		entry{"match", r.stringMatch}, entry{"rep", r.stringRep},
		entry{"reverse", func(L *lua.LState) int {
			b := []byte(r.input(L, 1))
			for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
				b[i], b[j] = b[j], b[i]
			}
			return r.pushText(L, string(b))
		}},
		entry{"sub", func(L *lua.LState) int {
			s := L.CheckString(1)
			from, to := span(len(s), L.CheckInt(2), L.OptInt(3, -1))
			L.Push(r.piece(L, s, from, to))
			return 1
		}},
	)
}

// input is an argument that the function makes another text of: room for a copy
// is accounted for before it is made.
func (r *runtime) input(L *lua.LState, n int) string {
	s := L.CheckString(n)
	r.take(L, len(s))
	return s
}

func (r *runtime) mapBytes(from, to, flip byte) lua.LGFunction {
	return func(L *lua.LState) int {
		b := []byte(r.input(L, 1))
		for i, c := range b {
			if from <= c && c <= to {
				b[i] = c ^ flip
			}
		}
		return r.pushText(L, string(b))
	}
}

// span turns Lua's positions, which start with 1 and may count from the end, into
// the bounds of a slice.
func span(n, from, to int) (int, int) {
	if from < 0 {
		from = max(n+from+1, 1)
	} else if from == 0 {
		from = 1
	}
	if to < 0 {
		to = n + to + 1
	}
	to = min(to, n)
	if from > to {
		return 0, 0
	}
	return from - 1, to
}

func (r *runtime) stringByte(L *lua.LState) int {
	s := L.CheckString(1)
	first := L.OptInt(2, 1)
	from, to := span(len(s), first, L.OptInt(3, first))
	if to-from > outerStack/2 {
		r.fail(L, "string.byte: too many results")
	}
	r.take(L, (to-from)*slotBytes)
	reserve(L, to-from)
	for i := from; i < to; i++ {
		L.Push(lua.LNumber(s[i]))
	}
	return to - from
}

func (r *runtime) stringChar(L *lua.LState) int {
	b := make([]byte, L.GetTop())
	for i := range b {
		c := L.CheckInt(i + 1)
		if c < 0 || c > 255 {
			L.ArgError(i+1, "value out of range")
		}
		b[i] = byte(c) //nolint:gosec // checked above
	}
	return r.pushText(L, string(b))
}

// checkLength stops the run before a text becomes too long.
func (r *runtime) checkLength(L *lua.LState, n int) {
	if n > maxText || n < 0 {
		r.stop(withHint(newError(engine.Limit, "a text of more than %s", size(maxText)),
			"work on less at a time, or let a task write to a file"))
		r.die(L)
	}
}

func (r *runtime) stringRep(L *lua.LState) int {
	s, n := L.CheckString(1), L.CheckNumber(2)
	if n < 1 || s == "" || math.IsNaN(float64(n)) {
		L.Push(lua.LString(""))
		return 1
	}
	if float64(n)*float64(len(s)) > maxText {
		r.checkLength(L, maxText+1)
	}
	total := int(n) * len(s)
	r.take(L, total+stringBytes)
	r.meter.work(total)
	L.Push(lua.LString(strings.Repeat(s, int(n))))
	return 1
}

func (r *runtime) newMatcher(L *lua.LState) *matcher {
	return &matcher{run: r, L: L, src: L.CheckString(1), pat: L.CheckString(2)}
}

// start reads the optional position from which a search begins.
func searchStart(L *lua.LState, n, length int) int {
	i := L.OptInt(n, 1)
	if i < 0 {
		i = max(length+i+1, 1)
	}
	return max(i, 1) - 1
}

func (r *runtime) stringFind(L *lua.LState) int {
	m := r.newMatcher(L)
	init := searchStart(L, 3, len(m.src))
	if init > len(m.src) {
		L.Push(lua.LNil)
		return 1
	}
	if lua.LVAsBool(L.Get(4)) || !strings.ContainsAny(m.pat, "^$*+?.([%-") {
		r.meter.work(len(m.src) - init)
		i := strings.Index(m.src[init:], m.pat)
		if i < 0 {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(lua.LNumber(init + i + 1))
		L.Push(lua.LNumber(init + i + len(m.pat)))
		return 2
	}
	start, end := m.search(init)
	if start < 0 {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(start + 1))
	L.Push(lua.LNumber(end))
	return 2 + m.pushCaptures(start, end, false)
}

func (r *runtime) stringMatch(L *lua.LState) int {
	m := r.newMatcher(L)
	start, end := m.search(searchStart(L, 3, len(m.src)))
	if start < 0 {
		L.Push(lua.LNil)
		return 1
	}
	return m.pushCaptures(start, end, true)
}

func (r *runtime) stringGmatch(L *lua.LState) int {
	src, pat, next := L.CheckString(1), L.CheckString(2), 0
	L.Push(r.function(func(L *lua.LState) int {
		m := &matcher{run: r, L: L, src: src, pat: pat}
		for s := next; s <= len(src); s++ {
			m.step()
			m.level = 0
			if end := m.at(s, 0); end >= 0 {
				next = end
				if end == s {
					next++
				}
				return m.pushCaptures(s, end, true)
			}
		}
		next = len(src) + 1
		L.Push(lua.LNil)
		return 1
	}, lua.LString(src)))
	return 1
}

// substitution is one gsub.
type substitution struct {
	*matcher
	replace lua.LValue
	out     strings.Builder
	held    int64
}

func (r *runtime) stringGsub(L *lua.LState) int {
	g := &substitution{matcher: r.newMatcher(L), replace: L.CheckAny(3)}
	defer func() { r.held -= g.held }()
	switch v := g.replace.(type) {
	case lua.LNumber:
		g.replace = lua.LString(formatNumber(float64(v)))
	case lua.LString, *lua.LTable, *lua.LFunction:
	default:
		L.ArgError(3, "string, table or function expected")
	}
	limit, count := math.MaxInt, 0
	if L.Get(4) != lua.LNil {
		limit = L.CheckInt(4)
	}
	p := 0
	anchored := strings.HasPrefix(g.pat, "^")
	if anchored {
		p = 1
	}
	s := 0
	for count < limit {
		g.step()
		g.level = 0
		end := g.at(s, p)
		if end >= 0 {
			count++
			g.add(s, end)
		}
		switch {
		case end > s:
			s = end
		case s < len(g.src):
			g.write(g.src[s : s+1])
			s++
		default:
			s++
		}
		if s > len(g.src) || anchored {
			break
		}
	}
	if s < len(g.src) {
		g.write(g.src[s:])
	}
	L.Push(lua.LString(g.out.String()))
	L.Push(lua.LNumber(count))
	return 2
}

// write adds to the result; what the builder keeps in reserve counts as well.
func (g *substitution) write(s string) {
	if g.out.Len()+len(s) > g.out.Cap() {
		g.run.checkLength(g.L, g.out.Len()+len(s))
		grown := 2 * (g.out.Cap() + len(s))
		g.run.take(g.L, grown)
		g.run.held += int64(grown) - g.held
		g.held = int64(grown)
		g.run.meter.work(g.out.Len() + len(s))
	}
	g.out.WriteString(s)
}

// add writes what stands for the match from start to end.
func (g *substitution) add(start, end int) {
	var v lua.LValue
	switch replace := g.replace.(type) {
	case lua.LString:
		g.expand(string(replace), start, end)
		return
	case *lua.LTable:
		v = g.L.GetTable(replace, g.value(0, start, end))
	case *lua.LFunction:
		g.L.Push(replace)
		n := g.pushCaptures(start, end, true)
		g.L.Call(n, 1)
		v = g.L.Get(-1)
		g.L.Pop(1)
	}
	switch v := v.(type) {
	case lua.LString:
		g.write(string(v))
	case lua.LNumber:
		g.write(formatNumber(float64(v)))
	case *lua.LNilType:
		g.write(g.src[start:end])
	default:
		if v == lua.LFalse {
			g.write(g.src[start:end])
			return
		}
		g.run.fail(g.L, "string.gsub: invalid replacement value (a %s)", typeName(v))
	}
}

func (g *substitution) expand(replace string, start, end int) {
	for {
		i := strings.IndexByte(replace, '%')
		if i < 0 {
			g.write(replace)
			return
		}
		g.write(replace[:i])
		if i+1 == len(replace) {
			g.run.fail(g.L, "string.gsub: invalid use of '%%' in the replacement")
		}
		switch c := replace[i+1]; {
		case c == '%':
			g.write("%")
		case c == '0':
			g.write(g.src[start:end])
		case '1' <= c && c <= '9':
			g.write(g.run.text(g.value(int(c-'1'), start, end)))
		default:
			g.run.fail(g.L, "string.gsub: invalid use of '%%' in the replacement")
		}
		replace = replace[i+2:]
	}
}

// stringFormat is string.format. Widths and precisions have two digits at most, as
// in Lua.
func (r *runtime) stringFormat(L *lua.LState) int {
	format, arg := L.CheckString(1), 1
	var b strings.Builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 {
			b.WriteString(format)
			return r.pushText(L, b.String())
		}
		b.WriteString(format[:i])
		format = format[i+1:]
		if strings.HasPrefix(format, "%") {
			b.WriteByte('%')
			format = format[1:]
			continue
		}
		n := r.formatSpec(L, format)
		arg++
		text := r.formatValue(L, format[:n-1], format[n-1], arg)
		r.checkLength(L, b.Len()+len(text))
		r.take(L, len(text))
		b.WriteString(text)
		format = format[n:]
	}
}

// formatSpec gives the length of flags, width, precision and verb.
func (r *runtime) formatSpec(L *lua.LState, s string) int {
	i := 0
	skip := func(set string, limit int) {
		for n := 0; i < len(s) && n < limit && strings.IndexByte(set, s[i]) >= 0; n++ {
			i++
		}
	}
	const digits = "0123456789"
	skip("-+ #0", 5)
	skip(digits, 2)
	if i < len(s) && s[i] == '.' {
		i++
		skip(digits, 2)
	}
	if i == len(s) || strings.IndexByte(digits+".", s[i]) >= 0 {
		r.fail(L, "string.format: invalid format (width or precision too long, or no verb)")
	}
	return i + 1
}

func (r *runtime) formatValue(L *lua.LState, flags string, verb byte, arg int) string {
	if arg > L.GetTop() {
		L.ArgError(arg, "no value")
	}
	switch verb {
	case 'd', 'i', 'u':
		return fmt.Sprintf("%"+flags+"d", r.integerArg(L, arg))
	case 'o', 'x', 'X':
		return fmt.Sprintf("%"+flags+string(verb), uint64(r.integerArg(L, arg))) //nolint:gosec // as C does
	case 'c':
		return string([]byte{byte(L.CheckInt(arg))}) //nolint:gosec // as C does
	case 'e', 'E', 'f', 'g', 'G':
		if f := float64(L.CheckNumber(arg)); !math.IsInf(f, 0) && !math.IsNaN(f) {
			return formatFloat(flags, verb, f)
		}
		return formatNumber(float64(L.CheckNumber(arg)))
	case 'q':
		return quoteLua(L.CheckString(arg))
	case 's':
		return fmt.Sprintf("%"+strings.ReplaceAll(flags, "0", "0")+"s", r.tostring(L, L.Get(arg)))
	}
	r.fail(L, "string.format: invalid verb %%%c", verb)
	return ""
}

// formatFloat follows C where Go differs: the precision of g is 6 if none is given.
func formatFloat(flags string, verb byte, f float64) string {
	if (verb == 'g' || verb == 'G') && !strings.Contains(flags, ".") {
		flags += ".6"
	}
	return fmt.Sprintf("%"+flags+string(verb), f)
}

func (r *runtime) integerArg(L *lua.LState, n int) int64 {
	f := float64(L.CheckNumber(n))
	if math.IsNaN(f) || math.Abs(f) > math.MaxInt64 {
		L.ArgError(n, "number has no integer representation")
	}
	return int64(f)
}

// quoteLua writes a text so that Lua reads it back.
func quoteLua(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// concat is the operator "..".
func (r *runtime) concat(L *lua.LState) int {
	n, total := L.GetTop(), 0
	for i := 1; i <= n; i++ {
		s, ok := L.Get(i).(lua.LString)
		if !ok {
			return r.concatMixed(L)
		}
		total += len(s)
	}
	r.checkLength(L, total)
	r.take(L, total+stringBytes)
	r.meter.work(total)
	var b strings.Builder
	b.Grow(total)
	for i := 1; i <= n; i++ {
		b.WriteString(string(L.Get(i).(lua.LString)))
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// concatMixed joins from the right, as Lua does, where numbers or values with a
// metatable are among the operands.
func (r *runtime) concatMixed(L *lua.LState) int {
	i := L.GetTop()
	acc := L.Get(i)
	for i--; i >= 1; {
		var parts []string
		for ; i >= 1 && lua.LVCanConvToString(acc) && lua.LVCanConvToString(L.Get(i)); i-- {
			parts = append(parts, r.text(L.Get(i)))
		}
		if len(parts) > 0 {
			for a, b := 0, len(parts)-1; a < b; a, b = a+1, b-1 {
				parts[a], parts[b] = parts[b], parts[a]
			}
			r.join(L, append(parts, r.text(acc)))
			acc = L.Get(-1)
			L.Pop(1)
			continue
		}
		lhs := L.Get(i)
		f := L.GetMetaField(lhs, "__concat")
		if f == lua.LNil {
			f = L.GetMetaField(acc, "__concat")
		}
		if f == lua.LNil {
			wrong := acc
			if !lua.LVCanConvToString(lhs) {
				wrong = lhs
			}
			L.RaiseError("attempt to concatenate a %s value", typeName(wrong))
		}
		L.Push(f)
		L.Push(lhs)
		L.Push(acc)
		L.Call(2, 1)
		acc = L.Get(-1)
		L.Pop(1)
		i--
	}
	L.Push(acc)
	return 1
}

// join pushes texts as one.
func (r *runtime) join(L *lua.LState, parts []string) int {
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	r.checkLength(L, total)
	r.take(L, total+stringBytes)
	r.meter.work(total)
	L.Push(lua.LString(strings.Join(parts, "")))
	return 1
}

// operand is a text, a number or a value with a text of its own.
func (r *runtime) operand(L *lua.LState, n int) string {
	switch v := L.Get(n).(type) {
	case lua.LString, lua.LNumber, *lua.LUserData:
		return r.text(v)
	}
	L.RaiseError("attempt to concatenate a %s value", typeName(L.Get(n)))
	return ""
}

// size writes a number of bytes.
func size(n int64) string {
	if n >= 1<<20 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
