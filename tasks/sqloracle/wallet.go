package sqloracle

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// wallet is what a wallet holds, of whatever form. Credentials in there are left
// alone: a connection has its own.
type wallet struct {
	certs [][]byte // DER
	keys  []any
}

// openWallet reads the wallet of the inputs. Its text is an ewallet.pem, or a
// cwallet.sso or ewallet.p12 in base64.
func openWallet(in schema.Inputs) (*wallet, error) {
	text, password := in.Secret("wallet").Reveal(), in.Secret("wallet_password").Reveal()
	w, err := readWallet(text, password)
	switch {
	case errors.Is(err, errWalletPassword):
		return nil, invalid("wallet_password", "the wallet cannot be opened: "+err.Error(), "check `wallet_password`")
	case err != nil:
		return nil, invalid("wallet", "the wallet cannot be used: "+oneLine(err.Error()),
			"give the text of its ewallet.pem, or its cwallet.sso or ewallet.p12 in base64")
	case len(w.certs) == 0:
		return nil, invalid("wallet", "wallet holds no certificate", "give the text of its ewallet.pem, or its cwallet.sso or ewallet.p12 in base64")
	}
	return w, nil
}

func readWallet(text, password string) (*wallet, error) {
	if strings.Contains(text, "-----BEGIN") {
		return readPEM(text, password)
	}
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, errors.New("it is neither PEM nor base64")
	}
	if !bytes.HasPrefix(b, []byte(ssoMagic)) {
		return readPKCS12(b, password, true)
	}
	if b, password, err = openSSO(b); err != nil {
		return nil, err
	}
	return readPKCS12(b, password, false)
}

// An auto-login wallet, cwallet.sso, is a PKCS #12 file behind a header that has its
// password, encrypted with a key that stands beside it. What protects it is who can
// read it, so that it is a secret like any other.
const (
	ssoMagic = "\xA1\xF8\x4E"
	ssoLocal = '8' // the password is bound to a machine and a user, too

	ssoHeader  = 3 + 1 + 4 + 4 // magic, kind, version, length of what follows up to the file
	ssoVersion = 6
	ssoAES     = 6 // how the password is encrypted; what came before is DES
)

// openSSO gives the PKCS #12 file of an auto-login wallet, and its password.
func openSSO(b []byte) (file []byte, password string, err error) {
	if len(b) < ssoHeader+1+aes.BlockSize {
		return nil, "", errors.New("the cwallet.sso is cut off")
	}
	kind, version := b[3], binary.BigEndian.Uint32(b[4:])
	length := binary.BigEndian.Uint32(b[8:])
	switch {
	case kind == ssoLocal:
		return nil, "", errors.New("it was made with auto_login_local, and opens on the machine that made it only")
	case version != ssoVersion || b[ssoHeader] != ssoAES:
		return nil, "", errors.New("it is a cwallet.sso of a form that is not known")
	}
	head := b[ssoHeader+1:]
	size := int64(length) - 1 - aes.BlockSize
	if size < aes.BlockSize || size%aes.BlockSize != 0 || size > int64(len(head)-aes.BlockSize) {
		return nil, "", errors.New("the cwallet.sso is damaged")
	}
	block, err := aes.NewCipher(head[:aes.BlockSize])
	if err != nil {
		return nil, "", err
	}
	// The same for every wallet.
	iv := []byte{0xC0, 0x34, 0xD8, 0x31, 0x1C, 0x02, 0xCE, 0xF8, 0x51, 0xF0, 0x14, 0x4B, 0x81, 0xED, 0x4B, 0xF2}
	plain := make([]byte, size)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, head[aes.BlockSize:][:size])
	return slices.Clone(head[aes.BlockSize+size:]), string(plain), nil
}
