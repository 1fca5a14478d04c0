package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

const (
	// watchInterval is how often directories of flows are looked through. Looking works
	// on file systems over a network, too, where nobody tells of changes.
	watchInterval = time.Second
	// maxTaken is how many flows are stored in one piece, and fewSaid how many the log
	// tells one by one at most.
	maxTaken = 500
	fewSaid  = 20
)

// flowWatch keeps the flows of directories in the store, as those of the owner of this
// machine.
//
// A file that comes or changes is taken when it has not changed from one look to the
// next, so that one that is being written is left alone. Its text becomes a new version if it is another than
// the one that was last taken from it; what people apply meanwhile stays the newest
// until the file changes. A text with a mistake, and a file that is removed,
// leave the store as it is.
type flowWatch struct {
	store *store.Flows
	dirs  []string
	log   *slog.Logger
	files map[string]*watchedFile // by path
	taken map[string]takenText    // what was last taken from a file, by flow
	said  map[string]string       // what is wrong, by path; it is said once
}

// takenText is a text that was taken from a file.
type takenText struct{ path, digest string }

// watchedFile is a file as it was seen last.
type watchedFile struct {
	flow   string
	info   fs.FileInfo
	done   bool // nothing is to be done until it changes
	absent bool // it was not there at the last look
}

func newFlowWatch(ctx context.Context, opened *store.Store, dirs []string, log *slog.Logger) (*flowWatch, error) {
	w := &flowWatch{
		store: opened.Flows(), dirs: dirs, log: log,
		files: map[string]*watchedFile{}, taken: map[string]takenText{}, said: map[string]string{},
	}
	known, err := w.store.Origins(ctx, localOwner)
	for _, f := range known {
		w.taken[f.Name] = takenText{f.Origin, f.Digest}
	}
	return w, err
}

// watchFlows takes what is in the directories, and goes on watching until the function
// is called.
func watchFlows(ctx context.Context, opened *store.Store, dirs []string, log *slog.Logger) (end func(), err error) {
	if len(dirs) == 0 {
		return func() {}, nil
	}
	w, err := newFlowWatch(ctx, opened, dirs, log)
	if err != nil {
		return nil, err
	}
	w.look(ctx, true)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.look(ctx, false)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// look looks through the directories, and stores what has changed. At the first look,
// that of a start, it does not wait until files have settled.
func (w *flowWatch) look(ctx context.Context, first bool) {
	names := map[string]string{} // path of the file of a flow
	seen := map[string]bool{}
	var unread []string
	var changed []api.FlowText
	for _, dir := range w.dirs {
		flowFiles(dir, func(f flowFile) {
			seen[f.path] = true
			other, hidden := names[f.name]
			switch {
			case f.err != nil:
				unread = append(unread, f.path)
				w.hold(f.path, names)
				w.say(f.path, "cannot read a flow, or a directory of flows", "error", f.err)
			case hidden:
				if known := w.files[f.path]; known != nil { // it will be taken again when the other is gone
					known.done = false
				}
				w.say(f.path, "the flow of another file has the same name", "other", other)
			default:
				names[f.name] = f.path
				if text := w.consider(f, first); text != nil {
					changed = append(changed, *text)
				}
			}
		})
	}
	for len(changed) > 0 && ctx.Err() == nil {
		n := min(len(changed), maxTaken)
		w.take(ctx, changed[:n])
		changed = changed[n:]
	}
	w.missing(seen, unread)
	for _, dir := range w.dirs {
		if !slices.Contains(unread, dir) {
			delete(w.said, dir)
		}
	}
}

// hold has what is known of a directory that cannot be read now go before what is
// found later.
func (w *flowWatch) hold(dir string, names map[string]string) {
	for file, known := range w.files {
		if below(file, []string{dir}) {
			names[known.flow] = file
		}
	}
}

// consider gives the text of a file that is to be stored; nil if nothing is to be done
// now.
func (w *flowWatch) consider(f flowFile, first bool) *api.FlowText {
	known := w.files[f.path]
	switch {
	case known == nil:
		known = &watchedFile{flow: f.name, info: f.info}
		w.files[f.path] = known
		if !first {
			return nil
		}
	case !unchanged(known.info, f.info):
		known.info, known.done, known.absent = f.info, false, false
		return nil
	}
	known.absent = false
	if known.done {
		return nil
	}
	text, err := f.read()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil: // it is tried again at the next look
		w.say(f.path, "cannot read a flow", "error", err)
		return nil
	case w.taken[f.name] == takenText{f.path, journal.Digest(text)}:
		known.done = true
		delete(w.said, f.path)
		return nil
	}
	flow := &api.FlowText{Name: f.name, File: f.path, Text: string(text)}
	if err := checkFlow(flow, f.path); err != nil {
		known.done = true
		attributes := []any{"error", err}
		if hint := hintOf(err); hint != "" {
			attributes = append(attributes, "hint", hint)
		}
		w.say(f.path, "a flow is not taken; what is stored goes on", attributes...)
		return nil
	}
	return flow
}

// unchanged tells whether a file is as it was.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// take stores texts. What cannot be stored is tried again at the next look.
func (w *flowWatch) take(ctx context.Context, texts []api.FlowText) {
	stored := make([]store.FlowText, 0, len(texts))
	for _, t := range texts {
		stored = append(stored, store.FlowText{Name: t.Name, Origin: t.File, Text: []byte(t.Text)})
	}
	applied, err := w.store.ApplyAll(ctx, localOwner, stored...)
	if err != nil {
		if ctx.Err() == nil {
			w.say("", "cannot store flows", "error", err)
		}
		return
	}
	delete(w.said, "")
	fresh := 0
	for i, t := range texts {
		w.files[t.File].done = true
		w.taken[t.Name] = takenText{t.File, applied[i].Digest}
		delete(w.said, t.File)
		if !applied[i].New {
			continue
		}
		if fresh++; len(texts) <= fewSaid {
			w.log.Info("a flow is taken", "flow", t.Name, "version", applied[i].Version, "file", t.File)
		}
	}
	if fresh > 0 && len(texts) > fewSaid {
		w.log.Info("flows are taken", "flows", fresh)
	}
}

// missing says which files are gone: at the second look, for one that is being replaced
// may be gone for a moment. Of what is below a directory that cannot be read nothing is
// known.
func (w *flowWatch) missing(seen map[string]bool, unread []string) {
	for file, known := range w.files {
		switch {
		case seen[file] || below(file, unread):
		case !known.absent:
			known.absent = true
		default:
			delete(w.files, file)
			delete(w.said, file)
			if w.taken[known.flow].path == file {
				w.log.Info("the file of a flow is gone; the flow stays in the store", "flow", known.flow, "file", file,
					"hint", "to delete it, too: weir flow delete "+known.flow)
			}
		}
	}
}

func below(file string, dirs []string) bool {
	for _, dir := range dirs {
		if strings.HasPrefix(file, dir+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

// say says what is wrong with a file or a directory, once until something else is.
func (w *flowWatch) say(path, message string, attributes ...any) {
	text := fmt.Sprintln(append([]any{message}, attributes...)...)
	if w.said[path] == text {
		return
	}
	w.said[path] = text
	if path != "" {
		attributes = append(attributes, "file", path)
	}
	w.log.Warn(message, attributes...)
}
