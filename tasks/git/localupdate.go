package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/weir-engine/weir/tasks"
)

// update writes the objects and moves the reference under git's own lock, the
// file <reference>.lock, so that git programs at work there and this one do not
// overtake each other. go-git would overwrite the reference in place.
func (l *local) update(_ context.Context, u update) error {
	if err := l.open(); err != nil {
		return err
	}
	if err := l.refuseCheckedOut(u.name); err != nil {
		return err
	}
	for _, name := range l.refNames() {
		if strings.HasPrefix(name, u.name.String()+"/") || strings.HasPrefix(u.name.String(), name+"/") {
			return &tasks.Error{Kind: tasks.Conflict,
				Message: fmt.Sprintf("%s cannot be there beside %s", u.name.Short(), plumbing.ReferenceName(name).Short())}
		}
	}
	path := filepath.Join(l.commonDir, filepath.FromSlash(u.name.String()))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil { //nolint:gosec // as git does; the umask decides
		return fmt.Errorf("make room for %s: %w", u.name, err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // as git does
	if errors.Is(err, fs.ErrExist) {
		return &tasks.Error{Kind: tasks.Conflict, Message: fmt.Sprintf("%s is being changed by another program", u.name.Short()),
			Hint: "if none is at work, it left " + path + ".lock behind"}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", u.name, err)
	}
	err = l.write(lock, u)
	err = errors.Join(err, lock.Close())
	if err == nil {
		err = os.Rename(lock.Name(), path)
	}
	if err != nil {
		_ = os.Remove(lock.Name())
	}
	return err
}

// write fills the lock, whose holder alone may look and change.
func (l *local) write(lock *os.File, u update) error {
	now, err := l.resolve(u.name)
	if err != nil && !errors.Is(err, plumbing.ErrReferenceNotFound) {
		return fmt.Errorf("read %s: %w", u.name, err)
	}
	if now != u.old {
		return moved(u, now)
	}
	for _, o := range u.objects {
		if _, err := l.storage.SetEncodedObject(o); err != nil {
			return fmt.Errorf("write an object: %w", err)
		}
	}
	if _, err := lock.WriteString(u.new.String() + "\n"); err != nil {
		return fmt.Errorf("write %s: %w", u.name, err)
	}
	return lock.Sync()
}

// refuseCheckedOut keeps a worktree from differing from its branch.
func (l *local) refuseCheckedOut(name plumbing.ReferenceName) error {
	heads, _ := filepath.Glob(filepath.Join(l.commonDir, "worktrees", "*", "HEAD"))
	if !l.bare() {
		heads = append(heads, filepath.Join(l.commonDir, "HEAD"))
	}
	for _, head := range heads {
		text, err := os.ReadFile(head) //nolint:gosec // part of the repository
		if err == nil && strings.TrimSpace(string(text)) == "ref: "+name.String() {
			return &tasks.Error{
				Kind: tasks.Permanent, Input: "branch",
				Message: fmt.Sprintf("the branch %s is checked out in this repository, and its files would no longer fit it", name.Short()),
				Hint:    "commit to another branch, or to a bare repository",
			}
		}
	}
	return nil
}

func (l *local) bare() bool {
	f, err := os.Open(filepath.Join(l.commonDir, "config"))
	if err == nil {
		defer f.Close() //nolint:errcheck // only read
		cfg := config.New()
		if config.NewDecoder(f).Decode(cfg) == nil {
			if is := cfg.Section("core").Option("bare"); is != "" {
				return is == "true"
			}
		}
	}
	return filepath.Base(l.commonDir) != ".git"
}
