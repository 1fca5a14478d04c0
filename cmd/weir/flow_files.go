package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/weir-engine/weir/engine/api"
)

// flowFile is a file below a directory of flows, or what cannot be read of it.
type flowFile struct {
	path string // of the file, or of a directory
	name string // of the flow: "team/deploy" for team/deploy.lua
	info fs.FileInfo
	read func() ([]byte, error)
	err  error // why it cannot be read
}

// flowFiles calls each for every flow of a directory while it goes through it. Names
// that begin with a dot are those of editors and tools. Links are followed to files in
// the directory, and nowhere else.
func flowFiles(dir string, each func(flowFile)) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		each(flowFile{path: dir, err: reason(err)})
		return
	}
	defer root.Close() //nolint:errcheck // a directory
	_ = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		f := flowFile{path: filepath.Join(dir, filepath.FromSlash(name)), name: strings.TrimSuffix(name, ".lua")}
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != ".": // it was removed while we looked
			return nil
		case err != nil:
			f.err = reason(err)
			each(f)
			return fs.SkipDir
		case name != "." && strings.HasPrefix(path.Base(name), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir() || f.name == name:
			return nil
		}
		f.info, err = root.Stat(filepath.FromSlash(name))
		switch {
		case errors.Is(err, fs.ErrNotExist) && entry.Type()&fs.ModeSymlink == 0:
			return nil
		case err != nil:
			f.err = reason(err)
		case !f.info.Mode().IsRegular():
			f.err = errors.New("it is no file")
		}
		f.read = func() ([]byte, error) { return readBelow(root, name) }
		each(f)
		return nil
	})
}

func readBelow(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, reason(err)
	}
	defer file.Close()                                   //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(file, maxInputs+1)) // checkFlow says that it is too large
}

// reason is why a file cannot be read, without its name.
func reason(err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// checkFlows tells what is wrong with directories of flows.
func checkFlows(dirs []string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		flows := 0
		var faults []error
		for _, dir := range dirs {
			flowFiles(dir, func(f flowFile) {
				flows++
				var text []byte
				if f.err == nil {
					text, f.err = f.read()
				}
				if f.err != nil {
					faults = append(faults, fmt.Errorf("%s: %w", f.path, f.err))
				} else if err := checkFlow(&api.FlowText{Name: f.name, Text: string(text)}, f.path); err != nil {
					faults = append(faults, err)
				}
			})
		}
		if len(dirs) == 0 {
			return "no directory is watched", nil
		}
		return fmt.Sprintf("%d in %s", flows, strings.Join(dirs, ", ")), joinFaults(faults)
	}
}
