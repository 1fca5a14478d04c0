package git

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// refTable is the references of a repository.
type refTable struct {
	// head is the branch that HEAD names; empty if it is detached.
	head plumbing.ReferenceName
	// headHash is the commit of HEAD; zero if its branch does not exist.
	headHash plumbing.Hash
	// get gives a reference's commit, or the tag object if the table does not know
	// better.
	get func(plumbing.ReferenceName) (plumbing.Hash, bool)
	// names lists all references, in no order.
	names func() []string
}

// lookup finds a reference by what a user calls it. It does not look for commit
// ids.
func (t refTable) lookup(ref string) (point, bool, error) {
	if ref == "" || ref == "HEAD" {
		return t.lookupHead()
	}
	candidates := []plumbing.ReferenceName{plumbing.ReferenceName(ref)}
	if !strings.HasPrefix(ref, "refs/") {
		candidates = []plumbing.ReferenceName{
			plumbing.NewBranchReferenceName(ref),
			plumbing.NewTagReferenceName(ref),
			plumbing.ReferenceName("refs/remotes/" + ref),
			plumbing.ReferenceName("refs/" + ref),
		}
	}
	if candidates[0].Validate() != nil {
		return point{}, false, &tasks.Error{Kind: tasks.Invalid, Input: "ref", Message: fmt.Sprintf("%q is no name of a reference", ref)}
	}
	for _, name := range candidates {
		if hash, ok := t.get(name); ok {
			return point{ref: name.String(), hash: hash}, true, nil
		}
	}
	return point{}, false, nil
}

func (t refTable) lookupHead() (point, bool, error) {
	switch {
	case !t.headHash.IsZero() && t.head != "":
		return point{ref: t.head.String(), hash: t.headHash}, true, nil
	case !t.headHash.IsZero():
		return point{ref: t.headHash.String(), hash: t.headHash}, true, nil
	case len(t.branches()) == 0:
		return point{}, false, transport.ErrEmptyRemoteRepository
	}
	message := "the repository's HEAD names no commit"
	if t.head != "" {
		message = fmt.Sprintf("the repository's HEAD names %s, which does not exist", t.head.Short())
	}
	return point{}, false, &tasks.Error{Kind: tasks.NotFound, Input: "ref", Message: message, Hint: t.known()}
}

// missing is the error for a ref that is not there.
func (t refTable) missing(ref string) error {
	var short []string
	for _, name := range t.names() {
		short = append(short, plumbing.ReferenceName(name).Short())
	}
	slices.Sort(short)
	hint := schema.DidYouMean(ref, short)
	if hint == "" {
		hint = t.known()
	}
	message := fmt.Sprintf("there is no branch, tag or commit %q", ref)
	if len(short) == 0 {
		message += ": the repository is empty"
	}
	return &tasks.Error{Kind: tasks.NotFound, Input: "ref", Message: message, Hint: hint}
}

// known tells the first branches.
func (t refTable) known() string {
	const enough = 8
	branches := t.branches()
	if len(branches) == 0 {
		return ""
	}
	more := ""
	if len(branches) > enough {
		branches, more = branches[:enough], ", ..."
	}
	return "branches: " + strings.Join(branches, ", ") + more
}

func (t refTable) branches() []string {
	var short []string
	for _, name := range t.names() {
		if n := plumbing.ReferenceName(name); n.IsBranch() {
			short = append(short, n.Short())
		}
	}
	slices.Sort(short)
	return short
}

// isAbbreviation tells whether ref may be the beginning of a commit id, or all of
// it.
func isAbbreviation(ref string) bool {
	return regexp.MustCompile(`^[0-9a-f]{4,40}$`).MatchString(ref)
}

func ambiguous(ref string, found []plumbing.Hash) error {
	var ids []string
	for _, h := range found {
		ids = append(ids, h.String())
	}
	slices.Sort(ids)
	return &tasks.Error{
		Kind: tasks.Invalid, Input: "ref",
		Message: fmt.Sprintf("%q may be %d commits", ref, len(found)),
		Hint:    "write more digits: " + strings.Join(ids[:min(len(ids), 4)], ", "),
	}
}
