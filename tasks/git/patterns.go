package git

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/weir-engine/weir/tasks"
)

// patterns selects files of a tree; none selects all.
type patterns []pattern

type pattern struct {
	text string
	base string // the directory that everything it matches lies in; "." for the root
}

func parsePatterns(texts []string) (patterns, error) {
	var ps patterns
	for _, text := range texts {
		clean := path.Clean(text)
		if text == "" || !doublestar.ValidatePattern(clean) || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") {
			return nil, &tasks.Error{
				Kind: tasks.Invalid, Input: "paths",
				Message: fmt.Sprintf("%q is no path or pattern within the repository", text),
			}
		}
		base, _ := doublestar.SplitPattern(clean)
		if !hasMeta(clean) {
			base = clean
		}
		ps = append(ps, pattern{text: clean, base: base})
	}
	return ps, nil
}

func hasMeta(text string) bool { return strings.ContainsAny(text, `*?[{\`) }

// match tells whether a file is selected: it, or a directory it lies in, matches.
func (ps patterns) match(name string) bool {
	if len(ps) == 0 {
		return true
	}
	for _, p := range ps {
		if p.text == "." {
			return true
		}
		for at := name; at != "."; at = path.Dir(at) {
			if doublestar.MatchUnvalidated(p.text, at) {
				return true
			}
		}
	}
	return false
}

// enter tells whether a directory may hold selected files.
func (ps patterns) enter(dir string) bool {
	if len(ps) == 0 {
		return true
	}
	for _, p := range ps {
		if within(p.base, dir) || within(dir, p.base) {
			return true
		}
	}
	return false
}

// within tells whether dir lies in parent, or is it.
func within(parent, dir string) bool {
	return parent == "." || parent == dir || strings.HasPrefix(dir, parent+"/")
}
