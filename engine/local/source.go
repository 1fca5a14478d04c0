package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/engine"
)

// maxSource is how large a flow's text may be.
const maxSource = 1 << 20

// StoredFile is what errors call a version of a flow that is in no directory but in
// the store, such as "deploy@3". See [Config.Flows].
func StoredFile(name string, version int) string { return fmt.Sprintf("%s@%d", name, version) }

// SentFile is what errors call the text of a flow that somebody sent, such as
// "sent:deploy.lua": it is in no directory, and finds nothing beside it.
func SentFile(name string) string { return sentPrefix + name }

const sentPrefix = "sent:"

// isStored tells whether a file is such a flow, which has no directory of its own.
func isStored(file string) bool {
	if strings.HasPrefix(file, sentPrefix) {
		return true
	}
	at := strings.LastIndexByte(file, '@')
	if at <= 0 {
		return false
	}
	_, err := strconv.ParseUint(file[at+1:], 10, 32)
	return err == nil
}

// storedDir is what comes before the last slash in the name of a stored flow: "team" of
// the file "team/deploy@3". It is empty if there is none.
func storedDir(file string) string {
	if !isStored(file) || strings.HasPrefix(file, sentPrefix) {
		return ""
	}
	if dir := path.Dir(file); dir != "." {
		return dir
	}
	return ""
}

// searched gives the directories in which what the file from names is looked for: its
// own first. Directories are the machine's: nobody but whose it is reads them.
func (r *Runner) searched(owner, from string) []string {
	switch {
	case owner != "":
		return nil
	case isStored(from):
		return r.config.FlowDirs
	}
	return slices.Concat([]string{filepath.Dir(from)}, r.config.FlowDirs)
}

// load finds the flow or module that name means in directories. A name is a path with
// or without ".lua", or a dotted module name. No name leads out of those directories.
func load(name string, searched []string) (file string, text []byte, err error) {
	candidates, err := candidates(name)
	if err != nil {
		return "", nil, err
	}
	for _, dir := range searched {
		for _, candidate := range candidates {
			text, err := read(dir, candidate)
			if err == nil {
				return filepath.Join(dir, filepath.FromSlash(candidate)), text, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", nil, &engine.Error{
					Kind: engine.Invalid, Message: fmt.Sprintf("load flow %q: %v", name, err),
				}
			}
		}
	}
	return "", nil, &engine.Error{
		Kind:    engine.NotFound,
		Message: "not found in " + strings.Join(searched, ", "), // the caller names it
		Hint:    known(searched),
	}
}

// candidates lists the files that a name may mean, most literal first.
func candidates(name string) ([]string, error) {
	if name == "" || path.IsAbs(name) || !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, &engine.Error{
			Kind:    engine.Invalid,
			Message: fmt.Sprintf("%q is no name of a flow", name),
			Hint:    "a flow is named by its path below the directory of the running flow or a --flows directory",
		}
	}
	name = path.Clean(name)
	if strings.HasSuffix(name, ".lua") {
		return []string{name}, nil
	}
	found := []string{name + ".lua"}
	if dotted := strings.ReplaceAll(name, ".", "/"); dotted != name {
		found = append(found, dotted+".lua")
	}
	return found, nil
}

func read(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // a directory
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSource {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxSource)
	}
	return text, nil
}

// known lists flows that are there, as a hint for one that is not.
func known(dirs []string) string {
	var names []string
	for _, dir := range dirs {
		found, _ := filepath.Glob(filepath.Join(dir, "*.lua"))
		for _, file := range found {
			names = append(names, strings.TrimSuffix(filepath.Base(file), ".lua"))
		}
	}
	if names == nil {
		return ""
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return "there are " + strings.Join(names[:min(len(names), 10)], ", ")
}

// flowName is a flow's name as lists show it: its file's without directory and ".lua".
func flowName(file string) string {
	return strings.TrimSuffix(filepath.Base(file), ".lua")
}
