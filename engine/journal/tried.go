package journal

import (
	"time"

	"github.com/weir-engine/weir/engine"
)

// Tried says that a try of a step failed and that there will be another.
type Tried struct {
	Address
	Try   int // from 1
	At    time.Time
	Next  time.Time // of the next try
	Error *engine.Error
}

func (*Tried) code() byte { return codeTried }

func (e *Tried) encode(to *encoder) {
	to.address(1, e.Address)
	to.int(2, int64(e.Try))
	to.time(3, e.At)
	to.time(4, e.Next)
	to.fault(5, e.Error)
}

func (e *Tried) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.Try = int(d.int())
	case 3:
		e.At = d.time()
	case 4:
		e.Next = d.time()
	case 5:
		e.Error = d.fault()
	}
}
