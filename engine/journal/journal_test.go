package journal_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

var update = flag.Bool("update", false, "write the corpora of the newest version anew")

const corpora = "../../testdata/journals"

var at = time.Date(2026, 11, 21, 13, 43, 51, 123456000, time.UTC)

// sample is a journal with an event of every type and a value in every field.
func sample() []journal.Event {
	step := journal.Address{Branch: "2.1", Number: 3}
	connect := journal.Identity{Kind: engine.CallConnect, Name: "oracle", Digest: math.MaxUint64 - 1}
	failure := &engine.Error{
		Kind: engine.Denied, Message: "connect \"oracle\": refused", Hint: "look", Where: "flow.lua:3", Execution: "e.2-1-3", Traceback: "at",
		Cause: &engine.Error{Kind: engine.Unavailable, Message: "down"}, Value: map[string]any{"code": int64(7)},
	}
	tree := map[string]any{
		"null": nil, "bools": []any{true, false}, "int": int64(-1 << 53), "float": 0.1, "big": json.Number("12345678901234567890"),
		"text": "Grüße\x00", "secret": engine.SecretRef("secret/oracle#password"), "list": []any{}, "object": map[string]any{},
	}
	return []journal.Event{
		&journal.Begun{
			At: at, File: "/flows/flow.lua", Text: journal.Digest([]byte("return 1")), Inputs: tree, Files: "/files",
			Deadline: at.Add(time.Hour), Timeout: time.Hour, Depth: 2, Try: 3, Again: "before",
		},
		&journal.Called{Address: step, Identity: connect, At: at, Where: "flow.lua:3", Once: true, Until: at.Add(time.Minute), Inputs: tree},
		&journal.Tried{Address: step, Try: 1, At: at, Next: at.Add(time.Second), Error: failure},
		&journal.Returned{
			Address: step, Identity: connect, Where: "flow.lua:3", Inputs: tree, Status: engine.Failed, Type: "SQLORACLE", Output: tree,
			Error: failure, Started: at, Ended: at.Add(time.Second), Tries: 2,
			Uses: engine.Uses{Connection: "oracle", Revision: 4, Secrets: []engine.SecretUse{
				{Path: "secret/data/oracle", Version: 5, Created: at, Metadata: map[string]string{"owner": "dba", "rotated": "yes"}},
				{Path: "other:secret/x"},
			}},
		},
		&journal.Woken{Address: step},
		&journal.Answered{Address: step, At: at, By: "ada", Value: tree},
		&journal.Observed{
			Address: step, Identity: connect, Time: at, File: "lib.lua", Text: journal.Digest(nil), Value: tree, Fence: 9, Error: failure,
		},
		&journal.Cancelled{At: at, Late: true, Reason: "ada"},
		&journal.Marked{Address: step, At: at, Mark: journal.MarkPaused, By: "ada"},
		&journal.Finished{At: at, Status: engine.Failed, Output: tree, Error: failure},
		&journal.Retried{At: at, Step: 3, By: "ada"},
	}
}

func TestEventsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	later := &journal.Begun{At: at, Trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} // what old journals do not have
	for _, event := range append(sample(), later) {
		got, err := journal.Decode(journal.Encode(event))
		if err != nil {
			t.Fatalf("%T: %v", event, err)
		}
		if diff := cmp.Diff(event, got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", event, diff)
		}
	}
}

func TestZeroEventsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	for _, event := range []journal.Event{
		&journal.Begun{}, &journal.Called{}, &journal.Tried{}, &journal.Returned{}, &journal.Woken{}, &journal.Answered{},
		&journal.Observed{}, &journal.Cancelled{}, &journal.Marked{}, &journal.Finished{}, &journal.Retried{},
	} {
		got, err := journal.Decode(journal.Encode(event))
		if diff := cmp.Diff(event, got); err != nil || diff != "" {
			t.Errorf("%T: %v (-want +got):\n%s", event, err, diff)
		}
	}
}

// Journals that any released weir has written are read for ever, as the same events.
func TestOldJournals(t *testing.T) {
	t.Parallel()
	newest := filepath.Join(corpora, "v1", "every-event.journal")
	if *update {
		var text bytes.Buffer
		for _, event := range sample() {
			text.WriteString(hex.EncodeToString(journal.Encode(event)) + "\n")
		}
		if err := os.WriteFile(newest, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := readJournal(newest)
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	if len(lines) != len(want) {
		t.Fatalf("got %d events, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		got, err := journal.Decode(line)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
		if !bytes.Equal(journal.Encode(got), line) {
			t.Errorf("event %d is written in another way now", i)
		}
	}
}

// Each file of a tampered journal is named by what is wrong with it; its first line
// is the error.
func TestTamperedJournals(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(corpora, "v1", "*.bad.journal"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%v: %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file) //nolint:gosec // a fixture
			if err != nil {
				t.Fatal(err)
			}
			want, rest, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
			_, got := read(rest)
			if got == nil || got.Error() != want {
				t.Errorf("got %v, want %q", got, want)
			}
			if !errors.Is(got, journal.ErrDamaged) && !errors.Is(got, journal.ErrNewer) {
				t.Errorf("%v is neither damaged nor newer", got)
			}
		})
	}
}

// read reads a journal of hex lines.
func read(text string) (*journal.Cursor, error) {
	var events []journal.Event
	for line := range strings.Lines(text) {
		data, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		event, err := journal.Decode(data)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return journal.NewCursor(events)
}

func readJournal(file string) (lines [][]byte, err error) {
	f, err := os.Open(file) //nolint:gosec // a fixture
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		line, err := hex.DecodeString(scanner.Text())
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func TestEqualTreesHaveEqualBytes(t *testing.T) {
	t.Parallel()
	tree := map[string]any{}
	for _, key := range strings.Split("q w e r t z u i o p", " ") {
		tree[key] = map[string]any{"b": int64(1), "a": int64(2)}
	}
	first := journal.EncodeValue(tree)
	for range 20 {
		if !bytes.Equal(first, journal.EncodeValue(tree)) {
			t.Fatal("the bytes differ from time to time")
		}
	}
}

func TestChildIDs(t *testing.T) {
	t.Parallel()
	for want, address := range map[engine.ID]journal.Address{
		"e.3": {Number: 3}, "e.2-1-3": {Branch: "2.1", Number: 3}, "e.defer-1": {Branch: "defer", Number: 1},
	} {
		if got := journal.ChildID("e", address); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, event := range sample() {
		f.Add(journal.Encode(event))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		event, err := journal.Decode(data)
		if err != nil {
			if !errors.Is(err, journal.ErrDamaged) && !errors.Is(err, journal.ErrNewer) {
				t.Errorf("%v is neither damaged nor newer", err)
			}
			return
		}
		// What was read is written and read again as the same.
		again, err := journal.Decode(journal.Encode(event))
		if err != nil || !bytes.Equal(journal.Encode(event), journal.Encode(again)) {
			t.Errorf("%v: %#v became %#v", err, event, again)
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(journal.EncodeValue(map[string]any{"a": []any{nil, 1.5, "x"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		tree, err := journal.DecodeValue(data)
		if err != nil {
			return
		}
		if _, err := journal.DecodeValue(journal.EncodeValue(tree)); err != nil {
			t.Errorf("%v: %#v", err, tree)
		}
	})
}

func BenchmarkReturned(b *testing.B) {
	event := &journal.Returned{
		Address: journal.Address{Number: 7}, Identity: journal.Identity{Kind: engine.CallTask, Name: "FAKE", Digest: 1},
		Where: "flow.lua:3", Inputs: map[string]any{"payload": int64(55)}, Status: engine.Succeeded, Type: "FAKE",
		Output: map[string]any{"payload": int64(55), "port": int64(1521)}, Started: at, Ended: at, Tries: 1,
	}
	data := journal.Encode(event)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			journal.Encode(event)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := journal.Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
