package s3

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made with
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

// The actions of a plan.
const (
	actUpload, actDownload, actDelete = "upload", "download", "delete"
)

// localFile is a file of the folder.
type localFile struct {
	size     int64
	modified time.Time
}

// action is one thing that sync does.
type action struct {
	what, name, reason string // name is relative to folder and prefix
	size               int64
	remote             object
}

// syncing is one run of sync.
type syncing struct {
	session *session
	bucket  string
	prefix  string
	folder  *os.Root
	dir     string // the folder in the files directory
	up      bool

	files     map[string]localFile
	actions   []action
	unchanged int64
	skipped   []any
}

func (s *session) sync(ctx context.Context) (map[string]any, error) {
	y := &syncing{session: s, bucket: s.in.String("bucket"), prefix: s.in.String("prefix"), up: s.in.String("direction") == directionUp}
	if y.prefix != "" && !strings.HasSuffix(y.prefix, "/") {
		y.prefix += "/"
	}
	if err := y.openFolder(); err != nil {
		return nil, err
	}
	defer func() {
		if y.folder != nil {
			_ = y.folder.Close()
		}
	}()
	if err := y.readFolder(ctx); err != nil {
		return nil, err
	}
	if err := y.plan(ctx); err != nil {
		return nil, err
	}
	out := y.output()
	if s.in.Bool("dry_run") {
		return out, nil
	}
	return out, y.carryOut(ctx)
}

// openFolder opens the directory; for a download it need not be there yet.
func (y *syncing) openFolder() error {
	name := filepath.ToSlash(y.session.in.String("folder"))
	y.dir = path.Clean(name)
	if name == "" || strings.ContainsRune(name, 0) || !filepath.IsLocal(filepath.FromSlash(y.dir)) {
		return &tasks.Error{Kind: tasks.Invalid, Input: "folder", Message: "folder is no directory in the files directory",
			Hint: "give a path relative to it; . is that directory itself"}
	}
	files := y.session.env.Files
	if !y.up && !y.session.in.Bool("dry_run") {
		if err := files.MkdirAll(filepath.FromSlash(y.dir), 0o777); err != nil {
			return folderError(name, err)
		}
	}
	folder, err := files.OpenRoot(filepath.FromSlash(y.dir))
	if errors.Is(err, fs.ErrNotExist) && !y.up {
		return nil
	}
	if err != nil {
		return folderError(name, err)
	}
	y.folder = folder
	return nil
}

func folderError(name string, err error) error {
	err = fileError(name, err)
	var e *tasks.Error
	if errors.As(err, &e) {
		e.Input = "folder"
	}
	return err
}

// readFolder finds the files of the folder. Symbolic links are not followed.
func (y *syncing) readFolder(ctx context.Context) error {
	y.files = map[string]localFile{}
	if y.folder == nil {
		return nil
	}
	return fs.WalkDir(y.folder.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return folderError(name, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() || strings.HasPrefix(d.Name(), temporary):
			return nil
		case !d.Type().IsRegular():
			if y.up {
				y.skip(name, "it is no ordinary file")
			}
			return nil
		case !utf8.ValidString(name):
			y.skip(name, "its name is no text in UTF-8")
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return folderError(name, err)
		}
		y.files[name] = localFile{size: info.Size(), modified: info.ModTime()}
		return nil
	})
}

func (y *syncing) skip(name, reason string) {
	name = strings.ToValidUTF8(name, "\uFFFD")
	y.skipped = append(y.skipped, map[string]any{"name": name, "reason": reason})
	y.session.env.Warn(oneLine(fmt.Sprintf("skipped %q: %s", name, reason)))
}

// plan compares both sides.
func (y *syncing) plan(ctx context.Context) error {
	seen := map[string]bool{}
	err := y.session.pages(ctx, y.bucket, y.prefix, "", "", func(p page) (bool, error) {
		for _, o := range p.entries {
			name := strings.TrimPrefix(o.key, y.prefix)
			if strings.HasSuffix(name, "/") || name == "" {
				continue // the mark of a folder
			}
			if !y.up && !isName(name) {
				y.skip(name, "no file can have this name")
				continue
			}
			seen[name] = true
			if err := y.compare(ctx, name, o); err != nil {
				return false, err
			}
		}
		y.session.env.Progress(int64(len(seen)), 0, "comparing")
		return false, nil
	})
	if err != nil {
		return err
	}
	y.skipFolders(seen)
	for _, name := range slices.Sorted(maps.Keys(y.files)) {
		switch {
		case seen[name]:
		case y.up && len(y.prefix+name) > 1024:
			y.skip(name, "its key would have more than 1,024 bytes")
		case y.up:
			y.actions = append(y.actions, action{what: actUpload, name: name, reason: "new", size: y.files[name].size})
		case y.session.in.Bool("delete"):
			y.actions = append(y.actions, action{what: actDelete, name: name, reason: "not in the bucket"})
		}
	}
	return nil
}

// skipFolders leaves out objects to download whose names others have as a folder,
// which no directory can hold.
func (y *syncing) skipFolders(names map[string]bool) {
	folders := map[string]bool{}
	for name := range names {
		for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	y.actions = slices.DeleteFunc(y.actions, func(a action) bool {
		skip := a.what == actDownload && folders[a.name]
		if skip {
			y.skip(a.name, "it is the name of a folder, too")
		}
		return skip
	})
}

// isName tells whether the rest of a key can be the path of a file: one way of
// writing it, and nothing above the folder.
func isName(name string) bool {
	const most = 255 // bytes of a file's name
	tooLong := func(part string) bool { return len(part) > most }
	return name != "." && filepath.IsLocal(filepath.FromSlash(name)) && path.Clean(name) == name && !strings.ContainsRune(name, 0) &&
		!slices.ContainsFunc(strings.Split(name, "/"), tooLong) && !strings.HasPrefix(path.Base(name), temporary)
}

// compare adds what is to be done about an object and its file.
func (y *syncing) compare(ctx context.Context, name string, o object) error {
	file, there := y.files[name]
	if !there {
		if !y.up {
			y.actions = append(y.actions, action{what: actDownload, name: name, reason: "new", size: o.size, remote: o})
		} else if y.session.in.Bool("delete") {
			y.actions = append(y.actions, action{what: actDelete, name: name, reason: "not in the folder"})
		}
		return nil
	}
	reason, err := y.difference(ctx, name, file, o)
	switch {
	case err != nil:
		return err
	case reason == "":
		y.unchanged++
	case y.up:
		y.actions = append(y.actions, action{what: actUpload, name: name, reason: reason, size: file.size})
	default:
		y.actions = append(y.actions, action{what: actDownload, name: name, reason: reason, size: o.size, remote: o})
	}
	return nil
}

// difference tells what makes a transfer necessary, "" if nothing does.
func (y *syncing) difference(ctx context.Context, name string, file localFile, o object) (string, error) {
	if file.size != o.size {
		return "size", nil
	}
	if y.session.in.String("compare") == compareSum {
		same, err := y.sameSum(ctx, name, o)
		if err != nil || same {
			return "", err
		}
		return "content", nil
	}
	if y.up && file.modified.After(o.modified.Add(time.Second)) || !y.up && o.modified.After(file.modified.Add(time.Second)) {
		return "newer", nil
	}
	return "", nil
}

// sameSum compares a file with an object's ETag.
func (y *syncing) sameSum(ctx context.Context, name string, o object) (bool, error) {
	sum, number, composite := strings.Cut(o.etag, "-")
	if len(sum) != 2*md5.Size {
		return false, nil
	}
	part := o.size
	if composite {
		count, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return false, nil
		}
		if part, err = y.session.firstPart(ctx, place{bucket: y.bucket, key: y.prefix + name}, o.size, count); err != nil || part == 0 {
			return false, err
		}
	}
	f, _, err := openSource(y.folder, name)
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // only read
	got, err := sumOf(f, o.size, max(part, 1), md5.New, composite)
	return hex.EncodeToString(got) == sum, err
}

func (y *syncing) output() map[string]any {
	var count, size, deleted int64
	limit, dry := int(y.session.in.Int("limit")), y.session.in.Bool("dry_run")
	plan := []any{}
	for _, a := range y.actions {
		if a.what == actDelete {
			deleted++
		} else {
			count++
			size += a.size
		}
		if dry && (limit == 0 || len(plan) < limit) {
			plan = append(plan, map[string]any{"action": a.what, "name": a.name, "reason": a.reason})
		}
	}
	out := map[string]any{"transferred": count, "size": size, "deleted": deleted, "unchanged": y.unchanged, "dry_run": dry}
	if dry {
		out["plan"] = plan
	}
	if len(y.skipped) > 0 {
		out["skipped"] = y.skipped
	}
	return out
}

// carryOut transfers everything, and only then deletes.
func (y *syncing) carryOut(ctx context.Context) error {
	// Large ones first: a large one at the end would be alone.
	transfers := slices.DeleteFunc(slices.Clone(y.actions), func(a action) bool { return a.what == actDelete })
	slices.SortStableFunc(transfers, func(a, b action) int { return cmp.Compare(b.size, a.size) })
	m := &meter{report: y.session.env.Progress, message: "syncing " + y.bucket, total: y.output()["size"].(int64)}
	small, groupCtx := errgroup.WithContext(ctx)
	small.SetLimit(y.session.concurrency)
	for _, a := range transfers {
		if groupCtx.Err() != nil {
			break
		}
		// One in parts keeps all connections busy by itself.
		if a.size > y.session.partSize {
			if err := y.transfer(groupCtx, a, m); err != nil {
				small.Go(func() error { return err })
			}
			continue
		}
		small.Go(func() error { return y.transfer(groupCtx, a, m) })
	}
	if err := small.Wait(); err != nil {
		return err
	}
	return y.deleteRest(ctx)
}

func (y *syncing) transfer(ctx context.Context, a action, m *meter) error {
	at, name := place{bucket: y.bucket, key: y.prefix + a.name}, path.Join(y.dir, a.name)
	if a.what == actDownload {
		f := fetch{session: y.session, at: at, name: name, etag: quoted(a.remote.etag), size: a.remote.size, meter: m, mtime: a.remote.modified}
		_, err := f.run(ctx)
		return err
	}
	file, info, err := openSource(y.session.env.Files, name)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	_, err = y.session.send(ctx, at, content{ReaderAt: file, size: info.Size(), info: info, name: name}, m)
	return err
}

func quoted(etag string) string {
	if etag == "" {
		return ""
	}
	return `"` + etag + `"`
}

// deleteRest deletes what the source has not.
func (y *syncing) deleteRest(ctx context.Context) error {
	if !y.up {
		for _, a := range y.actions {
			if a.what == actDelete {
				if err := y.folder.Remove(filepath.FromSlash(a.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return folderError(a.name, err)
				}
			}
		}
		return nil
	}
	r := &removal{session: y.session, bucket: y.bucket}
	r.group, r.ctx = errgroup.WithContext(ctx)
	r.group.SetLimit(y.session.concurrency)
	for _, a := range y.actions {
		if a.what == actDelete {
			r.add(y.prefix+a.name, "")
		}
	}
	r.flush()
	if err := r.group.Wait(); err != nil {
		return err
	}
	return r.failure()
}
