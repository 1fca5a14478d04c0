package sqloracle

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/sijms/go-ora/v2/network"

	"github.com/weir-engine/weir/tasks"
)

// codeBroken is the answer to a break: the statement was undone.
const codeBroken = 1013

// code gives the code of an Oracle error, 0 for any other.
func code(err error) int {
	var oracle *network.OracleError
	if errors.As(err, &oracle) {
		return oracle.ErrCode
	}
	return 0
}

// answered tells whether an error is the server's answer to a call, after which
// its session is as good as before.
func answered(err error) bool {
	n := code(err)
	return n != 0 && !lost(n) && n != codeBroken
}

// lost are the errors with which a session ends.
func lost(code int) bool {
	switch code {
	case 28, 600, 603, 1012, 1033, 1034, 1089, 1090, 1092, 2396, 2399, 3113, 3114, 3135, 12153, 12528, 12537, 12547, 12570, 12571:
		return true
	}
	return false
}

// verdict is what an Oracle error means here.
type verdict struct {
	kind  tasks.Kind
	input string
	hint  string
	auth  bool
}

// verdictOn tells what an Oracle error means; ok is false for those that nothing
// is known of.
func verdictOn(code int) (v verdict, ok bool) {
	v, ok = map[int]verdict{
		1:          {kind: tasks.Conflict, hint: "a row with this key exists already: change the key, or use MERGE"},
		54:         {kind: tasks.Conflict, hint: "somebody else has locked it: try again later, or wait for it without NOWAIT"},
		60:         {kind: tasks.Conflict, hint: "two transactions waited for each other: try again"},
		8177:       {kind: tasks.Conflict, hint: "somebody else has changed what this serializable transaction read: try again"},
		8176:       {kind: tasks.Conflict, hint: "try again"},
		942:        {kind: tasks.NotFound, hint: "check the name and its schema; Oracle says so too when the user may not see it"},
		4043:       {kind: tasks.NotFound, hint: "check the name and its schema"},
		1403:       {kind: tasks.NotFound},
		1017:       {kind: tasks.Denied, input: "password", hint: "check user and password; both are case-sensitive if they were quoted when they were set", auth: true},
		1005:       {kind: tasks.Denied, input: "password", hint: "give a password", auth: true},
		28000:      {kind: tasks.Denied, input: "user", hint: "the account is locked: have it unlocked (ALTER USER ... ACCOUNT UNLOCK)"},
		28001:      {kind: tasks.Denied, input: "password", hint: "the password has expired: have a new one set, here and where it is kept", auth: true},
		28009:      {kind: tasks.Denied, input: "privilege", hint: "SYS connects with the privilege SYSDBA or SYSOPER"},
		28150:      {kind: tasks.Denied, input: "proxy_client", hint: "the user needs the right to become the client (ALTER USER ... GRANT CONNECT THROUGH ...)"},
		1045:       {kind: tasks.Denied, input: "user", hint: "the user needs the right CREATE SESSION"},
		1031:       {kind: tasks.Denied, hint: "the user lacks a right for this: ask for the grant, or connect as another"},
		1555:       {kind: tasks.Unavailable, hint: "the query ran longer than the undo space reaches back: fetch less at a time, at a quieter hour, or have UNDO_RETENTION raised"},
		codeBroken: {kind: tasks.Timeout, hint: "the server ended the statement and undid it"},
		12154:      {kind: tasks.Invalid, input: "service_name"},
		12505:      {kind: tasks.NotFound, input: "sid", hint: "the listener knows no instance of this name: a service name goes into `service_name`"},
		12514:      {kind: tasks.NotFound, input: "service_name", hint: "the listener knows no service of this name: see `lsnrctl services` there, and whether the database is open"},
		12541:      {kind: tasks.Unavailable, input: "host", hint: "nothing listens there: check host and port, and whether the listener runs"},
		12516:      {kind: tasks.Unavailable, hint: "the database takes no more sessions now: try again later"},
		12519:      {kind: tasks.Unavailable, hint: "the database takes no more sessions now: try again later"},
		12520:      {kind: tasks.Unavailable, hint: "the database takes no more sessions now: try again later"},
		12526:      {kind: tasks.Unavailable, hint: "the database is in restricted mode"},
		12528:      {kind: tasks.Unavailable, hint: "the database is starting or closed: try again later"},
		1033:       {kind: tasks.Unavailable, hint: "the database is starting or shutting down: try again later"},
		1034:       {kind: tasks.Unavailable, hint: "the database is not started"},
		3113:       {kind: tasks.Unavailable, hint: "the server process ended in the middle: look for an error in the database's alert log at this time"},
		18:         {kind: tasks.Unavailable, hint: "the database has all the sessions that it may have: try again later"},
		20:         {kind: tasks.Unavailable, hint: "the database has all the processes that it may have: try again later"},
		4021:       {kind: tasks.Timeout},
		30006:      {kind: tasks.Timeout, hint: "somebody else has locked it"},
		3120:       {kind: tasks.Permanent, input: "lob_fetch", hint: "set `lob_fetch` to stream"},
		12660:      {kind: tasks.Denied, input: "encryption", hint: "the server's demands for encryption or checksums do not fit `encryption` and `integrity`"},
		911:        {kind: tasks.Invalid, hint: "give one statement"},
		1008:       {kind: tasks.Invalid, input: "params"},
		1722:       {kind: tasks.Invalid},
	}[code]
	return v, ok
}

// invalidCodes are the ranges of errors in the statement itself.
func isInvalid(code int) bool {
	return code >= 900 && code <= 999 || code >= 1700 && code <= 1899 || code == 6550 || code >= 932 && code <= 939
}

// explain makes the error that the user sees. doing is what was tried.
func (s *session) explain(ctx context.Context, doing string, err error) *tasks.Error {
	e := s.classify(ctx, err)
	e.Message = s.secrets.String(doing + ": " + e.Message)
	e.Hint = s.secrets.String(e.Hint)
	return e
}

// classify gives a fresh error with a kind. Its message is one line.
func (s *session) classify(ctx context.Context, err error) *tasks.Error {
	var own *tasks.Error
	if errors.As(err, &own) {
		e := *own
		return &e
	}
	if ctx.Err() != nil {
		return s.late(ctx, err)
	}
	for _, f := range []func(error) *tasks.Error{s.ofOracle, ofTLS, ofNetwork} {
		if e := f(err); e != nil {
			e.Err = err
			return e
		}
	}
	var p *panicked
	switch {
	case errors.Is(err, errPlain):
		return &tasks.Error{Kind: tasks.Denied, Input: "tls", Message: errPlain.Error(), Err: err, Hint: "have its addresses set up for TCPS"}
	case errors.Is(err, errTooMuch):
		return &tasks.Error{Kind: tasks.Invalid, Input: "fetch_size", Err: err,
			Message: fmt.Sprintf("one answer has more than %d MiB", answerLimit>>20), Hint: "lower `fetch_size`, or select less"}
	case errors.As(err, &p):
		return &tasks.Error{Kind: tasks.Permanent, Message: "the server's answer could not be understood", Err: err}
	}
	return &tasks.Error{Kind: tasks.Permanent, Message: oneLine(err.Error()), Err: err}
}

// late is the error of a task whose time is over.
func (s *session) late(ctx context.Context, err error) *tasks.Error {
	e := &tasks.Error{Kind: tasks.Timeout, Message: "it was ended before it was done", Err: err}
	if errors.Is(context.Cause(ctx), errTotal) {
		e.Message = fmt.Sprintf("it was not done within %s", s.in.Duration("total_timeout"))
		e.Input, e.Hint = "total_timeout", "raise `total_timeout`"
	} else if errors.Is(context.Cause(ctx), errConnect) {
		e.Message = fmt.Sprintf("no connection within %s", s.in.Duration("connect_timeout"))
		e.Input, e.Hint = "connect_timeout", "check host and port and the way there, or raise `connect_timeout`"
	} else if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Message = "it was not done in time"
	}
	return e
}

var position = regexp.MustCompile(`\s*error occur at position: -?\d+\s*$`)

func (s *session) ofOracle(err error) *tasks.Error {
	var oracle *network.OracleError
	if !errors.As(err, &oracle) {
		return nil
	}
	text := oneLine(position.ReplaceAllString(oracle.Error(), ""))
	v, known := verdictOn(oracle.ErrCode)
	switch {
	case known:
	case lost(oracle.ErrCode):
		v.kind = tasks.Unavailable
	case isInvalid(oracle.ErrCode):
		v.kind = tasks.Invalid
	case oracle.ErrCode >= 12500 && oracle.ErrCode < 12700:
		v.kind = tasks.Unavailable
	default:
		v.kind = tasks.Permanent
	}
	return &tasks.Error{Kind: v.kind, Input: v.input, Hint: v.hint, Auth: v.auth, Message: text}
}

func ofTLS(err error) *tasks.Error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		alert    *net.OpError
	)
	switch {
	case errors.As(err, &unknown):
		return &tasks.Error{Kind: tasks.Denied, Input: "ca_cert",
			Message: "the server's certificate was issued by an authority that is not trusted",
			Hint:    "give the authority's certificate as `ca_cert`"}
	case errors.As(err, &hostname):
		return &tasks.Error{Kind: tasks.Denied, Input: "tls_server_name",
			Message: "the server's certificate is for another host: " + oneLine(hostname.Error()),
			Hint:    "if that is the right server, give the certificate's name as `tls_server_name`"}
	case errors.As(err, &invalid):
		return &tasks.Error{Kind: tasks.Denied, Message: "the server's certificate is not valid: " + oneLine(invalid.Error())}
	case errors.As(err, &record):
		return &tasks.Error{Kind: tasks.Permanent, Input: "port", Message: "the server does not speak TLS on this port"}
	case errors.As(err, &alert) && alert.Op == "remote error":
		return &tasks.Error{Kind: tasks.Denied, Input: "wallet", Message: "the server refused the TLS connection: " + oneLine(alert.Err.Error()),
			Hint: "it may want a certificate: give a `wallet`"}
	}
	return nil
}

func ofNetwork(err error) *tasks.Error {
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		reason := "the look-up failed"
		if dns.IsNotFound {
			reason = "there is no such host"
		}
		return &tasks.Error{Kind: tasks.Unavailable, Input: "host", Message: fmt.Sprintf("look up host %q: %s", dns.Name, reason),
			Hint: "check the host's name, and this machine's name servers"}
	case errors.As(err, &op) && op.Op == "dial":
		return &tasks.Error{Kind: tasks.Unavailable, Input: "host",
			Message: fmt.Sprintf("ORA-12541: connect to %s: %s", op.Addr, reasonOf(op.Err)),
			Hint:    "nothing listens there: check host and port, whether the listener runs, and firewalls on the way"}
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), isBroken(err):
		return &tasks.Error{Kind: tasks.Unavailable, Message: "the connection to the server broke off"}
	}
	return nil
}

// isBroken knows the errors of which go-ora keeps nothing but the text.
func isBroken(err error) bool {
	text := err.Error()
	return strings.Contains(text, "bad connection") || strings.Contains(text, "closed connection")
}

func reasonOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return oneLine(err.Error())
}

// oneLine makes foreign text fit into a message.
func oneLine(text string) string {
	const enough = 600
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "..."
	}
	return text
}
