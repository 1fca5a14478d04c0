package vaultint

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

// clientCertificate is what this program shows of itself when it connects.
type clientCertificate struct {
	fixed             *tls.Certificate // if it is not in files
	certFile, keyFile *credentialFile
}

// clientCertificate gives nil if there is none.
func (c Config) clientCertificate() *clientCertificate {
	if !c.hasClientCertificate() {
		return nil
	}
	const hint = "check that certificate and key are where they are put, and that this program may read them"
	k := &clientCertificate{
		certFile: &credentialFile{what: "client certificate", path: c.ClientCertFile, hint: hint},
		keyFile:  &credentialFile{what: "client key", path: c.ClientKeyFile, hint: hint, log: c.Log},
	}
	if !c.ClientCert.IsZero() {
		pair, err := parsePair(c.ClientCert.Reveal(), c.ClientKey.Reveal())
		if err == nil { // which was checked
			k.fixed = pair
		}
	}
	return k
}

func (c Config) hasClientCertificate() bool {
	return !c.ClientCert.IsZero() || !c.ClientKey.IsZero() || c.ClientCertFile != "" || c.ClientKeyFile != ""
}

func (c Config) checkClientCertificate() error {
	texts, files := !c.ClientCert.IsZero() || !c.ClientKey.IsZero(), c.ClientCertFile != "" || c.ClientKeyFile != ""
	switch {
	case !texts && !files && c.Auth.Method == MethodCert:
		return errors.New("auth method cert needs client_cert and client_key, or the files of both")
	case texts && files:
		return errors.New("client_cert and client_key are given as texts and as files: one of the two is enough")
	case texts:
		if _, err := parsePair(c.ClientCert.Reveal(), c.ClientKey.Reveal()); err != nil {
			return fmt.Errorf("client_cert and client_key: %w", err)
		}
	case files && (c.ClientCertFile == "" || c.ClientKeyFile == ""):
		return errors.New("client_cert_file and client_key_file belong together")
	}
	if c.Auth.Method == MethodCert && strings.HasPrefix(c.Address, "http://") {
		return errors.New("auth method cert needs an address with https://: the certificate is shown when TLS begins")
	}
	return nil
}

// parsePair reads a certificate and its key; the error holds nothing of either.
func parsePair(certificate, key string) (*tls.Certificate, error) {
	if strings.Contains(key, "ENCRYPTED") {
		return nil, errors.New("the key is encrypted: give it without a passphrase")
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &pair, nil
}

// load gives the certificate for a new connection. Files are read again each time, so
// that a renewed certificate is used as soon as it is there.
func (k *clientCertificate) load() (*tls.Certificate, error) {
	if k.fixed != nil {
		return k.fixed, nil
	}
	certificate, err := k.certFile.read()
	if err != nil {
		return nil, err
	}
	key, err := k.keyFile.read()
	if err != nil {
		return nil, err
	}
	pair, err := parsePair(certificate, key)
	if err != nil {
		return nil, &secret.ReadError{
			Reason: secret.LoginFailed,
			Detail: fmt.Sprintf("client certificate file %s, key file %s: %v", k.certFile.path, k.keyFile.path, err),
			Hint:   "both must be PEM texts that belong together; write the key first if they are replaced one by one",
		}
	}
	return pair, nil
}

// forHandshake is load as the TLS module asks for it. It does so whatever authorities
// the server prefers: it is for the server to say that it accepts no other.
func (k *clientCertificate) forHandshake(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return k.load()
}

// owner is of whom the certificate is: one that was renewed is of the same.
func (k *clientCertificate) owner() (string, error) {
	pair, err := k.load()
	if err != nil {
		return "", err
	}
	leaf := pair.Leaf
	return strings.Join([]string{leaf.Issuer.String(), leaf.Subject.String(), certificateNames(leaf)}, "\n"), nil
}

// trouble says what the server may have against the certificate, and what helps.
func (k *clientCertificate) trouble(now time.Time) (detail, hint string) {
	pair, err := k.load()
	if err != nil {
		return "", ""
	}
	leaf := pair.Leaf
	if outside := outsideLife(leaf, now); outside != "" {
		return "the client certificate of " + whose(leaf) + " " + outside, "renew the client certificate, unless the clock of this machine is wrong"
	}
	return "the client certificate is of " + whose(leaf) + ", by " + leaf.Issuer.String() + ", until " + utc(leaf.NotAfter),
		"check whether the server trusts that authority, and wants that name"
}

// outsideLife says that a certificate is not valid yet or any more; empty if it is.
func outsideLife(certificate *x509.Certificate, now time.Time) string {
	clock := "; by the clock of this machine it is " + utc(now)
	switch {
	case now.After(certificate.NotAfter):
		return "ended at " + utc(certificate.NotAfter) + clock
	case now.Before(certificate.NotBefore):
		return "begins at " + utc(certificate.NotBefore) + clock
	}
	return ""
}

// whose names the owner of a certificate.
func whose(certificate *x509.Certificate) string {
	return cmp.Or(certificate.Subject.String(), certificateNames(certificate))
}

func certificateNames(certificate *x509.Certificate) string {
	names := append([]string(nil), certificate.DNSNames...)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return strings.Join(names, ", ")
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
