package git

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/weir-engine/weir/tasks"
)

func (s *session) metadata(ctx context.Context) (map[string]any, error) {
	p, _, c, err := s.commitAt(ctx, scope{depth: 1})
	if err != nil {
		return nil, err
	}
	return describe(p.ref, c), nil
}

// commitAt loads the commit that the inputs name.
func (s *session) commitAt(ctx context.Context, sc scope) (point, objects, *object.Commit, error) {
	p, err := s.repo.find(ctx, s.in.String("ref"))
	if err != nil {
		return point{}, nil, nil, err
	}
	objs, err := s.repo.load(ctx, p, sc)
	if err != nil {
		return point{}, nil, nil, err
	}
	c, err := peel(objs, p.hash)
	return p, objs, c, err
}

// peel gives the commit that h is or that the tag h names.
func peel(objs objects, h plumbing.Hash) (*object.Commit, error) {
	const enough = 8
	for range enough {
		o, err := objs.object(h)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", h, err)
		}
		switch o.Type() {
		case plumbing.CommitObject:
			return readCommit(objs, h)
		case plumbing.TagObject:
			t := &object.Tag{}
			if err := t.Decode(o); err != nil {
				return nil, fmt.Errorf("read tag %s: %w", h, err)
			}
			h = t.Target
		default:
			return nil, &tasks.Error{Kind: tasks.Invalid, Input: "ref", Message: fmt.Sprintf("ref names a %s, not a commit", o.Type())}
		}
	}
	return nil, &tasks.Error{Kind: tasks.Permanent, Input: "ref", Message: "ref names a tag of a tag of a tag without end"}
}

// describe gives what the output tells of a commit.
func describe(ref string, c *object.Commit) map[string]any {
	clean := func(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
	return map[string]any{
		"ref":              ref,
		"commit_sha":       c.Hash.String(),
		"short_sha":        c.Hash.String()[:7],
		"author_name":      clean(c.Author.Name),
		"author_email":     clean(c.Author.Email),
		"commit_message":   clean(strings.TrimRight(c.Message, "\n")),
		"commit_date_iso":  c.Committer.When.Format(time.RFC3339),
		"commit_date_unix": c.Committer.When.Unix(),
	}
}
