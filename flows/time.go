package flows

import (
	"fmt"
	"math"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
)

// A time is a number of seconds since 1970 in a script, as in Lua.

func (r *runtime) timeNow(L *lua.LState) int {
	reply := r.call(L, engine.Call{Kind: engine.CallNow})
	L.Push(lua.LNumber(float64(reply.Time.UnixMicro()) / 1e6))
	return 1
}

// instant takes a number of seconds since 1970, or a text as RFC 3339 has it.
func (r *runtime) instant(L *lua.LState, n int, what string) time.Time {
	switch v := L.Get(n).(type) {
	case lua.LNumber:
		if math.Abs(float64(v)) < 1e11 {
			whole, fraction := math.Modf(float64(v))
			return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC()
		}
	case lua.LString:
		if t, ok := parseTime(string(v)); ok {
			return t
		}
	}
	r.raise(L, withHint(newError(engine.Invalid, "%s: %s is no time", what, quoteKey(L.Get(n))),
		`write "2026-01-02T15:04:05Z", or a number such as time.now() + 3600`))
	return time.Time{}
}

func parseTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

func (r *runtime) timeParse(L *lua.LState) int {
	L.Push(lua.LNumber(float64(r.instant(L, 1, "time.parse").UnixMicro()) / 1e6))
	return 1
}

// timeFormat is time.format(t [, pattern]), in UTC; without a pattern as RFC 3339.
func (r *runtime) timeFormat(L *lua.LState) int {
	t := r.instant(L, 1, "time.format")
	if L.Get(2) == lua.LNil {
		L.Push(lua.LString(t.Format(time.RFC3339Nano)))
		return 1
	}
	text, err := strftime(t, L.CheckString(2))
	if err != nil {
		r.fail(L, "time.format: %s", err.Error())
	}
	return r.pushText(L, text)
}

func strftime(t time.Time, pattern string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			b.WriteByte(pattern[i])
			continue
		}
		if i++; i == len(pattern) {
			return "", fmt.Errorf("the pattern ends with %%")
		}
		layout, ok := timeLayout(pattern[i])
		switch {
		case ok:
			b.WriteString(t.Format(layout))
		case pattern[i] == '%':
			b.WriteByte('%')
		case pattern[i] == 's':
			fmt.Fprint(&b, t.Unix())
		case pattern[i] == 'w':
			fmt.Fprint(&b, int(t.Weekday()))
		default:
			return "", fmt.Errorf("%%%c is not known", pattern[i])
		}
	}
	return b.String(), nil
}

func timeLayout(c byte) (string, bool) {
	switch c {
	case 'Y':
		return "2006", true
	case 'm':
		return "01", true
	case 'd':
		return "02", true
	case 'H':
		return "15", true
	case 'I':
		return "03", true
	case 'M':
		return "04", true
	case 'S':
		return "05", true
	case 'p':
		return "PM", true
	case 'a':
		return "Mon", true
	case 'A':
		return "Monday", true
	case 'b':
		return "Jan", true
	case 'B':
		return "January", true
	case 'j':
		return "002", true
	case 'y':
		return "06", true
	case 'F':
		return "2006-01-02", true
	case 'T':
		return "15:04:05", true
	case 'z':
		return "-0700", true
	case 'Z':
		return "MST", true
	}
	return "", false
}
