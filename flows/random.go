package flows

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/rand/v2"

	lua "github.com/yuin/gopher-lua"
)

// random gives the numbers of one branch. They depend on the seed of the run and
// on the path of the branch, not on what other branches do.
type random struct {
	numbers *rand.Rand
	uuids   *rand.ChaCha8
}

// numbers gives the random numbers of the running branch, made when first asked for.
func (r *runtime) numbers() *random {
	b := r.branch
	if b.random == nil {
		b.random = newRandom(r.cfg.Seed, b.path)
	}
	return b.random
}

func newRandom(seed [32]byte, path string) *random {
	derive := func(use string) *rand.ChaCha8 {
		return rand.NewChaCha8(sha256.Sum256(append(seed[:], use+":"+path...)))
	}
	return &random{rand.New(derive("random")), derive("uuid")} //nolint:gosec // shall repeat, hides nothing
}

func (r *runtime) uuid(L *lua.LState) int {
	var b [16]byte
	_, _ = r.numbers().uuids.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	L.Push(lua.LString(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]))
	return 1
}

// random is math.random: a number in [0,1), in 1..m, or in m..n.
func (r *runtime) random(L *lua.LState) int {
	from, to := int64(1), int64(0)
	switch L.GetTop() {
	case 0:
		L.Push(lua.LNumber(r.numbers().numbers.Float64()))
		return 1
	case 1:
		to = r.whole(L, 1)
	default:
		from, to = r.whole(L, 1), r.whole(L, 2)
	}
	if from > to {
		r.fail(L, "math.random: the interval is empty")
	}
	L.Push(lua.LNumber(from + r.numbers().numbers.Int64N(to-from+1)))
	return 1
}

func (r *runtime) whole(L *lua.LState, n int) int64 {
	f := float64(L.CheckNumber(n))
	if f != math.Trunc(f) || math.Abs(f) > exactFloat {
		r.fail(L, "math.random: %s is no whole number", formatNumber(f))
	}
	return int64(f)
}

// randomSeed starts another sequence, which the seed of the run still determines.
func (r *runtime) randomSeed(L *lua.LState) int {
	seed := "random " + formatNumber(float64(L.CheckNumber(1)))
	r.numbers().numbers = newRandom(r.cfg.Seed, seed+":"+r.branch.path).numbers
	return 0
}

// mathLibrary is Lua's. Functions of one and of two numbers are those of Go.
func (r *runtime) mathLibrary() *lua.LTable {
	one := func(name string, f func(float64) float64) entry {
		return entry{name, func(L *lua.LState) int {
			L.Push(lua.LNumber(f(float64(L.CheckNumber(1)))))
			return 1
		}}
	}
	two := func(name string, f func(a, b float64) float64) entry {
		return entry{name, func(L *lua.LState) int {
			L.Push(lua.LNumber(f(float64(L.CheckNumber(1)), float64(L.CheckNumber(2)))))
			return 1
		}}
	}
	pair := func(name string, f func(float64) (lua.LNumber, lua.LNumber)) entry {
		return entry{name, func(L *lua.LState) int {
			a, b := f(float64(L.CheckNumber(1)))
			L.Push(a)
			L.Push(b)
			return 2
		}}
	}
	best := func(name string, better func(a, b lua.LNumber) bool) entry {
		return entry{name, func(L *lua.LState) int {
			v := L.CheckNumber(1)
			for i := 2; i <= L.GetTop(); i++ {
				if n := L.CheckNumber(i); better(n, v) {
					v = n
				}
			}
			L.Push(v)
			return 1
		}}
	}
	t := r.library(
		one("abs", math.Abs), one("acos", math.Acos), one("asin", math.Asin), one("atan", math.Atan),
		one("ceil", math.Ceil), one("cos", math.Cos), one("cosh", math.Cosh), one("exp", math.Exp),
		one("floor", math.Floor), one("log10", math.Log10), one("log", math.Log), one("sin", math.Sin),
		one("sinh", math.Sinh), one("sqrt", math.Sqrt), one("tan", math.Tan), one("tanh", math.Tanh),
		one("deg", func(x float64) float64 { return x * 180 / math.Pi }),
		one("rad", func(x float64) float64 { return x * math.Pi / 180 }),
		two("atan2", math.Atan2), two("fmod", math.Mod), two("pow", math.Pow),
		two("ldexp", func(x, e float64) float64 { return math.Ldexp(x, int(max(min(e, 1e6), -1e6))) }),
		pair("frexp", func(x float64) (lua.LNumber, lua.LNumber) {
			f, e := math.Frexp(x)
			return lua.LNumber(f), lua.LNumber(e)
		}),
		pair("modf", func(x float64) (lua.LNumber, lua.LNumber) {
			whole, fraction := math.Modf(x)
			return lua.LNumber(whole), lua.LNumber(fraction)
		}),
		best("max", func(a, b lua.LNumber) bool { return a > b }),
		best("min", func(a, b lua.LNumber) bool { return a < b }),
		entry{"random", r.random}, entry{"randomseed", r.randomSeed},
	)
	t.RawSetString("pi", lua.LNumber(math.Pi))
	t.RawSetString("huge", lua.LNumber(math.Inf(1)))
	return t
}
