package sqloracle_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/sijms/go-ora/v2/configurations"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/sqloracle"
	"github.com/weir-engine/weir/testdata/servers"
)

// The ewallets of testdata were written by OpenSSL from wallet.pem: new with its
// defaults, old with triple DES, open with a key that is not encrypted by itself,
// trust with no key at all, rc2 with a cipher that nobody should use.
func TestPKCS12Wallets(t *testing.T) {
	t.Parallel()
	server, ca := newTLS(t, []string{"127.0.0.1"}, wallet(t, "wallet.pem"))
	const password = "wallet-password"
	for name, c := range map[string]struct {
		text, password string
		kind           tasks.Kind
		says, input    string
	}{
		"new":            {wallet(t, "ewallet-new.p12.base64"), password, "", "", ""},
		"old":            {wallet(t, "ewallet-old.p12.base64"), password, "", "", ""},
		"open":           {wallet(t, "ewallet-open.p12.base64"), password, "", "", ""},
		"no key":         {wallet(t, "ewallet-trust.p12.base64"), password, tasks.Denied, "certificate", "wallet"},
		"RC2":            {wallet(t, "ewallet-rc2.p12.base64"), password, tasks.Invalid, "a way that is not known (1.2.840.113549.1.12.1.6)", "wallet"},
		"wrong password": {wallet(t, "ewallet-new.p12.base64"), "another", tasks.Invalid, "the password is wrong", "wallet_password"},
		"no password":    {wallet(t, "ewallet-old.p12.base64"), "", tasks.Invalid, "the password is wrong", "wallet_password"},
		"cut off":        {wallet(t, "ewallet-new.p12.base64")[:404], password, tasks.Invalid, "it is damaged", "wallet"},
		"no wallet":      {"/opt/wallets/ewallet.p12", password, tasks.Invalid, "neither PEM nor base64", "wallet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inputs := to(server, query, map[string]any{"tls": true, "ca_cert": ca.PEM, "wallet": c.text})
			if c.password != "" {
				inputs["wallet_password"] = c.password
			}
			_, err := run(t, inputs)
			if c.kind == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			if e := wantError(t, err, c.kind, c.says); e.Input != c.input {
				t.Errorf("got input %q, want %q: %s", e.Input, c.input, e.Message)
			}
		})
	}
}

// A cwallet.sso as go-ora's reader has it, which reads files only: the test lets it
// confirm the form. It holds a key, its certificate, an authority, and a credential
// that is none of the connection's business.
func TestAutoLoginWallet(t *testing.T) {
	t.Parallel()
	clients := servers.NewAuthority(t, "authority of clients")
	own := clients.Sign(t, servers.CertificateConfig{Name: "weir"})
	server, ca := newTLS(t, []string{"127.0.0.1"}, clients.PEM)
	key := der(t, own.Key)
	credential := testBag{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 16, 12, 12}, explicit(marshal(t, struct{ Name, Value string }{"oracle.security.client.password1", "of somebody"}))}
	full := autoLogin(t, '6', bag(t, oidCertBag, certificate(t, der(t, own.Cert))), bag(t, oidCertBag, certificate(t, der(t, ca.PEM))),
		bag(t, oidKeyBag, key), bag(t, oidSecretBag, credential))
	trust := autoLogin(t, '6', bag(t, oidCertBag, certificate(t, der(t, ca.PEM))))

	file := filepath.Join(t.TempDir(), "cwallet.sso")
	if err := os.WriteFile(file, full, 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := configurations.NewWallet(file)
	if err != nil || len(read.Certificates) != 2 || len(read.PrivateKeys) != 1 || !bytes.Contains(key, read.PrivateKeys[0]) {
		t.Fatalf("go-ora reads %d certificates and %d keys: %v", len(read.Certificates), len(read.PrivateKeys), err)
	}
	plain, plainCA := newTLS(t, []string{"127.0.0.1"}, "")
	for name, c := range map[string]struct {
		inputs map[string]any
		kind   tasks.Kind
		says   string
	}{
		"with a key":      {to(server, map[string]any{"wallet": base64.StdEncoding.EncodeToString(full)}), "", ""},
		"without one":     {to(plain, map[string]any{"wallet": base64.StdEncoding.EncodeToString(autoLogin(t, '6', bag(t, oidCertBag, certificate(t, der(t, plainCA.PEM)))))}), "", ""},
		"a key is wanted": {to(server, map[string]any{"wallet": base64.StdEncoding.EncodeToString(trust)}), tasks.Denied, "certificate"},
		"another's":       {to(plain, map[string]any{"wallet": base64.StdEncoding.EncodeToString(trust)}), tasks.Denied, "not trusted"},
		"local":           {to(server, map[string]any{"wallet": base64.StdEncoding.EncodeToString(autoLogin(t, '8'))}), tasks.Invalid, "auto_login_local"},
		"old form":        {to(server, map[string]any{"wallet": base64.StdEncoding.EncodeToString([]byte("\xA1\xF8\x4E6\x00\x00\x00\x06\x00\x00\x00\x41\x35" + string(make([]byte, 64))))}), tasks.Invalid, "not known"},
		"cut off":         {to(server, map[string]any{"wallet": base64.StdEncoding.EncodeToString(full[:20])}), tasks.Invalid, "cut off"},
		"empty":           {to(server, map[string]any{"wallet": base64.StdEncoding.EncodeToString(autoLogin(t, '6'))}), tasks.Invalid, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.inputs["tls"] = true
			c.inputs["fetchval"] = "SELECT id FROM emp"
			_, err := run(t, c.inputs)
			if c.kind != "" {
				wantError(t, err, c.kind, c.says)
			} else if err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// FuzzWallet opens garbage.
func FuzzWallet(f *testing.F) {
	for _, name := range []string{"wallet.pem", "wallet-3des.pem", "ewallet-new.p12.base64", "ewallet-old.p12.base64", "ewallet-open.p12.base64", "ewallet-trust.p12.base64"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		if b, err := base64.StdEncoding.DecodeString(string(bytes.ReplaceAll(text, []byte("\n"), nil))); err == nil {
			text = b
		}
		f.Add(text)
	}
	f.Add(autoLogin(f, '6'))
	f.Fuzz(func(_ *testing.T, file []byte) {
		_ = sqloracle.ReadWallet(string(file), "p")
		_ = sqloracle.ReadWallet(base64.StdEncoding.EncodeToString(file), "p")
	})
}

// The identifiers of what a wallet is made of.
const (
	oidKeyBag    = 1
	oidCertBag   = 3
	oidSecretBag = 5
)

func der(tb testing.TB, text string) []byte {
	tb.Helper()
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		tb.Fatal("no PEM")
	}
	return b.Bytes
}

func marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// explicit wraps what is marshalled into the tag 0.
func explicit(b []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: b}
}

type testBag struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

func bag(tb testing.TB, kind int, value any) testBag {
	tb.Helper()
	b, ok := value.([]byte)
	if !ok {
		b = marshal(tb, value)
	}
	return testBag{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, kind}, explicit(b)}
}

func certificate(tb testing.TB, der []byte) []byte {
	tb.Helper()
	return marshal(tb, testBag{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}, explicit(marshal(tb, der))})
}

// autoLogin writes a cwallet.sso.
func autoLogin(tb testing.TB, kind byte, bags ...testBag) []byte {
	tb.Helper()
	const password, key = "0123456789abcdef", "the key beside it"
	head := []byte{0xA1, 0xF8, 0x4E, kind}
	head = binary.BigEndian.AppendUint32(head, 6)
	head = binary.BigEndian.AppendUint32(head, 1+16+16)
	head = append(append(head, 6), key[:16]...)
	iv := []byte{192, 52, 216, 49, 28, 2, 206, 248, 81, 240, 20, 75, 129, 237, 75, 242}
	head = append(head, sealed(tb, []byte(key[:16]), iv, []byte(password))...)

	data := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	salt := []byte("saltsalt")
	secret, err := pbkdf2.Key(sha256.New, password, salt, 1000, 32)
	if err != nil {
		tb.Fatal(err)
	}
	if bags == nil {
		bags = []testBag{}
	}
	plain := marshal(tb, bags)
	pad := 16 - len(plain)%16
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	kdf := marshal(tb, struct {
		Salt       []byte
		Iterations int
		PRF        pkix.AlgorithmIdentifier
	}{salt, 1000, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, Parameters: asn1.NullRawValue}})
	algorithm := marshal(tb, struct{ KDF, Cipher pkix.AlgorithmIdentifier }{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}, Parameters: asn1.RawValue{FullBytes: kdf}},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, Parameters: asn1.RawValue{Tag: asn1.TagOctetString, Bytes: iv}},
	})
	type info struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte `asn1:"tag:0"`
	}
	encrypted := marshal(tb, struct {
		Version int
		Info    info
	}{0, info{data, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}, Parameters: asn1.RawValue{FullBytes: algorithm}}, sealed(tb, secret, iv, plain)}})
	safe := marshal(tb, []testBag{{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}, explicit(encrypted)}})
	return append(head, marshal(tb, struct {
		Version int
		Safe    testBag
	}{3, testBag{data, explicit(marshal(tb, safe))}})...)
}

func sealed(tb testing.TB, key, iv, plain []byte) []byte {
	tb.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(b, plain)
	return b
}
