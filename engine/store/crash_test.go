package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// pairs is how many pairs of executions the child writes at the same time.
const pairs = 8

// commitPairs writes events until it is killed, each time of both executions of a
// pair in one commit, and says so when they are on disk.
func commitPairs(ctx context.Context, s *store.Store, out io.Writer) error {
	var mu sync.Mutex
	var writing sync.WaitGroup
	var errs [pairs]error
	for pair := range pairs {
		writing.Go(func() {
			a, b := engine.ID(fmt.Sprint("a", pair)), engine.ID(fmt.Sprint("b", pair))
			h, err := s.Executions().Load(ctx, a)
			next := len(h.Events)
			if err != nil {
				next, err = 1, commit(s, root(a, ""), root(b, ""))
			}
			for err == nil {
				large := strings.Repeat("x", next%7*3000)
				err = commit(s,
					journal.Change{ID: a, First: next, Events: []journal.Event{returned(next, large)}},
					journal.Change{ID: b, First: next, Events: []journal.Event{returned(next, large)}})
				if err == nil {
					next++
					mu.Lock()
					fmt.Fprintln(out, "did", pair, next)
					mu.Unlock()
				}
			}
			errs[pair] = err
		})
	}
	writing.Wait()
	return errors.Join(errs[:]...)
}

// TestKilledWhileCommitting kills a process that commits, at many moments: all
// that it was told to be on disk is there, and nothing is there in part.
func TestKilledWhileCommitting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	close1(t, dir, store.MasterKey{})
	var acknowledged [pairs]int
	for kill := range 6 {
		cmd, lines := start(t, "commit", dir)
		for range 20 + kill*30 {
			if !lines.Scan() {
				break
			}
			took(&acknowledged, lines.Text())
		}
		for range kill * 1000 {
			runtime.Gosched() // another moment each time
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		said, _ := rest(cmd, lines)
		for text := range strings.Lines(said) {
			took(&acknowledged, text)
		}
		s := open(t, dir)
		for pair, want := range acknowledged {
			if want == 0 {
				continue
			}
			a, b := load(t, s, engine.ID(fmt.Sprint("a", pair))), load(t, s, engine.ID(fmt.Sprint("b", pair)))
			if len(a.Events) < want || len(a.Events) > want+1 || len(a.Events) != len(b.Events) {
				t.Fatalf("after kill %d, pair %d has %d and %d events, of which %d were acknowledged", kill, pair, len(a.Events), len(b.Events), want)
			}
			acknowledged[pair] = len(a.Events)
		}
	}
	if acknowledged[0] < 20 {
		t.Errorf("only %d events were written", acknowledged[0])
	}
}

// took reads a line of the child, unless it is cut.
func took(acknowledged *[pairs]int, line string) {
	var pair, events int
	if n, _ := fmt.Sscanf(line+"\n", "did %d %d\n", &pair, &events); n == 2 {
		acknowledged[pair] = max(acknowledged[pair], events)
	}
}

// commitInLittleRoom commits until a limit on the size of files is in the way,
// and again when it is not any more.
func commitInLittleRoom(s *store.Store, out io.Writer) error {
	signal.Ignore(syscall.SIGXFSZ) // raised beside the error that a full disk gives
	if err := commit(s, root("a", ""), root("b", "")); err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	before := limit.Cur
	limit.Cur = 600 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	next, refused := 1, 0
	for refused < 5 && next < 1000 {
		err := commit(s,
			journal.Change{ID: "a", First: next, Events: []journal.Event{returned(next, strings.Repeat("x", 20_000))}},
			journal.Change{ID: "b", First: next, Events: []journal.Event{returned(next, nil)}})
		if err == nil {
			next++
			continue
		}
		refused++
		var failure *engine.Error
		if !errors.As(err, &failure) || failure.Kind != engine.Unavailable || failure.Hint == "" {
			return fmt.Errorf("the error is %w", err)
		}
	}
	limit.Cur = before
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := commit(s, journal.Change{ID: "a", First: next, Events: []journal.Event{returned(next, nil)}}); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	_, err := fmt.Fprintln(out, "refused", refused, "has", next+1, next)
	return err
}

// TestCommitDiskFull lets a process run out of room and find some again.
func TestCommitDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	cmd, lines := start(t, "commit in little room", dir)
	said, err := rest(cmd, lines)
	if err != nil {
		t.Fatalf("%v, %s", err, said)
	}
	a, b := load(t, s, "a"), load(t, s, "b")
	if want := fmt.Sprintf("refused 5 has %d %d\n", len(a.Events), len(b.Events)); said != want || len(b.Events) < 5 {
		t.Errorf("it says %q, want %q", said, want)
	}
}
