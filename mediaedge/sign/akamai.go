package sign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Akamai signs for Akamai's Auth Token 2.0 (EdgeAuth) with HMAC-SHA256: for
// one URL, or, with a path prefix, by an ACL. Make it with NewAkamai.
//
// https://techdocs.akamai.com/property-mgr/docs/auth-token-2-0-ver
type Akamai struct {
	keys    *Keys
	options AkamaiOptions
}

// AkamaiOptions are the settings of the property that the signer must know.
// The zero value is Akamai's defaults.
type AkamaiOptions struct {
	// Parameter is the name of the token, in the query or as the cookie. Empty
	// is "__token__"; Adaptive Media Delivery uses "hdnts".
	Parameter string

	// EscapeEarly is whether the property escapes its input to the token.
	EscapeEarly bool

	// Cookie puts the token there; every grant then needs a path prefix.
	Cookie *Cookie
}

// NewAkamai makes a signer of keys in Hex, with a salt behind them if the
// property has one. The ids are for files and logs only.
func NewAkamai(keys *Keys, o AkamaiOptions) (*Akamai, error) {
	if err := keys.wants("Akamai", Hex); err != nil {
		return nil, err
	}
	var err error
	if o.Parameter, err = parameterName(o.Parameter, "__token__"); err != nil {
		return nil, fmt.Errorf("Akamai: %w", err)
	}
	return &Akamai{keys: keys, options: o}, nil
}

// Sign makes a URL with a token, or a plain one and a cookie. What separates
// fields and lists, and wildcards, are encoded in paths, so that none can
// grow into another field.
func (s *Akamai) Sign(_ context.Context, u *url.URL, g Grant) (Signed, error) {
	t, err := check("Akamai", u, g, can{prefix: true, start: true, ip: true, session: true}, s.options.Parameter)
	if err == nil && s.options.Cookie != nil && g.PathPrefix == "" {
		err = errors.New("sign for Akamai: cookies want a path prefix")
	}
	if err != nil {
		return Signed{}, err
	}
	path := tilde(escape(t.path))
	plain, token := t.with(path), s.token(g, path)
	if s.options.Cookie != nil {
		return Signed{URL: plain, Cookies: cookies(s.options.Cookie.make(s.options.Parameter, token, g))}, nil
	}
	return Signed{URL: join(plain, s.options.Parameter+"="+token)}, nil
}

func (s *Akamai) token(g Grant, path string) string {
	var fields []string
	add := func(name, value string) { fields = append(fields, name+"="+value) }
	if g.ClientIP.IsValid() {
		add("ip", s.early(g.ClientIP.Unmap().WithZone("").String()))
	}
	if !g.NotBefore.IsZero() {
		add("st", unix(g.NotBefore))
	}
	add("exp", unix(g.Expiry))
	if g.PathPrefix != "" {
		add("acl", tilde(escape(g.PathPrefix))+"*")
	}
	if g.Session != "" {
		add("id", s.early(g.Session))
	}
	shown := len(fields)
	if g.PathPrefix == "" {
		add("url", s.early(path))
	}
	key := s.keys.Current()
	if salt := key.reveal().extra; salt != "" {
		add("salt", salt)
	}
	sum := hex.EncodeToString(mac(sha256.New, key, strings.Join(fields, "~")))
	return strings.Join(append(fields[:shown:shown], "hmac="+sum), "~")
}

var encoded = regexp.MustCompile(`%[0-9A-F]{2}`)

// early escapes a value as the property does with EscapeEarly: as in a form,
// with hexadecimal digits in lower case.
func (s *Akamai) early(value string) string {
	if !s.options.EscapeEarly {
		return value
	}
	return encoded.ReplaceAllStringFunc(url.QueryEscape(value), strings.ToLower)
}

// tilde encodes what separates a token's fields.
func tilde(path string) string { return strings.ReplaceAll(path, "~", "%7E") }

func cookies(c ...*http.Cookie) []*http.Cookie { return c }

// parameterName returns name, or normal if it is empty.
func parameterName(name, normal string) (string, error) {
	if name == "" {
		return normal, nil
	}
	if len(name) > 64 || strings.ContainsFunc(name, func(c rune) bool { return !unreserved(c) }) {
		return "", fmt.Errorf("%q is no name for a parameter: want at most 64 letters, digits, dots, underscores and hyphens", name)
	}
	return name, nil
}
