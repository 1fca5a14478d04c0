package s3

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weir-engine/weir/tasks"
)

// temporary begins the names of files that are not whole yet.
const temporary = ".weir-s3-"

// target is a file that appears under its name when it is whole.
type target struct {
	*os.File
	files *os.Root
	temp  string
	name  string
	done  bool
}

// newTarget makes a file that is nowhere to be seen yet, and the directories that
// it will lie in.
func newTarget(files *os.Root, name string) (*target, error) {
	return openTarget(files, name, rand.Text(), os.O_EXCL)
}

// openTarget is newTarget with a temporary name that is found again.
func openTarget(files *os.Root, name, id string, flag int) (*target, error) {
	clean, err := localPath(name)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(clean)
	if err := files.MkdirAll(filepath.FromSlash(dir), 0o777); err != nil {
		return nil, fileError(name, err)
	}
	if info, err := files.Lstat(filepath.FromSlash(clean)); err == nil && info.IsDir() {
		return nil, &tasks.Error{Kind: tasks.Conflict, Input: "file", Message: fmt.Sprintf("%q in the files directory is a directory", name)}
	}
	t := &target{files: files, name: clean, temp: path.Join(dir, temporary+id)}
	t.File, err = files.OpenFile(filepath.FromSlash(t.temp), os.O_RDWR|os.O_CREATE|flag, 0o666)
	if err != nil {
		return nil, fileError(name, err)
	}
	return t, nil
}

// commit gives a whole file its name. What is there under it is replaced.
func (t *target) commit() error {
	if err := t.Sync(); err != nil {
		return fmt.Errorf("write %q: %w", t.name, err)
	}
	return t.rename()
}

// rename is commit without waiting for the disk.
func (t *target) rename() error {
	if err := t.Close(); err != nil {
		return fmt.Errorf("write %q: %w", t.name, err)
	}
	if err := t.files.Rename(filepath.FromSlash(t.temp), filepath.FromSlash(t.name)); err != nil {
		return fileError(t.name, err)
	}
	t.done = true
	return nil
}

// discard removes the file unless it was committed.
func (t *target) discard() {
	if !t.done {
		_ = t.Close()
		_ = t.files.Remove(filepath.FromSlash(t.temp))
	}
}

// localPath gives the clean form of a path in the files directory.
func localPath(name string) (string, error) {
	clean := path.Clean(filepath.ToSlash(name))
	if name == "" || clean == "." || strings.HasSuffix(name, "/") || strings.ContainsRune(name, 0) {
		return "", &tasks.Error{Kind: tasks.Invalid, Input: "file", Message: "file names no file"}
	}
	if !filepath.IsLocal(filepath.FromSlash(clean)) {
		return "", outside(name, nil)
	}
	return clean, nil
}

func outside(name string, cause error) error {
	return &tasks.Error{Kind: tasks.Invalid, Input: "file", Err: cause, Message: oneLine(fmt.Sprintf("%q leads out of the files directory", name)),
		Hint: "give a path relative to it"}
}

// fileError makes the error of a file in the files directory.
func fileError(name string, err error) error {
	e := &tasks.Error{Kind: tasks.Permanent, Input: "file", Err: err, Message: oneLine(fmt.Sprintf("file %q: %s", name, reasonOf(err)))}
	switch {
	case strings.Contains(err.Error(), "escapes"): // os has no exported error for it
		return outside(name, err)
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Hint = tasks.NotFound, "paths are relative to the files directory"
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		e.Kind = tasks.Conflict
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL):
		e.Kind = tasks.Invalid
	}
	return e
}

// nameOf makes one short name of what identifies a transfer.
func nameOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:12])
}

// openSource opens a file that is to be uploaded.
func openSource(files *os.Root, name string) (*os.File, fs.FileInfo, error) {
	clean, err := localPath(name)
	if err != nil {
		return nil, nil, err
	}
	// A named pipe would block its opener for ever.
	f, err := files.OpenFile(filepath.FromSlash(clean), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fileError(name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &tasks.Error{Kind: tasks.Invalid, Input: "file", Message: fmt.Sprintf("%q in the files directory is no ordinary file", name)}
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}
