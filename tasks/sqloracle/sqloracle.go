// Package sqloracle is the task type SQLORACLE: it runs SQL and PL/SQL in Oracle
// databases, on go-ora and without Oracle's client software.
//
// What it promises beyond that:
//
//   - A statement is sent once. Package database/sql, which repeats queries whose
//     connection breaks, is not in between. Where an answer is lost, the error
//     says that the statement's fate is not known.
//   - Whatever the server does, a task returns soon after its context ends: the
//     server is asked to break off, and half a second later the connection is
//     closed. Such a connection is not used again.
//   - Numbers keep all their digits; a date has a zone only if Oracle keeps one.
//   - A failure of the client library becomes an error, and an answer of any size
//     is cut off before it fills the memory.
//   - Nothing is read from disk: no wallet, no tnsnames.ora, no environment.
//
// It was tested against the protocol test server of testdata/servers/oracle, which
// is no Oracle database; WEIR_TEST_ORACLE runs the same tests against a real one.
//
// Sessions that nothing was changed in (queries, and changes of rows) are kept for
// a short while for the next task with the very same connection and secrets.
//
// The client library prints some things to os.Stdout, such as a server's warning that
// a password will expire, and gives no other access to them. A program that keeps its
// standard output for data has to point os.Stdout elsewhere before it runs tasks.
package sqloracle

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// Config says how sessions are kept between tasks. The zero Config is as it should
// be.
type Config struct {
	// MaxIdle is how many sessions are kept for a connection; 0 means 4, and less
	// none.
	MaxIdle int
	// IdleTime is how long one is kept; 0 means a minute.
	IdleTime time.Duration
}

// Driver is the driver. It is safe for concurrent use.
type Driver struct{ pool pool }

// New gives the driver.
func New(c Config) *Driver {
	d := &Driver{pool: pool{idle: c.IdleTime, most: c.MaxIdle}}
	if d.pool.idle == 0 {
		d.pool.idle = time.Minute
	}
	if d.pool.most == 0 {
		d.pool.most = 4
	}
	return d
}

// Close ends the sessions that are kept. The driver can be used afterwards.
func (d *Driver) Close() { d.pool.close() }

// Spec implements [tasks.Driver].
func (d *Driver) Spec() tasks.Spec { return spec() }

// Open implements [tasks.Driver].
func (d *Driver) Open(_ context.Context, in schema.Inputs, env tasks.Env) (tasks.Session, error) {
	// A connection has no operation of its own, and can be tested without one.
	op, missing := spec().Check(in)
	s := &session{op: op.Name, in: in, env: env, pool: &d.pool, secrets: secret.NewRedactor(), largest: in.Int("max_lob_size")}
	var err error
	for _, f := range spec().Inputs.Fields {
		if f.Sensitive {
			s.secrets.Add(in.Secret(f.Name))
		}
	}
	if s.config, err = s.configure(); err != nil {
		return nil, err
	}
	if s.tls, err = s.tlsConfig(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if missing != nil {
		s.missing = missing
		return s, nil
	}
	if s.work, err = s.plan(); err != nil {
		return nil, err
	}
	return s, nil
}

// check looks at everything else that can be looked at without a server.
func (s *session) check() error {
	for _, name := range []string{"max_rows", "max_lob_size"} {
		if s.in.Int(name) < 0 {
			return invalid(name, name+" is negative", "")
		}
	}
	const most = 100_000
	for _, name := range []string{"fetch_size", "batch_size"} {
		if n := s.in.Int(name); n < 1 || n > most {
			return invalid(name, name+" is not between 1 and 100000", "")
		}
	}
	if !s.in.Has("user") || !s.in.Has("password") {
		input := "user"
		if s.in.Has("user") {
			input = "password"
		}
		return invalid(input, `"`+input+`" is required`, "")
	}
	if s.in.Secret("password").Reveal() == "" || s.in.String("user") == "" {
		return invalid("password", "user and password must not be empty", "")
	}
	if s.in.Has("file_path") && s.in.String("file_path") == "" {
		return invalid("file_path", "file_path is empty", "")
	}
	var err error
	s.params, err = parseSession(s.in.Map("session"))
	return err
}

// session is one operation.
type session struct {
	op      string
	in      schema.Inputs
	env     tasks.Env
	pool    *pool
	secrets *secret.Redactor

	config  *configurations.ConnectionConfig
	tls     *tls.Config
	shown   string   // host:port/service
	params  []string // ALTER SESSION statements
	largest int64    // bytes of one value
	work    work
	// missing is the error of inputs that do not say what to do.
	missing error

	conn  *conn
	dirty bool // what was done may have changed the session
}

// work is a planned operation.
type work func(ctx context.Context) (map[string]any, error)

// errTotal and errConnect are the causes of contexts whose time is over.
var (
	errTotal   = errors.New("total_timeout")
	errConnect = errors.New("connect_timeout")
)

// Do implements [tasks.Session].
func (s *session) Do(ctx context.Context) (tasks.Result, error) {
	if s.missing != nil {
		return tasks.Result{}, s.missing
	}
	if total := s.in.Duration("total_timeout"); total > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, total, errTotal)
		defer cancel()
	}
	if err := s.connect(ctx); err != nil {
		return tasks.Result{}, err
	}
	out, err := s.work(ctx)
	if err != nil {
		s.dirty = true // a transaction may be open
		return tasks.Result{}, s.explain(ctx, s.op, err)
	}
	return tasks.Result{Output: out}, nil
}

// Close implements [tasks.Session].
func (s *session) Close() error {
	c := s.conn
	s.conn = nil
	switch {
	case c == nil:
	case c.worn || s.dirty:
		c.close()
	default:
		s.pool.put(s.key(), c)
	}
	return nil
}

// connect takes a session of the database, from before or a new one.
func (s *session) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	if limit := s.in.Duration("connect_timeout"); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errConnect)
		defer cancel()
	}
	for {
		c := s.pool.take(s.key())
		if c == nil {
			break
		}
		if s.alive(ctx, c) {
			s.conn = c
			return nil
		}
		c.close()
	}
	s.warnOfPlainText()
	c, err := dial(ctx, s.config, s.tls)
	if err != nil {
		e := s.explain(ctx, "connect to "+s.shown, err)
		e.Unsent = true
		return e
	}
	if err := s.demandServices(c); err != nil {
		c.close()
		return err
	}
	s.conn = c
	for _, statement := range s.params {
		if _, err := c.exec(ctx, goora.NewStmt(statement, c.ora), nil); err != nil {
			s.dirty = true
			e := s.explain(ctx, "set the session's parameters", err)
			e.Input, e.Unsent = "session", true
			return e
		}
	}
	return nil
}

// demandServices refuses a connection that is not protected as it has to be. go-ora
// goes on without encryption if the server says, or somebody on the way, that it has
// none to offer.
func (s *session) demandServices(c *conn) error {
	if s.config.SSL {
		return nil
	}
	encrypted, checked := c.services()
	for input, has := range map[string]bool{"encryption": encrypted, "integrity": checked} {
		if s.in.String(input) == "required" && !has {
			return &tasks.Error{
				Kind: tasks.Denied, Input: input, Unsent: true,
				Message: "connect to " + s.shown + ": " + input + " is required, and the server offers none",
				Hint:    "have it set up there (SQLNET.ORA), or use TLS",
			}
		}
	}
	return nil
}

// alive asks an idle session whether it can still be used. It does not wait long:
// a new one costs little.
func (s *session) alive(ctx context.Context, c *conn) bool {
	const enough = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	return c.ping(ctx) == nil
}

// warnOfPlainText tells of what weakens the connection.
func (s *session) warnOfPlainText() {
	if s.config.SSL && !s.in.Bool("tls_verify") {
		s.env.Warn("tls_verify is off: whoever is on the way to " + s.shown + " can read and change everything")
	}
}

// doubtful says in an error what is not known about a statement that was sent.
func doubtful(c *conn, err error, e *tasks.Error) {
	if answered(err) || c.wire.sent.Load() == 0 {
		return
	}
	if code(err) == codeBroken {
		e.Message += "; the server has broken it off"
		return
	}
	e.Message += "; it is not known whether the server has carried out the statement"
	hint := e.Hint
	if e.Hint = "look at what is in the database before it is run again"; hint != "" {
		e.Hint += "; " + hint
	}
}
