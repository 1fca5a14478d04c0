package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/weir-engine/weir/tasks"
)

// newTransport prepares connections without making any.
func newTransport(s *session) (*http.Transport, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.in.String("ca_cert") != "" {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM([]byte(s.in.String("ca_cert"))) {
			return nil, &tasks.Error{Kind: tasks.Invalid, Input: "ca_cert", Message: "ca_cert holds no certificate in PEM format"}
		}
	}
	host := "AWS"
	if s.endpoint != nil {
		host = s.endpoint.Hostname()
	}
	plain := s.endpoint != nil && s.endpoint.Scheme == "http"
	if !plain && !s.in.Bool("tls_verify") {
		settings.InsecureSkipVerify = true //nolint:gosec // asked for, and warned of
		s.env.Warn("tls_verify is off: whoever is on the way to " + host + " can read and change everything")
	}
	if plain && !isLoopback(host) {
		s.env.Warn("objects are sent to and from " + host + " without encryption: use https")
	}
	var proxy func(*http.Request) (*url.URL, error)
	if s.env.Machine {
		proxy = http.ProxyFromEnvironment
	}
	given, err := parseURL(s, "proxy")
	if err != nil {
		return nil, err
	}
	if given != nil {
		if user := s.in.String("proxy_username"); user != "" {
			given.User = url.UserPassword(user, s.in.Secret("proxy_password").Reveal())
		}
		proxy = func(*http.Request) (*url.URL, error) { return given, nil }
	}
	const buffer = 64 << 10
	wait, still := s.in.Duration("connect_timeout"), s.in.Duration("read_timeout")
	dialer := &net.Dialer{Timeout: wait}
	return &http.Transport{
		Proxy: proxy,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil || still <= 0 {
				return conn, err
			}
			return &lively{Conn: conn, still: still}, nil
		},
		TLSClientConfig:     settings,
		TLSHandshakeTimeout: wait,
		MaxIdleConnsPerHost: s.concurrency,
		IdleConnTimeout:     time.Minute,
		ReadBufferSize:      buffer,
		WriteBufferSize:     buffer,
		DisableCompression:  true,
		// One connection for each request: HTTP/2 would share one among all parts.
		ForceAttemptHTTP2: false,
	}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// lively is a connection that breaks when it stands still for too long, so that a
// transfer takes as long as it needs and never waits for ever.
type lively struct {
	net.Conn
	still   time.Duration
	renewed time.Time // of writing, which one goroutine does at a time
}

func (l *lively) Read(p []byte) (int, error) {
	if err := l.SetReadDeadline(time.Now().Add(l.still)); err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}

func (l *lively) Write(p []byte) (int, error) {
	// While a request is written its answer is waited for all along.
	if now := time.Now(); now.Sub(l.renewed) > l.still/8 {
		l.renewed = now
		if err := l.SetDeadline(now.Add(l.still)); err != nil {
			return 0, err
		}
	}
	return l.Conn.Write(p)
}
