package journal

import "time"

// Cancelled says that the execution was cancelled, or that its time was up.
type Cancelled struct {
	At time.Time
	// Late means that its time was up; else somebody cancelled it.
	Late   bool
	Reason string // for people; may be empty
}

func (*Cancelled) code() byte { return codeCancelled }

func (e *Cancelled) encode(to *encoder) {
	to.time(1, e.At)
	to.bool(2, e.Late)
	to.text(3, e.Reason)
}

func (e *Cancelled) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.At = d.time()
	case 2:
		e.Late = d.bool()
	case 3:
		e.Reason = d.text()
	}
}
