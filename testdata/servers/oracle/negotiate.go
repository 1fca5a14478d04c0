package oracle

import "errors"

const (
	charset         = 873  // AL32UTF8
	nationalCharset = 2000 // AL16UTF16
)

// negotiateProtocol says what the server can do.
func (s *session) negotiateProtocol() error {
	s.in.until() // versions
	s.in.until() // the driver's name
	if s.in.err != nil {
		return s.in.err
	}
	caps := make([]byte, 53)
	caps[0], caps[1], caps[4], caps[7] = 6, 1, 0xEF, s.server.config.FieldVersion
	caps[15], caps[16], caps[27], caps[37] = 1, 1, 1, 0x22
	runtime := []byte{2, 1, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0}

	w := s.writer()
	w.raw(1, 6, 0)
	w.raw([]byte("x86_64/Linux 2.4.xx\x00")...)
	w.raw(charset&0xFF, charset>>8, 1)
	w.raw(0, 0)
	w.u16(11)
	w.raw(0, 0, 0, 0, 0, 0, 0, 0, 0)
	w.u16(nationalCharset)
	w.raw(byte(len(caps)))
	w.raw(caps...)
	w.raw(byte(len(runtime)))
	w.raw(runtime...)
	return s.send(w)
}

// negotiateTypes agrees on how each type is written: as the client likes it.
func (s *session) negotiateTypes() error {
	const (
		usesLengths = 2   // texts come with a length of their own
		smallest    = 27  // the type of a column's scale
		national    = 999 // the charset that some clients name is above all types
		most        = 1024
	)
	s.in.u16le()
	s.in.u16le()
	flags := s.in.u8()
	caps := append([]byte{}, s.in.bytes(int(s.in.u8()))...)
	runtime := append([]byte{}, s.in.bytes(int(s.in.u8()))...)
	has := func(b []byte, at int, bit byte) bool { return len(b) > at && b[at]&bit != 0 }
	if s.in.err != nil || len(caps) < 8 {
		return errors.Join(s.in.err, errors.New("the client's abilities are missing"))
	}
	zone := has(runtime, 1, 1)
	zoneVersion := zone && has(caps, 37, 2)
	if zone {
		s.in.bytes(11)
	}
	if zoneVersion {
		s.in.bytes(4)
	}
	if b := s.in.peek(2); int(b[0])<<8|int(b[1]) > national {
		s.in.u16()
	}
	w := s.writer()
	w.raw(2)
	if zone {
		w.raw(0x80, 0, 0, 0, 60, 60, 60, 0x80, 0, 0, 0)
	}
	if zoneVersion {
		w.u32(32)
	}
	for range most {
		kind := s.in.u16()
		w.u16(kind)
		if kind == 0 {
			break
		}
		as := s.in.u16()
		w.u16(as)
		if as == 0 {
			continue
		}
		how := s.in.u16()
		w.u16(how)
		w.u16(s.in.u16())
		if kind == smallest {
			s.universalScale = how == 1
		}
	}
	if s.in.err != nil {
		return s.in.err
	}
	s.plainTexts = flags&usesLengths == 0
	s.field = min(caps[7], s.server.config.FieldVersion)
	return s.send(w)
}
