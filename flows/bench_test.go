package flows_test

import (
	"context"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// trivial answers every call at once and keeps nothing.
type trivial struct{}

func (trivial) Call(context.Context, engine.Call) (engine.Reply, error) {
	return engine.Reply{Executions: []engine.Execution{{ID: "e", Status: engine.Succeeded}}}, nil
}

func (trivial) Parallel(parts []func()) {
	for _, part := range parts {
		part()
	}
}

func (trivial) Emit(engine.Event) {}

func bench(b *testing.B, script string) {
	b.Helper()
	p, err := flows.Compile("flow.lua", []byte(script))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flows.Run(b.Context(), p, flows.Config{Host: trivial{}}); err != nil {
			b.Fatal(err)
		}
	}
}

// perOp runs a script that does something n times, and reports the time of one.
func perOp(b *testing.B, n int, script string) {
	b.Helper()
	bench(b, script)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/each")
}

func BenchmarkEmptyFlow(b *testing.B) { bench(b, ``) }

func BenchmarkHelloFlow(b *testing.B) { bench(b, `log.info("hello") return {hello = "world"}`) }

func BenchmarkConnect(b *testing.B) {
	perOp(b, 1000, `for i = 1, 1000 do connect("library", {ref = "v2"}) end`)
}

func BenchmarkPcall(b *testing.B) {
	b.Run("succeeding", func(b *testing.B) {
		perOp(b, 1000, `local function f() end for i = 1, 1000 do pcall(f) end`)
	})
	b.Run("failing", func(b *testing.B) {
		perOp(b, 1000, `local function f() error("x") end for i = 1, 1000 do pcall(f) end`)
	})
}

func BenchmarkParallel(b *testing.B) {
	perOp(b, 500, `local t = {} for i = 1, 500 do t[i] = function() connect("x") end end parallel(t)`)
}

func BenchmarkCompile(b *testing.B) {
	text := []byte(computing)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flows.Compile("flow.lua", text); err != nil {
			b.Fatal(err)
		}
	}
}

const computing = `
	local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
	local t, s = {}, ""
	for i = 1, 10000 do t[i] = i % 7 end
	for i = 1, 1000 do s = s .. t[i] end
	return fib(22) + #s`

// BenchmarkComputing sets the sandbox against the bare machine.
func BenchmarkComputing(b *testing.B) {
	b.Run("sandbox", func(b *testing.B) { bench(b, computing) })
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			L := lua.NewState()
			if err := L.DoString(computing); err != nil {
				b.Fatal(err)
			}
			L.Close()
		}
	})
}

// BenchmarkCensus is a script that keeps 50,000 tables while it computes.
func BenchmarkCensus(b *testing.B) {
	bench(b, `local t = {} for i = 1, 50000 do t[i] = {i} end local n = 0 for i = 1, 3e6 do n = n + 1 end return n`)
}
