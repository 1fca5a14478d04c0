package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/weir-engine/weir/engine"
)

// view shows the events of a run on stderr: a line for each log event and each
// task that ended, and the progress as bars on a terminal, as an occasional line
// elsewhere. It is used by one goroutine at a time.
type view struct {
	out      io.Writer
	quiet    bool
	bars     *mpb.Progress // nil when stderr is no terminal
	running  map[engine.ID]*mpb.Bar
	reported map[engine.ID]time.Time // when progress was last told, or it started, without bars
	names    map[engine.ID]string
}

// progressEvery is how often progress is told where there are no bars.
const progressEvery = 5 * time.Second

func (a *app) newView(quiet bool) *view {
	v := &view{
		out: a.err, quiet: quiet,
		running: map[engine.ID]*mpb.Bar{}, reported: map[engine.ID]time.Time{}, names: map[engine.ID]string{},
	}
	if a.terminal(a.err) && !quiet {
		v.bars = mpb.New(mpb.WithOutput(a.err), mpb.WithWidth(40))
		v.out = v.bars
	}
	return v
}

// close removes the bars that are still shown.
func (v *view) close() {
	for _, bar := range v.running {
		bar.Abort(true)
	}
	if v.bars != nil {
		v.bars.Wait()
	}
}

func (v *view) watch(e engine.Event) {
	switch e.Kind {
	case engine.EventLog:
		v.log(e)
	case engine.EventProgress:
		v.progress(e)
	case engine.EventStatus:
		v.status(e)
	}
}

func (v *view) line(at time.Time, word, text string) {
	_, _ = fmt.Fprintf(v.out, "%s %-5s %s\n", at.Format(time.TimeOnly), word, text)
}

func (v *view) log(e engine.Event) {
	if v.quiet && e.Level != engine.Warn && e.Level != engine.Fault {
		return
	}
	text := e.Message + fields(e.Fields)
	if e.Level == engine.Fault && e.Where != "" {
		text += " (" + e.Where + ")"
	}
	v.line(e.Time, string(e.Level), text)
}

// fields gives " key=value" for each field, sorted by key.
func fields(tree map[string]any) string {
	keys := make([]string, 0, len(tree))
	for key := range tree {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, key := range keys {
		text := fmt.Sprint(tree[key])
		if text == "" || strings.ContainsAny(text, " \t\n\"=") {
			text = fmt.Sprintf("%q", text)
		}
		b.WriteString(" " + key + "=" + text)
	}
	return b.String()
}

func (v *view) status(e engine.Event) {
	state := e.State
	v.names[state.ID] = state.Name
	if state.Status == engine.Running {
		v.reported[state.ID] = e.Time // what is done soon is not told
	}
	if !state.Status.Ended() || state.Parent == "" {
		return
	}
	if bar := v.running[state.ID]; bar != nil {
		bar.Abort(true)
		delete(v.running, state.ID)
	}
	if v.quiet {
		return
	}
	text := fmt.Sprintf("%s %s", state.Kind, state.Name)
	if state.Type != "" {
		text += " (" + state.Type + ")"
	}
	text += " " + took(state)
	if state.Error != nil {
		text += ": " + string(state.Error.Kind)
	}
	v.line(e.Time, short(state.Status), text)
}

func took(state *engine.Execution) string {
	if state.Started.IsZero() {
		return "not started"
	}
	return state.Ended.Sub(state.Started).Round(time.Millisecond).String()
}

// short is the status as a word of at most five letters, as wide as a log level.
func short(s engine.Status) string {
	switch s {
	case engine.Succeeded:
		return "done"
	case engine.Failed:
		return "fail"
	}
	return "stop"
}

func (v *view) progress(e engine.Event) {
	if v.quiet {
		return
	}
	if v.bars == nil {
		if e.Time.Sub(v.reported[e.Execution]) < progressEvery {
			return
		}
		v.reported[e.Execution] = e.Time
		v.line(e.Time, "...", v.names[e.Execution]+": "+amount(e))
		return
	}
	bar := v.running[e.Execution]
	if bar == nil {
		bar = v.bars.AddBar(e.Total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(v.names[e.Execution], decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CurrentNoUnit("%d"), decor.Name(" "+e.Message)))
		v.running[e.Execution] = bar
	}
	bar.SetTotal(e.Total, false)
	bar.SetCurrent(e.Done)
}

func amount(e engine.Event) string {
	text := fmt.Sprint(e.Done)
	if e.Total > 0 {
		text += fmt.Sprintf(" of %d (%d%%)", e.Total, 100*e.Done/e.Total)
	}
	if e.Message != "" {
		text += " " + e.Message
	}
	return text
}
