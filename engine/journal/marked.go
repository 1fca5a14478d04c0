package journal

import "time"

// Mark is a word of [Marked].
type Mark string

// The marks.
const (
	MarkPaused  Mark = "paused"
	MarkResumed Mark = "resumed"
	// MarkRepeat lets a step run again of which it is not known whether it took
	// effect; [Marked.Address] says which.
	MarkRepeat Mark = "repeat"
	// MarkRecovered says that an engine took the execution up after another ended.
	MarkRecovered Mark = "recovered"
)

// Marked is a note for the time line of an execution.
type Marked struct {
	Address
	At   time.Time
	Mark Mark
	By   string // the user who did it; empty on a local store
}

func (*Marked) code() byte { return codeMarked }

func (e *Marked) encode(to *encoder) {
	to.address(1, e.Address)
	to.time(2, e.At)
	to.text(3, string(e.Mark))
	to.text(4, e.By)
}

func (e *Marked) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.At = d.time()
	case 3:
		e.Mark = Mark(d.text())
	case 4:
		e.By = d.text()
	}
}
