package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
)

const (
	defaultListen = "127.0.0.1:8390"
	noListen      = "none"
)

// listening says where the API is.
type listening struct {
	address           string
	certFile, keyFile string
	plain             bool
}

func (l *listening) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&l.address, "listen", defaultListen, "address of the API; port 0 takes a free one; none for no API")
	flags.StringVar(&l.certFile, "tls-cert", "", "file with the server's certificate")
	flags.StringVar(&l.keyFile, "tls-key", "", "file with its key")
	flags.BoolVar(&l.plain, "plain-http", false, "serve other machines without TLS: something in front of weir must provide it")
}

// check checks what the flags say.
func (l *listening) check() error {
	if l.address == noListen {
		return nil
	}
	host, _, err := net.SplitHostPort(l.address)
	switch {
	case err != nil:
		return &usageError{fmt.Errorf("--listen %q: it is an address such as %s", l.address, defaultListen)}
	case (l.certFile == "") != (l.keyFile == ""):
		return &usageError{errors.New("--tls-cert and --tls-key go together")}
	case l.certFile == "" && !l.plain && !isLoopback(host):
		return hinted("give --tls-cert and --tls-key, or --plain-http if something in front of weir provides TLS", "%w",
			&usageError{fmt.Errorf("--listen %s: other machines would send tokens in the clear", l.address)})
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// open listens; nil if there is to be no API.
func (l *listening) open(ctx context.Context) (net.Listener, error) {
	if l.address == noListen {
		return nil, nil
	}
	var config *tls.Config
	if l.certFile != "" {
		pair, err := tls.LoadX509KeyPair(l.certFile, l.keyFile)
		if err != nil {
			return nil, &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf("--tls-cert %s, --tls-key %s: %v", l.certFile, l.keyFile, err)}
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", l.address)
	if err != nil {
		failure := &engine.Error{Kind: engine.Unavailable, Message: fmt.Sprintf("--listen %s: %v", l.address, err)}
		if errors.Is(err, syscall.EADDRINUSE) {
			failure.Message = fmt.Sprintf("--listen %s: something listens there already", l.address)
			failure.Hint = "end it, or take another port; --listen none serves the store without an API"
		}
		return nil, failure
	}
	listener = newBounded(listener, max(min(maxConnections, openFiles()/filesShare), 1))
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	return listener, nil
}

// url is where the API is reached.
func (l *listening) url(listener net.Listener) string {
	scheme := "http"
	if l.certFile != "" {
		scheme = "https"
	}
	return scheme + "://" + listener.Addr().String()
}
