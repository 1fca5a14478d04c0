package sqloracle

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what older wallets are encrypted with
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what older wallets are encrypted with
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
)

// openKey decrypts a private key as wallets and OpenSSL write it: an
// EncryptedPrivateKeyInfo (RFC 5958).
func openKey(der []byte, password string) (any, error) {
	var k struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if _, err := asn1.Unmarshal(der, &k); err != nil {
		return nil, errWalletDamaged
	}
	plain, err := decrypt(k.Algorithm, k.Data, password)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, errWalletPassword
	}
	return key, nil
}

// pbes2 makes the cipher of PBES2 (RFC 8018) with PBKDF2.
func pbes2(parameters []byte, password string) (cipher.Block, []byte, error) {
	errUnknown := errors.New("it is encrypted in a way that is not known")
	var p struct {
		KDF struct {
			ID         asn1.ObjectIdentifier
			Parameters struct {
				Salt       []byte
				Iterations int
				Length     int                      `asn1:"optional"`
				PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
			}
		}
		Cipher struct {
			ID asn1.ObjectIdentifier
			IV []byte
		}
	}
	if _, err := asn1.Unmarshal(parameters, &p); err != nil {
		return nil, nil, errUnknown
	}
	kdf := p.KDF.Parameters
	size, block := cipherOf(p.Cipher.ID)
	prf := map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New, "1.2.840.113549.2.11": sha512.New,
	}[kdf.PRF.Algorithm.String()]
	if size == 0 || prf == nil || kdf.Iterations < 1 || kdf.Iterations > mostIterations {
		return nil, nil, errUnknown
	}
	key, err := pbkdf2.Key(prf, password, kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, nil, err
	}
	b, err := block(key)
	return b, p.Cipher.IV, err
}

func cipherOf(id asn1.ObjectIdentifier) (size int, block func([]byte) (cipher.Block, error)) {
	switch id.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16, aes.NewCipher
	case "2.16.840.1.101.3.4.1.22":
		return 24, aes.NewCipher
	case "2.16.840.1.101.3.4.1.42":
		return 32, aes.NewCipher
	case "1.2.840.113549.3.7":
		return 24, des.NewTripleDESCipher
	}
	return 0, nil
}
