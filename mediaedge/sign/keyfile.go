package sign

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Encoding is how a key file writes its secrets.
type Encoding uint8

// The encodings.
const (
	Text   Encoding = iota // the characters are the secret: S3, Cloudflare, nginx
	Hex                    // at least 16 bytes in hexadecimal: Akamai
	Base64                 // at least 16 bytes in base64, of either alphabet: Cloud CDN
	PEM                    // an RSA private key of at least 2048 bits, PKCS #1 or #8: CloudFront
)

// String names the encoding.
func (e Encoding) String() string {
	if names := [...]string{"text", "hex", "base64", "PEM"}; int(e) < len(names) {
		return names[e]
	}
	return "unknown"
}

// parseKeys reads the content of a key file: at least one key, and no id
// twice. Errors name lines only: what is wrong may be a secret in the place of
// an id.
func parseKeys(content []byte, e Encoding) ([]Key, error) {
	if !utf8.Valid(content) {
		return nil, errors.New("it is not text in UTF-8")
	}
	var keys []Key
	lines := strings.Split(string(content), "\n")
	for i := 0; i < len(lines); i++ {
		fields := strings.Fields(lines[i])
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		at := i + 1
		if strings.ContainsFunc(fields[0], func(c rune) bool { return !unreserved(c) || c == '~' }) || len(fields[0]) > 128 {
			return nil, fmt.Errorf("line %d: want an id of at most 128 letters, digits, dots, underscores and hyphens, and its secret", at)
		}
		var s secret
		var err error
		if e == PEM {
			s.rsa, i, err = block(fields, lines, i)
		} else {
			s, err = e.decode(fields[1:])
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
		if slices.ContainsFunc(keys, func(k Key) bool { return k.id == fields[0] }) {
			return nil, fmt.Errorf("line %d: the id of an earlier key", at)
		}
		keys = append(keys, Key{id: fields[0], reveal: func() secret { return s }})
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key")
	}
	return keys, nil
}

// decode reads the fields behind an id.
func (e Encoding) decode(fields []string) (secret, error) {
	if len(fields) == 0 || len(fields) > 2 || len(fields) == 2 && e == Base64 {
		return secret{}, errors.New("want an id and a secret, with spaces between them")
	}
	var s secret
	var err error
	switch e {
	case Text:
		s.bytes = []byte(fields[0])
	case Hex:
		s.bytes, err = hex.DecodeString(fields[0])
	case Base64:
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(fields[0], "="))
		s.bytes, err = base64.RawStdEncoding.DecodeString(plain)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil || e != Text && len(s.bytes) < 16 {
		return secret{}, fmt.Errorf("the secret is not at least 16 bytes encoded as %v", e) // err may quote it
	}
	if len(fields) == 2 {
		s.extra = fields[1]
	}
	return s, nil
}

// block reads the PEM block below the line i, and returns its last line.
func block(fields, lines []string, i int) (*rsa.PrivateKey, int, error) {
	if len(fields) != 1 || i+1 >= len(lines) || !strings.HasPrefix(lines[i+1], "-----BEGIN ") {
		return nil, i, errors.New("want an id alone on its line, and its private key in PEM on the next ones")
	}
	length := slices.IndexFunc(lines[i+1:], func(l string) bool { return strings.HasPrefix(l, "-----END ") }) + 1
	p, _ := pem.Decode([]byte(strings.Join(lines[i+1:i+1+length], "\n") + "\n"))
	if p == nil {
		return nil, i, errors.New("the PEM block below is broken")
	}
	key, err := x509.ParsePKCS1PrivateKey(p.Bytes)
	if err != nil {
		any, other := x509.ParsePKCS8PrivateKey(p.Bytes)
		if key, _ = any.(*rsa.PrivateKey); other != nil || key == nil {
			return nil, i, errors.New("the PEM block below is not an RSA private key in PKCS #1 or PKCS #8, without a passphrase")
		}
	}
	if key.N.BitLen() < 2048 {
		return nil, i, errors.New("the RSA key below has less than 2048 bits")
	}
	return key, i + length, nil
}
