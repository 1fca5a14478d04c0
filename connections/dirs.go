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
// in, and files that come and go. That another file was changed in place to hold
// the name as well is noticed by List, and by a Get that finds nothing within a
// second.
//
// Connections of files belong to whoever asks.
type Dirs struct {
	paths []string

	mu      sync.Mutex
	dirs    []dirState
	byName  map[string]*located
	scanned time.Time // of the last look at every file; zero before the first
}

// NewDirs gives the source for these directories, first wins. It reads nothing yet.
func NewDirs(dirs []string) *Dirs { return &Dirs{paths: slices.Clone(dirs)} }

// maxFile bounds what is read from one file; its documents have bounds of their own.
const maxFile = 16 << 20

// rescanAfter is for how long a name that was not found is believed not to be there.
const rescanAfter = time.Second

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
	current := d.current()
	if !current || ok && !at.file.stamp.holds(at.file.path) || !ok && time.Since(d.scanned) > rescanAfter {
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

// current tells whether no file came or went since the last scan.
func (d *Dirs) current() bool {
	if d.scanned.IsZero() {
		return false
	}
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
		text, err = os.ReadFile(path)
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
