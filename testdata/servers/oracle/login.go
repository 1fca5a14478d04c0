package oracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// The key exchange of the 12c verifier.
const (
	verifier12c = 18453
	rounds      = 4096
	keyRounds   = 3
	saltSize    = 16
	keySize     = 32
)

// Account is somebody who may log in.
type Account struct {
	Password string
	// Err is what a right password gets, such as ORA-28000; nil logs in.
	Err *Error
	// Warning comes with a login, such as ORA-28002.
	Warning *Error
}

// exchange is one login under way.
type exchange struct {
	user    string
	account Account
	known   bool

	key     []byte // from password and salt
	half    []byte // the server's half of the session key
	cskSalt []byte
}

// verifier is what a server keeps of a password.
type verifier struct{ salt, key []byte }

// verifiers are made when they are first needed, for that takes a while.
type verifiers struct {
	mu         sync.Mutex
	byPassword map[string]verifier
}

func (v *verifiers) of(password string) (verifier, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if made, ok := v.byPassword[password]; ok {
		return made, nil
	}
	salt := randomBytes(saltSize)
	p, err := pbkdf2.Key(sha512.New, password, append(bytes.Clone(salt), "AUTH_PBKDF2_SPEEDY_KEY"...), rounds, 64)
	if err != nil {
		return verifier{}, err
	}
	hash := sha512.Sum512(append(p, salt...))
	made := verifier{salt: salt, key: hash[:keySize]}
	if v.byPassword == nil {
		v.byPassword = map[string]verifier{}
	}
	v.byPassword[password] = made
	return made, nil
}

// check tells whether the client knew the password, and gives what proves to it
// that the server knew it too.
func (x *exchange) check(answers map[string]string) (proof string, err error) {
	sealed, err := hex.DecodeString(answers["AUTH_SESSKEY"])
	if err != nil || len(sealed) != keySize {
		return "", errors.New("the client's half of the session key is missing")
	}
	half, err := cbc(x.key, sealed, cipher.NewCBCDecrypter)
	if err != nil {
		return "", err
	}
	joined := strings.ToUpper(hex.EncodeToString(half) + hex.EncodeToString(x.half))
	combo, err := pbkdf2.Key(sha512.New, joined, x.cskSalt, keyRounds, keySize)
	if err != nil {
		return "", err
	}
	password, err := hex.DecodeString(answers["AUTH_PASSWORD"])
	if err != nil || len(password) < 2*aes.BlockSize || len(password)%aes.BlockSize != 0 {
		return "", errors.New("the password is missing")
	}
	if password, err = cbc(combo, password, cipher.NewCBCDecrypter); err != nil {
		return "", err
	}
	if !x.known || string(unpad(password[aes.BlockSize:])) != x.account.Password {
		return "", errors.New("wrong password")
	}
	text := append(randomBytes(aes.BlockSize), "SERVER_TO_CLIENT"...)
	text = append(text, bytes.Repeat([]byte{aes.BlockSize}, aes.BlockSize)...)
	if text, err = cbc(combo, text, cipher.NewCBCEncrypter); err != nil {
		return "", err
	}
	return strings.ToUpper(hex.EncodeToString(text)), nil
}

func cbc(key, text []byte, mode func(cipher.Block, []byte) cipher.BlockMode) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(text))
	mode(block, make([]byte, aes.BlockSize)).CryptBlocks(out, text)
	return out, nil
}

func unpad(b []byte) []byte {
	if n := int(b[len(b)-1]); n > 0 && n <= aes.BlockSize && n <= len(b) {
		return b[:len(b)-n]
	}
	return b
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	return b
}

// readLogin reads what both phases of a login begin with.
func (s *session) readLogin() (user string, mode int, pairs map[string]string) {
	const most = 64
	s.in.u8()
	length := s.in.count(1 << 10)
	mode = s.in.ub()
	s.in.u8()
	n := s.in.count(most)
	s.in.u8()
	s.in.u8()
	if length > 0 {
		user = s.text(length)
	}
	return user, mode, s.in.keyValues(n)
}

// challenge answers the first phase of a login.
func (s *session) challenge() error {
	user, _, _ := s.readLogin()
	if s.in.err != nil {
		return s.in.err
	}
	// An unknown user gets a challenge as well.
	account, known := s.server.account(user)
	v, err := s.server.verifiers.of(account.Password)
	if err != nil {
		return err
	}
	x := &exchange{user: user, account: account, known: known, key: v.key, half: randomBytes(keySize), cskSalt: randomBytes(saltSize)}
	s.login = x
	sealed, err := cbc(x.key, x.half, cipher.NewCBCEncrypter)
	if err != nil {
		return err
	}
	upper := func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
	w := s.writer()
	w.raw(8)
	w.ub(5)
	w.keyValue("AUTH_SESSKEY", upper(sealed), 0)
	w.keyValue("AUTH_VFR_DATA", upper(v.salt), verifier12c)
	w.keyValue("AUTH_PBKDF2_CSK_SALT", upper(x.cskSalt), 0)
	w.keyValue("AUTH_PBKDF2_VGEN_COUNT", strconv.Itoa(rounds), 0)
	w.keyValue("AUTH_PBKDF2_SDER_COUNT", strconv.Itoa(keyRounds), 0)
	s.errorBlock(w, outcome{})
	return s.send(w)
}

// authenticate answers the second phase of a login.
func (s *session) authenticate() error {
	_, mode, pairs := s.readLogin()
	if s.in.err != nil {
		return s.in.err
	}
	refuse := func(e Error) error {
		w := s.writer()
		s.errorBlock(w, outcome{err: &e})
		return s.send(w)
	}
	if s.login == nil {
		return refuse(Error{Code: 1017, Text: "invalid username/password; logon denied"})
	}
	x := s.login
	s.login = nil
	proof, err := x.check(pairs)
	if err != nil && (!s.server.config.AnyPassword || !x.known) {
		return refuse(Error{Code: 1017, Text: "invalid username/password; logon denied"})
	}
	if x.account.Err != nil {
		return refuse(*x.account.Err)
	}
	s.user, s.client = strings.ToUpper(x.user), pairs["PROXY_CLIENT_NAME"]
	s.server.record(Call{Session: s.number, Op: "login", User: s.user, Client: s.client, Mode: mode})
	w := s.writer()
	s.properties(w, proof)
	s.nls(w)
	if x.account.Warning != nil {
		warning(w, *x.account.Warning)
	}
	s.errorBlock(w, outcome{})
	return s.send(w)
}

// properties tells the client about its session.
func (s *session) properties(w *writer, proof string) {
	pairs := [][2]string{
		{"AUTH_SVR_RESPONSE", proof},
		{"AUTH_SESSION_ID", strconv.Itoa(100 + s.number)},
		{"AUTH_SERIAL_NUM", strconv.Itoa(7000 + s.number)},
		{"AUTH_VERSION_NO", strconv.Itoa(serverVersion)},
		{"AUTH_VERSION_STRING", "- Production"},
		{"AUTH_SC_SERVER_HOST", "localhost"},
		{"AUTH_SC_INSTANCE_NAME", "test"},
		{"AUTH_SC_SERVICE_NAME", s.server.config.Service},
		{"AUTH_SC_DBUNIQUE_NAME", "TEST"},
		{"AUTH_DBNAME", "TEST"},
		{"AUTH_DB_MOUNT_ID", "1"},
		{"AUTH_MAX_OPEN_CURSORS", "300"},
		{"AUTH_INSTANCENAME", "test"},
	}
	w.raw(8)
	w.ub(len(pairs))
	for _, p := range pairs {
		w.keyValue(p[0], p[1], 0)
	}
}

// nls spares clients the question for the session's language.
func (s *session) nls(w *writer) {
	w.raw(23, 5)
	w.ub(1)
	w.raw(0)
	w.ub(1)
	w.raw(0)
	w.keyValue("AUTH_NLS_LXLAN", "AMERICAN", 16)
	w.ub(0)
}

func warning(w *writer, e Error) {
	text := e.message()
	w.raw(15)
	w.ub(e.Code, len(text), 0)
	w.clr([]byte(text))
}

// text reads a text whose length in bytes was announced.
func (s *session) text(length int) string {
	if s.plainTexts {
		return string(s.in.bytes(length))
	}
	return string(s.in.clr())
}

// banner is what the server says it is, as Oracle 19c does.
func banner() string {
	return fmt.Sprintf("Oracle Database 19c protocol test server %d", serverVersion)
}
