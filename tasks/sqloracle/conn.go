package sqloracle

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"
	"github.com/sijms/go-ora/v2/network"
)

const (
	// breakGrace is how long a server has to answer a break before its connection
	// is closed.
	breakGrace = 500 * time.Millisecond
	// closeGrace is how long an orderly goodbye may take.
	closeGrace = 300 * time.Millisecond
)

// errTooMuch says that an answer was cut off.
var errTooMuch = errors.New("the server's answer is too large")

// errPlain says that TLS was to be left.
var errPlain = errors.New("the listener sends the client to an address without TLS")

// panicked is a panic of the client library, which some malformed answers cause.
type panicked struct{ cause any }

func (p *panicked) Error() string { return fmt.Sprintf("the client library failed: %v", p.cause) }

// conn is one session of the database. It uses go-ora's connection itself: with
// package database/sql in between, a query whose connection breaks would be sent
// again, silently. It is used by one goroutine at a time.
type conn struct {
	ora  *goora.Connection
	wire *wire
	// worn sessions are not for others: their state may have changed, or a call of
	// theirs was ended in its middle.
	worn bool
}

// dial connects and logs in. ctx limits it; it is not kept.
func dial(ctx context.Context, config *configurations.ConnectionConfig, settings *tls.Config) (*conn, error) {
	w := &wire{secure: config.SSL, most: answerLimit, entered: make(chan struct{}, 1)}
	c := &conn{wire: w}
	own := *config
	own.Dialer = dialFunc(func(_ context.Context, network, address string) (net.Conn, error) {
		socket, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, lateOr(ctx, err)
		}
		return w.use(socket), nil
	})
	if settings != nil {
		own.TLSConfig = settings.Clone() // go-ora writes into it
	}
	err := c.guard(ctx, 0, func() error {
		var err error
		if c.ora, err = goora.NewConnection("", &own); err != nil {
			return err
		}
		// Its own way of being cancelled races with itself: cutting the wire does not.
		return c.ora.OpenWithContext(context.WithoutCancel(ctx))
	})
	if err != nil {
		w.cut()
		return nil, err
	}
	return c, nil
}

// lateOr gives the error of a context whose time is over instead of that of the socket,
// which looks at the same deadline and may be a moment ahead.
func lateOr(ctx context.Context, err error) error {
	var late net.Error
	deadline, limited := ctx.Deadline()
	if !limited || !errors.As(err, &late) || !late.Timeout() || time.Now().Before(deadline) {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// guard runs calls of the client library. When ctx ends they have so much time to
// return before their connection is closed under them; a panic becomes an error.
func (c *conn) guard(ctx context.Context, grace time.Duration, calls func() error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.wire.begin()
	done, ended := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			c.wire.cut()
		case <-done:
		}
	})
	defer func() {
		if cause := recover(); cause != nil {
			err = &panicked{cause}
		}
		close(done)
		if !stop() {
			<-ended
			// The library may have sent a break that nobody will have answered.
			c.worn = true
		}
		err = c.told(err)
		if err != nil && !answered(err) {
			c.worn = true
		}
	}()
	return calls()
}

// breakable runs a call that the server is asked to break off when ctx ends; it has
// breakGrace for that. It is asked while the library waits for the answer: what it would
// say in the middle of a request, nobody knows.
func (c *conn) breakable(ctx context.Context, call func(context.Context) error) error {
	inner, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		c.wire.awaitRead(inner.Done())
		c.wire.breaking.Store(true)
		breakOff()
	})
	defer func() {
		breakOff()
		if !stop() {
			<-ended
		}
	}()
	return c.guard(ctx, breakGrace, func() error { return call(inner) })
}

// negotiationError is how go-ora tells of a server that ends the negotiation of
// encryption.
var negotiationError = regexp.MustCompile(`^advanced negotiation error: .*ora-(\d{1,5})$`)

// told gives what is behind an error: go-ora shows some only as a bad connection.
func (c *conn) told(err error) error {
	if c.wire.tooMuch() {
		return errTooMuch
	}
	if err != nil {
		if m := negotiationError.FindStringSubmatch(err.Error()); m != nil {
			n, _ := strconv.Atoi(m[1]) // digits
			return &network.OracleError{ErrCode: n, ErrMsg: fmt.Sprintf("ORA-%05d: the two sides do not agree on encryption or checksums", n)}
		}
	}
	if !errors.Is(err, driver.ErrBadConn) || c.ora == nil {
		return err
	}
	if summary := summaryOf(c.ora); summary.IsValid() && lost(int(summary.FieldByName("RetCode").Int())) {
		return &network.OracleError{
			ErrCode: int(summary.FieldByName("RetCode").Int()),
			ErrMsg:  string(summary.FieldByName("ErrorMessage").Bytes()),
		}
	}
	return err
}

// services tells whether native encryption and checksums are in use, of which go-ora
// tells nobody. If a later version keeps it elsewhere, they count as not in use.
func (c *conn) services() (encrypted, checked bool) {
	v := reflect.ValueOf(c.ora)
	for _, name := range []string{"session", "Context", "AdvancedService"} {
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return false, false
		}
		v = v.FieldByName(name)
	}
	uses := func(name string) bool {
		if v.Kind() != reflect.Struct {
			return false
		}
		algorithm := v.FieldByName(name)
		return algorithm.IsValid() && algorithm.Kind() == reflect.Interface && !algorithm.IsNil()
	}
	return uses("CryptAlgo"), uses("HashAlgo")
}

// ping asks the server whether the session lives.
func (c *conn) ping(ctx context.Context) error {
	return c.guard(ctx, 0, func() error { return c.ora.Ping(context.WithoutCancel(ctx)) })
}

// begin stops statements from committing themselves.
func (c *conn) begin(ctx context.Context) error {
	return c.guard(ctx, 0, func() error {
		_, err := c.ora.Begin()
		return err
	})
}

// commit ends the transaction that begin began.
func (c *conn) commit(ctx context.Context) error {
	return c.guard(ctx, breakGrace, func() error {
		// A commit is not to be broken: what is wanted is its answer.
		tx, err := c.ora.Begin()
		if err != nil {
			return err
		}
		return tx.Commit()
	})
}

// rollback undoes the transaction that begin began.
func (c *conn) rollback(ctx context.Context) error {
	return c.guard(ctx, 0, func() error {
		tx, err := c.ora.Begin()
		if err != nil {
			return err
		}
		return tx.Rollback()
	})
}

// close says goodbye, unless there is nobody to say it to.
func (c *conn) close() {
	if !c.wire.broken() {
		ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
		defer cancel()
		_ = c.guard(ctx, 0, c.ora.Close) // the socket is closed anyway
	}
	c.wire.cut()
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

// wire is the socket of a session, which can be cut at any time, and counts.
type wire struct {
	secure bool  // TLS or nothing
	most   int64 // bytes of one answer

	mu     sync.Mutex
	socket net.Conn
	gone   bool

	sent     atomic.Int64 // bytes of the calls that run
	received atomic.Int64 // bytes of the answer that comes
	flooded  atomic.Bool

	reading  atomic.Bool
	entered  chan struct{} // has one when a reading begins
	breaking atomic.Bool   // a break is sent during this reading
}

// awaitRead waits until somebody waits for bytes of the server, or for done.
func (w *wire) awaitRead(done <-chan struct{}) {
	for !w.reading.Load() {
		select {
		case <-w.entered:
		case <-done:
			return
		}
	}
}

// read is the socket's, and tells that it waits.
func (w *wire) read(socket net.Conn, b []byte) (int, error) {
	w.reading.Store(true)
	defer w.reading.Store(false)
	select {
	case w.entered <- struct{}{}:
	default:
	}
	n, err := socket.Read(b)
	if w.breaking.CompareAndSwap(true, false) {
		// The library notes that it has sent the break in a field that it looks at, in
		// the goroutine that reads, without a lock. Give it the time to do so.
		const enough = 5 * time.Millisecond
		<-time.After(enough)
	}
	return n, err
}

// use makes a socket the wire's. A listener may send the client elsewhere, so
// there may be several, one after the other.
func (w *wire) use(socket net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.socket = socket
	if w.gone {
		_ = socket.Close()
	}
	return &counted{Conn: socket, wire: w}
}

// cut closes the socket, whatever it does.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	if w.socket != nil {
		_ = w.socket.Close()
	}
}

func (w *wire) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// begin starts to count.
func (w *wire) begin() {
	w.sent.Store(0)
	w.received.Store(0)
}

func (w *wire) tooMuch() bool { return w.flooded.Load() }

// counted is a socket that tells its wire what goes through it. An answer that is
// larger than any should be ends it, before it fills the memory.
type counted struct {
	net.Conn
	wire   *wire
	frames frames
	begun  bool
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.wire.read(c.Conn, b)
	if wrong := c.frames.follow(b[:n]); wrong != nil {
		c.wire.cut()
		return 0, wrong
	}
	if c.wire.received.Add(int64(n)) > c.wire.most {
		c.wire.flooded.Store(true)
		c.wire.cut()
		return 0, errTooMuch
	}
	return n, err
}

// Write refuses to begin without TLS where there has to be some: a listener can send
// the client to an address without it, and go-ora would go there.
func (c *counted) Write(b []byte) (int, error) {
	if !c.begun && c.wire.secure && len(b) > 0 && b[0] != tlsHandshake {
		return 0, errPlain
	}
	c.begun = true
	c.wire.received.Store(0)
	n, err := c.Conn.Write(b)
	c.wire.sent.Add(int64(n))
	return n, err
}
