package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Random makes up flows, each from a seed, and runs each of them without a crash and
// several times with crashes, pauses and restarts at any moment: it must come to the
// same. The seeds count from first; that of a flow that fails is in the test's name.
func Random(t *testing.T, s Suite, first uint64, flows int) {
	t.Helper()
	for seed := first; seed < first+uint64(flows); seed++ { //nolint:gosec // it is small
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // shall repeat, hides nothing
			flow := newMaker(r).flow()
			want := s.play(t, flow, nil, nil)
			if want.problem != "" {
				t.Fatalf("without a crash: %s\n%s", want.problem, flow)
			}
			for range 4 {
				crashes := []int{1 + r.IntN(want.commits)}
				for r.IntN(2) == 0 {
					crashes = append(crashes, 2+r.IntN(20))
				}
				got := s.play(t, flow, crashes, r)
				if problem := got.differs(want); problem != "" {
					t.Fatalf("crashes after commits %v: %s\n%s", crashes, problem, flow)
				}
			}
		})
	}
}

// String gives the texts of a flow.
func (f sweptFlow) String() string {
	var b strings.Builder
	b.WriteString(f.text)
	for name, text := range f.files {
		fmt.Fprintf(&b, "\n-- %s.lua\n%s", name, text)
	}
	return b.String()
}

// maker makes up a flow. What it returns depends on no time and no order.
type maker struct {
	r     *rand.Rand
	files map[string]string
	sites int // numbers of the counters
	left  int // statements that may still be made
}

func newMaker(r *rand.Rand) *maker { return &maker{r: r, files: map[string]string{}, left: 25} }

func (m *maker) flow() sweptFlow {
	text := m.chunk(0)
	if m.r.IntN(4) == 0 {
		text = strings.Replace(text, "return acc", `error("failed with " .. acc)`, 1)
	}
	return sweptFlow{text: text, files: m.files}
}

// chunk makes the text of a file.
func (m *maker) chunk(depth int) string {
	var b strings.Builder
	b.WriteString("local P, acc = input.p or \"\", \"\"\n")
	if m.r.IntN(3) == 0 {
		fmt.Fprintf(&b, "defer(function() task(\"FAKE\", { counter = P .. %q }) end)\n", m.site("d"))
	}
	b.WriteString(m.block(depth, 2+m.r.IntN(4)))
	b.WriteString("return acc\n")
	return b.String()
}

func (m *maker) site(kind string) string {
	m.sites++
	return fmt.Sprint(kind, m.sites)
}

func (m *maker) block(depth, statements int) string {
	var b strings.Builder
	for range statements {
		if m.left--; m.left < 0 {
			break
		}
		b.WriteString(m.statement(depth))
	}
	return b.String()
}

// statement makes one that adds to acc. P is in the names of all counters, so that
// each is of one step only.
func (m *maker) statement(depth int) string {
	simple := []func() string{m.step, m.once, m.sleep, m.caught, m.flaky, m.random, m.several, m.shared, m.line}
	nested := []func(int) string{m.child, m.parallel, m.loop, m.protected}
	if depth < 3 && m.r.IntN(3) == 0 {
		return nested[m.r.IntN(len(nested))](depth + 1)
	}
	return simple[m.r.IntN(len(simple))]()
}

func (m *maker) step() string {
	return fmt.Sprintf("acc = acc .. (function() return task(\"FAKE\", { counter = P .. %q, payload = %d, delay = \"%dms\" }).output.inputs.payload end)()\n",
		m.site("i"), m.r.IntN(10), m.r.IntN(3)*m.r.IntN(300))
}

func (m *maker) once() string {
	return fmt.Sprintf("task(\"FAKE\", { operation = \"count\", counter = \"once\" .. P .. %q, delay = \"%dms\" })\n", m.site("o"), m.r.IntN(3))
}

func (m *maker) sleep() string {
	return fmt.Sprintf("sleep(%g)\n", []float64{0, 0.001, 0.02, 0.9, 1.5, 7}[m.r.IntN(6)])
}

func (m *maker) caught() string {
	kind := []string{"denied", "conflict", "permanent"}[m.r.IntN(3)]
	return fmt.Sprintf("do local ok, e = pcall(task, \"FAKE\", { counter = P .. %q, fail_times = -1, fail_kind = %q }) acc = acc .. e.kind end\n",
		m.site("i"), kind)
}

func (m *maker) flaky() string {
	return fmt.Sprintf("acc = acc .. task(\"FAKE\", { counter = P .. %q, fail_times = %d }, { retry = { max_tries = 9, delay = %g } }).status\n",
		m.site("i"), m.r.IntN(3), []float64{0.001, 0.5, 3}[m.r.IntN(3)])
}

func (m *maker) random() string {
	return fmt.Sprintf("do local u = uuid() .. math.random() .. time.now() acc = acc .. tostring(task(\"FAKE\", { counter = P .. %q, payload = u }).output.inputs.payload == u) end\n",
		m.site("i"))
}

func (m *maker) several() string {
	return fmt.Sprintf(`do
	local all = {}
	for i = 1, %d do all[i] = task("FAKE", { counter = P .. %q .. i, payload = i, delay = ((i * %d) %% 7) .. "ms" }, { wait = false }) end
	wait_any(all)
	for _, e in ipairs(wait_all(all)) do acc = acc .. e.output.inputs.payload end
end
`, 1+m.r.IntN(5), m.site("i"), m.r.IntN(7))
}

func (m *maker) shared() string {
	return fmt.Sprintf(`do
	local s = setting(%q)
	s:lock()
	local n = s:get() or 0
	%s
	s:set(n + 1)
	s:unlock()
end
`, []string{"x", "y"}[m.r.IntN(2)], m.sleep())
}

func (m *maker) line() string { return fmt.Sprintf("log.info(P .. %q .. #acc)\n", m.site("l")) }

func (m *maker) child(depth int) string {
	name := m.site("child")
	m.files[name] = m.chunk(depth)
	if m.r.IntN(3) == 0 {
		return fmt.Sprintf(`do
	local a = flow(%[1]q, { p = P .. "a" }, { wait = false })
	local b = flow(%[1]q, { p = P .. "b" }, { wait = false, timeout = "1h" })
	acc = acc .. b:wait().output .. a:wait().output
end
`, name)
	}
	return fmt.Sprintf("acc = acc .. flow(%q, { p = P .. %q }).output\n", name, m.site("c"))
}

func (m *maker) parallel(depth int) string {
	var b strings.Builder
	b.WriteString("for _, part in ipairs(parallel{\n")
	for range 2 + m.r.IntN(2) {
		b.WriteString("function() local acc = \"\"\n" + m.block(depth, 1+m.r.IntN(3)) + "return acc end,\n")
	}
	b.WriteString("}) do acc = acc .. part end\n")
	return b.String()
}

func (m *maker) loop(depth int) string {
	return fmt.Sprintf("for i = 1, %d do local P = P .. i .. \"-\"\n%send\n", 1+m.r.IntN(3), m.block(depth, 1+m.r.IntN(2)))
}

func (m *maker) protected(depth int) string {
	return fmt.Sprintf("pcall(function()\n%serror(\"caught\") end)\n", m.block(depth, 1+m.r.IntN(2)))
}
