package git

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/weir-engine/weir/tasks"
)

// maxTreeDepth ends trees that contain themselves.
const maxTreeDepth = 1024

// entry is a file, a link or a submodule of a tree.
type entry struct {
	name string // with slashes, from the root
	mode filemode.FileMode
	hash plumbing.Hash
}

func (e entry) kind() string {
	switch e.mode {
	case filemode.Executable:
		return "executable"
	case filemode.Symlink:
		return "symlink"
	case filemode.Submodule:
		return "submodule"
	}
	return "file"
}

// walk gives the selected entries of a tree, in git's order.
func walk(ctx context.Context, objs objects, tree plumbing.Hash, ps patterns) ([]entry, error) {
	w := walker{ctx: ctx, objs: objs, patterns: ps}
	err := w.walk(tree, "", 0)
	return w.entries, err
}

type walker struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	objs     objects
	patterns patterns
	entries  []entry
}

func (w *walker) walk(tree plumbing.Hash, dir string, depth int) error {
	if w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if depth > maxTreeDepth {
		return &tasks.Error{Kind: tasks.Permanent, Message: fmt.Sprintf("the repository's directories are deeper than %d", maxTreeDepth)}
	}
	t, err := readTree(w.objs, tree)
	if err != nil {
		return fmt.Errorf("read tree %s: %w", tree, err)
	}
	for _, e := range t.Entries {
		if err := checkName(dir, e.Name); err != nil {
			return err
		}
		name := path.Join(dir, e.Name)
		if e.Mode == filemode.Dir {
			if w.patterns.enter(name) {
				if err := w.walk(e.Hash, name, depth+1); err != nil {
					return err
				}
			}
			continue
		}
		if w.patterns.match(name) {
			w.entries = append(w.entries, entry{name: name, mode: e.Mode, hash: e.Hash})
		}
	}
	return nil
}

// checkName refuses names that no honest repository has: they are made to write
// outside of a directory, or into a repository's own files.
func checkName(dir, name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || strings.EqualFold(name, ".git") {
		return &tasks.Error{Kind: tasks.Permanent, Message: fmt.Sprintf("the repository has an entry with the forbidden name %q in %q", name, "/"+dir)}
	}
	return nil
}

func (s *session) list(ctx context.Context) (map[string]any, error) {
	sizes := s.in.Bool("sizes")
	p, objs, c, err := s.commitAt(ctx, scope{depth: 1, trees: true, blobs: sizes})
	if err != nil {
		return nil, err
	}
	entries, err := walk(ctx, objs, c.TreeHash, s.paths)
	if err != nil {
		return nil, err
	}
	list := make([]any, len(entries))
	for i, e := range entries {
		item := map[string]any{
			"name": strings.ToValidUTF8(e.name, "\uFFFD"), "type": e.kind(),
			"mode": fmt.Sprintf("%06o", uint32(e.mode)), "sha": e.hash.String(),
		}
		if sizes && e.mode != filemode.Submodule {
			if item["size"], err = objs.size(e.hash); err != nil {
				return nil, fmt.Errorf("read the size of %q: %w", e.name, err)
			}
		}
		list[i] = item
	}
	return map[string]any{"ref": p.ref, "commit_sha": c.Hash.String(), "entries": list}, nil
}
