package journal

// Woken says that a sleep is over.
type Woken struct{ Address }

func (*Woken) code() byte { return codeWoken }

func (e *Woken) encode(to *encoder) { to.address(1, e.Address) }

func (e *Woken) decode(field byte, d *decoder) {
	if field == 1 {
		e.Address = d.address()
	}
}
