package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// errBroken says that a break ended the call, and was answered.
var errBroken = errors.New("the client broke the call")

// session is one client.
type session struct {
	server *Server
	number int
	conn   net.Conn

	packets chan packet
	gone    chan struct{} // closed when nothing more will come
	stop    chan struct{} // closed when the session ends

	in    reader
	wide  bool
	sdu   int
	field byte   // the version of TTC's fields
	armor *armor // of native encryption; nil without

	plainTexts     bool // texts come without a length of their own
	universalScale bool

	login   *exchange
	user    string
	client  string
	cursors map[int]*cursor
	lobs    map[string]*lob
	ids     int
	drop    Drop
}

// Serve speaks with one client until it is gone; an error tells what it did not
// understand. It is exported for fuzzing.
func Serve(server *Server, number int, conn net.Conn) error {
	s := &session{
		server: server, number: number, conn: conn,
		packets: make(chan packet, 64), gone: make(chan struct{}), stop: make(chan struct{}),
		cursors: map[int]*cursor{}, lobs: map[string]*lob{},
		sdu: server.config.SDU,
	}
	s.in.next = s.nextData
	if server.config.Mute {
		_, _ = io.Copy(io.Discard, conn)
		return nil
	}
	if err := s.connect(); err != nil {
		return err
	}
	var pump sync.WaitGroup
	pump.Go(s.pump)
	err := s.work()
	close(s.stop)
	_ = conn.Close()
	pump.Wait()
	if ended(err) {
		return nil
	}
	return err
}

// pump reads packets ahead, so that a break is seen while a call runs.
func (s *session) pump() {
	defer close(s.gone)
	for {
		p, err := readPacket(s.conn, s.wide)
		if err != nil {
			return
		}
		select {
		case s.packets <- p:
		case <-s.stop:
			return
		}
	}
}

// connect is the listener's part.
func (s *session) connect() error {
	config := s.server.config
	request, err := s.readConnect()
	if err != nil {
		return err
	}
	if config.Resend {
		if err := writePacket(s.conn, false, packet{kind: packetResend}); err != nil {
			return err
		}
		if request, err = s.readConnect(); err != nil {
			return err
		}
	}
	service, sid := target(request.data)
	answer := packet{}
	switch {
	case config.Refuse != 0:
		answer = refuse(config.Refuse)
	case config.Redirect != "":
		answer = redirect(config.Redirect, request.data)
	case service != "" && !strings.EqualFold(service, config.Service):
		answer = refuse(12514)
	case service == "" && !strings.EqualFold(sid, config.SID):
		answer = refuse(12505)
	default:
		version := min(request.version, config.Version)
		s.wide = version >= wideLengths
		if request.sdu >= 512 {
			s.sdu = min(s.sdu, request.sdu)
		}
		return writePacket(s.conn, false, accept(version, s.sdu, config.Negotiate))
	}
	if err := writePacket(s.conn, false, answer); err != nil {
		return err
	}
	return errGone
}

func (s *session) readConnect() (connectRequest, error) {
	p, err := readPacket(s.conn, false)
	if err != nil {
		return connectRequest{}, err
	}
	if p.kind != packetConnect {
		return connectRequest{}, fmt.Errorf("a packet of type %d instead of a connect packet", p.kind)
	}
	request, err := parseConnect(p.body)
	for err == nil && request.later > len(request.data) {
		if p, err = readPacket(s.conn, false); err != nil {
			break
		}
		if p.kind != packetData || len(p.body) < 2 {
			return request, errors.New("connect data is missing")
		}
		request.data += string(p.body[2:])
	}
	return request, err
}

// nextPacket waits for a packet.
func (s *session) nextPacket() (packet, error) {
	select {
	case p := <-s.packets:
		return p, nil
	default:
	}
	select {
	case p := <-s.packets:
		return p, nil
	case <-s.gone:
	}
	select { // what came before the end
	case p := <-s.packets:
		return p, nil
	default:
		return packet{}, errGone
	}
}

// nextData gives the payload of the next data packet. A break that comes instead
// is answered, and what was read of a message is worth nothing any more.
func (s *session) nextData() ([]byte, error) {
	p, err := s.nextPacket()
	if err != nil {
		return nil, err
	}
	switch p.kind {
	case packetData:
		if len(p.body) < 2 || binary.BigEndian.Uint16(p.body)&0x40 != 0 && len(p.body) == 2 {
			return nil, errGone
		}
		return s.unprotected(p.body[2:])
	case packetMarker:
		return nil, s.broke(p)
	}
	return nil, fmt.Errorf("a packet of type %d", p.kind)
}

// broke answers a break with ORA-01013.
func (s *session) broke(p packet) error {
	if len(p.body) == 3 && p.body[2] == markerReset {
		return errBroken // of a break that was answered
	}
	s.server.record(Call{Session: s.number, Op: "break", User: s.user})
	if err := s.markers(); err != nil {
		return err
	}
	w := s.writer()
	s.errorBlock(w, outcome{err: &Error{Code: 1013, Text: "user requested cancel of current operation"}})
	if err := s.send(w); err != nil {
		return err
	}
	return errBroken
}

// markers agrees with the client on a new start.
func (s *session) markers() error {
	say := func(what byte) error {
		return writePacket(s.conn, s.wide, packet{kind: packetMarker, body: []byte{1, 0, what}})
	}
	if err := say(markerBreak); err != nil {
		return err
	}
	if s.server.config.BothMarkers {
		if err := say(markerReset); err != nil {
			return err
		}
		return s.awaitReset()
	}
	if err := s.awaitReset(); err != nil {
		return err
	}
	return say(markerReset)
}

func (s *session) awaitReset() error {
	for {
		p, err := s.nextPacket()
		if err != nil {
			return err
		}
		if p.kind == packetMarker && len(p.body) == 3 && p.body[2] == markerReset {
			return nil
		}
	}
}

// pause waits as a result says. A break ends it, unless it is deaf.
func (s *session) pause(d time.Duration, forever, deaf bool) error {
	if d <= 0 && !forever {
		return nil
	}
	var over <-chan time.Time
	if !forever {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	packets := s.packets
	if deaf {
		packets = nil
	}
	select {
	case <-over:
		return nil
	case p := <-packets:
		if p.kind == packetMarker {
			return s.broke(p)
		}
		return fmt.Errorf("a packet of type %d while a call runs", p.kind)
	case <-s.gone:
		return errGone
	}
}

func (s *session) writer() *writer { return &writer{bigChunks: true} }

// send sends a message in packets that are no longer than was agreed, and drops
// the connection where the script says so.
func (s *session) send(w *writer) error {
	drop := s.drop
	s.drop = NoDrop
	b := w.b
	if drop == DropInside {
		b = b[:len(b)/2]
	}
	if drop == DropBefore {
		return errGone
	}
	for first := true; first || len(b) > 0; first = false {
		n := min(len(b), s.sdu-headerSize-2-s.armor.overhead())
		if err := writePacket(s.conn, s.wide, packet{kind: packetData, body: append([]byte{0, 0}, s.protected(b[:n])...)}); err != nil {
			return err
		}
		b = b[n:]
	}
	if drop != NoDrop {
		return errGone
	}
	return nil
}

// work answers message after message.
func (s *session) work() error {
	s.in.bigChunks = true
	if b := s.in.peek(4); s.in.err == nil && isNegotiation(b) {
		if err := s.negotiateServices(); err != nil {
			return err
		}
	}
	for {
		err := s.message()
		if err == nil {
			err = s.in.err
		}
		if errors.Is(err, errBroken) || errors.Is(s.in.err, errBroken) {
			s.in.err, s.in.buf = nil, nil
			continue
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) message() error {
	switch kind := s.in.u8(); {
	case s.in.err != nil:
		return s.in.err
	case kind == 1:
		return s.negotiateProtocol()
	case kind == 2:
		return s.negotiateTypes()
	case kind == 3:
		return s.function()
	case kind == 0x11:
		return s.piggyback()
	default:
		return fmt.Errorf("a message of type %d", kind)
	}
}

// functionHead reads what follows the type of a message.
func (s *session) functionHead() byte {
	code := s.in.u8()
	s.in.u8() // sequence
	if s.field >= 18 {
		s.in.ub() // token
	}
	return code
}

func (s *session) function() error {
	code := s.functionHead()
	switch {
	case s.in.err != nil:
		return s.in.err
	case s.field == 0:
		return fmt.Errorf("function %#x before the types were agreed on", code)
	case code == 0x76:
		return s.challenge()
	case code == 0x73:
		return s.authenticate()
	case s.user == "":
		return fmt.Errorf("function %#x before the login", code)
	}
	switch code {
	case 0x3B:
		return s.version()
	case 0x5E:
		return s.execute()
	case 0x04, 0x4E:
		return s.executeAgain()
	case 0x05:
		return s.fetch()
	case 0x60:
		return s.lobCall()
	case 0x0E:
		return s.status("commit")
	case 0x0F:
		return s.status("rollback")
	case 0x93:
		return s.status("ping")
	case 0x09:
		return s.status("logoff")
	}
	return fmt.Errorf("function %#x is not known", code)
}

// status answers a call that has no other answer.
func (s *session) status(op string) error {
	s.server.record(Call{Session: s.number, Op: op, User: s.user})
	if c, ok := s.server.script.special(op); ok {
		s.drop = c.Drop
		if err := s.pause(c.Delay, c.Hang, c.Deaf); err != nil {
			return err
		}
		if c.Err != nil {
			w := s.writer()
			s.errorBlock(w, outcome{err: c.Err})
			return s.send(w)
		}
	}
	w := s.writer()
	w.raw(9)
	w.ub(0, 0)
	return s.send(w)
}

func (s *session) version() error {
	s.in.u8()
	s.in.ub()
	s.in.u8()
	s.in.u8()
	if s.field >= 11 {
		s.in.ub()
	}
	if s.in.err != nil {
		return s.in.err
	}
	w := s.writer()
	w.raw(8)
	w.ub(len(banner()))
	w.clr([]byte(banner()))
	w.ub(serverVersion)
	w.raw(9)
	w.ub(0, 0)
	return s.send(w)
}

// piggyback takes what comes before a function, and has no answer of its own.
func (s *session) piggyback() error {
	const most = 1 << 16
	code := s.functionHead()
	switch {
	case s.in.err != nil:
		return s.in.err
	case s.user == "":
		return fmt.Errorf("piggyback %#x before the login", code)
	case code == 0x69 || code == 0x78:
		s.in.u8()
		for range s.in.count(most) {
			delete(s.cursors, s.in.ub())
		}
		s.server.record(Call{Session: s.number, Op: "close cursors", User: s.user})
		return s.in.err
	case code == 0x60:
		return s.freeLOBs()
	}
	return fmt.Errorf("piggyback %#x is not known", code)
}
