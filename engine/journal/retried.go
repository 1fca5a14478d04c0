package journal

import "time"

// Retried says that an execution that had failed goes on from the step that
// failed it. That step's answer, the event numbered Step, is void; of the events
// between it and this one, those count whose calls the flow had made before it.
type Retried struct {
	At   time.Time
	Step int
	By   string // the user who asked for it; empty on a local store
	// Ordinal is of the last line that the flow had written to its log.
	Ordinal int
}

func (*Retried) code() byte { return codeRetried }

func (e *Retried) encode(to *encoder) {
	to.time(1, e.At)
	to.int(2, int64(e.Step))
	to.text(3, e.By)
	to.int(4, int64(e.Ordinal))
}

func (e *Retried) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.At = d.time()
	case 2:
		e.Step = int(d.int())
	case 3:
		e.By = d.text()
	case 4:
		e.Ordinal = int(d.int())
	}
}
