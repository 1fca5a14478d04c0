package sqloracle

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tlsConfig makes what TLS is spoken with, for connections and addresses that use
// it. Nothing is read from disk.
func (s *session) tlsConfig() (*tls.Config, error) {
	in := s.in
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var roots *x509.CertPool
	trust := func(input, text string) error {
		if roots == nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM([]byte(text)) {
			return invalid(input, input+" holds no certificate in PEM format", "")
		}
		return nil
	}
	if in.Has("ca_cert") {
		if err := trust("ca_cert", in.String("ca_cert")); err != nil {
			return nil, err
		}
	}
	if in.Has("wallet") {
		w, err := openWallet(in)
		if err != nil {
			return nil, err
		}
		if roots == nil {
			roots = x509.NewCertPool()
		}
		if err := w.trusted(roots); err != nil {
			return nil, err
		}
		if config.Certificates, err = w.certificate(); err != nil {
			return nil, err
		}
	}
	config.RootCAs = roots
	name := in.String("tls_server_name")
	switch {
	case !in.Bool("tls_verify"):
		config.InsecureSkipVerify = true //nolint:gosec // asked for, and warned of
	case name != "":
		// go-ora sets the name that is verified to the host's: verify here instead.
		config.InsecureSkipVerify = true //nolint:gosec // verified below
		config.VerifyConnection = func(state tls.ConnectionState) error { return verify(state, roots, name) }
	}
	return config, nil
}

// verify checks the server's certificate against a name.
func verify(state tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server has shown no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between})
	return err
}

// readPEM reads a wallet that is text.
func readPEM(text, password string) (*wallet, error) {
	w := &wallet{}
	for rest := []byte(text); ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return w, nil
		}
		var key any
		var err error
		switch {
		case b.Type == "CERTIFICATE":
			w.certs = append(w.certs, b.Bytes)
		case b.Type == "ENCRYPTED PRIVATE KEY":
			key, err = openKey(b.Bytes, password)
		case b.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case b.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			err = fmt.Errorf("its private key has the form %q", b.Type)
		}
		if err != nil {
			return nil, err
		}
		if key != nil {
			w.keys = append(w.keys, key)
		}
	}
}

// trusted adds the wallet's certificates to those that are trusted.
func (w *wallet) trusted(roots *x509.CertPool) error {
	for _, der := range w.certs {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return invalid("wallet", "a certificate of the wallet cannot be read", "")
		}
		roots.AddCert(c)
	}
	return nil
}

// certificate gives the certificate to show and its key. A wallet may have none:
// then it only says whom to trust.
func (w *wallet) certificate() ([]tls.Certificate, error) {
	if len(w.keys) == 0 {
		return nil, nil
	}
	return matching(w.certs, w.keys[0])
}

// matching puts the certificate first that the key is of, and behind it the others
// as its chain.
func matching(certs [][]byte, key any) ([]tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, invalid("wallet", "the wallet's private key cannot sign", "")
	}
	public, ok := signer.Public().(interface{ Equal(x crypto.PublicKey) bool })
	if !ok {
		return nil, invalid("wallet", "the wallet's private key is of an unknown kind", "")
	}
	for i, der := range certs {
		c, err := x509.ParseCertificate(der)
		if err == nil && public.Equal(c.PublicKey) {
			chain := append([][]byte{der}, slices.Delete(slices.Clone(certs), i, i+1)...)
			return []tls.Certificate{{Certificate: chain, PrivateKey: key}}, nil
		}
	}
	return nil, invalid("wallet", "the wallet has a private key, and no certificate for it", "")
}
