package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates for tests.
type Authority struct {
	// PEM is the text of its own certificate.
	PEM string

	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Certificate is a signed certificate with its key, both as PEM text.
type Certificate struct{ Cert, Key string }

// CertificateConfig says whose certificate to make.
type CertificateConfig struct {
	Name string // the common name
	// Hosts are the names and addresses of the server that it is for; none for that
	// of a client.
	Hosts []string
	// From and Until are a day before and after now unless given.
	From, Until time.Time
}

// NewAuthority makes an authority that nobody trusts yet.
func NewAuthority(tb testing.TB, name string) *Authority {
	tb.Helper()
	authority, err := newAuthority(name)
	if err != nil {
		tb.Fatal(err)
	}
	return authority
}

// Sign makes a certificate.
func (a *Authority) Sign(tb testing.TB, config CertificateConfig) Certificate {
	tb.Helper()
	signed, err := a.sign(config)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

func newAuthority(name string) (*Authority, error) {
	certificate := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return &Authority{PEM: asPEM("CERTIFICATE", der), certificate: certificate, key: key}, nil
}

func (a *Authority) sign(config CertificateConfig) (Certificate, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return Certificate{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: config.Name},
		NotBefore:    config.From,
		NotAfter:     config.Until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if leaf.NotBefore.IsZero() {
		leaf.NotBefore = time.Now().Add(-24 * time.Hour)
	}
	if leaf.NotAfter.IsZero() {
		leaf.NotAfter = time.Now().Add(24 * time.Hour)
	}
	for _, host := range config.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{Cert: asPEM("CERTIFICATE", der), Key: asPEM("PRIVATE KEY", keyDER)}, nil
}

func asPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// serverHosts are what the certificates of servers are for.
func serverHosts() []string { return []string{"localhost", "vault.test", "127.0.0.1"} }

// writeCertificate writes cert.pem and key.pem for 127.0.0.1, localhost and
// vault.test into dir and gives the PEM text of the new authority that signed them.
func writeCertificate(dir string) (authority string, err error) {
	signer, err := newAuthority("weir test authority")
	if err != nil {
		return "", err
	}
	signed, err := signer.sign(CertificateConfig{Name: "vault.test", Hosts: serverHosts()})
	if err != nil {
		return "", err
	}
	return signer.PEM, signed.write(dir)
}

func (c Certificate) write(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte(c.Cert), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "key.pem"), []byte(c.Key), 0o600)
}
