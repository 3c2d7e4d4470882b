package sign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

// Signer makes the URL, and the cookies if it is made to use them, by which
// the holder of a grant gets media from a CDN or a bucket. The same URL,
// grant and key give the same result, so that a CDN keeps it once for all.
// A Signer is safe for concurrent use.
//
// u is where the media is, with the host of the CDN, which must come from
// configuration, never from a request. Its path must be canonical, decoded in
// u.Path; the signer writes it anew, so that what is signed is what is sent.
// No parameter may be added to the result.
//
// Errors wrap ErrUnsupported, plainpath's ErrAmbiguous, or say what of the
// URL or the grant is wrong. They hold no secret.
type Signer interface {
	Sign(ctx context.Context, u *url.URL, g Grant) (Signed, error)
}

// ErrUnsupported is wrapped by the error of a grant that asks for what a
// scheme cannot express: it is refused rather than made wider.
var ErrUnsupported = errors.New("not supported by this scheme")

// Grant is what a token allows, and to whom. Times count in whole seconds.
type Grant struct {
	// Issued is when the token is made. Only SigV4 writes it down, Cloudflare
	// measures from it; others ignore it. Make it with a Window.
	Issued time.Time

	// Expiry is when the token ends. It must be there, and after Issued.
	Expiry time.Time

	// NotBefore is when it begins, for media that is not to be seen earlier.
	// Zero: at once. A time that is about now keeps viewers out whose CDN has
	// a clock that is behind. CloudFront and Akamai only.
	NotBefore time.Time

	// PathPrefix opens all that is below a directory, such as all segments of
	// a playlist: canonical, with a slash at both ends. The URL's path must be
	// below it. Empty: the URL's path only. CloudFront, Cloud CDN and Akamai
	// only.
	PathPrefix string

	// ClientIP binds the token to one address. Zero: to none. Viewers' URLs
	// are then no longer shared. CloudFront (IPv4), Akamai and nginx only.
	ClientIP netip.Addr

	// Session names the viewer's session to the CDN: 1 to 128 letters, digits,
	// ".", "_" and "-". Empty: none. Akamai only.
	Session string
}

// Signed is what a viewer is given. It opens media to whoever holds it: do not
// log it.
type Signed struct {
	URL     string         // to be sent on to
	Cookies []*http.Cookie // to be set before that; nil if the URL says it all
}

// Cookie says how a cookie with a token is set. The CDN's host and the edge's
// must have Domain in common, or the cookie never reaches the CDN. It is for
// the path prefix of the grant, Secure, HttpOnly, and ends with the grant.
type Cookie struct {
	Domain   string        // "example.com"; empty: the edge's host only
	SameSite http.SameSite // default Lax; None if other sites embed the player
}

func (c *Cookie) make(name, value string, g Grant) *http.Cookie {
	site := c.SameSite
	if site == 0 {
		site = http.SameSiteLaxMode
	}
	return &http.Cookie{Name: name, Value: value, Domain: c.Domain, Path: escape(g.PathPrefix), Expires: g.Expiry.UTC(), Secure: true, HttpOnly: true, SameSite: site}
}

// can is what of a grant a scheme is able to express.
type can struct{ prefix, start, ip, session bool }

// target is a URL that was found in order.
type target struct {
	origin string // scheme://host
	path   string // decoded and canonical
	query  string // without the question mark
}

func (t target) String() string { return t.with(escape(t.path)) }

func (t target) with(escaped string) string {
	if t.query == "" {
		return t.origin + escaped
	}
	return t.origin + escaped + "?" + t.query
}

// join adds a query to a URL.
func join(u, query string) string {
	if strings.Contains(u, "?") {
		return u + "&" + query
	}
	return u + "?" + query
}

// check finds out what is wrong with a grant for u in a scheme that is able
// to do some of it, and to whose parameters the reserved ones belong.
func check(scheme string, u *url.URL, g Grant, able can, reserved ...string) (target, error) {
	t, err := parse(u, reserved)
	if err == nil {
		err = g.check(t.path, able)
	}
	if err != nil {
		return target{}, fmt.Errorf("sign for %s: %w", scheme, err)
	}
	return t, nil
}

func parse(u *url.URL, reserved []string) (target, error) {
	switch {
	case u == nil || u.Host == "" || u.Opaque != "":
		return target{}, errors.New("a URL without a host")
	case u.Scheme != "http" && u.Scheme != "https":
		return target{}, errors.New("a URL that is neither http nor https")
	case u.User != nil:
		return target{}, errors.New("a URL with a user")
	case u.Fragment != "":
		return target{}, errors.New("a URL with a fragment")
	}
	path, err := plainpath.Canonical((&url.URL{Path: u.Path}).EscapedPath())
	if err != nil {
		return target{}, err
	}
	if strings.ContainsFunc(u.RawQuery, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\"#;<>\\^`{|}", c) }) {
		return target{}, errors.New("a query with characters that must be encoded, or with a semicolon")
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if pair == "" && u.RawQuery != "" {
			return target{}, errors.New("a query with an empty parameter, which some drop before they check it")
		}
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return target{}, errors.New("a query with a percent sign that encodes nothing")
		}
		for _, r := range reserved {
			if strings.EqualFold(name, r) || strings.HasSuffix(r, "-") && len(name) >= len(r) && strings.EqualFold(name[:len(r)], r) {
				return target{}, fmt.Errorf("the query has a parameter %s, which belongs to the signature", r)
			}
		}
	}
	return target{origin: u.Scheme + "://" + u.Host, path: path, query: u.RawQuery}, nil
}

func (g Grant) check(path string, able can) error {
	switch {
	case g.Expiry.IsZero():
		return errors.New("a grant without an expiry")
	case !g.Expiry.After(g.Issued) || !g.Expiry.After(g.NotBefore):
		return errors.New("a grant that ends before it begins")
	case g.PathPrefix != "" && !able.prefix:
		return fmt.Errorf("a path prefix: %w", ErrUnsupported)
	case !g.NotBefore.IsZero() && !able.start:
		return fmt.Errorf("a time to begin: %w", ErrUnsupported)
	case g.ClientIP.IsValid() && !able.ip:
		return fmt.Errorf("a client's address: %w", ErrUnsupported)
	case g.Session != "" && !able.session:
		return fmt.Errorf("a session: %w", ErrUnsupported)
	case len(g.Session) > 128 || strings.ContainsFunc(g.Session, func(c rune) bool { return !unreserved(c) || c == '~' }):
		return errors.New("a session that is not 1 to 128 letters, digits, dots, underscores and hyphens")
	case g.PathPrefix == "":
		return nil
	}
	if p, err := plainpath.Canonical((&url.URL{Path: g.PathPrefix}).EscapedPath()); err != nil {
		return fmt.Errorf("the path prefix: %w", err)
	} else if !strings.HasSuffix(p, "/") {
		return errors.New("a path prefix that does not end in a slash: it would open its siblings too")
	}
	if !strings.HasPrefix(path, g.PathPrefix) {
		return errors.New("the URL's path is not below the path prefix")
	}
	return nil
}

// escape encodes all of a decoded path but slashes and what RFC 3986 calls
// unreserved, as S3 does. No wildcard or delimiter of any scheme survives it
// but Akamai's "~".
func escape(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; c == '/' || unreserved(rune(c)) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func unreserved(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c)
}
