package journal

import (
	"time"

	"github.com/weir-engine/weir/engine"
)

// Begun is the first event: what is run.
type Begun struct {
	At     time.Time
	File   string // the flow's file, as errors show it
	Text   string // digest of the flow's text, see [Digest]
	Inputs map[string]any
	Files  string // the files directory of the tree
	// Deadline is when the execution times out; zero means never. Timeout is the
	// time that it had.
	Deadline time.Time
	Timeout  time.Duration
	Depth    int       // of flows that call flows; 0 for a root
	Try      int       // from 1: of a child flow that its parent's options repeat
	Again    engine.ID // the execution that this one repeats from its start; may be empty
	Trace    string    // see [engine.Request.Trace]; the same in all of a tree
}

func (*Begun) code() byte { return codeBegun }

func (e *Begun) encode(to *encoder) {
	to.time(1, e.At)
	to.text(2, e.File)
	to.text(3, e.Text)
	to.tree(4, e.Inputs)
	to.text(5, e.Files)
	to.time(6, e.Deadline)
	to.int(7, int64(e.Timeout))
	to.int(8, int64(e.Depth))
	to.int(9, int64(e.Try))
	to.text(10, string(e.Again))
	to.text(11, e.Trace)
}

func (e *Begun) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.At = d.time()
	case 2:
		e.File = d.text()
	case 3:
		e.Text = d.text()
	case 4:
		e.Inputs = d.object()
	case 5:
		e.Files = d.text()
	case 6:
		e.Deadline = d.time()
	case 7:
		e.Timeout = time.Duration(d.int())
	case 8:
		e.Depth = int(d.int())
	case 9:
		e.Try = int(d.int())
	case 10:
		e.Again = engine.ID(d.text())
	case 11:
		e.Trace = d.text()
	}
}
