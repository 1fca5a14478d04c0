package main

import (
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
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	t := &table{w: w}
	rows(t)
	return w.Flush()
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
	_, _ = fmt.Fprintln(t.w, strings.TrimRight(strings.Join(texts, "\t"), "\t "))
}

// text writes lines that are no cells, and ends the columns above them.
func (t *table) text(text string) { _, _ = fmt.Fprintln(t.w, strings.TrimSpace(text)) }

func keepLine(r rune) rune {
	if r == '\n' || r == '\t' || r == '\r' {
		return ' '
	}
	return r
}
