package git

import (
	"context"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// repository is a remote or a local one. Nothing happens before its first use.
type repository interface {
	// find gives the commit that ref names; "" names HEAD. It is
	// transport.ErrEmptyRemoteRepository if there is no commit at all.
	find(ctx context.Context, ref string) (point, error)
	// tip gives what a reference holds, which may be a tag; zero if there is none.
	tip(ctx context.Context, name plumbing.ReferenceName) (plumbing.Hash, error)
	// load gives what can be reached from a commit, as far as s says. It stays
	// valid until Close.
	load(ctx context.Context, p point, s scope) (objects, error)
	// update moves one reference, if it is still where u says.
	update(ctx context.Context, u update) error
	// test is tasks.Tester's.
	test(ctx context.Context, report reporter) error
	Close() error
}

// point is a commit with the name by which it was found.
type point struct {
	ref  string // full reference name, or the commit's id
	hash plumbing.Hash
}

// scope says which objects are needed.
type scope struct {
	depth int  // commits of history; 0 means all
	trees bool // the commits' trees
	blobs bool // the files of the trees
	// lazy says that the files may be left out, since objects.need asks for some.
	lazy bool
}

// objects reads objects by their id. It serves one goroutine; fork gives an equal
// one for another.
type objects interface {
	object(h plumbing.Hash) (plumbing.EncodedObject, error)
	size(h plumbing.Hash) (int64, error)
	copyTo(w io.Writer, h plumbing.Hash) error
	// need makes sure that these are there, where a scope left them out.
	need(ctx context.Context, hashes []plumbing.Hash) error
	// shallow tells whether h's parents were left out.
	shallow(h plumbing.Hash) bool
	fork() (objects, error)
}

// update is one reference to move, and what it needs.
type update struct {
	name     plumbing.ReferenceName
	old, new plumbing.Hash // zero old: create it
	objects  []plumbing.EncodedObject
}

func readCommit(objs objects, h plumbing.Hash) (*object.Commit, error) {
	o, err := objs.object(h)
	if err != nil {
		return nil, err
	}
	c := &object.Commit{}
	return c, c.Decode(o)
}

func readTree(objs objects, h plumbing.Hash) (*object.Tree, error) {
	o, err := objs.object(h)
	if err != nil {
		return nil, err
	}
	t := &object.Tree{}
	return t, t.Decode(o)
}
