package sqloracle

import (
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what older wallets are encrypted with
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what older wallets are encrypted with
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"slices"
	"unicode/utf16"
)

// This reads PKCS #12 files (RFC 7292) as Oracle's tools and OpenSSL write them. The
// libraries for it insist on a private key, or on marks that Oracle does not set, and
// many wallets only say whom to trust.

var (
	errWalletPassword = errors.New("the password is wrong")
	errWalletDamaged  = errors.New("it is damaged, or no wallet")
)

// mostIterations keeps a wallet from taking minutes to open.
const mostIterations = 1_000_000

type pfx struct {
	Version int
	Safe    contentInfo
	MAC     macData `asn1:"optional"`
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
}

type macData struct {
	MAC struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt       []byte
	Iterations int `asn1:"optional,default:1"`
}

type encryptedData struct {
	Version int
	Info    struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte `asn1:"tag:0,optional"`
	}
}

type safeBag struct {
	ID         asn1.ObjectIdentifier
	Value      asn1.RawValue `asn1:"tag:0,explicit"`
	Attributes asn1.RawValue `asn1:"set,optional"`
}

type certBag struct {
	ID   asn1.ObjectIdentifier
	Data []byte `asn1:"tag:0,explicit"`
}

// The identifiers of what a file is made of.
const (
	oidData      = "1.2.840.113549.1.7.1"
	oidEncrypted = "1.2.840.113549.1.7.6"
	oidKeyBag    = "1.2.840.113549.1.12.10.1.1"
	oidShrouded  = "1.2.840.113549.1.12.10.1.2"
	oidCertBag   = "1.2.840.113549.1.12.10.1.3"
	oidX509      = "1.2.840.113549.1.9.22.1"
	oidPBES2     = "1.2.840.113549.1.5.13"
	oidSHA3DES   = "1.2.840.113549.1.12.1.3"
)

// readPKCS12 reads the certificates and keys of a file. A password that came with the
// file need not be checked.
func readPKCS12(file []byte, password string, check bool) (*wallet, error) {
	var p pfx
	if _, err := asn1.Unmarshal(file, &p); err != nil || p.Safe.Type.String() != oidData {
		return nil, errWalletDamaged
	}
	var safe []byte
	if _, err := asn1.Unmarshal(p.Safe.Content.Bytes, &safe); err != nil {
		return nil, errWalletDamaged
	}
	if check {
		if err := p.MAC.check(safe, password); err != nil {
			return nil, err
		}
	}
	var contents []contentInfo
	if _, err := asn1.Unmarshal(safe, &contents); err != nil {
		return nil, errWalletDamaged
	}
	w := &wallet{}
	for _, c := range contents {
		b, err := c.open(password)
		if err != nil {
			return nil, err
		}
		if err := w.take(b, password); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// check tells a wrong password from a right one.
func (m macData) check(safe []byte, password string) error {
	if len(m.MAC.Digest) == 0 {
		return nil
	}
	made := map[string]func() hash.Hash{
		"1.3.14.3.2.26": sha1.New, "2.16.840.1.101.3.4.2.1": sha256.New, "2.16.840.1.101.3.4.2.2": sha512.New384, "2.16.840.1.101.3.4.2.3": sha512.New,
	}[m.MAC.Algorithm.Algorithm.String()]
	if made == nil || m.Iterations < 1 || m.Iterations > mostIterations {
		return errors.New("it is sealed in a way that is not known")
	}
	const forMAC = 3
	sum := hmac.New(made, pkcs12Key(made, forMAC, password, m.Salt, m.Iterations, made().Size()))
	sum.Write(safe)
	if !hmac.Equal(sum.Sum(nil), m.MAC.Digest) {
		return errWalletPassword
	}
	return nil
}

// open gives the list of bags of one part of a file.
func (c contentInfo) open(password string) ([]byte, error) {
	switch c.Type.String() {
	case oidData:
		var b []byte
		if _, err := asn1.Unmarshal(c.Content.Bytes, &b); err != nil {
			return nil, errWalletDamaged
		}
		return b, nil
	case oidEncrypted:
		var e encryptedData
		if _, err := asn1.Unmarshal(c.Content.Bytes, &e); err != nil {
			return nil, errWalletDamaged
		}
		return decrypt(e.Info.Algorithm, e.Info.Data, password)
	}
	return nil, errors.New("a part of it is encrypted for somebody's key")
}

// take adds the bags of a list. It leaves alone what is neither certificate nor key,
// such as the credentials of a password store.
func (w *wallet) take(b []byte, password string) error {
	var bags []safeBag
	if _, err := asn1.Unmarshal(b, &bags); err != nil {
		return errWalletDamaged
	}
	for _, bag := range bags {
		der := bag.Value.Bytes
		switch bag.ID.String() {
		case oidCertBag:
			var c certBag
			if _, err := asn1.Unmarshal(der, &c); err != nil {
				return errWalletDamaged
			}
			if c.ID.String() == oidX509 {
				w.certs = append(w.certs, c.Data)
			}
		case oidShrouded:
			key, err := openKey(der, password)
			if err != nil {
				return err
			}
			w.keys = append(w.keys, key)
		case oidKeyBag:
			key, err := x509.ParsePKCS8PrivateKey(der)
			if err != nil {
				return errors.New("its private key is of an unknown kind")
			}
			w.keys = append(w.keys, key)
		}
	}
	return nil
}

// decrypt opens what a password closes. That is DER, which says itself where it ends,
// so that the padding is left behind it: not all writers pad alike.
func decrypt(algorithm pkix.AlgorithmIdentifier, sealed []byte, password string) ([]byte, error) {
	var block cipher.Block
	var iv []byte
	var err error
	switch id := algorithm.Algorithm.String(); id {
	case oidPBES2:
		block, iv, err = pbes2(algorithm.Parameters.FullBytes, password)
	case oidSHA3DES:
		block, iv, err = sha3DES(algorithm.Parameters.FullBytes, password)
	default:
		return nil, fmt.Errorf("it is encrypted in a way that is not known (%s): write it anew with a current version of orapki or OpenSSL", id)
	}
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(sealed) == 0 || len(sealed)%size != 0 {
		return nil, errWalletDamaged
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
	return plain, nil
}

// sha3DES is the cipher of older files: three keys of DES, made with SHA-1.
func sha3DES(parameters []byte, password string) (cipher.Block, []byte, error) {
	const forKey, forIV, keySize = 1, 2, 24
	var p struct {
		Salt       []byte
		Iterations int
	}
	if _, err := asn1.Unmarshal(parameters, &p); err != nil || p.Iterations < 1 || p.Iterations > mostIterations {
		return nil, nil, errWalletDamaged
	}
	block, err := des.NewTripleDESCipher(pkcs12Key(sha1.New, forKey, password, p.Salt, p.Iterations, keySize)) //nolint:gosec // as it was encrypted
	return block, pkcs12Key(sha1.New, forIV, password, p.Salt, p.Iterations, des.BlockSize), err
}

// pkcs12Key makes a key of a password, as appendix B.2 of RFC 7292 has it.
func pkcs12Key(made func() hash.Hash, purpose byte, password string, salt []byte, iterations, size int) []byte {
	h := made()
	v := h.BlockSize()
	text := append(utf16.Encode([]rune(password)), 0)
	wide := make([]byte, 0, 2*len(text))
	for _, unit := range text {
		wide = binary.BigEndian.AppendUint16(wide, unit)
	}
	i := append(fill(salt, v), fill(wide, v)...)
	var key []byte
	for {
		h.Reset()
		h.Write(slices.Repeat([]byte{purpose}, v))
		h.Write(i)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if key = append(key, a...); len(key) >= size {
			return key[:size]
		}
		addToEach(i, fill(a, v)[:v])
	}
}

// addToEach adds b and one to each block of its length.
func addToEach(blocks, b []byte) {
	v := len(b)
	more := new(big.Int).Add(new(big.Int).SetBytes(b), big.NewInt(1))
	limit := new(big.Int).Lsh(big.NewInt(1), uint(8*v)) //nolint:gosec // a small length
	for at := 0; at < len(blocks); at += v {
		n := new(big.Int).SetBytes(blocks[at : at+v])
		n.Add(n, more).Mod(n, limit).FillBytes(blocks[at : at+v])
	}
}

// fill repeats b up to a multiple of v.
func fill(b []byte, v int) []byte {
	if len(b) == 0 {
		return nil
	}
	size := (len(b) + v - 1) / v * v
	return slices.Repeat(b, size/len(b)+1)[:size]
}
