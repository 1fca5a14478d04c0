package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

const (
	maxShownSteps = 200 // more are left out in the middle

	maxCell  = 160 // letters of an input, an output or an error
	barWidth = 40
)

// timeline is an execution as people look at it. What is in it is masked already.
type timeline struct {
	top       api.Detail
	lines     []stepLine
	notes     []note
	questions []api.Question
	now       time.Time
}

// stepLine is a step of a tree of executions, at its depth.
type stepLine struct {
	api.Step
	depth int
}

// note is what was done to one of the executions.
type note struct {
	api.Note
	of string // which one; empty for the top
}

func newTimeline(top api.Detail, now time.Time) *timeline {
	l := &timeline{top: top, now: now}
	l.add(top, 0)
	slices.SortStableFunc(l.notes, func(a, b note) int { return cmp.Or(at(a.Time).Compare(at(b.Time)), cmp.Compare(a.of, b.of)) })
	l.notes = l.notes[max(len(l.notes)-maxShownSteps, 0):]
	return l
}

// add lists the steps of an execution and of those below it. What a flow only asked of
// the engine itself, such as the time, is left out.
func (l *timeline) add(d api.Detail, depth int) {
	l.questions = append(l.questions, d.Questions...)
	of := ""
	if depth > 0 {
		of = " " + d.ID
	}
	for _, n := range d.Notes {
		l.notes = append(l.notes, note{n, of})
	}
	for _, step := range d.Steps {
		if step.Kind == string(engine.CallNow) || step.Kind == string(engine.CallSource) {
			continue
		}
		l.lines = append(l.lines, stepLine{step, depth})
		if step.Flow != nil {
			l.add(*step.Flow, depth+1)
		}
	}
}

// label is the step's number, indented by its depth.
func (l stepLine) label() string { return strings.Repeat("  ", l.depth) + l.Step.Step }

// what is the call in short.
func (l stepLine) what() string {
	text := l.Kind
	if l.Name != "" {
		text += " " + l.Name
	}
	if l.Type != "" && l.Type != "FLOW" && l.Type != l.Name {
		text += " (" + l.Type + ")"
	}
	return strings.ReplaceAll(text, "setting_", "setting ")
}

// show shows the execution to people.
func (l *timeline) show(t *table) {
	l.head(t)
	for _, q := range l.questions {
		l.ask(t, q)
	}
	left := max(len(l.lines)-maxShownSteps, 0)
	first, last := l.lines, []stepLine(nil)
	if left > 0 {
		first, last = l.lines[:maxShownSteps/2], l.lines[len(l.lines)-maxShownSteps/2:]
	}
	if len(l.lines) > 0 {
		t.text("")
		t.row("STEP", "WHAT", "STATUS", "STARTED", "TOOK", "TRIES", "DETAILS")
		l.steps(t, first)
		if left > 0 {
			t.row(fmt.Sprintf("... %d more", left), "(-o json shows all)")
		}
		l.steps(t, last)
	}
	l.draw(t, slices.Concat(first, last))
}

func (l *timeline) head(t *table) {
	d := l.top
	t.row("execution", d.ID)
	if d.Parent != "" {
		t.row("started by", d.Parent)
	}
	flow := d.Name
	if d.File != "" && filepath.Base(d.File) != d.Name {
		flow += " (" + d.File + ")"
	}
	t.row("flow", flow)
	t.row("status", statusText(d.Execution))
	t.row("started", clock(d.Created))
	if d.Ended != nil {
		t.row("took", span(d.Ended.Sub(d.Created)))
	}
	if d.Again != "" {
		t.row("repeats", d.Again)
	}
	if len(d.Inputs) > 0 {
		t.row("inputs", inShort(d.Inputs))
	}
	if d.File != "" {
		t.row("files", d.Files)
	}
	if d.Error != nil {
		t.row("error", errorOf(d.Error).Error())
		if d.Error.Hint != "" {
			t.row("hint", d.Error.Hint)
		}
	} else if d.Output != nil {
		t.row("output", inShort(d.Output))
	}
}

// inShort is a tree of values in short.
func inShort(tree any) string {
	text, err := json.Marshal(tree)
	if err != nil {
		return "?"
	}
	return cut(string(text))
}

// cut keeps a text to a cell.
func cut(text string) string {
	if letters := []rune(text); len(letters) > maxCell {
		return string(letters[:maxCell]) + "..."
	}
	return text
}

func (l *timeline) ask(t *table, q api.Question) {
	t.text("")
	t.row("asks", q.Title)
	for _, f := range formObject(q.Form).Fields {
		text := string(f.Type)
		if len(f.Enum) > 0 {
			text = strings.Join(f.Enum, "|")
		}
		if f.Required {
			text += ", required"
		}
		if f.Default != nil {
			text += fmt.Sprintf(", %v if not given", f.Default)
		}
		if f.Doc != "" {
			text += ": " + f.Doc
		}
		t.row("  "+f.Name, text)
	}
	t.row("answer with", exampleAnswer(q, len(l.questions) > 1))
}

func (l *timeline) steps(t *table, lines []stepLine) {
	for _, s := range lines {
		tries := ""
		if s.Tries > 0 {
			tries = fmt.Sprint(s.Tries)
		}
		status := s.Status
		if s.Error != nil {
			status += " (" + s.Error.Kind + ")"
		}
		if s.Status == string(engine.Waiting) && s.Until != nil {
			status += " until " + clock(*s.Until)
		}
		t.row(s.label(), s.what(), status, l.offset(s.Started), l.took(s.Started, s.Ended), tries, usesText(s.Uses))
		for i, f := range s.Failures {
			t.row("", fmt.Sprintf("  try %d", i+1), "", "", "", "", fault(f.Error))
		}
		if s.Error != nil {
			t.row("", "", "", "", "", "", fault(s.Error))
		}
		if at(s.NextTry).After(l.now) {
			t.row("", "  next try", "", l.offset(s.NextTry))
		}
	}
}

// fault is an error in short.
func fault(f *api.Failure) string {
	if f == nil {
		return ""
	}
	return cut(f.Kind + ": " + f.Message)
}

func usesText(u api.Uses) string {
	var texts []string
	if u.Revision != 0 {
		texts = append(texts, fmt.Sprintf("%s (revision %d)", u.Connection, u.Revision))
	}
	for _, used := range u.Secrets {
		text := used.Path
		if used.Version != 0 {
			text += fmt.Sprintf("@%d", used.Version)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// end is when the execution ended, or now.
func (l *timeline) end() time.Time {
	if l.top.Ended != nil {
		return *l.top.Ended
	}
	return l.now
}

// offset is how long after the beginning a moment was; "-" for one that is not known.
func (l *timeline) offset(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return "+" + span(t.Sub(l.top.Created))
}

func (l *timeline) took(started, ended *time.Time) string {
	switch {
	case started == nil:
		return "-"
	case ended == nil:
		return span(l.end().Sub(*started))
	}
	return span(ended.Sub(*started))
}

// draw draws a bar for each step, and marks what was done to the execution. A step's
// bar is dark while it ran and light while it waited; ! is a failed try.
func (l *timeline) draw(t *table, lines []stepLine) {
	if len(lines) == 0 && len(l.notes) == 0 {
		return
	}
	t.text("")
	scale := "0s" + strings.Repeat(" ", barWidth)
	end := "+" + span(l.end().Sub(l.top.Created))
	scale = scale[:max(barWidth-len(end), 3)] + end
	t.row("TIME LINE", "", "", scale, "")
	for _, s := range lines {
		started := s.Started
		if started == nil {
			started = s.Ended
		}
		t.row(s.label(), s.what(), l.offset(started), "|"+l.bar(s)+"|", l.took(s.Started, s.Ended))
	}
	for _, n := range l.notes {
		what := n.What + n.of
		if n.Step != "" {
			what += " step " + n.Step
		}
		if n.By != "" {
			what += " by " + n.By
		}
		cells := []rune(strings.Repeat(" ", barWidth))
		cells[l.cell(at(n.Time))] = '^'
		t.row("", what, l.offset(n.Time), "|"+string(cells)+"|", "")
	}
}

// bar draws a step.
func (l *timeline) bar(s stepLine) string {
	cells := []rune(strings.Repeat(" ", barWidth))
	fill := '█'
	switch engine.CallKind(s.Kind) {
	case engine.CallSleep, engine.CallAsk, engine.CallSettingLock:
		fill = '░'
	}
	started, ended := at(s.Started), at(s.Ended)
	if ended.IsZero() {
		ended = l.end()
	}
	if started.IsZero() {
		started = ended
	}
	for i := l.cell(started); i <= l.cell(ended); i++ {
		cells[i] = fill
	}
	for _, f := range s.Failures {
		cells[l.cell(at(f.Ended))] = '!'
	}
	return string(cells)
}

// cell is the place of a moment on a bar.
func (l *timeline) cell(t time.Time) int {
	whole := max(l.end().Sub(l.top.Created), time.Microsecond)
	part := float64(t.Sub(l.top.Created)) / float64(whole)
	return min(max(int(part*barWidth), 0), barWidth-1)
}
