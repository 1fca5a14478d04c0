package oracle

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// serverVersion is 19.0.0.0.0.
const serverVersion = 318767104

// Config says what server to start. The zero Config is one with the account
// scott/tiger and the service XEPDB1 (SID XE).
type Config struct {
	// Accounts by user name, in upper case.
	Accounts map[string]Account
	Service  string
	SID      string
	Script   []Case

	// TLS makes it listen for TCPS.
	TLS *tls.Config
	// SDU is the largest packet; 0 is 8192, at least 512.
	SDU int
	// Version is the newest version of TNS that it offers; 0 is 319.
	Version int
	// FieldVersion is the newest version of TTC's fields that it offers; 0 is 12, of
	// 19c.
	FieldVersion byte
	// Resend asks for each connect packet twice, as real listeners do.
	Resend bool
	// Negotiate asks for the negotiation of native encryption and checksums, and
	// then for those of Security, by default none.
	Negotiate bool
	Security  Security
	// BothMarkers sends both markers of a break before it waits for the client's.
	BothMarkers bool
	// BitVectors leaves out what a row has in common with the row before it.
	BitVectors bool

	// AnyPassword logs everybody in that has an account, so that what a client once
	// sent can be sent again.
	AnyPassword bool
	// Mute accepts connections and never says anything.
	Mute bool
	// Refuse is the error with which the listener refuses everybody, such as 12528.
	Refuse int
	// Redirect sends everybody to another address.
	Redirect string
	// Wrap changes the connection number n, from 1, such as to cut it off.
	Wrap func(n int, c net.Conn) net.Conn
}

// Server is a running protocol test server.
type Server struct {
	// Addr, Host and Port say where it listens.
	Addr string
	Host string
	Port int

	config   Config
	script   *script
	listener net.Listener
	wait     sync.WaitGroup

	verifiers verifiers

	mu       sync.Mutex
	calls    []Call
	notify   chan struct{} // closed and renewed when a call is recorded
	open     map[net.Conn]bool
	sessions int
	closed   bool
}

// New starts a server for one test, which ends with the test.
func New(tb testing.TB, config Config) *Server {
	tb.Helper()
	s, err := Start(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Start starts a server on a free port of the loopback interface.
func Start(config Config) (*Server, error) {
	s := &Server{config: withDefaults(config), open: map[net.Conn]bool{}, notify: make(chan struct{})}
	var err error
	if s.script, err = newScript(config.Script); err != nil {
		return nil, err
	}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the protocol test server: %w", err)
	}
	address, _ := s.listener.Addr().(*net.TCPAddr)
	s.Addr, s.Host, s.Port = address.String(), address.IP.String(), address.Port
	s.wait.Go(s.accept)
	return s, nil
}

func withDefaults(c Config) Config {
	if c.Accounts == nil {
		c.Accounts = map[string]Account{"SCOTT": {Password: "tiger"}}
	}
	accounts := map[string]Account{}
	for user, account := range c.Accounts {
		accounts[strings.ToUpper(user)] = account
	}
	c.Accounts = accounts
	if c.Service == "" {
		c.Service = "XEPDB1"
	}
	if c.SID == "" {
		c.SID = "XE"
	}
	if c.SDU == 0 {
		c.SDU = 8192
	}
	if c.Version == 0 {
		c.Version = 319
	}
	if c.FieldVersion == 0 {
		c.FieldVersion = 12
	}
	return c
}

// Close drops all connections and waits until nothing of the server runs.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	_ = s.listener.Close()
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wait.Wait()
}

// DropAll drops all connections, as a restart would.
func (s *Server) DropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = c.Close()
			return
		}
		s.sessions++
		n := s.sessions
		s.open[c] = true
		s.mu.Unlock()
		s.wait.Go(func() {
			defer s.forget(c)
			s.serve(n, c)
		})
	}
}

func (s *Server) forget(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *Server) serve(n int, raw net.Conn) {
	conn := raw
	if s.config.Wrap != nil {
		conn = s.config.Wrap(n, conn)
	}
	if s.config.TLS != nil {
		conn = tls.Server(conn, s.config.TLS)
	}
	_ = Serve(s, n, conn)
	_ = conn.Close()
}

// Calls gives everything that clients asked for so far, in order.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Statements gives the statements that were executed so far, without those that
// clients send of their own accord.
func (s *Server) Statements() []string {
	var texts []string
	for _, c := range s.Calls() {
		if c.Op == "execute" && !strings.EqualFold(c.SQL, "SELECT SYSTIMESTAMP FROM DUAL") {
			texts = append(texts, c.SQL)
		}
	}
	return texts
}

// Count tells how many calls of a kind there were.
func (s *Server) Count(op string) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Op == op {
			n++
		}
	}
	return n
}

// Await waits until a call is there, and is for use before the test ends.
func (s *Server) Await(tb testing.TB, is func(Call) bool) {
	tb.Helper()
	for {
		s.mu.Lock()
		found, changed := slices.ContainsFunc(s.calls, is), s.notify
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-tb.Context().Done():
			tb.Fatal("the test ended before the call came")
		}
	}
}

// Connections tells how many clients are connected, and how many ever were.
func (s *Server) Connections() (open, ever int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), s.sessions
}

// SetAccount adds or changes an account.
func (s *Server) SetAccount(user string, a Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Accounts[strings.ToUpper(user)] = a
}

func (s *Server) account(user string) (Account, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.config.Accounts[strings.ToUpper(strings.Trim(user, `"`))]
	return a, ok
}

func (s *Server) record(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	close(s.notify)
	s.notify = make(chan struct{})
}
