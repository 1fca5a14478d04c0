package journal

import "time"

// Answered is a person's answer to a question of the flow.
type Answered struct {
	Address
	At    time.Time
	By    string // the user who answered; empty on a local store
	Value any
}

func (*Answered) code() byte { return codeAnswered }

func (e *Answered) encode(to *encoder) {
	to.address(1, e.Address)
	to.time(2, e.At)
	to.text(3, e.By)
	to.value(4, e.Value)
}

func (e *Answered) decode(field byte, d *decoder) {
	switch field {
	case 1:
		e.Address = d.address()
	case 2:
		e.At = d.time()
	case 3:
		e.By = d.text()
	case 4:
		e.Value = d.value()
	}
}
