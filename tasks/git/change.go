package git

import (
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// change is what a commit does to one path.
type change struct {
	remove     bool
	content    []byte
	executable *bool // nil: as it is
}

// changes are by path.
type changes map[string]change

func badChange(input, format string, args ...any) error {
	return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: fmt.Sprintf(format, args...)}
}

// parseChanges reads the inputs files and delete.
func parseChanges(in schema.Inputs) (changes, error) {
	all := changes{}
	add := func(input, name string, c change) error {
		clean := path.Clean(name)
		if name == "" || path.IsAbs(clean) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(name, "\x00") {
			return badChange(input, "%q is no path within the repository", name)
		}
		for part := range strings.SplitSeq(clean, "/") {
			if strings.EqualFold(part, ".git") {
				return badChange(input, "%q is in a repository's own directory", name)
			}
		}
		if _, twice := all[clean]; twice {
			return badChange(input, "%q is there twice", clean)
		}
		all[clean] = c
		return nil
	}
	for name, v := range in.Map("files") {
		c, err := parseFile(name, v)
		if err != nil {
			return nil, err
		}
		if err := add("files", name, c); err != nil {
			return nil, err
		}
	}
	for _, name := range in.Strings("delete") {
		if err := add("delete", name, change{remove: true}); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, badChange("files", "there is nothing to commit: give `files` or `delete`")
	}
	for name := range all {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, both := all[dir]; both {
				return nil, badChange("files", "%q and %q cannot be changed together", dir, name)
			}
		}
	}
	return all, nil
}

func parseFile(name string, v any) (change, error) {
	if text, ok := v.(string); ok {
		return change{content: []byte(text)}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return change{}, badChange("files", "%q is neither a text nor a mapping with content or base64", name)
	}
	var c change
	given := 0
	for key, v := range m {
		text, isText := v.(string)
		flag, isFlag := v.(bool)
		switch {
		case key == "content" && isText:
			c.content = []byte(text)
			given++
		case key == "base64" && isText:
			content, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
			if err != nil {
				return change{}, badChange("files", "%q: base64 is not valid", name)
			}
			c.content = content
			given++
		case key == "executable" && isFlag:
			c.executable = &flag
		default:
			return change{}, badChange("files", "%q: %s is not known or of the wrong type; there are content, base64 and executable", name, key)
		}
	}
	if given != 1 {
		return change{}, badChange("files", "%q has not one of content and base64", name)
	}
	return c, nil
}

// editor makes the objects of a changed tree.
type editor struct {
	objs objects
	made []plumbing.EncodedObject
}

// edit applies changes to a tree; their paths start in it. A zero tree is an
// empty one; zero is given back for one that has become empty. dir is for errors.
func (e *editor) edit(tree plumbing.Hash, dir string, all changes) (plumbing.Hash, error) {
	var t object.Tree
	if !tree.IsZero() {
		old, err := readTree(e.objs, tree)
		if err != nil {
			return tree, fmt.Errorf("read tree %s: %w", tree, err)
		}
		t.Entries = slices.Clone(old.Entries)
	}
	here, below := split(all)
	for _, name := range sorted(here) {
		if err := e.apply(&t, dir, name, here[name]); err != nil {
			return tree, err
		}
	}
	for _, name := range sorted(below) {
		if err := e.descend(&t, dir, name, below[name]); err != nil {
			return tree, err
		}
	}
	if len(t.Entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	sort.Sort(object.TreeEntrySorter(t.Entries))
	return e.store(&t)
}

// split tells the changes in a directory from those in its subdirectories.
func split(all changes) (here changes, below map[string]changes) {
	here, below = changes{}, map[string]changes{}
	for name, c := range all {
		first, rest, deeper := strings.Cut(name, "/")
		if !deeper {
			here[first] = c
			continue
		}
		if below[first] == nil {
			below[first] = changes{}
		}
		below[first][rest] = c
	}
	return here, below
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func find(t *object.Tree, name string) int {
	return slices.IndexFunc(t.Entries, func(e object.TreeEntry) bool { return e.Name == name })
}

func (e *editor) apply(t *object.Tree, dir, name string, c change) error {
	at := find(t, name)
	if c.remove {
		if at < 0 {
			return &tasks.Error{Kind: tasks.NotFound, Input: "delete", Message: fmt.Sprintf("there is no %q to delete", path.Join(dir, name))}
		}
		t.Entries = slices.Delete(t.Entries, at, at+1)
		return nil
	}
	mode := filemode.Regular
	if at >= 0 {
		switch old := t.Entries[at].Mode; old {
		case filemode.Dir, filemode.Submodule:
			return badChange("files", "%q is a directory in the repository", path.Join(dir, name))
		case filemode.Executable:
			mode = old
		}
		t.Entries = slices.Delete(t.Entries, at, at+1)
	}
	if c.executable != nil {
		mode = filemode.Regular
		if *c.executable {
			mode = filemode.Executable
		}
	}
	blob := &plumbing.MemoryObject{}
	blob.SetType(plumbing.BlobObject)
	if _, err := blob.Write(c.content); err != nil {
		return err
	}
	e.made = append(e.made, blob)
	t.Entries = append(t.Entries, object.TreeEntry{Name: name, Mode: mode, Hash: blob.Hash()})
	return nil
}

func (e *editor) descend(t *object.Tree, dir, name string, all changes) error {
	at := find(t, name)
	var old plumbing.Hash
	if at >= 0 {
		if t.Entries[at].Mode != filemode.Dir {
			return badChange("files", "%q is no directory in the repository", path.Join(dir, name))
		}
		old = t.Entries[at].Hash
		t.Entries = slices.Delete(t.Entries, at, at+1)
	}
	tree, err := e.edit(old, path.Join(dir, name), all)
	if err != nil || tree.IsZero() {
		return err
	}
	t.Entries = append(t.Entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: tree})
	return nil
}

// store encodes an object and keeps it for the update.
func (e *editor) store(o interface {
	Encode(plumbing.EncodedObject) error
}) (plumbing.Hash, error) {
	m := &plumbing.MemoryObject{}
	if err := o.Encode(m); err != nil {
		return plumbing.ZeroHash, fmt.Errorf("make an object: %w", err)
	}
	e.made = append(e.made, m)
	return m.Hash(), nil
}
