package git

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"fmt"
	"path"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// parseSince reads the input since; absent, it is the zero time.
func parseSince(in schema.Inputs) (time.Time, error) {
	if !in.Has("since") {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, in.String("since")); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &tasks.Error{
		Kind: tasks.Invalid, Input: "since", Message: "since is no date",
		Hint: "write 2026-01-31 or 2026-01-31T08:00:00Z",
	}
}

func (s *session) log(ctx context.Context) (map[string]any, error) {
	limit := int(s.in.Int("max_count"))
	// Asking the server for commits since a date would lose some: behind a merge
	// with one older parent it gives none of the others.
	sc := scope{depth: limit}
	if len(s.paths) > 0 {
		// How far back the changes are is not known before.
		sc.depth, sc.trees = 0, true
	}
	p, objs, c, err := s.commitAt(ctx, sc)
	if err != nil {
		return nil, err
	}
	h := &history{ctx: ctx, objs: objs, since: s.since, seen: map[plumbing.Hash]bool{c.Hash: true}, queue: newest{c}}
	if len(s.paths) > 0 {
		h.prints = &fingerprints{objs: objs, patterns: s.paths, memo: map[string]fingerprint{}}
	}
	commits := []any{}
	for limit == 0 || len(commits) < limit {
		c, err := h.next()
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		item := describe("", c)
		delete(item, "ref")
		parents := make([]any, len(c.ParentHashes))
		for i, p := range c.ParentHashes {
			parents[i] = p.String()
		}
		item["parents"] = parents
		commits = append(commits, item)
	}
	return map[string]any{"ref": p.ref, "commits": commits}, nil
}

// history walks commits, newest first.
type history struct {
	ctx    context.Context //nolint:containedctx // lives for one call
	objs   objects
	since  time.Time
	prints *fingerprints // nil: all commits
	seen   map[plumbing.Hash]bool
	queue  newest
}

// next gives the next commit that counts, nil at the end.
func (h *history) next() (*object.Commit, error) {
	for len(h.queue) > 0 {
		if h.ctx.Err() != nil {
			return nil, h.ctx.Err()
		}
		c := heap.Pop(&h.queue).(*object.Commit)
		if c.Committer.When.Before(h.since) {
			continue
		}
		parents, err := h.parents(c)
		if err != nil {
			return nil, err
		}
		follow, counts, err := h.simplify(c, parents)
		if err != nil {
			return nil, err
		}
		for _, p := range follow {
			if !h.seen[p.Hash] {
				h.seen[p.Hash] = true
				heap.Push(&h.queue, p)
			}
		}
		if counts {
			return c, nil
		}
	}
	return nil, nil //nolint:nilnil // the end
}

func (h *history) parents(c *object.Commit) ([]*object.Commit, error) {
	if h.objs.shallow(c.Hash) {
		return nil, nil
	}
	parents := make([]*object.Commit, len(c.ParentHashes))
	for i, hash := range c.ParentHashes {
		var err error
		if parents[i], err = readCommit(h.objs, hash); err != nil {
			return nil, fmt.Errorf("read commit %s: %w", hash, err)
		}
	}
	return parents, nil
}

// simplify is git's own way with paths: a commit that leaves them as one of its
// parents has them counts for nothing, and that parent alone is followed.
func (h *history) simplify(c *object.Commit, parents []*object.Commit) (follow []*object.Commit, counts bool, err error) {
	if h.prints == nil {
		return parents, true, nil
	}
	own, err := h.prints.of(c.TreeHash, ".")
	if err != nil {
		return nil, false, err
	}
	for _, p := range parents {
		theirs, err := h.prints.of(p.TreeHash, ".")
		if err != nil {
			return nil, false, err
		}
		if theirs == own {
			return []*object.Commit{p}, false, nil
		}
	}
	return parents, len(parents) > 0 || own != fingerprint{}, nil
}

// newest is a heap of commits.
type newest []*object.Commit

func (n newest) Len() int           { return len(n) }
func (n newest) Less(i, j int) bool { return n[i].Committer.When.After(n[j].Committer.When) }
func (n newest) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *newest) Push(c any)        { *n = append(*n, c.(*object.Commit)) }
func (n *newest) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}

// fingerprint is equal for trees that have the same selected files; zero for none.
type fingerprint [sha256.Size]byte

type fingerprints struct {
	objs     objects
	patterns patterns
	memo     map[string]fingerprint
}

func (f *fingerprints) of(tree plumbing.Hash, dir string) (fingerprint, error) {
	key := tree.String() + dir
	if known, ok := f.memo[key]; ok {
		return known, nil
	}
	t, err := readTree(f.objs, tree)
	if err != nil {
		return fingerprint{}, fmt.Errorf("read tree %s: %w", tree, err)
	}
	sum, some := sha256.New(), false
	for _, e := range t.Entries {
		name := path.Join(dir, e.Name)
		var part []byte
		switch {
		case f.patterns.match(name):
			part = e.Hash[:]
		case e.Mode == filemode.Dir && f.patterns.enter(name):
			inner, err := f.of(e.Hash, name)
			if err != nil {
				return fingerprint{}, err
			}
			if inner == (fingerprint{}) {
				continue
			}
			part = inner[:]
		default:
			continue
		}
		some = true
		sum.Write(fmt.Appendf(nil, "%s\x00%o\x00", e.Name, uint32(e.Mode)))
		sum.Write(part)
	}
	var result fingerprint
	if some {
		sum.Sum(result[:0])
	}
	f.memo[key] = result
	return result, nil
}
