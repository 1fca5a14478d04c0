package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	maxShownSteps = 200 // more are left out in the middle
	maxReadSteps  = 10_000
	maxCell       = 160 // letters of an input, an output or an error
	barWidth      = 40
)

// stepLine is a step of a tree of executions, at its depth.
type stepLine struct {
	journal.Step
	depth int
}

// label is the step's number, indented by its depth.
func (l stepLine) label() string { return strings.Repeat("  ", l.depth) + l.Address.String() }

// what is the call in short.
func (l stepLine) what() string {
	text := string(l.Kind)
	if l.Name != "" {
		text += " " + l.Name
	}
	if l.Type != "" && l.Type != "FLOW" && l.Type != l.Name {
		text += " (" + l.Type + ")"
	}
	return strings.ReplaceAll(text, "setting_", "setting ")
}

// lines lists the steps of an execution and of those below it. What a flow only
// asked of the engine itself, such as the time, is left out.
func (s *shown) lines(ctx context.Context, id engine.ID) ([]stepLine, error) {
	var lines []stepLine
	var walk func(id engine.ID, depth int) error
	walk = func(id engine.ID, depth int) error {
		o, ok, err := s.outline(ctx, id)
		if !ok || err != nil {
			return err
		}
		for _, step := range o.Steps {
			if step.Kind == engine.CallNow || step.Kind == engine.CallSource {
				continue
			}
			if len(lines) >= maxReadSteps {
				return nil
			}
			lines = append(lines, stepLine{step, depth})
			if step.Child == "" {
				continue
			}
			if err := walk(step.Child, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	err := walk(id, 0)
	return lines, err
}

// print shows the execution to people.
func (s *shown) print(t *table, lines []stepLine) {
	s.head(t)
	for _, q := range s.questions {
		s.ask(t, q)
	}
	left := max(len(lines)-maxShownSteps, 0)
	first, last := lines, []stepLine(nil)
	if left > 0 {
		first, last = lines[:maxShownSteps/2], lines[len(lines)-maxShownSteps/2:]
	}
	if len(lines) > 0 {
		t.text("")
		s.row(t, "STEP", "WHAT", "STATUS", "STARTED", "TOOK", "TRIES", "DETAILS")
		s.steps(t, first)
		if left > 0 {
			s.row(t, fmt.Sprintf("... %d more", left), "(-o json shows all)")
		}
		s.steps(t, last)
	}
	s.timeline(t, slices.Concat(first, last))
}

// row writes cells with secrets masked.
func (s *shown) row(t *table, cells ...any) {
	masked := make([]any, len(cells))
	for i, c := range cells {
		masked[i] = s.scope.Mask(fmt.Sprint(c))
	}
	t.row(masked...)
}

func (s *shown) head(t *table) {
	r, o := s.rows[s.id], s.outlines[s.id]
	s.row(t, "execution", r.ID)
	if r.Parent != "" {
		s.row(t, "started by", r.Parent)
	}
	flow := r.Name
	if o.Begun != nil && filepath.Base(o.Begun.File) != r.Name {
		flow += " (" + o.Begun.File + ")"
	}
	s.row(t, "flow", flow)
	s.row(t, "status", statusText(r))
	s.row(t, "started", clock(r.Created))
	if end := o.Finished; end != nil {
		s.row(t, "took", span(end.At.Sub(r.Created)))
	}
	if b := o.Begun; b != nil {
		if b.Again != "" {
			s.row(t, "repeats", b.Again)
		}
		if len(b.Inputs) > 0 {
			s.row(t, "inputs", s.value(b.Inputs))
		}
		s.row(t, "files", b.Files)
	}
	if end := o.Finished; end != nil && end.Error != nil {
		s.row(t, "error", end.Error.Error())
		if end.Error.Hint != "" {
			s.row(t, "hint", end.Error.Hint)
		}
	} else if end != nil && end.Output != nil {
		s.row(t, "output", s.value(end.Output))
	}
}

// value is a tree of values in short, masked before it is cut.
func (s *shown) value(tree any) string {
	text, err := json.Marshal(s.scope.Mask(tree))
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

func (s *shown) ask(t *table, q question) {
	t.text("")
	s.row(t, "asks", q.Title)
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
		s.row(t, "  "+f.Name, text)
	}
	s.row(t, "answer with", q.example(len(s.questions) > 1))
}

func (s *shown) steps(t *table, lines []stepLine) {
	for _, l := range lines {
		tries := ""
		if l.Tries > 0 {
			tries = fmt.Sprint(l.Tries)
		}
		status := string(l.Status)
		if l.Error != nil {
			status += " (" + string(l.Error.Kind) + ")"
		}
		if l.Status == engine.Waiting && !l.Until.IsZero() {
			status += " until " + clock(l.Until)
		}
		s.row(t, l.label(), l.what(), status, s.offset(l.Started), s.took(l.Started, l.Ended), tries, usesText(l.Uses))
		for i, f := range l.Failures {
			s.row(t, "", fmt.Sprintf("  try %d", i+1), "", "", "", "", s.fault(f.Error))
		}
		if l.Error != nil {
			s.row(t, "", "", "", "", "", "", s.fault(l.Error))
		}
		if l.Next.After(s.now) {
			s.row(t, "", "  next try", "", s.offset(l.Next))
		}
	}
}

// fault is an error in short, masked before it is cut.
func (s *shown) fault(e *engine.Error) string {
	if e == nil {
		return ""
	}
	return cut(string(e.Kind) + ": " + s.scope.Error(e).Message)
}

func usesText(u engine.Uses) string {
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

// begin is when the execution began, end when it ended, or now.
func (s *shown) begin() time.Time { return s.rows[s.id].Created }

func (s *shown) end() time.Time {
	if end := s.outlines[s.id].Finished; end != nil {
		return end.At
	}
	return s.now
}

// offset is how long after the beginning a moment was; "-" for one that is not known.
func (s *shown) offset(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return "+" + span(at.Sub(s.begin()))
}

func (s *shown) took(started, ended time.Time) string {
	switch {
	case started.IsZero():
		return "-"
	case ended.IsZero():
		return span(s.end().Sub(started))
	}
	return span(ended.Sub(started))
}

// timeline draws a bar for each step, and marks what was done to the execution. A
// step's bar is dark while it ran and light while it waited; ! is a failed try.
func (s *shown) timeline(t *table, lines []stepLine) {
	notes := s.notes()
	if len(lines) == 0 && len(notes) == 0 {
		return
	}
	t.text("")
	scale := "0s" + strings.Repeat(" ", barWidth)
	end := "+" + span(s.end().Sub(s.begin()))
	scale = scale[:max(barWidth-len(end), 3)] + end
	s.row(t, "TIME LINE", "", "", scale, "")
	for _, l := range lines {
		started := l.Started
		if started.IsZero() {
			started = l.Ended
		}
		s.row(t, l.label(), l.what(), s.offset(started), "|"+s.bar(l)+"|", s.took(l.Started, l.Ended))
	}
	for _, n := range notes {
		what := string(n.What) + n.of
		if n.Step != "" {
			what += " step " + n.Step
		}
		if n.By != "" {
			what += " by " + n.By
		}
		cells := []rune(strings.Repeat(" ", barWidth))
		cells[s.cell(n.At)] = '^'
		s.row(t, "", what, s.offset(n.At), "|"+string(cells)+"|", "")
	}
}

// note is what was done to one of the executions.
type note struct {
	journal.Note
	of string // which one; empty for the top
}

// notes gives what was done to the execution and to those of its tree that are shown;
// the last of it if there is much.
func (s *shown) notes() []note {
	var all []note
	for id, o := range s.outlines {
		of := ""
		if id != s.id {
			of = " " + string(id)
		}
		for _, n := range o.Notes {
			all = append(all, note{n, of})
		}
	}
	slices.SortFunc(all, func(a, b note) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.of, b.of)) })
	return all[max(len(all)-maxShownSteps, 0):]
}

// bar draws a step.
func (s *shown) bar(l stepLine) string {
	cells := []rune(strings.Repeat(" ", barWidth))
	fill := '█'
	if l.Kind == engine.CallSleep || l.Kind == engine.CallAsk || l.Kind == engine.CallSettingLock {
		fill = '░'
	}
	started, ended := l.Started, l.Ended
	if ended.IsZero() {
		ended = s.end()
	}
	if started.IsZero() {
		started = ended
	}
	for i := s.cell(started); i <= s.cell(ended); i++ {
		cells[i] = fill
	}
	for _, f := range l.Failures {
		cells[s.cell(f.Ended)] = '!'
	}
	return string(cells)
}

// cell is the place of a moment on a bar.
func (s *shown) cell(at time.Time) int {
	whole := max(s.end().Sub(s.begin()), time.Microsecond)
	part := float64(at.Sub(s.begin())) / float64(whole)
	return min(max(int(part*barWidth), 0), barWidth-1)
}
