package git

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// parseAuthor reads who commits; git has no way to write some characters.
func parseAuthor(in schema.Inputs) (object.Signature, error) {
	for _, name := range []string{"author_name", "author_email"} {
		if text := in.String(name); strings.ContainsAny(text, "<>\n\x00") || strings.TrimSpace(text) == "" {
			return object.Signature{}, &tasks.Error{Kind: tasks.Invalid, Input: name, Message: name + " is empty, or has < > or a line break in it"}
		}
	}
	return object.Signature{Name: in.String("author_name"), Email: in.String("author_email")}, nil
}

// parseName checks the name of a branch or tag to write; empty if absent.
func parseName(in schema.Inputs, input string, full func(string) plumbing.ReferenceName) (plumbing.ReferenceName, error) {
	if !in.Has(input) {
		return "", nil
	}
	name := full(in.String(input))
	if strings.HasPrefix(in.String(input), "-") || name.Validate() != nil {
		return "", &tasks.Error{Kind: tasks.Invalid, Input: input, Message: fmt.Sprintf("%q is no name of a %s", in.String(input), input)}
	}
	return name, nil
}

func (s *session) commit(ctx context.Context) (map[string]any, error) {
	b, err := s.base(ctx)
	if err != nil {
		return nil, err
	}
	e := &editor{}
	c := &object.Commit{Author: s.author, Message: s.in.String("message")}
	if !strings.HasSuffix(c.Message, "\n") {
		c.Message += "\n"
	}
	var oldTree plumbing.Hash
	if !b.parent.IsZero() {
		if e.objs, err = s.repo.load(ctx, point{hash: b.parent}, scope{depth: 1, trees: true}); err != nil {
			return nil, err
		}
		parent, err := peel(e.objs, b.parent)
		if err != nil {
			return nil, err
		}
		b.parent, oldTree = parent.Hash, parent.TreeHash
		c.ParentHashes = []plumbing.Hash{parent.Hash}
	}
	if !b.tip.IsZero() && b.tip != b.parent {
		return nil, &tasks.Error{
			Kind: tasks.Conflict, Input: "ref",
			Message: fmt.Sprintf("%s is at %s, not at %s, which `ref` names", b.branch.Short(), b.tip.String()[:7], b.parent.String()[:7]),
			Hint:    "it has moved, and nothing was written; do it again on top of what is there now",
		}
	}
	if c.TreeHash, err = e.edit(oldTree, "", s.changes); err != nil {
		return nil, err
	}
	if c.TreeHash.IsZero() {
		if c.TreeHash, err = e.store(&object.Tree{}); err != nil {
			return nil, err
		}
	}
	if c.TreeHash == oldTree {
		return nil, &tasks.Error{Kind: tasks.Conflict, Message: fmt.Sprintf("there is nothing to commit: %s has these files already", b.branch.Short())}
	}
	c.Author.When = time.Now()
	c.Committer = c.Author
	if c.Hash, err = e.store(c); err != nil {
		return nil, err
	}
	if err := s.repo.update(ctx, update{name: b.branch, old: b.tip, new: c.Hash, objects: e.made}); err != nil {
		return nil, err
	}
	return describe(b.branch.String(), c), nil
}

// base is what a commit builds on.
type base struct {
	branch plumbing.ReferenceName
	tip    plumbing.Hash // of the branch; zero if it is new
	parent plumbing.Hash // zero in an empty repository; may be a tag
}

func (s *session) base(ctx context.Context) (base, error) {
	b := base{branch: s.branch}
	head, err := s.repo.find(ctx, "")
	empty := errors.Is(err, transport.ErrEmptyRemoteRepository)
	if b.branch == "" {
		switch {
		case empty:
			return b, &tasks.Error{Kind: tasks.Invalid, Input: "branch", Message: "the repository is empty", Hint: "give the `branch` to begin"}
		case err != nil:
			return b, err
		case !strings.HasPrefix(head.ref, "refs/heads/"):
			return b, &tasks.Error{Kind: tasks.Invalid, Input: "branch", Message: "the repository's HEAD names no branch", Hint: "give `branch`"}
		}
		b.branch = plumbing.ReferenceName(head.ref)
	}
	if b.tip, err = s.repo.tip(ctx, b.branch); err != nil {
		return b, err
	}
	switch {
	case s.in.Has("ref"):
		p, err := s.repo.find(ctx, s.in.String("ref"))
		b.parent = p.hash
		return b, err
	case !b.tip.IsZero():
		b.parent = b.tip
	case !empty:
		if head.hash.IsZero() {
			_, err := s.repo.find(ctx, "") // tells why
			return b, err
		}
		b.parent = head.hash
	}
	return b, nil
}

func (s *session) tag(ctx context.Context) (map[string]any, error) {
	_, _, c, err := s.commitAt(ctx, scope{depth: 1})
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"ref": s.tagName.String(), "tag": s.tagName.Short(), "commit_sha": c.Hash.String(), "created": false,
	}
	u := update{name: s.tagName, new: c.Hash}
	if u.old, err = s.repo.tip(ctx, s.tagName); err != nil {
		return nil, err
	}
	if !u.old.IsZero() {
		at, err := s.taggedCommit(ctx)
		if err != nil || at == c.Hash {
			return out, err
		}
		if !s.in.Bool("force") {
			return nil, &tasks.Error{
				Kind: tasks.Conflict, Input: "tag",
				Message: fmt.Sprintf("the tag %s exists already, at %s, not at %s", s.tagName.Short(), at.String()[:7], c.Hash.String()[:7]),
				Hint:    "`force: true` moves it",
			}
		}
	}
	if s.in.Has("message") {
		s.author.When = time.Now()
		e := &editor{}
		t := &object.Tag{
			Name: s.tagName.Short(), Tagger: s.author, TargetType: plumbing.CommitObject, Target: c.Hash,
			Message: strings.TrimRight(s.in.String("message"), "\n") + "\n",
		}
		if u.new, err = e.store(t); err != nil {
			return nil, err
		}
		u.objects = e.made
	}
	out["created"] = true
	return out, s.repo.update(ctx, u)
}

// taggedCommit gives the commit that the tag names now.
func (s *session) taggedCommit(ctx context.Context) (plumbing.Hash, error) {
	p, err := s.repo.find(ctx, s.tagName.String())
	if err != nil {
		return p.hash, err
	}
	objs, err := s.repo.load(ctx, p, scope{depth: 1})
	if err != nil {
		return p.hash, err
	}
	c, err := peel(objs, p.hash)
	if err != nil {
		return p.hash, err
	}
	return c.Hash, nil
}
