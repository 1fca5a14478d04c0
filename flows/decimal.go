package flows

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/apd/v3"
	lua "github.com/yuin/gopher-lua"
)

const (
	maxDigits    = 400  // of a decimal, and of a text that tonumber reads
	maxExponent  = 1000 // of a decimal
	quotientSize = 40   // significant digits of a quotient that does not end
)

// number is an exact decimal number. It is immutable.
type number struct{ apd.Decimal }

// String writes the number as JSON does, without an exponent where that is short.
func (n *number) String() string {
	if n.Exponent > 0 || n.Exponent < -60 {
		return strings.ToLower(n.Text('G'))
	}
	return n.Text('f')
}

var errNoDecimal = errors.New("is not a decimal number")

func parseDecimal(text string) (*number, error) {
	shown := text
	if len(shown) > 40 {
		shown = shown[:40] + "..."
	}
	if len(text) > maxDigits {
		return nil, fmt.Errorf("the number %s has more than %d digits", shown, maxDigits)
	}
	d, _, err := apd.NewFromString(text)
	if err != nil || d.Form != apd.Finite {
		return nil, fmt.Errorf("%q %w", shown, errNoDecimal)
	}
	if d.Exponent > maxExponent || d.Exponent < -maxExponent {
		return nil, fmt.Errorf("the number %s is out of range", shown)
	}
	return &number{*d}, nil
}

// exactContext refuses what it cannot give exactly.
func exactContext() *apd.Context {
	return &apd.Context{
		Precision: maxDigits, MaxExponent: maxExponent, MinExponent: -maxExponent,
		Traps: apd.DefaultTraps | apd.Inexact, Rounding: apd.RoundHalfEven,
	}
}

func quotientContext() *apd.Context {
	c := exactContext()
	c.Precision, c.Traps = quotientSize, apd.DefaultTraps
	return c
}

// decimal is the script's function: it makes a decimal of a number or a text.
func (r *runtime) decimal(L *lua.LState) int {
	L.Push(r.userdata(r.checkDecimal(L, 1), kindDecimal))
	return 1
}

// checkDecimal takes a decimal, a number, or a text that holds one.
func (r *runtime) checkDecimal(L *lua.LState, n int) *number {
	switch v := L.CheckAny(n).(type) {
	case *lua.LUserData:
		if d, ok := v.Value.(*number); ok {
			return d
		}
	case lua.LNumber, lua.LString:
		d, err := parseDecimal(strings.TrimSpace(r.text(v)))
		if err != nil {
			r.fail(L, "decimal: %s", err.Error())
		}
		return d
	}
	r.fail(L, "decimal: a decimal, a number or a text is needed, not a %s", typeName(L.Get(n)))
	return nil
}

func (r *runtime) decimalMethods(set func(string, lua.LGFunction)) {
	exact, quotient := exactContext(), quotientContext()
	binary := func(name string, op func(d, x, y *apd.Decimal) (apd.Condition, error)) {
		set(name, func(L *lua.LState) int {
			x, y, d := r.checkDecimal(L, 1), r.checkDecimal(L, 2), &number{}
			if _, err := op(&d.Decimal, &x.Decimal, &y.Decimal); err != nil {
				r.fail(L, "decimal: the result of %s is not a decimal of at most %d digits (%s)", decimalOperator(name), maxDigits, err.Error())
			}
			r.meter.work(maxDigits)
			L.Push(r.userdata(d, kindDecimal))
			return 1
		})
	}
	binary("__add", exact.Add)
	binary("__sub", exact.Sub)
	binary("__mul", exact.Mul)
	binary("__div", quotient.Quo)
	binary("__mod", exact.Rem)
	set("__unm", func(L *lua.LState) int {
		d := &number{}
		d.Neg(&r.checkDecimal(L, 1).Decimal)
		L.Push(r.userdata(d, kindDecimal))
		return 1
	})
	compare := func(name string, holds func(int) bool) {
		set(name, func(L *lua.LState) int {
			x, y := r.checkDecimal(L, 1), r.checkDecimal(L, 2)
			L.Push(lua.LBool(holds(x.Cmp(&y.Decimal))))
			return 1
		})
	}
	compare("__eq", func(c int) bool { return c == 0 })
	compare("__lt", func(c int) bool { return c < 0 })
	compare("__le", func(c int) bool { return c <= 0 })
	set("__index", func(L *lua.LState) int {
		r.fail(L, "a decimal has no field %s; use tonumber() or tostring()", quoteKey(L.Get(2)))
		return 0
	})
}

func decimalOperator(event string) string {
	return map[string]string{"__add": "+", "__sub": "-", "__mul": "*", "__div": "/", "__mod": "%"}[event]
}
