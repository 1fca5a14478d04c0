package local

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sync"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
)

// tree is what all executions below one root share while one of them is in memory.
type tree struct {
	runner *Runner
	root   engine.ID
	owner  string
	files  string // path of the files directory
	scope  *dispatch.Scope
	users  int // flows in memory; guarded by the runner

	mu     sync.Mutex // held while an event is watched, so that they come one at a time
	watch  func(engine.Event)
	opened *os.Root
	texts  map[string][]byte // of flows and modules, by digest; only where no store keeps them
}

// emit masks an event and shows it to who watches.
func (t *tree) emit(e engine.Event) engine.Event {
	e.Time = t.runner.now()
	e = t.scope.Event(e)
	if t.watch != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.watch(e)
	}
	return e
}

// mask masks the secrets of the tree in a text.
func (t *tree) mask(text string) string {
	masked, _ := t.scope.Mask(text).(string)
	return masked
}

func (t *tree) emitState(e engine.Execution) {
	if t.watch == nil {
		return
	}
	e.Output = nil
	t.emit(engine.Event{Kind: engine.EventStatus, Execution: e.ID, State: &e})
}

// open gives the files directory, which is made when a task first needs it.
func (t *tree) open() (*os.Root, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened != nil {
		return t.opened, nil
	}
	if t.runner.config.Store != nil {
		if err := os.MkdirAll(t.files, 0o700); err != nil {
			return nil, filesError(err)
		}
	}
	root, err := os.OpenRoot(t.files)
	if err != nil {
		return nil, filesError(err)
	}
	t.opened = root
	return root, nil
}

func filesError(err error) *engine.Error {
	return &engine.Error{
		Kind: engine.Invalid, Message: "files directory: " + err.Error(),
		Hint: "it is the directory that tasks read and write files in",
	}
}

func (t *tree) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened != nil {
		_ = t.opened.Close()
		t.opened = nil // a flow of the tree may be about to begin
	}
}

// keep remembers the text of a module for as long as the tree is in memory.
func (t *tree) keep(digest string, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.texts == nil {
		t.texts = map[string][]byte{}
	}
	t.texts[digest] = text
}

func (t *tree) text(digest string) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, ok := t.texts[digest]
	return text, ok
}

// seed derives a script's randomness from its execution's id.
func seed(id engine.ID) [32]byte { return sha256.Sum256([]byte(id)) }

// treeSize is about how many bytes a tree of values takes.
func treeSize(tree any) int {
	switch node := tree.(type) {
	case string:
		return len(node) + 8
	case []any:
		size := 8
		for _, child := range node {
			size += treeSize(child)
		}
		return size
	case map[string]any:
		size := 8
		for key, child := range node {
			size += len(key) + 8 + treeSize(child)
		}
		return size
	case fmt.Stringer: // a number as text
		return len(node.String()) + 8
	}
	return 8
}
