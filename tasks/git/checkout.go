package git

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

// checkout writes the selected files into files_path. Each appears under its name
// when it is complete. Nothing is written through a symbolic link.
func (s *session) checkout(ctx context.Context, objs objects, sel selection, out map[string]any) error {
	dir, err := openDir(s.env.Files, s.in.String("files_path"))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a directory
	c := &checkout{session: s, root: dir, total: int64(len(sel.files))}
	if err := c.directories(slices.Concat(sel.files, sel.links)); err != nil {
		return err
	}
	if err := c.files(ctx, objs, sel.files); err != nil {
		return err
	}
	// The order is that of the workers.
	slices.Sort(c.lfs)
	var lfs []any
	for _, name := range c.lfs {
		lfs = append(lfs, text(name))
	}
	s.note(lfs, out)
	links, err := c.links(objs, sel.links)
	if len(links) > 0 {
		out["symlinks"] = links
	}
	return err
}

// openDir makes and opens a directory of the files directory.
func openDir(files *os.Root, name string) (*os.Root, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, badPath(name, nil)
	}
	err := files.MkdirAll(filepath.FromSlash(name), 0o777)
	if err == nil {
		var dir *os.Root
		if dir, err = files.OpenRoot(filepath.FromSlash(name)); err == nil {
			return dir, nil
		}
	}
	// os has no exported error for it.
	if strings.Contains(err.Error(), "escapes") {
		return nil, badPath(name, err)
	}
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, &tasks.Error{
			Kind: tasks.Conflict, Input: "files_path", Err: err,
			Message: fmt.Sprintf("files_path %q is a file, or lies below one", name), Hint: "choose another files_path",
		}
	}
	return nil, fmt.Errorf("open files_path: %w", err)
}

func badPath(name string, cause error) error {
	if name == "" {
		return &tasks.Error{
			Kind: tasks.Invalid, Input: "files_path", Message: "files_path is empty",
			Hint: "name a directory in the files directory; . is that directory itself",
		}
	}
	return &tasks.Error{
		Kind: tasks.Invalid, Input: "files_path", Err: cause,
		Message: fmt.Sprintf("files_path %q leads out of the files directory", name),
		Hint:    "give a path relative to it",
	}
}

// checkout is one writing of files.
type checkout struct {
	session *session
	root    *os.Root // files_path
	total   int64

	mu   sync.Mutex
	done int64
	lfs  []string
}

// directories makes those that the entries lie in, and refuses to go through
// what is none.
func (c *checkout) directories(entries []entry) error {
	made := map[string]bool{".": true}
	var makeDir func(dir string) error
	makeDir = func(dir string) error {
		if made[dir] {
			return nil
		}
		if err := makeDir(path.Dir(dir)); err != nil {
			return err
		}
		made[dir] = true
		info, err := c.root.Lstat(filepath.FromSlash(dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := c.root.Mkdir(filepath.FromSlash(dir), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("make directory %q: %w", dir, err)
			}
		case err != nil:
			return fmt.Errorf("make directory %q: %w", dir, err)
		case !info.IsDir():
			return &tasks.Error{
				Kind: tasks.Conflict, Input: "files_path",
				Message: fmt.Sprintf("%q in files_path is no directory, and the repository has files in it", dir),
				Hint:    "remove it, or choose another files_path",
			}
		}
		return nil
	}
	for _, e := range entries {
		if err := makeDir(path.Dir(e.name)); err != nil {
			return err
		}
	}
	return nil
}

// files writes directory by directory, several at a time.
func (c *checkout) files(ctx context.Context, objs objects, entries []entry) error {
	const most = 4
	byDir := map[string][]entry{}
	var dirs []string
	for _, e := range entries {
		dir := path.Dir(e.name)
		if byDir[dir] == nil {
			dirs = append(dirs, dir)
		}
		byDir[dir] = append(byDir[dir], e)
	}
	queue := make(chan string)
	group, ctx := errgroup.WithContext(ctx)
	for range min(runtime.GOMAXPROCS(0), most, len(dirs)) {
		own, err := objs.fork()
		if err != nil {
			return err
		}
		group.Go(func() error {
			for dir := range queue {
				if err := c.directory(ctx, own, dir, byDir[dir]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(queue)
		for _, dir := range dirs {
			select {
			case queue <- dir:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

func (c *checkout) directory(ctx context.Context, objs objects, dir string, entries []entry) error {
	root, err := c.root.OpenRoot(filepath.FromSlash(dir))
	if err != nil {
		return fmt.Errorf("open directory %q: %w", dir, err)
	}
	defer root.Close() //nolint:errcheck // a directory
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.file(root, objs, e); err != nil {
			return fmt.Errorf("write %q: %w", e.name, err)
		}
	}
	return nil
}

func (c *checkout) file(dir *os.Root, objs objects, e entry) error {
	mode := fs.FileMode(0o666) // the umask decides, as with git
	if e.kind() == "executable" {
		mode = 0o777
	}
	temp := ".weir-" + rand.Text()
	f, err := dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	w := &head{next: f}
	err = objs.copyTo(w, e.hash)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = c.appear(dir, temp, e)
	}
	if err != nil {
		_ = dir.Remove(temp)
		return err
	}
	c.wrote(e.name, string(w.begin) == lfsPrefix)
	return nil
}

// appear gives a finished file its name.
func (c *checkout) appear(dir *os.Root, temp string, e entry) error {
	err := dir.Rename(temp, path.Base(e.name))
	if err == nil {
		return nil
	}
	if info, lstat := dir.Lstat(path.Base(e.name)); lstat == nil && info.IsDir() {
		return &tasks.Error{
			Kind: tasks.Conflict, Input: "files_path", Err: err,
			Message: fmt.Sprintf("%q in files_path is a directory, and a file in the repository", e.name),
			Hint:    "remove it, or choose another files_path",
		}
	}
	return err
}

func (c *checkout) wrote(name string, lfs bool) {
	const often = 1 << 8
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if lfs {
		c.lfs = append(c.lfs, name)
	}
	if c.done%often == 0 || c.done == c.total {
		c.session.env.Progress(c.done, c.total, "writing files")
	}
}

// links makes the symbolic links whose target stays within files_path.
func (c *checkout) links(objs objects, entries []entry) ([]any, error) {
	var links []any
	skipped := 0
	for _, e := range entries {
		target, err := linkTarget(objs, e)
		if err != nil {
			return nil, err
		}
		ok := staysWithin(path.Dir(e.name), target)
		if ok {
			err = c.link(target, e)
		} else {
			skipped++
		}
		if err != nil {
			return nil, fmt.Errorf("write link %q: %w", e.name, err)
		}
		links = append(links, map[string]any{"name": text(e.name), "target": text(target), "written": ok})
	}
	if skipped > 0 {
		c.session.env.Warn(fmt.Sprintf("%d symbolic links lead out of files_path and were not written", skipped))
	}
	return links, nil
}

func (c *checkout) link(target string, e entry) error {
	dir, err := c.root.OpenRoot(filepath.FromSlash(path.Dir(e.name)))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // a directory
	temp := ".weir-" + rand.Text()
	if err := dir.Symlink(target, temp); err != nil {
		return err
	}
	if err := c.appear(dir, temp, e); err != nil {
		_ = dir.Remove(temp)
		return err
	}
	return nil
}

// staysWithin tells whether a link in dir leads nowhere else. A ".." behind a
// name is refused: the name may be a link that leads up.
func staysWithin(dir, target string) bool {
	rest := target
	for strings.HasPrefix(rest, "../") {
		rest = rest[len("../"):]
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == ".." && rest != ".." {
			return false
		}
	}
	return target != "" && !strings.ContainsAny(target, "\\\x00") && !path.IsAbs(target) && filepath.IsLocal(path.Join(dir, target))
}

// head lets everything through and keeps its beginning.
type head struct {
	next  *os.File
	begin []byte
}

func (h *head) Write(p []byte) (int, error) {
	if missing := len(lfsPrefix) - len(h.begin); missing > 0 {
		h.begin = append(h.begin, p[:min(missing, len(p))]...)
	}
	return h.next.Write(p)
}
