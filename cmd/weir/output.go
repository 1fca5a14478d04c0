package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/weir-engine/weir/connections/schema"
)

// print writes data to stdout as --output says. The rows are what people read; data
// is the same as a tree of plain values for programs.
func (a *app) print(data any, rows func(t *table)) error {
	switch a.flags.output {
	case "json":
		return a.printJSON(data)
	case "yaml":
		text, err := schema.Encode(data)
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	}
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	rows(&table{w: w})
	if err := w.Flush(); err != nil {
		return err
	}
	// An empty last cell keeps its column together, but leaves spaces.
	for line := range bytes.Lines(text.Bytes()) {
		if _, err := fmt.Fprintln(a.out, string(bytes.TrimRight(line, " \n"))); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printJSON(data any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(data)
}

// table writes rows of aligned cells.
type table struct{ w *tabwriter.Writer }

// row writes one row. Cells are kept to their line: a line break or a tab in one
// is shown as a space.
func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = strings.Map(keepLine, fmt.Sprint(cell))
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(texts, "\t"))
}

// text writes lines that are no cells, and ends the columns above them.
func (t *table) text(text string) { _, _ = fmt.Fprintln(t.w, strings.TrimSpace(text)) }

func keepLine(r rune) rune {
	if r == '\n' || r == '\t' || r == '\r' {
		return ' '
	}
	return r
}
