package media

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
	"github.com/greenroom-proxy/greenroom/mediaedge/sign"
)

// Redirect sends viewers to a CDN or a bucket, so that no byte of media comes
// through the edge. To redirect the playlist is enough where the CDN lets its
// segments be had by a cookie or a directory's token: what a playlist names is
// relative to where the playlist came from.
type Redirect struct {
	// Where to: https://cdn.example.com, or with a path that the request's
	// is joined to. Required.
	To string `json:"to"`

	// 302 or 307. A method other than GET and HEAD always gets 307.
	// Default: 302.
	Status int `json:"status,omitempty"`

	// Methods besides GET and HEAD, as PUT for uploads to a bucket.
	Methods []string `json:"methods,omitempty"`

	// How long the answer may be kept. With sign it is never more than half of
	// what the token has left. Default: 5m; with sign that half.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Default: the URL is not signed.
	Sign *Sign `json:"sign,omitempty"`

	to     *url.URL
	signer *signer // nil: not signed
}

func (c *Redirect) provision() (err error) {
	if c.to, err = parseBase(c.To); err != nil {
		return fmt.Errorf("redirect %q: %w", c.To, err)
	}
	if c.Status == 0 {
		c.Status = http.StatusFound
	}
	if c.Status != http.StatusFound && c.Status != http.StatusTemporaryRedirect {
		return fmt.Errorf("redirect: status %d: want 302 or 307: others are kept for longer than any token lives", c.Status)
	}
	for _, m := range c.Methods {
		if !slices.Contains([]string{"PUT", "POST", "PATCH", "DELETE"}, m) {
			return fmt.Errorf("redirect: method %q: want PUT, POST, PATCH or DELETE; GET and HEAD are always there", m)
		}
	}
	if c.Sign == nil {
		return nil
	}
	if c.signer, err = c.Sign.signer(); err != nil {
		return fmt.Errorf("redirect: %w", err)
	}
	if len(c.Methods) > 0 && c.signer.s3 == nil {
		return fmt.Errorf("redirect: methods: tokens of %s are not for methods: whoever may see could write", c.Sign.Scheme)
	}
	return nil
}

// parseBase reads what paths are joined to.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want a URL as https://cdn.example.com/base")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("want a URL without user, query and fragment")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	if u.Path != "" {
		if u.Path, err = plainpath.Canonical(u.EscapedPath()); err != nil {
			return nil, err
		}
	}
	u.RawPath = ""
	return u, nil
}

func (c *Redirect) allows(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || slices.Contains(c.Methods, method)
}

// location is where a request for path is sent, and for how long that holds.
func (c *Redirect) location(r *http.Request, path, query string, now time.Time) (sign.Signed, time.Duration, error) {
	u := *c.to
	u.Path, u.RawQuery = c.to.Path+path, query
	if c.signer == nil {
		return sign.Signed{URL: u.String()}, cmp.Or(time.Duration(c.MaxAge), 5*time.Minute), nil
	}
	grant := c.signer.window.Grant(now)
	if c.Sign.Directory || c.Sign.Cookie != nil {
		grant.PathPrefix = u.Path[:strings.LastIndexByte(u.Path, '/')+1]
	}
	if c.Sign.ClientIP {
		var err error
		if grant.ClientIP, err = clientIP(r); err != nil {
			return sign.Signed{}, 0, err
		}
	}
	s := c.signer.Signer
	if c.signer.s3 != nil && r.Method != http.MethodGet {
		s = c.signer.s3.For(r.Method)
	}
	signed, err := s.Sign(r.Context(), &u, grant)
	age := grant.Expiry.Sub(now) / 2
	if c.MaxAge > 0 {
		age = min(age, time.Duration(c.MaxAge))
	}
	return signed, age, err
}

func (c *Redirect) serve(w http.ResponseWriter, r *http.Request, path, query string) error {
	signed, age, err := c.location(r, path, query, time.Now())
	if err != nil {
		return err
	}
	status := c.Status
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusTemporaryRedirect
	}
	h := w.Header()
	h.Set("Location", signed.URL)
	for _, cookie := range signed.Cookies {
		http.SetCookie(w, cookie)
	}
	switch {
	case c.signer == nil:
		h.Set("Cache-Control", "public, max-age="+seconds(age))
	case c.Sign.ClientIP || len(signed.Cookies) > 0 || status != c.Status:
		h.Set("Cache-Control", "no-store")
	default:
		h.Set("Cache-Control", "private, max-age="+seconds(age))
	}
	if c.signer == nil {
		w.WriteHeader(status)
	} else {
		sendSecret(w, status)
	}
	return nil
}

// clientIP is the client's address as Caddy's trusted_proxies has it.
func clientIP(r *http.Request) (netip.Addr, error) {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, errors.New("the client's address is not known")
	}
	return addr.WithZone("").Unmap(), nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
