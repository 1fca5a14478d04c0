package sqloracle

import (
	"errors"
	"net"
)

// Scan gives a statement without its comments, and its placeholders.
func Scan(text string) (blanked string, names []string) { return scan(text) }

// Follow follows the packets of an answer that arrives in pieces.
func Follow(pieces ...[]byte) error {
	var f frames
	for _, p := range pieces {
		if err := f.follow(p); err != nil {
			return err
		}
	}
	return nil
}

// Number gives what a decimal text becomes on its way to the server and back.
func Number(text string) (string, error) {
	n, err := number(text)
	if err != nil {
		return "", err
	}
	return n.String()
}

// ReadWallet opens a wallet and tells what is wrong with it.
func ReadWallet(text, password string) error {
	_, err := readWallet(text, password)
	return err
}

// Flood reads an answer that may have no more than so many bytes, and gives how many
// were read, and whether it was cut off.
func Flood(socket net.Conn, most int64) (read int, tooMuch bool) {
	w := &wire{most: most}
	c := w.use(socket)
	b := make([]byte, 64)
	for {
		n, err := c.Read(b)
		read += n
		if err != nil {
			return read, errors.Is(err, errTooMuch) && w.tooMuch() && w.broken()
		}
	}
}
