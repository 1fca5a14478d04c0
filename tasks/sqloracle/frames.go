package sqloracle

import (
	"encoding/binary"
	"fmt"
)

// frames follows the packets of an answer, so that the client library never makes
// room for one of the size that garbage announces. It looks away from TLS.
type frames struct {
	started bool
	tls     bool
	wide    bool // lengths have 4 bytes: the connection was accepted
	head    []byte
	left    int  // bytes that are still to come of the packet
	accept  bool // the next two bytes are the version that was accepted
}

const (
	frameHead = 8
	// maxFrame is larger than any packet that was offered to the server.
	maxFrame = 2 * sdu

	tlsHandshake = 0x16
	typeAccept   = 2
	wideSince    = 315
)

// follow takes what has arrived.
func (f *frames) follow(b []byte) error {
	if !f.started && len(b) > 0 {
		f.started, f.tls = true, b[0] == tlsHandshake
	}
	for len(b) > 0 && !f.tls {
		if f.left == 0 {
			n := min(frameHead-len(f.head), len(b))
			f.head, b = append(f.head, b[:n]...), b[n:]
			if len(f.head) < frameHead {
				return nil
			}
			if err := f.begin(); err != nil {
				return err
			}
			continue
		}
		n := min(f.left, len(b))
		if f.accept {
			f.accepted(b[:n])
		}
		f.left -= n
		b = b[n:]
	}
	return nil
}

// begin reads a packet's head.
func (f *frames) begin() error {
	length := int(binary.BigEndian.Uint16(f.head))
	if f.wide {
		length = int(binary.BigEndian.Uint32(f.head))
	}
	kind := f.head[4]
	f.head = f.head[:0]
	if length < frameHead || length > maxFrame {
		return fmt.Errorf("the server's answer could not be understood: a packet of %d bytes", length)
	}
	f.left = length - frameHead
	f.accept = kind == typeAccept && !f.wide
	return nil
}

// accepted reads the version, whose two bytes may come apart.
func (f *frames) accepted(b []byte) {
	f.head = append(f.head, b[:min(2-len(f.head), len(b))]...)
	if len(f.head) == 2 {
		f.wide = binary.BigEndian.Uint16(f.head) >= wideSince
		f.head, f.accept = f.head[:0], false
	}
}
