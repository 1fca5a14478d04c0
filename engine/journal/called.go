package journal

import "time"

// Called says that a call is under way. It is written where a new start must know
// of it: before a step that must not run twice, for a child flow, for a sleep and
// a question; and, for people to see, when a step takes long.
type Called struct {
	Address
	Identity
	At    time.Time
	Where string // "flow.lua:12"
	// Once means that the step may have taken effect if its end is not in the
	// journal, and must then not be run again without asking.
	Once   bool
	Until  time.Time      // of a sleep: when it ends
	Inputs map[string]any // of a step; of a question, its title and schema
}

func (*Called) code() byte { return codeCalled }

func (e *Called) encode(to *encoder) {
	to.address(1, e.Address)
	to.identity(2, e.Identity)
	to.time(3, e.At)
	to.text(4, e.Where)
	to.bool(5, e.Once)
	to.time(6, e.Until)
	to.tree(7, e.Inputs)
}

func (e *Called) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.Identity = d.identity()
	case 3:
		e.At = d.time()
	case 4:
		e.Where = d.text()
	case 5:
		e.Once = d.bool()
	case 6:
		e.Until = d.time()
	case 7:
		e.Inputs = d.object()
	}
}
