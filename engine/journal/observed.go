package journal

import (
	"time"

	"github.com/weir-engine/weir/engine"
)

// Observed is what a flow learned from the engine itself: the time, the text of a
// module, what a setting held, or why it could not.
type Observed struct {
	Address
	Identity
	Time  time.Time
	File  string
	Text  string // digest of the module's text
	Value any
	Fence int64 // of a lock that was got
	Error *engine.Error
	At    time.Time
}

func (*Observed) code() byte { return codeObserved }

func (e *Observed) encode(to *encoder) {
	to.address(1, e.Address)
	to.identity(2, e.Identity)
	to.time(3, e.Time)
	to.text(4, e.File)
	to.text(5, e.Text)
	to.value(6, e.Value)
	to.int(7, e.Fence)
	to.fault(8, e.Error)
	to.time(9, e.At)
}

func (e *Observed) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.Identity = d.identity()
	case 3:
		e.Time = d.time()
	case 4:
		e.File = d.text()
	case 5:
		e.Text = d.text()
	case 6:
		e.Value = d.value()
	case 7:
		e.Fence = d.int()
	case 8:
		e.Error = d.fault()
	case 9:
		e.At = d.time()
	}
}
