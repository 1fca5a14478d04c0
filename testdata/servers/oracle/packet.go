package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// The types of TNS packets.
const (
	packetConnect  = 1
	packetAccept   = 2
	packetRefuse   = 4
	packetRedirect = 5
	packetData     = 6
	packetResend   = 11
	packetMarker   = 12
)

// What a marker asks for.
const (
	markerBreak = 1
	markerReset = 2
)

const (
	headerSize = 8
	// maxPacket is the largest packet that a client may send.
	maxPacket = 4 << 20
	// wideLengths is the first version whose packets have lengths of 4 bytes.
	wideLengths = 315
)

// errGone says that the client is gone.
var errGone = errors.New("the client is gone")

type packet struct {
	kind  byte
	flags byte
	body  []byte // what follows the header
}

// readPacket reads one packet. Until the connection is accepted, lengths have 2
// bytes.
func readPacket(r io.Reader, wide bool) (packet, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, err
	}
	length := int(binary.BigEndian.Uint16(head[:]))
	if wide {
		length = int(binary.BigEndian.Uint32(head[:]))
	}
	if length < headerSize || length > maxPacket {
		return packet{}, fmt.Errorf("a packet of %d bytes", length)
	}
	p := packet{kind: head[4], flags: head[5], body: make([]byte, length-headerSize)}
	_, err := io.ReadFull(r, p.body)
	return p, err
}

// writePacket writes one packet.
func writePacket(w io.Writer, wide bool, p packet) error {
	b := make([]byte, headerSize, headerSize+len(p.body))
	length := headerSize + len(p.body)
	if wide {
		binary.BigEndian.PutUint32(b, uint32(length)) //nolint:gosec // a packet is short
	} else {
		binary.BigEndian.PutUint16(b, uint16(length)) //nolint:gosec // a packet is short
	}
	b[4], b[5] = p.kind, p.flags
	_, err := w.Write(append(b, p.body...))
	return err
}

// connectRequest is what a client says in its connect packet.
type connectRequest struct {
	version int
	sdu     int
	data    string // "(DESCRIPTION=...)"
	later   int    // how many bytes of data come in packets of their own
}

func parseConnect(body []byte) (connectRequest, error) {
	const fixed = 50 // up to the large SDU and TDU, which start at 58 of the packet
	if len(body) < 26 {
		return connectRequest{}, errors.New("a connect packet that is too short")
	}
	c := connectRequest{
		version: int(binary.BigEndian.Uint16(body)),
		sdu:     int(binary.BigEndian.Uint16(body[6:])),
	}
	if c.version >= wideLengths && len(body) >= fixed+8 {
		c.sdu = int(binary.BigEndian.Uint32(body[fixed:]))
	}
	length := int(binary.BigEndian.Uint16(body[16:]))
	offset := int(binary.BigEndian.Uint16(body[18:])) - headerSize
	switch {
	case offset < 0 || offset > len(body):
		return c, errors.New("connect data outside of its packet")
	case len(body)-offset >= length:
		c.data = string(body[offset : offset+length])
	default:
		c.later = length
	}
	return c, nil
}

// target gives the service and the SID that connect data names.
func target(data string) (service, sid string) {
	find := func(key string) string {
		m := regexp.MustCompile(`(?i)\(\s*` + key + `\s*=\s*([^()]*?)\s*\)`).FindStringSubmatch(data)
		if m == nil {
			return ""
		}
		return m[1]
	}
	return find("SERVICE_NAME"), find("SID")
}

// accept makes the answer to a connect packet.
func accept(version, sdu int, negotiate bool) packet {
	b := make([]byte, 37)
	if version >= 318 {
		b = make([]byte, 37+4) // the second set of flags: nothing newer than 19c
	}
	put16 := func(at, v int) { binary.BigEndian.PutUint16(b[at-headerSize:], uint16(v)) } //nolint:gosec // fields of the format
	put16(8, version)
	put16(12, min(sdu, 0xFFFF))
	put16(14, 0xFFFF)
	put16(16, 1)
	put16(20, headerSize+len(b)) // no data behind
	if version < wideLengths {
		b = b[:24]
		put16(20, headerSize+len(b))
	} else {
		binary.BigEndian.PutUint32(b[32-headerSize:], uint32(sdu)) //nolint:gosec // a field of the format
		binary.BigEndian.PutUint32(b[36-headerSize:], 2<<20)
	}
	if negotiate {
		b[22-headerSize], b[23-headerSize] = 0x41, 0x01
	} else {
		b[22-headerSize], b[23-headerSize] = 0x45, 0x09
	}
	return packet{kind: packetAccept, body: b}
}

// refuse makes the answer of a listener that will not have a client.
func refuse(code int) packet {
	text := fmt.Sprintf("(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=%d)(ERROR_STACK=(ERROR=(CODE=%d)(EMFI=4))))", code, code)
	body := []byte{0x22, 0, byte(len(text) >> 8), byte(len(text))}
	return packet{kind: packetRefuse, body: append(body, text...)}
}

// redirect makes the answer of a listener that knows a better address.
func redirect(address, data string) packet {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, strconv.Itoa(1521)
	}
	text := fmt.Sprintf("(ADDRESS=(PROTOCOL=tcp)(HOST=%s)(PORT=%s))\x00%s", host, port, strings.TrimRight(data, "\x00"))
	body := []byte{byte(len(text) >> 8), byte(len(text))}
	return packet{kind: packetRedirect, flags: 2, body: append(body, text...)}
}
