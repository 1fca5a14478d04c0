package journal

import (
	"time"

	"github.com/weir-engine/weir/engine"
)

// Finished is what the execution came to.
type Finished struct {
	At     time.Time
	Status engine.Status // succeeded, failed or cancelled
	Output any           // exact, not masked
	Error  *engine.Error // masked
}

func (*Finished) code() byte { return codeFinished }

func (e *Finished) encode(to *encoder) {
	to.time(1, e.At)
	to.text(2, string(e.Status))
	to.value(3, e.Output)
	to.fault(4, e.Error)
}

func (e *Finished) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.At = d.time()
	case 2:
		e.Status = engine.Status(d.text())
	case 3:
		e.Output = d.value()
	case 4:
		e.Error = d.fault()
	}
}
