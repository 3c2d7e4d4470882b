// Package cors answers players in browsers: which pages may read media, and
// what of a response they see (the CORS protocol of the Fetch standard), with
// the fields that players need already in it.
//
//	c, err := cors.New(cors.Policy{Origins: []string{"https://www.example.com"}})
//	…
//	if c.Handle(w, r) {
//		return // a preflight, answered
//	}
//	// forward; call cors.Clean on the fields of the origin's answer first
package cors

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy says which pages may read media. The zero value is refused by New.
type Policy struct {
	// Origins are those of the pages: "*" alone, or exact ones such as
	// "https://www.example.com" or "https://dev.example.com:8443". Required.
	Origins []string

	// Credentials lets pages send cookies. It is refused with "*".
	Credentials bool

	// Methods that a page may use. Default GET, HEAD and OPTIONS. Where events
	// of CMCD are posted, POST is among them, and Headers has Content-Type.
	Methods []string

	// Headers are request fields that a page may send besides those of players:
	// Range, If-Range, If-None-Match, If-Modified-Since and CMCD's four.
	Headers []string

	// MaxAge is how long a browser keeps the answer to a preflight. Default 24
	// hours, at least a second. Browsers have caps of their own, of 2 to 24 hours.
	MaxAge time.Duration
}

var (
	methods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	headers = []string{
		"Range", "If-Range", "If-None-Match", "If-Modified-Since",
		"CMCD-Object", "CMCD-Request", "CMCD-Session", "CMCD-Status",
	}
	exposed = []string{
		"Content-Length", "Content-Range", "ETag", "Date", "Age", "Cache-Status", "CMSD-Static", "CMSD-Dynamic",
	}
)

// CORS answers by a Policy. It is safe for concurrent use.
type CORS struct {
	any, credentials                  bool
	origins                           map[string]bool
	methods, headers, exposed, maxAge string
}

// New checks the policy.
func New(p Policy) (*CORS, error) {
	c := &CORS{origins: map[string]bool{}, credentials: p.Credentials, exposed: strings.Join(exposed, ", ")}
	if len(p.Origins) == 0 {
		return nil, errors.New(`CORS: no origins: name those of the pages, or "*" for all`)
	}
	for _, s := range p.Origins {
		if s == "*" {
			c.any = true
			continue
		}
		origin, err := parseOrigin(s)
		if err != nil {
			return nil, fmt.Errorf("CORS: origin %q: %w", s, err)
		}
		c.origins[origin] = true
	}
	if c.any && len(p.Origins) > 1 {
		return nil, errors.New(`CORS: origin "*" stands beside others, which it makes pointless: keep one or the other`)
	}
	if c.any && p.Credentials {
		return nil, errors.New(`CORS: credentials for origin "*" would let every page act for its viewers: name the origins`)
	}
	if p.MaxAge == 0 {
		p.MaxAge = 24 * time.Hour
	}
	if p.MaxAge < time.Second {
		return nil, fmt.Errorf("CORS: max age %v: at least 1s", p.MaxAge)
	}
	c.maxAge = strconv.FormatInt(int64(p.MaxAge/time.Second), 10)
	if p.Methods == nil {
		p.Methods = methods
	}
	for _, s := range slices.Concat(p.Methods, p.Headers) {
		if !isToken(s) {
			return nil, fmt.Errorf("CORS: %q is no name of a method or field: letters, digits and -, one name each", s)
		}
	}
	c.methods = strings.Join(p.Methods, ", ")
	c.headers = strings.Join(slices.Concat(headers, p.Headers), ", ")
	return c, nil
}

// parseOrigin returns the origin as browsers write it (RFC 6454, §6.2): in
// lower case, without the scheme's own port.
func parseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !strings.EqualFold(s, u.Scheme+"://"+u.Host) {
		return "", errors.New("only scheme, host and port: write it as https://www.example.com, without a slash at the end")
	}
	host, port := u.Hostname(), u.Port()
	if host == "" || strings.HasSuffix(host, ".") || strings.ContainsFunc(host, notInHost) {
		return "", errors.New("not an exact host: no pattern, no dot at the end, and other scripts as xn--")
	}
	if n, err := strconv.Atoi(port); strings.HasSuffix(u.Host, ":") || port != "" && (err != nil || n > 65535 || port[0] == '0') {
		return "", errors.New("no such port: 1 to 65535, or leave it out")
	}
	own := map[string]string{"https": ":443", "http": ":80"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), own), nil
}

func notInHost(c rune) bool {
	return !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.ContainsRune(".-_:", c))
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	})
}

// Handle sets the fields of the response, for every request of the policy's
// media. If the request is a preflight it also answers it, with 204, and
// reports true. An origin that is not listed is told nothing, and its browser
// keeps the page from reading the response.
func (c *CORS) Handle(w http.ResponseWriter, r *http.Request) (answered bool) {
	h := w.Header()
	preflight := r.Method == http.MethodOptions && len(r.Header["Access-Control-Request-Method"]) > 0
	if !c.any {
		h.Add("Vary", "Origin") // also without an Origin: a cache would give this response to those with one
	}
	if origin := c.allowed(r); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		if c.credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if preflight {
			h.Set("Access-Control-Allow-Methods", c.methods)
			h.Set("Access-Control-Allow-Headers", c.headers)
			h.Set("Access-Control-Max-Age", c.maxAge)
		} else {
			h.Set("Access-Control-Expose-Headers", c.exposed)
			h.Set("Timing-Allow-Origin", origin)
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	return false
}

// allowed returns what Access-Control-Allow-Origin says, or nothing. A page
// without an origin of its own sends "null", and so can anybody's: it is
// never listed.
func (c *CORS) allowed(r *http.Request) string {
	if c.any {
		return "*"
	}
	sent := r.Header["Origin"]
	if len(sent) != 1 || !c.origins[sent[0]] {
		return ""
	}
	return sent[0]
}

// Clean removes from the fields of an origin's answer those that Handle sets,
// so that the policy is the only one. Vary stays, since it says more.
func Clean(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") || name == "Timing-Allow-Origin" || name == "Cross-Origin-Resource-Policy" {
			delete(h, name)
		}
	}
}
