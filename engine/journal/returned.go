package journal

import (
	"time"

	"github.com/weir-engine/weir/engine"
)

// Returned is what a step or a child flow came to.
type Returned struct {
	Address
	Identity
	Where   string
	Inputs  map[string]any // of the call
	Status  engine.Status  // succeeded, failed or cancelled
	Type    string
	Output  any
	Error   *engine.Error
	Started time.Time
	Ended   time.Time
	Tries   int
	Uses    engine.Uses
}

func (*Returned) code() byte { return codeReturned }

func (e *Returned) encode(to *encoder) {
	to.address(1, e.Address)
	to.identity(2, e.Identity)
	to.text(3, e.Where)
	to.tree(4, e.Inputs)
	to.text(5, string(e.Status))
	to.text(6, e.Type)
	to.value(7, e.Output)
	to.fault(8, e.Error)
	to.time(9, e.Started)
	to.time(10, e.Ended)
	to.int(11, int64(e.Tries))
	to.uses(12, e.Uses)
}

func (e *Returned) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.Identity = d.identity()
	case 3:
		e.Where = d.text()
	case 4:
		e.Inputs = d.object()
	case 5:
		e.Status = engine.Status(d.text())
	case 6:
		e.Type = d.text()
	case 7:
		e.Output = d.value()
	case 8:
		e.Error = d.fault()
	case 9:
		e.Started = d.time()
	case 10:
		e.Ended = d.time()
	case 11:
		e.Tries = int(d.int())
	case 12:
		e.Uses = d.uses()
	}
}
