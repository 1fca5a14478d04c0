package sqloracle

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what older wallets are encrypted with
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // what older wallets are encrypted with
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
)

// encryptedKey is an EncryptedPrivateKeyInfo (RFC 5958) with PBES2 (RFC 8018).
type encryptedKey struct {
	Algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters struct {
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
	}
	Data []byte
}

// openKey decrypts a private key as wallets and OpenSSL write it.
func openKey(der []byte, password string) (any, error) {
	const most = 10_000_000
	var k encryptedKey
	if _, err := asn1.Unmarshal(der, &k); err != nil {
		return nil, errors.New("it is encrypted in a way that is not known")
	}
	p := k.Algorithm.Parameters
	kdf := p.KDF.Parameters
	size, block := cipherOf(p.Cipher.ID)
	prf := map[string]func() hash.Hash{
		"": sha1.New, "1.2.840.113549.2.7": sha1.New, "1.2.840.113549.2.9": sha256.New,
	}[kdf.PRF.Algorithm.String()]
	if size == 0 || prf == nil || kdf.Iterations < 1 || kdf.Iterations > most {
		return nil, errors.New("it is encrypted in a way that is not known")
	}
	secret, err := pbkdf2.Key(prf, password, kdf.Salt, kdf.Iterations, size)
	if err != nil {
		return nil, err
	}
	b, err := block(secret)
	if err != nil {
		return nil, err
	}
	if len(p.Cipher.IV) != b.BlockSize() || len(k.Data) == 0 || len(k.Data)%b.BlockSize() != 0 {
		return nil, errors.New("it is damaged")
	}
	plain := make([]byte, len(k.Data))
	cipher.NewCBCDecrypter(b, p.Cipher.IV).CryptBlocks(plain, k.Data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > b.BlockSize() {
		return nil, errors.New("the password is wrong")
	}
	key, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-pad])
	if err != nil {
		return nil, errors.New("the password is wrong")
	}
	return key, nil
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
