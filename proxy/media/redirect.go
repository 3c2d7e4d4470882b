package media

import (
	"cmp"
	"context"
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

	// Methods besides GET and HEAD, as PUT for uploads to a bucket: PUT, POST,
	// PATCH, DELETE. With sign only of s3. Default: none.
	Methods []string `json:"methods,omitempty"`

	// How long the answer may be kept. With sign it is never more than half of
	// what the token has left. Default: 5m; with sign that half.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Default: the URL is not signed.
	Sign *Sign `json:"sign,omitempty"`

	to     *url.URL
	signer *signer // nil: not signed
}

// check finds what is wrong with the config itself.
func (c *Redirect) check() (err error) {
	if c.to, err = parseBase(c.To); err != nil {
		shown := c.To
		if strings.Contains(shown, "@") { // behind a password
			shown = redacted
		}
		return fmt.Errorf("redirect %q: %w", shown, err)
	}
	if c.Status == 0 {
		c.Status = http.StatusFound
	}
	if c.Status != http.StatusFound && c.Status != http.StatusTemporaryRedirect {
		return fmt.Errorf("redirect: status %d: want 302 or 307: others are kept for longer than any token lives", c.Status)
	}
	for i, m := range c.Methods {
		if !slices.Contains([]string{"PUT", "POST", "PATCH", "DELETE"}, m) {
			return fmt.Errorf("redirect: method %q: want PUT, POST, PATCH or DELETE; GET and HEAD are always there", m)
		}
		if slices.Contains(c.Methods[:i], m) {
			return fmt.Errorf("redirect: method %s is given twice", m)
		}
	}
	if d := time.Duration(c.MaxAge); d != 0 && (d < time.Second || d > maxKeeping) {
		return fmt.Errorf("redirect: max_age is %v: want 1s to %v", d, maxKeeping)
	}
	if c.Sign == nil {
		return nil
	}
	if err := c.Sign.check(); err != nil {
		return fmt.Errorf("redirect: %w", err)
	}
	if len(c.Methods) > 0 && c.Sign.Scheme != "s3" {
		return fmt.Errorf("redirect: methods: tokens of %s are not for methods: whoever may see could write", c.Sign.Scheme)
	}
	return nil
}

// open reads the keys, and signs once to see that it can be done, with the
// parameters of the query that may go on.
func (c *Redirect) open(query []string) (err error) {
	if c.Sign == nil {
		return nil
	}
	if c.signer, err = c.Sign.signer(); err != nil {
		return fmt.Errorf("redirect: %w", err)
	}
	sample := make(url.Values)
	for _, name := range query {
		sample.Set(name, "1")
	}
	client := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	if _, _, err = c.location(context.Background(), http.MethodGet, client, "/sample/sample", sample.Encode(), time.Now()); err != nil {
		return fmt.Errorf("redirect: nothing can be signed: %w", err)
	}
	return nil
}

// parseBase reads what paths are joined to.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want a URL as https://cdn.example.com/base")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("want a URL without user, query and fragment")
	}
	if u.Path != "" {
		if u.Path, err = plainpath.Canonical(u.EscapedPath()); err != nil {
			return nil, err
		}
	}
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), ""
	return u, nil
}

// wide reports whether a token opens a directory.
func (c *Redirect) wide() bool { return c.Sign != nil && (c.Sign.Directory || c.Sign.Cookie != nil) }

// location is where a request for path is sent, and for how long that holds.
func (c *Redirect) location(ctx context.Context, method string, client netip.Addr, path, query string, now time.Time) (sign.Signed, time.Duration, error) {
	u := *c.to
	u.Path, u.RawQuery = c.to.Path+path, query
	if c.signer == nil {
		return sign.Signed{URL: u.String()}, cmp.Or(time.Duration(c.MaxAge), 5*time.Minute), nil
	}
	grant := c.signer.window.Grant(now)
	if c.wide() {
		grant.PathPrefix = u.Path[:strings.LastIndexByte(u.Path, '/')+1]
	}
	if c.Sign.ClientIP {
		grant.ClientIP = client
	}
	s := c.signer.Signer
	if c.signer.s3 != nil && method != http.MethodGet {
		s = c.signer.s3.For(method)
	}
	signed, err := s.Sign(ctx, &u, grant)
	age := grant.Expiry.Sub(now) / 2
	if c.MaxAge > 0 {
		age = min(age, time.Duration(c.MaxAge))
	}
	return signed, age, err
}

func (c *Redirect) serve(w http.ResponseWriter, r *http.Request, path, query string) (err error) {
	var client netip.Addr
	if c.Sign != nil && c.Sign.ClientIP {
		if client, err = clientIP(r); err != nil {
			return err
		}
	}
	signed, age, err := c.location(r.Context(), r.Method, client, path, query, time.Now())
	if err != nil {
		return err
	}
	status, reads := c.Status, r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads {
		status = http.StatusTemporaryRedirect
	}
	h := w.Header()
	h.Set("Location", signed.URL)
	for _, cookie := range signed.Cookies {
		http.SetCookie(w, cookie)
	}
	switch {
	case !reads || client.IsValid() || len(signed.Cookies) > 0:
		h.Set("Cache-Control", "no-store")
	case c.signer == nil:
		h.Set("Cache-Control", "public, max-age="+seconds(age))
	default:
		h.Set("Cache-Control", "private, max-age="+seconds(age))
	}
	w.WriteHeader(status)
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
