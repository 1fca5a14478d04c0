package local_test

import (
	"context"
	"flag"
	"testing"
	"testing/synctest"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/enginetest"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

// inMemory runs the suite on a store in memory.
func inMemory() enginetest.Suite {
	return enginetest.Suite{
		Around: synctest.Test, Tampers: true,
		New: func(*testing.T) func(*testing.T, enginetest.Setup) enginetest.Engine {
			memory := enginetest.NewMemory()
			return func(t *testing.T, setup enginetest.Setup) enginetest.Engine {
				t.Helper()
				return serve(t, setup, kept{
					Store: memory, lines: memory.Lines, roots: memory.Roots, tree: memory.Tree, tamper: memory.Tamper,
					close: func() error { return nil },
				})
			}
		},
	}
}

// onDisk runs it on the real one.
func onDisk() enginetest.Suite {
	return enginetest.Suite{
		Around: synctest.Test,
		New: func(t *testing.T) func(*testing.T, enginetest.Setup) enginetest.Engine {
			t.Helper()
			dir := t.TempDir()
			return func(t *testing.T, setup enginetest.Setup) enginetest.Engine {
				t.Helper()
				s, err := store.Open(t.Context(), store.Config{Dir: dir})
				if err != nil {
					t.Fatal(err)
				}
				e := s.Executions()
				return serve(t, setup, kept{
					Store: e, close: s.Close, tree: e.Tree,
					roots: func(ctx context.Context) ([]journal.Row, error) {
						rows, _, err := e.List(ctx, store.Filter{})
						return rows, err
					},
					lines: func(ctx context.Context, id engine.ID) (lines []journal.Line, err error) {
						found, err := e.Lines(ctx, id, 0, 1<<20)
						for _, l := range found {
							lines = append(lines, l.Line)
						}
						return lines, err
					},
				})
			}
		},
	}
}

// kept is a store with what the suite wants to see of it.
type kept struct {
	enginetest.Store
	lines  func(context.Context, engine.ID) ([]journal.Line, error)
	roots  func(context.Context) ([]journal.Row, error)
	tree   func(context.Context, engine.ID) ([]journal.Row, error)
	tamper func(engine.ID, int, journal.Event)
	close  func() error
}

// served is a runner that serves a store.
type served struct {
	*local.Runner
	*enginetest.Mortal
	kept   kept
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
}

func serve(t *testing.T, setup enginetest.Setup, k kept) enginetest.Engine {
	t.Helper()
	mortal := enginetest.NewMortal(k.Store, setup)
	r, err := local.New(local.Config{
		Dispatcher: setup.Dispatcher, Store: mortal, FlowDirs: setup.FlowDirs, FilesDir: setup.FilesDir, Limits: setup.Limits,
		YAML: enginetest.YAML(), MaxParallel: setup.MaxParallel, MaxResident: setup.MaxResident, TaskLimits: setup.TaskLimits,
		Grace: setup.Grace,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &served{Runner: r, Mortal: mortal, kept: k, t: t, cancel: cancel, ended: make(chan error, 1)}
	go func() { s.ended <- r.Serve(ctx) }()
	return s
}

func (s *served) Order(ctx context.Context, o journal.Order) error { return s.kept.Order(ctx, o) }

func (s *served) Orders(ctx context.Context) ([]journal.Order, error) { return s.kept.Orders(ctx) }

func (s *served) Load(ctx context.Context, id engine.ID) (journal.History, error) {
	return s.kept.Load(ctx, id)
}

func (s *served) Lines(ctx context.Context, id engine.ID) ([]journal.Line, error) {
	return s.kept.lines(ctx, id)
}

func (s *served) Roots(ctx context.Context) ([]journal.Row, error) { return s.kept.roots(ctx) }

func (s *served) Tree(ctx context.Context, id engine.ID) ([]journal.Row, error) {
	return s.kept.tree(ctx, id)
}

func (s *served) Tamper(id engine.ID, number int, event journal.Event) {
	if s.kept.tamper == nil {
		s.t.Fatal("this store cannot be tampered with")
	}
	s.kept.tamper(id, number, event)
}

func (s *served) Close() {
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
	s.Quiet()
	if err := s.kept.close(); err != nil {
		s.t.Error(err)
	}
}

func (s *served) Abandon() {
	s.Die()
	s.cancel()
	<-s.ended
	s.Quiet()
	if err := s.kept.close(); err != nil {
		s.t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, inMemory())
}

func TestCrashSweep(t *testing.T) {
	t.Parallel()
	enginetest.Sweep(t, inMemory(), 1)
}

var (
	seed        = flag.Uint64("seed", 1, "the first seed of the flows that are made up")
	randomFlows = flag.Int("flows", 40, "how many flows are made up")
)

func TestRandomFlows(t *testing.T) {
	t.Parallel()
	enginetest.Random(t, inMemory(), *seed, *randomFlows)
}

func TestRandomFlowsOnDisk(t *testing.T) {
	t.Parallel()
	enginetest.Random(t, onDisk(), *seed, *randomFlows/10)
}

func TestCrashSweepOnDisk(t *testing.T) {
	t.Parallel()
	enginetest.Sweep(t, onDisk(), 9)
}

func TestConformanceOnDisk(t *testing.T) {
	t.Parallel()
	enginetest.Run(t, onDisk())
}
