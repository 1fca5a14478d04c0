package journal

import "time"

// Woken says that a sleep is over.
type Woken struct {
	Address
	At time.Time
}

func (*Woken) code() byte { return codeWoken }

func (e *Woken) encode(to *encoder) {
	to.address(1, e.Address)
	to.time(2, e.At)
}

func (e *Woken) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.At = d.time()
	}
}
