package journal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

func address(n int) journal.Address { return journal.Address{Number: n} }

func identity(kind engine.CallKind, name string) journal.Identity {
	return journal.Identity{Kind: kind, Name: name, Digest: 1}
}

func after(seconds int) time.Time { return at.Add(time.Duration(seconds) * time.Second) }

func fault(kind engine.Kind) *engine.Error { return &engine.Error{Kind: kind, Message: string(kind)} }

// outlined is what there is to say of steps in short: one line each.
func outlined(o journal.Outline) string {
	var b strings.Builder
	seconds := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return fmt.Sprint(t.Sub(at).Seconds())
	}
	for _, s := range o.Steps {
		fmt.Fprintf(&b, "%s %s %q %s %s..%s", s.Address, s.Kind, s.Name, s.Status, seconds(s.Started), seconds(s.Ended))
		if s.Tries > 1 {
			fmt.Fprintf(&b, " try %d", s.Tries)
		}
		for _, f := range s.Failures {
			fmt.Fprintf(&b, " (%s %s%s)", seconds(f.Ended), f.Error.Kind, f.Child)
		}
		if s.Child != "" {
			b.WriteString(" child " + string(s.Child))
		}
		if !s.Next.IsZero() {
			b.WriteString(" next " + seconds(s.Next))
		}
		if q := s.Question; q != nil {
			fmt.Fprintf(&b, " asks %s form %d", q.Step, len(q.Form))
		}
		b.WriteString("\n")
	}
	for _, n := range o.Notes {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%s %s %s %s", seconds(n.At), n.What, n.Step, n.By), " ") + "\n")
	}
	return b.String()
}

// outlineCase is the state and the events after the first of an execution.
type outlineCase struct {
	state  journal.State
	events []journal.Event
	want   string
}

func checkOutlines(t *testing.T, cases map[string]outlineCase) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := append([]journal.Event{&journal.Begun{At: at}}, test.events...)
			h := journal.History{Row: journal.Row{ID: "root", State: test.state}, Events: events}
			if diff := cmp.Diff(test.want, outlined(journal.NewOutline(h))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

var (
	connect = identity(engine.CallConnect, "db")
	child   = identity(engine.CallFlow, "sub")
	failed  = &journal.Finished{At: after(9), Status: engine.Failed, Error: fault(engine.Denied)}
)

func TestOutlineOfSteps(t *testing.T) {
	t.Parallel()
	checkOutlines(t, map[string]outlineCase{
		"nothing yet": {want: ""},
		"in the order in which they began, not ended": {
			events: []journal.Event{
				&journal.Returned{Address: address(2), Identity: connect, Status: engine.Succeeded, Started: after(2), Ended: after(3), Tries: 1},
				&journal.Returned{Address: address(1), Identity: connect, Status: engine.Failed, Started: after(1), Ended: after(4), Tries: 1, Error: fault(engine.Denied)},
			},
			want: "1 connect \"db\" failed 1..4\n2 connect \"db\" succeeded 2..3\n",
		},
		"tries": {
			events: []journal.Event{
				&journal.Tried{Address: address(1), Try: 1, At: after(1), Next: after(2), Error: fault(engine.Unavailable)},
				&journal.Called{Address: address(1), Identity: connect, At: after(2)},
				&journal.Tried{Address: address(1), Try: 2, At: after(3), Next: after(5), Error: fault(engine.Timeout)},
			},
			want: "1 connect \"db\" running 2..- try 3 (1 unavailable) (3 timeout) next 5\n",
		},
		"a child flow in its second try": {
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: child, At: after(1)},
				&journal.Tried{Address: address(1), Try: 1, At: after(2), Next: after(3), Error: fault(engine.Unavailable)},
				&journal.Called{Address: address(1), Identity: child, At: after(3)},
			},
			want: "1 flow \"sub\" running 1..- try 2 (2 unavailableroot.1) child root.1~2\n",
		},
	})
}

func TestOutlineOfWhatWaits(t *testing.T) {
	t.Parallel()
	checkOutlines(t, map[string]outlineCase{
		"what waits": {
			state: journal.State{Status: engine.Waiting, Waits: journal.WaitsForAnswer},
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: identity(engine.CallSleep, ""), At: after(1), Until: after(60)},
				&journal.Called{Address: journal.Address{Branch: "1.2", Number: 1}, Identity: identity(engine.CallAsk, "Go?"), At: after(2),
					Inputs: map[string]any{"answer": map[string]any{"type": "string"}}},
				&journal.Called{Address: address(2), Identity: identity(engine.CallSettingLock, "lock"), At: after(3)},
			},
			want: "1 sleep \"\" waiting 1..-\n1.2/1 ask \"Go?\" waiting 2..- asks 1.2/1 form 1\n2 setting_lock \"lock\" waiting 3..-\n",
		},
		"what has waited": {
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: identity(engine.CallAsk, "Go?"), At: after(1)},
				&journal.Called{Address: address(2), Identity: identity(engine.CallSleep, ""), At: after(1), Until: after(2)},
				&journal.Woken{Address: address(2), At: after(2)},
				&journal.Answered{Address: address(1), At: after(3), By: "ada", Value: map[string]any{}},
				&journal.Observed{Address: address(3), Identity: identity(engine.CallNow, ""), Time: after(4)},
				&journal.Observed{Address: address(4), Identity: identity(engine.CallSettingGet, "x"), At: after(5), Error: fault(engine.Conflict)},
			},
			want: "1 ask \"Go?\" succeeded 1..3\n2 sleep \"\" succeeded 1..2\n3 now \"\" succeeded 4..4\n4 setting_get \"x\" failed 5..5\n",
		},
		"a step of which nobody knows": {
			state: journal.State{Status: engine.Paused, Waits: journal.WaitsForDecision},
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: connect, At: after(1), Once: true},
				&journal.Called{Address: address(2), Identity: connect, At: after(1)},
				&journal.Marked{At: after(2), Mark: journal.MarkRecovered},
			},
			want: "1 connect \"db\" paused 1..- asks root.1 form 0\n2 connect \"db\" running 1..-\n2 recovered\n",
		},
		"a step that may run again": {
			state: journal.State{Status: engine.Running},
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: connect, At: after(1), Once: true},
				&journal.Marked{Address: address(1), At: after(2), Mark: journal.MarkRepeat, By: "ada"},
			},
			want: "1 connect \"db\" running 1..-\n2 repeat 1 ada\n",
		},
		"a step that ran again": {
			state: journal.State{Status: engine.Running},
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: connect, At: after(1), Once: true},
				&journal.Marked{Address: address(1), At: after(2), Mark: journal.MarkRepeat},
				&journal.Called{Address: address(1), Identity: connect, At: after(3), Once: true},
				&journal.Returned{Address: address(1), Identity: connect, Status: engine.Succeeded, Started: after(3), Ended: after(4), Tries: 1},
			},
			want: "1 connect \"db\" succeeded 1..4\n2 repeat 1\n",
		},
		"one that is paused has no doubts": {
			state: journal.State{Status: engine.Paused},
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: connect, At: after(1), Once: true},
				&journal.Marked{At: after(2), Mark: journal.MarkPaused},
			},
			want: "1 connect \"db\" running 1..-\n2 paused\n",
		},
		"cancelled while it slept": {
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: identity(engine.CallSleep, ""), At: after(1), Until: after(60)},
				&journal.Cancelled{At: after(2), Late: true}, failed,
			},
			want: "1 sleep \"\" cancelled 1..9\n2 timed out\n",
		},
	})
}

func TestOutlineOfRetries(t *testing.T) {
	t.Parallel()
	checkOutlines(t, map[string]outlineCase{
		"retried": {
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: child, At: after(1)},
				&journal.Returned{Address: address(1), Identity: child, Status: engine.Failed, Started: after(1), Ended: after(2), Tries: 1, Error: fault(engine.Denied)},
				failed,
				&journal.Retried{At: after(10), Step: 2, By: "ada"},
			},
			want: "1 flow \"sub\" running 1..- try 2 (2 deniedroot.1) child root.1\n10 retried 1 ada\n",
		},
		"retried in a new try": {
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: child, At: after(1)},
				&journal.Returned{Address: address(1), Identity: child, Status: engine.Failed, Started: after(1), Ended: after(2), Tries: 1, Error: fault(engine.Denied)},
				failed,
				&journal.Retried{At: after(10), Step: 2},
				&journal.Tried{Address: address(1), Try: 1, At: after(10), Next: after(10), Error: fault(engine.Denied)},
				&journal.Called{Address: address(1), Identity: child, At: after(11)},
			},
			want: "1 flow \"sub\" running 1..- try 2 (2 deniedroot.1) child root.1~2\n10 retried 1\n",
		},
		"a step that ended twice while it ran": {
			state: journal.State{Status: engine.Paused, Waits: journal.WaitsForDecision},
			events: []journal.Event{
				&journal.Called{Address: address(1), Identity: connect, At: after(1), Once: true},
				&journal.Marked{Address: address(1), At: after(2), Mark: journal.MarkRepeat},
				&journal.Called{Address: address(1), Identity: connect, At: after(3), Once: true},
			},
			want: "1 connect \"db\" paused 1..- asks root.1 form 0\n2 repeat 1\n",
		},
		"retried with success": {
			events: []journal.Event{
				&journal.Returned{Address: address(1), Identity: connect, Status: engine.Failed, Started: after(1), Ended: after(2), Tries: 1, Error: fault(engine.Denied)},
				&journal.Returned{Address: address(2), Identity: connect, Status: engine.Cancelled, Started: after(1), Ended: after(2), Error: fault(engine.Canceled)},
				failed,
				&journal.Retried{At: after(10), Step: 1},
				&journal.Returned{Address: address(1), Identity: connect, Status: engine.Succeeded, Started: after(11), Ended: after(12), Tries: 1},
				&journal.Returned{Address: address(2), Identity: connect, Status: engine.Succeeded, Started: after(12), Ended: after(13), Tries: 1},
			},
			want: "1 connect \"db\" succeeded 1..12 try 2 (2 denied)\n2 connect \"db\" succeeded 1..13 try 2 (2 cancelled)\n10 retried 1\n",
		},
	})
}

// TestOutlineTakesAnything gives each part of a journal with every event, which make
// no sense together.
func TestOutlineTakesAnything(t *testing.T) {
	t.Parallel()
	events := sample()
	for n := range len(events) + 1 {
		_ = journal.NewOutline(journal.History{Events: events[:n]})
		_ = journal.NewOutline(journal.History{Events: events[n:]})
	}
	o := journal.NewOutline(journal.History{Events: events[:10]})
	if o.Begun == nil || o.Finished == nil || len(o.Steps) != 1 || len(o.Notes) != 2 {
		t.Errorf("got %d steps and %d notes, begun %v, finished %v", len(o.Steps), len(o.Notes), o.Begun, o.Finished)
	}
}

func BenchmarkOutline(b *testing.B) {
	events := []journal.Event{&journal.Begun{At: at}}
	for n := range 1000 {
		events = append(events, &journal.Returned{
			Address: address(n + 1), Identity: identity(engine.CallTask, "FAKE"), Status: engine.Succeeded, Started: after(n), Ended: after(n + 1),
		})
	}
	h := journal.History{Row: journal.Row{ID: "root"}, Events: events}
	b.ReportAllocs()
	for b.Loop() {
		_ = journal.NewOutline(h)
	}
}
