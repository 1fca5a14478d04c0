package sqloracle_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

var query = map[string]any{"fetchval": "SELECT id FROM emp"}

// newTLS starts a server with a certificate for some hosts. If there are authorities
// of clients, it wants a certificate from them.
func newTLS(t *testing.T, hosts []string, clients string) (*oracle.Server, *servers.Authority) {
	t.Helper()
	authority := servers.NewAuthority(t, "an authority")
	signed := authority.Sign(t, servers.CertificateConfig{Name: "db", Hosts: hosts})
	pair, err := tls.X509KeyPair([]byte(signed.Cert), []byte(signed.Key))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != "" {
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM([]byte(clients))
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return oracle.New(t, oracle.Config{TLS: config, Script: []oracle.Case{emp()}}), authority
}

func TestTLS(t *testing.T) {
	t.Parallel()
	here, ca := newTLS(t, []string{"127.0.0.1"}, "")
	there, thereCA := newTLS(t, []string{"db.example.com"}, "")
	plain := oracle.New(t, oracle.Config{})
	for name, c := range map[string]struct {
		server *oracle.Server
		inputs map[string]any
		kind   tasks.Kind // "" works
		text   string
	}{
		"trusted":        {here, map[string]any{"ca_cert": ca.PEM}, "", ""},
		"by descriptor":  {here, map[string]any{"ca_cert": ca.PEM, "tls": false, "host": nil, "service_name": nil, "descriptor": descriptor(here, "tcps")}, "", ""},
		"as a wallet":    {here, map[string]any{"wallet": ca.PEM}, "", ""},
		"not trusted":    {here, nil, tasks.Denied, "an authority that is not trusted"},
		"other CA":       {here, map[string]any{"ca_cert": thereCA.PEM}, tasks.Denied, "not trusted"},
		"other host":     {there, map[string]any{"ca_cert": thereCA.PEM}, tasks.Denied, "for another host"},
		"named":          {there, map[string]any{"ca_cert": thereCA.PEM, "tls_server_name": "db.example.com"}, "", ""},
		"misnamed":       {there, map[string]any{"ca_cert": thereCA.PEM, "tls_server_name": "db.example.org"}, tasks.Denied, "for another host"},
		"named, not CA":  {there, map[string]any{"ca_cert": ca.PEM, "tls_server_name": "db.example.com"}, tasks.Denied, "not trusted"},
		"not verified":   {there, map[string]any{"tls_verify": false}, "", ""},
		"no TLS there":   {plain, map[string]any{"ca_cert": ca.PEM, "connect_timeout": "1s"}, tasks.Timeout, "no connection within"},
		"no certificate": {here, map[string]any{"ca_cert": "none"}, tasks.Invalid, "no certificate in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := taskstest.NewExecution(t)
			_, err := e.Run(t.Context(), t, newDriver(t), to(c.server, query, map[string]any{"tls": true}, c.inputs))
			if c.kind != "" {
				wantError(t, err, c.kind, c.text)
			} else if err != nil {
				t.Errorf("got %v", err)
			}
			if warned := strings.Contains(fmt.Sprint(e.Said()), "tls_verify is off"); warned != (name == "not verified") {
				t.Errorf("said %q", e.Said())
			}
		})
	}
}

func descriptor(s *oracle.Server, protocol string) string {
	return fmt.Sprintf("(DESCRIPTION=\n (ADDRESS=(PROTOCOL=%s)(HOST=%s)(PORT=%d))\n (CONNECT_DATA=(SERVICE_NAME=XEPDB1)))", protocol, s.Host, s.Port)
}

// The wallets of testdata were written by OpenSSL, as Oracle's tools do: a key that
// "wallet-password" opens, and a certificate of it that is valid for a hundred years.
func TestWalletWithACertificate(t *testing.T) {
	t.Parallel()
	clients := servers.NewAuthority(t, "authority of clients")
	own := clients.Sign(t, servers.CertificateConfig{Name: "weir"})
	sealed, old := wallet(t, "wallet.pem"), wallet(t, "wallet-3des.pem")
	server, ca := newTLS(t, []string{"127.0.0.1"}, clients.PEM+sealed)
	password := "wallet-password"
	for name, c := range map[string]struct {
		inputs map[string]any
		kind   tasks.Kind
	}{
		"plain key":      {map[string]any{"wallet": clients.PEM + own.Key + own.Cert + ca.PEM}, ""},
		"encrypted key":  {map[string]any{"wallet": sealed + ca.PEM, "wallet_password": password}, ""},
		"old encryption": {map[string]any{"wallet": old + ca.PEM, "wallet_password": password}, ""},
		"wrong password": {map[string]any{"wallet": sealed + ca.PEM, "wallet_password": "another"}, tasks.Invalid},
		"no password":    {map[string]any{"wallet": old + ca.PEM}, tasks.Invalid},
		"no such cert":   {map[string]any{"wallet": own.Key + ca.PEM}, tasks.Invalid},
		"no key":         {map[string]any{"wallet": ca.PEM}, tasks.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := run(t, to(server, query, map[string]any{"tls": true}, c.inputs))
			if c.kind != "" {
				wantError(t, err, c.kind, "wallet")
			} else if err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func wallet(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWaysToName(t *testing.T) {
	t.Parallel()
	script := []oracle.Case{emp()}
	server := oracle.New(t, oracle.Config{Script: script})
	redirecting := oracle.New(t, oracle.Config{Redirect: server.Addr})
	refusing := oracle.New(t, oracle.Config{Refuse: 12514})
	nobody := oracle.New(t, oracle.Config{})
	nobody.Close()
	for name, inputs := range map[string]map[string]any{
		"sid":            {"service_name": nil, "sid": "xe"},
		"descriptor":     {"host": nil, "service_name": nil, "descriptor": descriptor(server, "tcp")},
		"hosts":          {"host": nil, "hosts": []any{nobody.Addr, refusing.Addr, server.Addr}},
		"host with port": {"host": server.Addr, "port": 1},
		"redirected":     {"port": redirecting.Port},
		"resend":         {"port": oracle.New(t, oracle.Config{Script: script, Resend: true}).Port},
		"negotiation":    {"port": oracle.New(t, oracle.Config{Script: script, Negotiate: true}).Port},
		"version 317":    {"port": oracle.New(t, oracle.Config{Script: script, Version: 317}).Port},
		"version 312":    {"port": oracle.New(t, oracle.Config{Script: script, Version: 312}).Port},
		"field 8":        {"port": oracle.New(t, oracle.Config{Script: script, FieldVersion: 8}).Port},
		"long name":      {"service_name": "XEPDB1", "proxy_client": strings.Repeat("c", 120)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := run(t, to(server, query, inputs)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, c := range map[string]struct {
		inputs map[string]any
		text   string
	}{
		"injection":      {map[string]any{"service_name": "xe)(SECURITY=(x=y))"}, "is no name"},
		"host":           {map[string]any{"host": "db)(PORT=1"}, "is no host"},
		"port":           {map[string]any{"port": 70000}, "not between"},
		"no address":     {map[string]any{"host": nil, "service_name": nil, "descriptor": "(DESCRIPTION=(X=1))"}, "no address"},
		"no service":     {map[string]any{"host": nil, "service_name": nil, "descriptor": "(ADDRESS=(HOST=h)(PORT=1))"}, "neither SERVICE_NAME nor SID"},
		"stray wallet":   {map[string]any{"host": nil, "service_name": nil, "descriptor": descriptor(server, "tcps") + "(SECURITY=(WALLET_LOCATION=/x))"}, "nothing is read from disk"},
		"tnsnames alias": {map[string]any{"host": nil, "service_name": nil, "descriptor": "PROD"}, "not of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, to(server, query, c.inputs))
			wantError(t, err, tasks.Invalid, c.text)
		})
	}
}

func TestSessionParametersAndProxyUser(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp()}})
	driver := newDriver(t)
	inputs := to(server, query, map[string]any{
		"proxy_client": "app", "session": map[string]any{"CURRENT_SCHEMA": "HR", "NLS_DATE_FORMAT": "YYYY-MM-DD", "OPTIMIZER_INDEX_CACHING": 50},
	})
	for range 2 {
		if _, err := taskstest.NewExecution(t).Run(t.Context(), t, driver, inputs); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"ALTER SESSION SET CURRENT_SCHEMA = HR", "ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD'",
		"ALTER SESSION SET OPTIMIZER_INDEX_CACHING = 50", "SELECT id FROM emp", "SELECT id FROM emp",
	}
	if diff := cmp.Diff(want, server.Statements()); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	for _, c := range server.Calls() {
		if c.Op == "login" && (c.User != "SCOTT" || c.Client != "app") {
			t.Errorf("logged in as %q for %q", c.User, c.Client)
		}
	}
	_, err := run(t, to(server, query, map[string]any{"session": map[string]any{"X": "a' b"}}))
	wantError(t, err, tasks.Invalid, "holds a quote")
}

// Odd characters reach the server as they are: no URL is made of them.
func TestPasswords(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{emp()}})
	for _, password := range []string{"pä ss", `a@b:c/d?e#f%20&g="'`, strings.Repeat("x", 30), " leading and trailing "} {
		server.SetAccount("odd", oracle.Account{Password: password})
		if _, err := run(t, to(server, query, map[string]any{"user": "odd", "password": password})); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
	server.SetAccount("soon", oracle.Account{Password: "p", Warning: &oracle.Error{Code: 28002, Text: "the password will expire within 7 days"}})
	if _, err := run(t, to(server, query, map[string]any{"user": "soon", "password": "p"})); err != nil {
		t.Errorf("with a warning: %v", err)
	}
}

// A listener with TLS that sends the client to a place without it is not followed.
func TestRedirectKeepsTLS(t *testing.T) {
	t.Parallel()
	plain := oracle.New(t, oracle.Config{})
	authority := servers.NewAuthority(t, "an authority")
	signed := authority.Sign(t, servers.CertificateConfig{Name: "db", Hosts: []string{"127.0.0.1"}})
	pair, err := tls.X509KeyPair([]byte(signed.Cert), []byte(signed.Key))
	if err != nil {
		t.Fatal(err)
	}
	listener := oracle.New(t, oracle.Config{Redirect: plain.Addr, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	for name, inputs := range map[string]map[string]any{
		"host": {"tls": true}, "descriptor": {"host": nil, "service_name": nil, "descriptor": descriptor(listener, "tcps")},
	} {
		_, err := run(t, to(listener, query, map[string]any{"ca_cert": authority.PEM}, inputs))
		if e := wantError(t, err, tasks.Denied, "without TLS"); e.Input != "tls" {
			t.Errorf("%s: got input %q", name, e.Input)
		}
	}
	if n := len(plain.Calls()); n > 0 {
		t.Errorf("the other server got %d calls", n)
	}
}

// A server that offers no encryption, whether it negotiates that or not, does not get
// a statement where encryption is required.
func TestRequiredEncryption(t *testing.T) {
	t.Parallel()
	for _, negotiate := range []bool{false, true} {
		server := oracle.New(t, oracle.Config{Negotiate: negotiate, Script: []oracle.Case{emp()}})
		for _, input := range []string{"encryption", "integrity"} {
			_, err := run(t, to(server, query, map[string]any{input: "required"}))
			if e := wantError(t, err, tasks.Denied, input+" is required"); e.Input != input {
				t.Errorf("got input %q", e.Input)
			}
		}
		if got := server.Statements(); len(got) > 0 {
			t.Errorf("the server got %q", got)
		}
	}
	secure, ca := newTLS(t, []string{"127.0.0.1"}, "")
	if _, err := run(t, to(secure, query, map[string]any{"tls": true, "ca_cert": ca.PEM, "encryption": "required"})); err != nil {
		t.Errorf("with TLS: %v", err)
	}
}

// What goes through the wire is encrypted or checked where both sides want it, at each
// level that a connection can ask for.
func TestNativeEncryption(t *testing.T) {
	t.Parallel()
	all := oracle.Security{Encryption: true, Integrity: true}
	for name, c := range map[string]struct {
		offered    oracle.Security
		inputs     map[string]any
		encrypted  bool
		denied     string
		smallFrame bool
	}{
		"accepted":              {offered: all, inputs: nil, encrypted: true},
		"requested":             {offered: all, inputs: map[string]any{"encryption": "requested", "integrity": "requested"}, encrypted: true},
		"required":              {offered: all, inputs: map[string]any{"encryption": "required", "integrity": "required"}, encrypted: true},
		"small packets":         {offered: all, inputs: map[string]any{"encryption": "required", "integrity": "required"}, encrypted: true, smallFrame: true},
		"rejected":              {offered: all, inputs: map[string]any{"encryption": "rejected", "integrity": "rejected"}},
		"encryption alone":      {offered: oracle.Security{Encryption: true}, inputs: map[string]any{"encryption": "required"}, encrypted: true},
		"checksums alone":       {offered: oracle.Security{Integrity: true}, inputs: map[string]any{"integrity": "required"}},
		"no checksums there":    {offered: oracle.Security{Encryption: true}, inputs: map[string]any{"integrity": "required"}, encrypted: true, denied: "integrity"},
		"no encryption there":   {offered: oracle.Security{Integrity: true}, inputs: map[string]any{"encryption": "required"}, denied: "encryption"},
		"requested, none there": {inputs: map[string]any{"encryption": "requested", "integrity": "requested"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r *recorder
			config := oracle.Config{Negotiate: true, Security: c.offered, Script: []oracle.Case{types(), emp()}, Wrap: func(_ int, conn net.Conn) net.Conn {
				r = &recorder{Conn: conn}
				return r
			}}
			if c.smallFrame {
				config.SDU = 512
			}
			server := oracle.New(t, config)
			out, err := run(t, to(server, c.inputs, map[string]any{"fetchrow": "SELECT * FROM types WHERE 'a text' = 'a text'"}))
			if c.denied != "" {
				if e := wantError(t, err, tasks.Denied, c.denied+" is required"); e.Input != c.denied {
					t.Errorf("got input %q", e.Input)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v := out["result"].(map[string]any)["V"]; v != "Grüße, 世界" {
				t.Errorf("got %v", v)
			}
			if plain := bytes.Contains(r.all(), []byte("'a text' = 'a text'")); plain == c.encrypted {
				t.Errorf("the statement went in plain text: %v", plain)
			}
		})
	}
}

// A server that requires encryption does not take a connection that rejects it.
func TestEncryptionThatTheServerRequires(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Negotiate: true, Security: oracle.Security{Encryption: true, Integrity: true, Required: true}, Script: []oracle.Case{emp()}})
	if _, err := run(t, to(server, query)); err != nil {
		t.Errorf("accepted: %v", err)
	}
	_, err := run(t, to(server, query, map[string]any{"encryption": "rejected"}))
	if e := wantError(t, err, tasks.Denied, "ORA-12660", "do not fit `encryption`"); e.Input != "encryption" || !e.Unsent {
		t.Errorf("got input %q, unsent %v", e.Input, e.Unsent)
	}
}

// A packet that somebody on the way changes is noticed where there are checksums.
func TestChangedPacketIsNoticed(t *testing.T) {
	t.Parallel()
	for _, at := range []int{2, 3, 4} {
		server := oracle.New(t, oracle.Config{Negotiate: true, Security: oracle.Security{Encryption: true, Integrity: true}, Script: []oracle.Case{emp()},
			Wrap: func(_ int, c net.Conn) net.Conn { return &meddling{Conn: c, at: at} }})
		_, err := run(t, to(server, query))
		var e *tasks.Error
		if !errors.As(err, &e) {
			t.Errorf("packet %d was changed: got %v", at, err)
		}
	}
}

// meddling changes a byte of one of the packets that a server sends.
type meddling struct {
	net.Conn
	at, sent int
}

func (m *meddling) Write(b []byte) (int, error) {
	if m.sent++; m.sent == m.at+1 {
		b = bytes.Clone(b)
		b[len(b)-5] ^= 1
	}
	return m.Conn.Write(b)
}

func TestTest(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{})
	nobody := oracle.New(t, oracle.Config{})
	nobody.Close()
	for name, c := range map[string]struct {
		inputs map[string]any
		stages []string
		fails  bool
	}{
		"works":          {to(server, query), []string{"tcp", "authenticate", "query"}, false},
		"by name":        {to(server, query, map[string]any{"host": "localhost"}), []string{"dns", "tcp", "authenticate", "query"}, false},
		"wrong password": {to(server, query, map[string]any{"password": "x"}), []string{"tcp", "authenticate"}, true},
		"nobody there":   {to(nobody, query), []string{"tcp"}, true},
		"the second":     {to(server, query, map[string]any{"host": nil, "hosts": []any{nobody.Addr, server.Addr}}), []string{"tcp", "authenticate", "query"}, false},
		"none of two":    {to(server, query, map[string]any{"host": nil, "hosts": []any{nobody.Addr, nobody.Addr}}), []string{"tcp"}, true},
		"no such host":   {to(server, query, map[string]any{"host": "nowhere.invalid"}), []string{"dns"}, true},
	} {
		stages, err := taskstest.NewExecution(t).Test(t.Context(), t, newDriver(t), c.inputs)
		var names []string
		for _, s := range stages {
			names = append(names, s.Name)
		}
		if diff := cmp.Diff(c.stages, names); diff != "" || (err != nil) != c.fails {
			t.Errorf("%s: %v, stages (-want +got):\n%s", name, err, diff)
		}
	}
}

// A listener without TLS behind a port that is asked for TLS, and much else, is a
// matter of what the two sides make of each other's bytes.
func TestTLSAgainstSomethingElse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n" + strings.Repeat("x", 100)))
			_ = c.Close()
		}
	}()
	host, port, _ := net.SplitHostPort(l.Addr().String())
	n, _ := strconv.Atoi(port)
	inputs := map[string]any{"host": host, "port": n, "sid": "x", "user": "u", "password": "p", "fetchval": "SELECT 1 FROM DUAL"}
	if _, err := run(t, inputs); err == nil {
		t.Error("an HTTP server passes as a database")
	}
	inputs["tls"] = true
	_, err = run(t, inputs)
	wantError(t, err, tasks.Permanent, "does not speak TLS")
}
