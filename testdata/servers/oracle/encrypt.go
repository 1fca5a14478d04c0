package oracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// The services of the negotiation, and the algorithms that this server knows: one of
// each kind. No client of Oracle's own that can be had speaks native encryption
// without Oracle's libraries, so that this side of it is known from go-ora alone.
const (
	serviceAuthentication = 1
	serviceEncryption     = 2
	serviceIntegrity      = 3
	serviceSupervisor     = 4

	algorithmAES256 = 17
	algorithmSHA256 = 5

	primeBits = 512 // enough for a test
)

// Security says which native services a server offers, if it negotiates at all.
type Security struct {
	Encryption bool // AES with 256 bits
	Integrity  bool // SHA-256
	// Required refuses clients that do not take all of it.
	Required bool
}

// offers are the algorithms that a client takes, by service.
type offers map[int][]byte

// readServices reads a negotiation of services.
func (s *session) readServices() (offers, error) {
	const head = 13
	in := &s.in
	in.bytes(4)
	length := in.u16()
	if length < head {
		return nil, errors.New("a negotiation of services that is too short")
	}
	in.bytes(4)
	services := in.u16()
	in.u8()
	found := offers{}
	left := length - head
	for i := 0; i < services && in.err == nil; i++ {
		id, parts := in.u16(), in.u16()
		in.bytes(4)
		left -= 8
		for part := 0; part < parts && in.err == nil; part++ {
			size, kind := in.u16(), in.u16()
			if left -= 4 + size; left < 0 {
				return nil, errors.New("a negotiation of services with more than it announced")
			}
			if b := in.bytes(size); kind == 1 && found[id] == nil {
				found[id] = bytes.Clone(b)
			}
		}
	}
	return found, in.err
}

// negotiateServices answers the negotiation of native encryption and integrity: with
// what the server offers and the client takes.
func (s *session) negotiateServices() error {
	taken, err := s.readServices()
	if err != nil {
		return err
	}
	offered := s.server.config.Security
	encrypt := offered.Encryption && slices.Contains(taken[serviceEncryption], algorithmAES256)
	check := offered.Integrity && slices.Contains(taken[serviceIntegrity], algorithmSHA256)
	if offered.Required && (encrypt != offered.Encryption || check != offered.Integrity) {
		if err := s.send(s.refusal(12660)); err != nil {
			return err
		}
		return errGone
	}
	exchange := keyExchange{}
	if encrypt || check {
		if exchange, err = newKeyExchange(); err != nil {
			return err
		}
	}
	if err := s.send(s.services(encrypt, check, exchange)); err != nil {
		return err
	}
	if !encrypt && !check {
		return nil
	}
	answer, err := s.readServices()
	if err != nil {
		return err
	}
	public := answer[serviceIntegrity]
	if len(public) == 0 {
		return errors.New("the client's part of the key exchange is missing")
	}
	s.armor, err = exchange.agree(public, encrypt, check)
	return err
}

// services writes the server's part of the negotiation.
func (s *session) services(encrypt, check bool, exchange keyExchange) *writer {
	w := s.writer()
	service := func(id, parts int) {
		w.u16(id)
		w.u16(parts)
		w.u32(0)
	}
	part := func(kind int, b ...byte) {
		w.u16(len(b))
		w.u16(kind)
		w.raw(b...)
	}
	algorithm := func(is bool, id byte) {
		if !is {
			id = 0
		}
		part(2, id)
	}
	version := []byte{0x13, 0, 0, 0}
	service(serviceSupervisor, 3)
	part(5, version...)
	part(6, 0, 31)
	part(1, 0xDE, 0xAD, 0xBE, 0xEF, 0, 3, 0, 0, 0, 4, 0, 4, 0, 1, 0, 2, 0, 3)
	service(serviceAuthentication, 2)
	part(5, version...)
	part(6, 0xFB, 0xFF)
	service(serviceEncryption, 2)
	part(5, version...)
	algorithm(encrypt, algorithmAES256)
	if encrypt || check {
		service(serviceIntegrity, 8)
		part(5, version...)
		algorithm(check, algorithmSHA256)
		part(3, primeBits>>8, primeBits&0xFF)
		part(3, primeBits>>8, primeBits&0xFF)
		part(1, exchange.fixed(big.NewInt(generator))...)
		part(1, exchange.fixed(exchange.prime)...)
		part(1, exchange.fixed(new(big.Int).Exp(big.NewInt(generator), exchange.secret, exchange.prime))...)
		part(1, exchange.iv...)
	} else {
		service(serviceIntegrity, 2)
		part(5, version...)
		algorithm(false, 0)
	}
	return s.negotiation(4, w.b)
}

// refusal writes a negotiation that ends with an error.
func (s *session) refusal(code int) *writer {
	w := s.writer()
	w.u16(serviceEncryption)
	w.u16(0)
	w.u32(code)
	return s.negotiation(1, w.b)
}

// negotiation writes the head of a negotiation before its services.
func (s *session) negotiation(services int, body []byte) *writer {
	const head = 13
	w := s.writer()
	w.u32(0xDEADBEEF)
	w.u16(head + len(body))
	w.u32(0x13000000)
	w.u16(services)
	w.raw(0)
	w.raw(body...)
	return w
}

const generator = 2

// keyExchange is Diffie's and Hellman's.
type keyExchange struct {
	prime, secret *big.Int
	iv            []byte
}

func newKeyExchange() (keyExchange, error) {
	prime, err := rand.Prime(rand.Reader, primeBits)
	if err != nil {
		return keyExchange{}, err
	}
	return keyExchange{prime: prime, secret: new(big.Int).SetBytes(randomBytes(primeBits / 8)), iv: randomBytes(2 * aes.BlockSize)}, nil
}

// fixed writes a number with the length of the prime.
func (x keyExchange) fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, primeBits/8)) }

func (x keyExchange) agree(public []byte, encrypt, check bool) (*armor, error) {
	key := x.fixed(new(big.Int).Exp(new(big.Int).SetBytes(public), x.secret, x.prime))
	a := &armor{}
	var err error
	if encrypt {
		if a.block, err = aes.NewCipher(key[:keySize]); err != nil {
			return nil, err
		}
	}
	if check {
		err = a.makeStreams(key, x.iv)
	}
	return a, err
}

// armor is what protects the packets of a session.
type armor struct {
	block cipher.Block // nil without encryption

	// What is hashed with the packets of each direction; nil without checksums.
	toServer, toClient *stream
}

// stream gives secret bytes, other ones for each packet.
type stream struct {
	mode cipher.BlockMode
	last [sha256.Size]byte
}

func (s *stream) next() []byte {
	s.mode.CryptBlocks(s.last[:], s.last[:])
	return s.last[:]
}

// makeStreams makes the streams of a key: the two differ in one byte of theirs.
func (a *armor) makeStreams(key, iv []byte) error {
	first := make([]byte, aes.BlockSize)
	copy(first, key[:5])
	first[5] = 0xFF
	block, err := aes.NewCipher(first)
	if err != nil {
		return err
	}
	seed := make([]byte, 2*aes.BlockSize)
	cipher.NewCBCEncrypter(block, iv[:aes.BlockSize]).CryptBlocks(seed, seed)
	make1 := func(mark byte) *stream {
		own := bytes.Clone(seed[:aes.BlockSize])
		own[5] = mark
		if block, err = aes.NewCipher(own); err != nil {
			return nil
		}
		return &stream{mode: cipher.NewCBCEncrypter(block, seed[aes.BlockSize:])}
	}
	a.toServer, a.toClient = make1(90), make1(180)
	return err
}

// close protects a packet's data.
func (a *armor) close(b []byte) []byte {
	if a.toClient != nil {
		sum := sha256.Sum256(append(bytes.Clone(b), a.toClient.next()...))
		b = append(bytes.Clone(b), sum[:]...)
	}
	if a.block != nil {
		pad := (aes.BlockSize - len(b)%aes.BlockSize) % aes.BlockSize
		b = append(bytes.Clone(b), make([]byte, pad)...)
		cipher.NewCBCEncrypter(a.block, make([]byte, aes.BlockSize)).CryptBlocks(b, b)
		b = append(b, byte(pad+1))
	}
	return append(b, 0)
}

// open takes the protection off.
func (a *armor) open(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, errors.New("a protected packet that is too short")
	}
	b = bytes.Clone(b[:len(b)-1])
	if a.block != nil {
		pad := int(b[len(b)-1])
		b = b[:len(b)-1]
		if pad < 1 || pad > aes.BlockSize || len(b)%aes.BlockSize != 0 || len(b) < pad {
			return nil, fmt.Errorf("an encrypted packet of %d bytes, %d of which fill it up", len(b), pad)
		}
		cipher.NewCBCDecrypter(a.block, make([]byte, aes.BlockSize)).CryptBlocks(b, b)
		b = b[:len(b)-pad+1]
	}
	if a.toServer == nil {
		return b, nil
	}
	if len(b) < sha256.Size {
		return nil, errors.New("a packet without its checksum")
	}
	data := b[:len(b)-sha256.Size]
	want := sha256.Sum256(append(bytes.Clone(data), a.toServer.next()...))
	if !bytes.Equal(want[:], b[len(data):]) {
		return nil, errors.New("a packet with a wrong checksum")
	}
	return data, nil
}

// overhead is by how much protection makes a packet longer, at most.
func (a *armor) overhead() int {
	if a == nil {
		return 0
	}
	return sha256.Size + aes.BlockSize + 2
}

// protected gives the data of a packet as it is sent.
func (s *session) protected(b []byte) []byte {
	if s.armor == nil {
		return b
	}
	return s.armor.close(b)
}

// unprotected gives the data of a packet as it was meant.
func (s *session) unprotected(b []byte) ([]byte, error) {
	if s.armor == nil || len(b) < 2 {
		return b, nil
	}
	return s.armor.open(b)
}

// isNegotiation tells whether a message begins as the negotiation of services does.
func isNegotiation(b []byte) bool { return binary.BigEndian.Uint32(b) == 0xDEADBEEF }
