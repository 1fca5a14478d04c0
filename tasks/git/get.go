package git

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"

	"github.com/weir-engine/weir/tasks"
)

// lfsPrefix begins what Git LFS leaves in a repository in a file's place.
const lfsPrefix = "version https://git-lfs.github.com/spec/v1\n"

func (s *session) get(ctx context.Context) (map[string]any, error) {
	p, objs, c, err := s.commitAt(ctx, scope{depth: 1, trees: true, blobs: len(s.paths) == 0, lazy: true})
	if err != nil {
		return nil, err
	}
	all, err := walk(ctx, objs, c.TreeHash, s.paths)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 && len(s.paths) > 0 {
		return nil, &tasks.Error{Kind: tasks.NotFound, Input: "paths", Message: "no file of the commit matches " + strings.Join(s.in.Strings("paths"), ", "),
			Hint: "`list` tells what there is"}
	}
	sel := sortOut(all)
	if err := objs.need(ctx, sel.hashes()); err != nil {
		return nil, err
	}
	out := map[string]any{"ref": p.ref, "commit_sha": c.Hash.String(), "count": int64(len(sel.files))}
	if size, err := sel.size(objs); err != nil {
		return nil, err
	} else {
		out["size"] = size
	}
	if s.in.Has("files_path") {
		err = s.checkout(ctx, objs, sel, out)
	} else {
		err = s.inline(ctx, objs, sel, out)
	}
	if err != nil {
		return nil, err
	}
	if len(sel.submodules) > 0 {
		out["submodules"] = sel.submodules
	}
	return out, nil
}

// selection is the selected entries by what is done with them.
type selection struct {
	files      []entry
	links      []entry
	submodules []any
}

func sortOut(all []entry) selection {
	var sel selection
	for _, e := range all {
		switch e.mode {
		case filemode.Submodule:
			sel.submodules = append(sel.submodules, map[string]any{"name": text(e.name), "sha": e.hash.String()})
		case filemode.Symlink:
			sel.links = append(sel.links, e)
		default:
			sel.files = append(sel.files, e)
		}
	}
	return sel
}

func (sel selection) hashes() []plumbing.Hash {
	seen := map[plumbing.Hash]bool{}
	var hashes []plumbing.Hash
	for _, e := range slices.Concat(sel.files, sel.links) {
		if !seen[e.hash] {
			seen[e.hash] = true
			hashes = append(hashes, e.hash)
		}
	}
	return hashes
}

func (sel selection) size(objs objects) (int64, error) {
	var sum int64
	for _, e := range sel.files {
		n, err := objs.size(e.hash)
		if err != nil {
			return 0, fmt.Errorf("read the size of %q: %w", e.name, err)
		}
		sum += n
	}
	return sum, nil
}

// inline puts the files into the output.
func (s *session) inline(ctx context.Context, objs objects, sel selection, out map[string]any) error {
	if size := out["size"].(int64); size > inlineLimit {
		return &tasks.Error{
			Kind: tasks.Invalid, Input: "files_path",
			Message: fmt.Sprintf("the %d files have %d bytes together, and an output holds at most %d", len(sel.files), size, inlineLimit),
			Hint:    "give `files_path` to write them into the files directory, or `paths` to choose some",
		}
	}
	const often = 1 << 8
	files := make([]any, 0, len(sel.files))
	var lfs []any
	for i, e := range sel.files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var b bytes.Buffer
		if err := objs.copyTo(&b, e.hash); err != nil {
			return fmt.Errorf("read %q: %w", e.name, err)
		}
		if bytes.HasPrefix(b.Bytes(), []byte(lfsPrefix)) {
			lfs = append(lfs, text(e.name))
		}
		files = append(files, map[string]any{"name": text(e.name), "content": base64.StdEncoding.EncodeToString(b.Bytes())})
		if done := i + 1; done%often == 0 || done == len(sel.files) {
			s.env.Progress(int64(done), int64(len(sel.files)), "reading files")
		}
	}
	out["files"] = files
	s.note(lfs, out)
	links := make([]any, 0, len(sel.links))
	for _, e := range sel.links {
		target, err := linkTarget(objs, e)
		if err != nil {
			return err
		}
		links = append(links, map[string]any{"name": text(e.name), "target": text(target)})
	}
	if len(links) > 0 {
		out["symlinks"] = links
	}
	return nil
}

// note tells of LFS pointers.
func (s *session) note(lfs []any, out map[string]any) {
	if len(lfs) == 0 {
		return
	}
	out["lfs"] = lfs
	s.env.Warn(fmt.Sprintf("%d files are LFS pointers, not what they point to: %s", len(lfs), lfs[0]))
}

func linkTarget(objs objects, e entry) (string, error) {
	const enough = 4 << 10
	if n, err := objs.size(e.hash); err != nil || n > enough {
		return "", fmt.Errorf("read link %q of %d bytes: %w", e.name, n, err)
	}
	var b bytes.Buffer
	if err := objs.copyTo(&b, e.hash); err != nil {
		return "", fmt.Errorf("read link %q: %w", e.name, err)
	}
	return b.String(), nil
}

// text makes a name fit for JSON.
func text(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }
