package enginetest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

// Sweep runs flows, and each of them once for every commit that its engine makes: the
// engine ends at that commit without a word, another one takes over, and all must
// come to what it would have come to. A step that may run twice has run once more at
// most; one that must not has not, since a person who looks answers what became of it.
//
// Of the commits of a flow it takes each stride-th; 1 means all of them.
func Sweep(t *testing.T, s Suite, stride int) {
	t.Helper()
	for i, name := range slices.Sorted(maps.Keys(sweptFlows())) {
		flow := sweptFlows()[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := s.play(t, flow, nil, nil)
			if want.commits == 0 || want.problem != "" {
				t.Fatalf("without a crash, after %d commits: %s", want.commits, want.problem)
			}
			for n := 1 + i%stride; n <= want.commits; n += stride {
				for _, silent := range []bool{false, true} {
					crash := n
					if silent {
						crash = -n
					}
					got := s.play(t, flow, []int{crash}, nil)
					if problem := got.differs(want); problem != "" {
						t.Errorf("after a crash at commit %d of %d (silent: %t): %s", n, want.commits, silent, problem)
					}
				}
			}
		})
	}
}

// sweptFlow is a flow with what is done from outside while it runs.
type sweptFlow struct {
	text string
	// files are other flows and modules, by name.
	files map[string]string
	// cancel is the counter of the task by which the flow is cancelled; empty for not.
	cancel string
	// retry retries it once when it has failed.
	retry bool
	// refuse has the store refuse each so many-th commit.
	refuse int
}

// played is what a flow has come to.
type played struct {
	result   string // output or error
	lines    []string
	counts   map[string]int
	commits  int
	ends     int    // of engines, before the last one
	problem  string // empty if there is none
	journals string // of the tree, for messages
}

// play runs a flow to its end, on engines that end after so many commits each, without
// having learned of the last one if the number is negative, and on one that does not.
// With random numbers it is paused and resumed as well, engines are stopped, and what
// they write is refused at times.
func (s Suite) play(t *testing.T, flow sweptFlow, crashes []int, r *rand.Rand) (got played) {
	t.Helper()
	s.Around(t, func(t *testing.T) {
		w := newWorld(t, s)
		for name, text := range flow.files {
			w.flow(name, text)
		}
		p := &player{world: w, flow: flow, crashes: crashes, random: r, answered: map[string]bool{}}
		p.setup.Refuse = flow.refuse
		if p.next(); r != nil {
			p.setup.Late = []time.Duration{0, time.Millisecond, 150 * time.Millisecond}[r.IntN(3)]
			p.setup.Refuse = []int{0, 3, 5, 9}[r.IntN(4)]
			p.setup.Stale = r.IntN(2) == 0
		}
		got = p.play()
		if p.id != "" {
			tree, _ := w.on().Tree(w.Context(), p.id)
			for _, row := range tree {
				got.journals += fmt.Sprintf("\n%s: %+v\n%s", row.ID, row.State, w.journal(row.ID))
			}
		}
		if got.problem != "" {
			got.problem += got.journals
		}
	})
	return got
}

// player is the person who sits before an engine: who starts it again when it has
// ended, answers questions, and gives orders.
type player struct {
	*world
	flow     sweptFlow
	id       engine.ID
	answered map[string]bool
	ordered  bool
	retried  bool
	crashes  []int // of the next engines
	random   *rand.Rand
	paused   bool
	commits  int
	ends     int
}

// next says when the next engine ends.
func (p *player) next() {
	p.setup.DieAfter, p.setup.Silent = 0, false
	if len(p.crashes) > 0 {
		n := p.crashes[0]
		p.crashes = p.crashes[1:]
		p.setup.DieAfter, p.setup.Silent = max(n, -n), n < 0
	}
}

func (p *player) play() (got played) {
	if got.problem = p.begin(); got.problem != "" {
		return got
	}
	for n, seen := 0, -1; ; n++ {
		p.nap(n)
		if died(p.engine) {
			p.again()
		}
		if commits := p.commits + p.engine.Commits(); commits != seen || n%20 == 0 { // something may have changed
			seen = commits
			tree, err := p.on().Tree(p.Context(), p.id)
			if err != nil {
				got.problem = err.Error()
				return got
			}
			if p.answer(tree); p.isOver(tree) {
				break
			}
		}
		p.disturb(n)
		if n > 5000 {
			got.problem = "it does not end"
			return got
		}
	}
	return p.result()
}

// again starts another engine after one has ended.
func (p *player) again() {
	p.ended()
	p.crash()
}

func (p *player) ended() {
	p.commits += p.engine.Commits()
	p.ends++
	p.next()
}

// disturb does what people do, at random.
func (p *player) disturb(n int) {
	if p.random == nil {
		return
	}
	switch {
	case p.paused && p.random.IntN(5) == 0 || n > 1000:
		p.paused = false
		p.order(p.id, journal.VerbResume)
	case n > 1000 || p.random.IntN(20) > 0:
	case p.random.IntN(3) == 0 && !died(p.engine):
		p.ended()
		p.restart()
	default:
		p.paused = true
		p.order(p.id, journal.VerbPause)
	}
}

// begin starts the flow. Who does not hear that it was started looks whether it was.
func (p *player) begin() (problem string) {
	request := engine.Request{File: p.dir + "/main.lua", Text: []byte(p.flow.text), Files: p.files, Name: "swept"}
	var err error
	if p.id, err = p.on().Start(p.Context(), request); err == nil {
		return ""
	}
	if !died(p.engine) {
		return err.Error()
	}
	p.again()
	roots, err := p.on().Roots(p.Context())
	if err != nil {
		return err.Error()
	}
	if len(roots) > 0 {
		p.id = roots[0].ID
		return ""
	}
	p.id, err = p.on().Start(p.Context(), request)
	if err != nil {
		return err.Error()
	}
	return ""
}

func (p *player) isOver(tree []journal.Row) bool {
	root := tree[0]
	if !root.Status.Ended() {
		return false
	}
	if p.flow.retry && !p.retried {
		p.retried = true
		p.order(p.id, journal.VerbRetry)
		return false
	}
	return p.pending() == 0 && p.row(p.id).Status.Ended()
}

// answer gives the answers and orders that are wanted now.
func (p *player) answer(tree []journal.Row) {
	if c := p.flow.cancel; c != "" && !p.ordered && p.count(c) > 0 {
		p.ordered = true
		p.order(p.id, journal.VerbCancel)
	}
	for _, row := range tree {
		switch {
		case row.Status == engine.Paused && row.Waits == journal.WaitsForDecision:
			p.decideAll(row.ID)
		case row.Status == engine.Waiting && row.Waits == journal.WaitsForAnswer:
			p.answerAll(row.ID)
		}
	}
}

// decideAll looks at the counters of the steps in doubt: they show what took effect.
func (p *player) decideAll(id engine.ID) {
	for _, called := range p.open(id) {
		step := string(journal.ChildID(id, called.Address))
		tries := p.tries(id, called.Address)
		key := fmt.Sprint(step, tries)
		if tries == 0 || p.answered[key] {
			continue
		}
		p.answered[key] = true
		decision := journal.DecisionRepeat
		if counter, _ := called.Inputs["counter"].(string); p.count(counter) > 0 {
			decision = journal.DecisionDone
		}
		p.world.answer(id, step, decision)
	}
}

func (p *player) answerAll(id engine.ID) {
	for _, called := range p.open(id) {
		key := fmt.Sprint(id, called.Address)
		if called.Kind == engine.CallAsk && !p.answered[key] {
			p.answered[key] = true
			p.world.answer(id, called.String(), map[string]any{"answer": "yes to " + called.Name})
		}
	}
}

// open gives the calls that are under way, as the journal has them.
func (p *player) open(id engine.ID) (open []*journal.Called) {
	h, err := p.on().Load(p.Context(), id)
	if err != nil {
		p.Fatal(err)
	}
	ended := map[journal.Address]bool{}
	for _, event := range slices.Backward(h.Events) {
		switch e := event.(type) {
		case *journal.Returned:
			ended[e.Address] = true
		case *journal.Answered:
			ended[e.Address] = true
		case *journal.Called:
			if !ended[e.Address] {
				ended[e.Address] = true
				open = append(open, e)
			}
		}
	}
	return open
}

// tries counts how often a call was written down.
func (p *player) tries(id engine.ID, a journal.Address) (n int) {
	h, err := p.on().Load(p.Context(), id)
	if err != nil {
		p.Fatal(err)
	}
	for _, event := range h.Events {
		if e, ok := event.(*journal.Called); ok && e.Address == a && e.Once {
			n++
		}
	}
	return n
}

// result is what there is at the end, and whether its parts agree.
func (p *player) result() (got played) {
	p.until("nothing is in memory", func() bool { return died(p.engine) || p.on().Resident() == 0 })
	if died(p.engine) { // before it heard of the end
		p.again()
	}
	e := p.end(p.id)
	got.result = string(e.Status) + " " + text(p.T, e.Output)
	if e.Error != nil {
		message := strings.ReplaceAll(e.Error.Message, p.dir, "DIR")
		got.result = fmt.Sprintf("%s %s %s", e.Status, e.Error.Kind, strings.ReplaceAll(message, string(p.id), "ID"))
	}
	got.lines, got.counts, got.commits = p.lines(p.id), p.counts(), p.commits+p.engine.Commits()
	got.ends = p.ends
	slices.Sort(got.lines)
	if err := Consistent(p.Context(), p.on(), p.id); err != nil {
		got.problem = err.Error()
	}
	return got
}

// differs tells what is not as it should be. Counters whose name begins with "once"
// are of steps that must not run twice, and those with "any" of some that need not
// run at all.
func (got played) differs(want played) string {
	if got.problem != "" {
		return got.problem
	}
	if diff := cmp.Diff(want.result, got.result); diff != "" {
		return "result (-want +got):\n" + diff
	}
	if diff := cmp.Diff(want.lines, got.lines); diff != "" {
		return "log (-want +got):\n" + diff
	}
	for name, n := range got.counts {
		if strings.HasPrefix(name, "any") {
			continue
		}
		most := want.counts[name] + got.ends
		if strings.HasPrefix(name, "once") {
			most = want.counts[name]
		}
		if n < want.counts[name] || n > most {
			return fmt.Sprintf("%s was tried %d times, not %d, and %d engines ended\n%s", name, n, want.counts[name], got.ends, got.journals)
		}
	}
	for name := range want.counts {
		if got.counts[name] == 0 && !strings.HasPrefix(name, "any") {
			return name + " was not tried"
		}
	}
	return ""
}

// Kept is what [Consistent] looks at.
type Kept interface {
	Tree(ctx context.Context, id engine.ID) ([]journal.Row, error)
	Load(ctx context.Context, id engine.ID) (journal.History, error)
}

// Consistent tells where what is kept of a tree of executions contradicts itself.
func Consistent(ctx context.Context, kept Kept, root engine.ID) error {
	rows, err := kept.Tree(ctx, root)
	if err != nil {
		return err
	}
	tree := map[engine.ID]journal.History{}
	for _, row := range rows {
		if tree[row.ID], err = kept.Load(ctx, row.ID); err != nil {
			return err
		}
	}
	for id, h := range tree {
		if err := agrees(h, tree); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// agrees compares an execution's row with its journal, and both with its children's.
func agrees(h journal.History, tree map[engine.ID]journal.History) error {
	cursor, err := journal.NewCursor(h.Events)
	if err != nil {
		return err
	}
	if h.Status.Ended() != (cursor.Ended != nil) {
		return fmt.Errorf("it is %s, and its journal's end is %v", h.Status, cursor.Ended)
	}
	if h.Status.Ended() && (cursor.Ended.Status != h.Status || !h.Wake.IsZero() || h.Waits != "" || !h.Ended.Equal(cursor.Ended.At)) {
		return fmt.Errorf("it is %+v, and its journal ends with %+v", h.State, cursor.Ended)
	}
	if parent, ok := tree[h.Parent]; ok && parent.Status.Ended() && !h.Status.Ended() {
		return fmt.Errorf("it is %s, and its parent is %s", h.Status, parent.Status)
	}
	return agreesWithChildren(h, tree)
}

func agreesWithChildren(h journal.History, tree map[engine.ID]journal.History) error {
	last := map[journal.Address]*journal.Returned{}
	for _, event := range h.Events {
		if e, ok := event.(*journal.Returned); ok && e.Kind == engine.CallFlow && e.Tries > 0 {
			last[e.Address] = e
		}
	}
	for address, e := range last {
		child, ok := tree[journal.TryID(journal.ChildID(h.ID, address), e.Tries)]
		if !ok || !h.Status.Ended() {
			continue
		}
		c, err := journal.NewCursor(child.Events)
		if err != nil || c.Ended == nil || c.Ended.Status != e.Status || !cmp.Equal(c.Ended.Output, e.Output) {
			return fmt.Errorf("its child %s ended as %+v (%v), and it has it as %+v", child.ID, c.Ended, err, e) //nolint:errorlint // it may be nil
		}
	}
	return nil
}
