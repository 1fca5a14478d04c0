package connections

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-engine/weir/connections/schema"
)

// Dirs is the source of connections in directories of YAML files (*.yaml, *.yml,
// not in sub-directories, no dot files). The first directory that has a name wins.
//
// Files are read when a connection is first asked for, and again when they
// change. Get notices at once a change of the file that the connection stands
// in; a new file that hides it within a tenth of a second; and a change in place
// that makes another file hold the name, when List looks at every file again. A
// Get that would find nothing looks for new files at once, and at every file
// once a second.
//
// Connections of files belong to whoever asks.
type Dirs struct {
	paths []string

	mu      sync.Mutex
	dirs    []dirState
	byName  map[string]*located
	scanned time.Time // of the last look at every file; zero before the first
	looked  time.Time // of the last look at the directories
}

// NewDirs gives the source for these directories, first wins. It reads nothing yet.
func NewDirs(dirs []string) *Dirs { return &Dirs{paths: slices.Clone(dirs)} }

// maxFile bounds what is read from one file; its documents have bounds of their own.
const maxFile = 16 << 20

const (
	rescanAfter = time.Second            // how long a name that was not found counts as not there
	lookAfter   = 100 * time.Millisecond // how long a name that was found counts as not hidden
)

type dirState struct {
	path     string
	stamp    stamp
	files    []*yamlFile // sorted by path
	problems []schema.Problem
}

type yamlFile struct {
	path     string
	stamp    stamp
	entries  []entry
	problems []schema.Problem
}

// located is where the connection of a name stands.
type located struct {
	file  *yamlFile
	entry *entry
	hides []schema.Pos
}

// stamp tells whether a file or directory has changed. A stamp that was taken
// right after the change is fresh: another change may bear the same time.
type stamp struct {
	mtime time.Time
	size  int64
	mode  fs.FileMode
	fresh bool
}

func stampOf(info fs.FileInfo) stamp {
	const tick = 20 * time.Millisecond // file systems count time in steps
	return stamp{mtime: info.ModTime(), size: info.Size(), mode: info.Mode(), fresh: time.Since(info.ModTime()) < tick}
}

func (s stamp) holds(path string) bool {
	if s.fresh || s.mtime.IsZero() {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.ModTime().Equal(s.mtime) && info.Size() == s.size && info.Mode() == s.mode
}

// Get gives the connection of that name. A document that has the name but is at
// fault is an *InvalidError.
func (d *Dirs) Get(_ context.Context, owner, name string) (Connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.byName[name]
	if !d.holds(at) {
		d.scan()
		at, ok = d.byName[name]
	}
	if !ok {
		return Connection{}, ErrNotFound
	}
	if len(at.entry.problems) > 0 {
		return Connection{}, &InvalidError{Connection: name, Problems: slices.Clone(at.entry.problems)}
	}
	return at.give(owner), nil
}

// List gives all connections that can be read, sorted by name; Problems tells
// about the rest.
func (d *Dirs) List(_ context.Context, owner string) ([]Connection, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scan()
	all := make([]Connection, 0, len(d.byName))
	for _, name := range slices.Sorted(maps.Keys(d.byName)) {
		if at := d.byName[name]; len(at.entry.problems) == 0 {
			all = append(all, at.give(owner))
		}
	}
	return all, nil
}

// Problems gives everything that could not be read, in the order of the
// directories, each with file, line and reason.
func (d *Dirs) Problems() []schema.Problem {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.scan()
	var problems []schema.Problem
	for _, dir := range d.dirs {
		problems = append(problems, dir.problems...)
		for _, f := range dir.files {
			problems = append(problems, f.problems...)
			for i := range f.entries {
				problems = append(problems, f.entries[i].problems...)
			}
		}
	}
	return problems
}

// give gives a copy of the connection.
func (l *located) give(owner string) Connection {
	c := l.entry.connection.Clone()
	c.Owner = owner
	c.Origin.Hides = slices.Clone(l.hides)
	return c
}

// holds tells whether what is known of a name, nil for nothing, still counts.
func (d *Dirs) holds(at *located) bool {
	now := time.Now()
	if d.scanned.IsZero() || at == nil && now.Sub(d.scanned) > rescanAfter {
		return false
	}
	if at != nil && !at.file.stamp.holds(at.file.path) {
		return false
	}
	if at != nil && now.Sub(d.looked) < lookAfter {
		return true
	}
	d.looked = now
	for i := range d.dirs {
		if !d.dirs[i].stamp.holds(d.dirs[i].path) {
			return false
		}
	}
	return true
}

// scan looks at every file and reads those that changed.
func (d *Dirs) scan() {
	known := make(map[string]*yamlFile)
	for _, dir := range d.dirs {
		for _, f := range dir.files {
			known[f.path] = f
		}
	}
	d.scanned = time.Now()
	d.looked = d.scanned
	d.dirs = make([]dirState, len(d.paths))
	d.byName = make(map[string]*located)
	for i, path := range d.paths {
		d.dirs[i] = scanDir(path, known)
		d.index(&d.dirs[i])
	}
}

func scanDir(path string, known map[string]*yamlFile) dirState {
	dir := dirState{path: path}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a directory")
	}
	var names []fs.DirEntry
	if err == nil {
		dir.stamp = stampOf(info)
		names, err = os.ReadDir(path)
	}
	if err != nil {
		dir.problems = []schema.Problem{{Pos: schema.Pos{File: path}, Message: "cannot read the directory: " + reason(err)}}
		return dir
	}
	for _, name := range names {
		ext := filepath.Ext(name.Name())
		if ext != ".yaml" && ext != ".yml" || strings.HasPrefix(name.Name(), ".") {
			continue
		}
		file := filepath.Join(path, name.Name())
		if f := known[file]; f != nil && f.stamp.holds(file) {
			dir.files = append(dir.files, f)
			continue
		}
		if f := readFile(file); f != nil {
			dir.files = append(dir.files, f)
		}
	}
	return dir
}

// readFile gives nil for what is no file.
func readFile(path string) *yamlFile {
	f := &yamlFile{path: path}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil && !info.Mode().IsRegular():
		err = errors.New("it is not a regular file")
	case err == nil && info.Size() > maxFile:
		err = fmt.Errorf("it has %d bytes; at most %d (16 MiB) are allowed", info.Size(), maxFile)
	}
	var text []byte
	if err == nil {
		f.stamp = stampOf(info)
		text, err = os.ReadFile(path) //nolint:gosec // the directories are the user's
	}
	if err != nil {
		f.problems = []schema.Problem{{Pos: schema.Pos{File: path}, Message: "cannot read the file: " + reason(err)}}
		return f
	}
	f.entries, f.problems = parseEntries(path, text)
	return f
}

// reason gives an error of the file system without the path.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return err.Error()
}

// index enters the names of a directory. Within one directory the first file
// wins, and that there is a second is a problem.
func (d *Dirs) index(dir *dirState) {
	here := make(map[string]bool)
	for _, f := range dir.files {
		for i := range f.entries {
			e := &f.entries[i]
			name := e.connection.Name
			if name == "" {
				continue
			}
			first, taken := d.byName[name]
			if !taken {
				d.byName[name] = &located{file: f, entry: e}
				here[name] = true
				continue
			}
			first.hides = append(first.hides, e.connection.Origin.Pos)
			if here[name] {
				dir.problems = append(dir.problems, schema.Problem{
					Pos:     e.connection.Origin.Pos,
					Message: fmt.Sprintf("connection %q stands already at %s; this one is not used", name, first.entry.connection.Origin.Pos),
					Hint:    "give it another name, or remove one of them",
				})
			}
		}
	}
}
