package git

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/config"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/weir-engine/weir/tasks"
)

const (
	// localCache is how many bytes of delta bases are kept for each reader.
	localCache = 16 * cache.MiByte
	// largeObject is from which size on an object is streamed.
	largeObject = 1 << 20
)

// local is a repository in a directory, opened where it is: bare or not, shallow
// or not, a linked worktree or a submodule. go-git's transport for files would
// start the git program, and its Repository refuses extensions that do not
// matter for what is done here.
type local struct {
	target target

	gitDir    string // HEAD, and refs of a linked worktree
	commonDir string // everything else
	storage   *filesystem.Storage
	forks     []*filesystem.Storage
	shallows  map[plumbing.Hash]bool
}

func (l *local) Close() error {
	var errs []error
	for _, s := range l.forks {
		errs = append(errs, s.Close())
	}
	l.forks, l.storage = nil, nil
	return errors.Join(errs...)
}

// open finds and opens the repository at first use.
func (l *local) open() error {
	if l.storage != nil {
		return nil
	}
	if err := l.locate(); err != nil {
		return err
	}
	if err := l.checkFormat(); err != nil {
		return err
	}
	l.storage = l.newStorage()
	hashes, err := l.storage.Shallow()
	if err != nil {
		return fmt.Errorf("read where history ends: %w", err)
	}
	l.shallows = map[plumbing.Hash]bool{}
	for _, h := range hashes {
		l.shallows[h] = true
	}
	return nil
}

func (l *local) newStorage() *filesystem.Storage {
	files := osfs.New(l.gitDir)
	if l.commonDir != l.gitDir {
		files = dotgit.NewRepositoryFilesystem(files, osfs.New(l.commonDir))
	}
	s := filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(localCache), filesystem.Options{
		KeepDescriptors:      true,
		LargeObjectThreshold: largeObject,
		AlternatesFS:         osfs.New("/"),
	})
	l.forks = append(l.forks, s)
	return s
}

// locate sets gitDir and commonDir.
func (l *local) locate() error {
	dir := filepath.Clean(l.target.path)
	if _, err := os.Stat(dir); err != nil {
		return missingRepository("there is no such directory", err)
	}
	for {
		gitDir, err := gitDirOf(dir)
		if err != nil {
			return err
		}
		if gitDir != "" {
			l.gitDir, l.commonDir = gitDir, commonDirOf(gitDir)
			return nil
		}
		parent := filepath.Dir(dir)
		if !l.target.around || parent == dir {
			break
		}
		dir = parent
	}
	if l.target.around {
		return missingRepository("there is no repository around the files directory", nil)
	}
	return missingRepository("the directory is no repository", nil)
}

func missingRepository(message string, cause error) error {
	kind := tasks.NotFound
	if errors.Is(cause, fs.ErrPermission) {
		kind, message = tasks.Denied, "the directory may not be read"
	}
	return &tasks.Error{
		Kind: kind, Input: "repository_url", Message: message, Err: cause,
		Hint: "give repository_url the path or URL of a repository; `.` is the one around the files directory",
	}
}

// gitDirOf gives the repository that dir is, or is the worktree of; "" if it is
// neither.
func gitDirOf(dir string) (string, error) {
	dot := filepath.Join(dir, ".git")
	info, err := os.Stat(dot)
	switch {
	case err == nil && info.IsDir():
		return dot, nil
	case err == nil:
		text, err := os.ReadFile(dot) //nolint:gosec // the user says where the repository is
		if err != nil {
			return "", missingRepository("its .git file may not be read", err)
		}
		path, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: ")
		if !ok {
			return "", missingRepository("its .git file names no repository", nil)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		return path, nil
	}
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", nil
		}
	}
	return dir, nil
}

func commonDirOf(gitDir string) string {
	text, err := os.ReadFile(filepath.Join(gitDir, "commondir")) //nolint:gosec // part of the repository
	if err != nil {
		return gitDir
	}
	path := strings.TrimSpace(string(text))
	if !filepath.IsAbs(path) {
		path = filepath.Join(gitDir, path)
	}
	return path
}

// checkFormat refuses what go-git would read wrongly.
func (l *local) checkFormat() error {
	f, err := os.Open(filepath.Join(l.commonDir, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return missingRepository("its configuration may not be read", err)
	}
	defer f.Close() //nolint:errcheck // only read
	cfg := config.New()
	if err := config.NewDecoder(f).Decode(cfg); err != nil {
		return &tasks.Error{Kind: tasks.Permanent, Input: "repository_url", Message: "its configuration cannot be read", Err: err}
	}
	extensions := cfg.Section("extensions")
	for _, ext := range []struct{ key, supported string }{{"objectformat", "sha1"}, {"refstorage", "files"}} {
		if is := extensions.Option(ext.key); is != "" && !strings.EqualFold(is, ext.supported) {
			return &tasks.Error{
				Kind: tasks.Permanent, Input: "repository_url",
				Message: fmt.Sprintf("the repository has the %s %s, which is not supported", ext.key, is),
				Hint:    "only " + ext.supported + " is",
			}
		}
	}
	return nil
}

func (l *local) refs() (refTable, error) {
	t := refTable{
		get: func(name plumbing.ReferenceName) (plumbing.Hash, bool) {
			r, err := l.resolve(name)
			return r, err == nil
		},
		names: l.refNames,
	}
	head, err := l.storage.Reference(plumbing.HEAD)
	if err != nil {
		return t, fmt.Errorf("read HEAD: %w", err)
	}
	if head.Type() == plumbing.HashReference {
		t.headHash = head.Hash()
		return t, nil
	}
	t.head = head.Target()
	t.headHash, _ = t.get(t.head)
	return t, nil
}

// resolve follows symbolic references.
func (l *local) resolve(name plumbing.ReferenceName) (plumbing.Hash, error) {
	const enough = 8
	for range enough {
		r, err := l.storage.Reference(name)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		if r.Type() == plumbing.HashReference {
			return r.Hash(), nil
		}
		name = r.Target()
	}
	return plumbing.ZeroHash, plumbing.ErrReferenceNotFound
}

func (l *local) refNames() []string {
	var names []string
	iter, err := l.storage.IterReferences()
	if err != nil {
		return nil
	}
	_ = iter.ForEach(func(r *plumbing.Reference) error {
		if r.Name() != plumbing.HEAD {
			names = append(names, r.Name().String())
		}
		return nil
	})
	return names
}

func (l *local) find(_ context.Context, ref string) (point, error) {
	if err := l.open(); err != nil {
		return point{}, err
	}
	table, err := l.refs()
	if err != nil {
		return point{}, err
	}
	p, ok, err := table.lookup(ref)
	if err != nil {
		return point{}, err
	}
	if !ok && isAbbreviation(ref) {
		if p.hash, ok, err = l.findID(ref); err != nil {
			return point{}, err
		}
		p.ref = p.hash.String()
	}
	if !ok {
		return point{}, table.missing(ref)
	}
	return p, nil
}

func (l *local) tip(_ context.Context, name plumbing.ReferenceName) (plumbing.Hash, error) {
	if err := l.open(); err != nil {
		return plumbing.ZeroHash, err
	}
	h, err := l.resolve(name)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, nil
	}
	return h, err
}

// findID finds the commit or tag whose id begins with ref.
func (l *local) findID(ref string) (plumbing.Hash, bool, error) {
	prefix, err := hex.DecodeString(ref[:len(ref)/2*2])
	if err != nil {
		return plumbing.ZeroHash, false, nil
	}
	hashes, err := l.storage.HashesWithPrefix(prefix)
	if err != nil {
		return plumbing.ZeroHash, false, fmt.Errorf("look for %q: %w", ref, err)
	}
	var found []plumbing.Hash
	for _, h := range hashes {
		o, err := l.storage.EncodedObject(plumbing.AnyObject, h)
		if err == nil && strings.HasPrefix(h.String(), ref) && (o.Type() == plumbing.CommitObject || o.Type() == plumbing.TagObject) {
			found = append(found, h)
		}
	}
	switch len(found) {
	case 0:
		return plumbing.ZeroHash, false, nil
	case 1:
		return found[0], true, nil
	}
	return plumbing.ZeroHash, false, ambiguous(ref, found)
}

func (l *local) load(context.Context, point, scope) (objects, error) {
	return localObjects{l, l.storage}, nil
}

// localObjects reads through one storage, which serves one goroutine.
type localObjects struct {
	repo    *local
	storage *filesystem.Storage
}

func (o localObjects) object(h plumbing.Hash) (plumbing.EncodedObject, error) {
	return o.storage.EncodedObject(plumbing.AnyObject, h)
}

func (o localObjects) size(h plumbing.Hash) (int64, error) { return o.storage.EncodedObjectSize(h) }

func (o localObjects) copyTo(w io.Writer, h plumbing.Hash) error {
	obj, err := o.object(h)
	if err != nil {
		return err
	}
	r, err := obj.Reader()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	_, err = io.Copy(w, r)
	return err
}

func (localObjects) need(context.Context, []plumbing.Hash) error { return nil }

func (o localObjects) shallow(h plumbing.Hash) bool { return o.repo.shallows[h] }

func (o localObjects) fork() (objects, error) { return localObjects{o.repo, o.repo.newStorage()}, nil }

func (l *local) test(_ context.Context, report reporter) error {
	err := l.open()
	report("open", l.gitDir, err)
	if err != nil {
		return err
	}
	table, err := l.refs()
	report("ls-remote", table.summary(), err)
	return err
}
