package origin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

const (
	maxEndpoints = 16
	maxStatic    = 32
	maxTimeout   = 10 * time.Minute
)

// validate reports the first thing that is wrong. Nothing of a URL or a field
// is repeated: either may hold a secret.
func (c *Config) validate() error {
	switch {
	case c.Name == "" || len(c.Name) > 128 || strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("name: want 1 to 128 printable characters of ASCII")
	case len(c.Endpoints) == 0 || len(c.Endpoints) > maxEndpoints:
		return fmt.Errorf("endpoints: there are %d: want 1 to %d", len(c.Endpoints), maxEndpoints)
	case c.MaxConns < 1 || c.MaxConns > 1<<16:
		return fmt.Errorf("max_conns %d: want 1 to %d", c.MaxConns, 1<<16)
	case c.Resume.Attempts > 16:
		return fmt.Errorf("resume attempts %d: want 16 at most", c.Resume.Attempts)
	case c.Resume.Concurrent < 1:
		return fmt.Errorf("resume concurrent %d: want at least 1", c.Resume.Concurrent)
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{
		{"timeout dial", c.Timeouts.Dial}, {"timeout head", c.Timeouts.Head}, {"timeout idle", c.Timeouts.Idle}, {"resume patience", c.Resume.Patience},
	} {
		if t.value < time.Millisecond || t.value > maxTimeout {
			return fmt.Errorf("%s %v: want 1ms to %v", t.name, t.value, maxTimeout)
		}
	}
	if c.S3 != nil && !bucketName(c.S3.Bucket) {
		return fmt.Errorf("bucket %q: want 3 to 63 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends", c.S3.Bucket)
	}
	if err := c.validateHeader(); err != nil {
		return err
	}
	if c.Check != nil {
		return c.Check.validate()
	}
	return nil
}

func (c *Check) validate() error {
	if err := c.Settings.Validate(); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if c.Path == "" {
		return nil
	}
	if p, err := plainpath.Canonical((&url.URL{Path: c.Path}).EscapedPath()); err != nil || p != c.Path {
		return fmt.Errorf("check path %q: want a canonical path, decoded", c.Path)
	}
	return nil
}

// ours are the fields that the edge sets by itself, and those that concern one
// connection only.
var ours = map[string]bool{
	"Range": true, "If-Range": true, "If-Match": true, "If-None-Match": true, "If-Modified-Since": true, "If-Unmodified-Since": true,
	"Accept-Encoding": true, "Via": true, "Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "Te": true,
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Upgrade": true, "Http2-Settings": true, "Expect": true, "Proxy-Authorization": true,
}

func (c *Config) validateHeader() error {
	if len(c.Header) > maxStatic {
		return fmt.Errorf("header: there are %d fields: want %d at most", len(c.Header), maxStatic)
	}
	signed := c.S3 != nil && c.S3.Signer != nil
	seen := map[string]bool{}
	for name, values := range c.Header {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case name == "" || strings.ContainsFunc(name, func(r rune) bool { return !tokenChar(r) }):
			return fmt.Errorf("header %q: not the name of a field", name)
		case ours[canonical]:
			return fmt.Errorf("header %s: the edge sets it by itself, or it must not be sent", name)
		case signed && (canonical == "Authorization" || canonical == "Cookie" || strings.HasPrefix(canonical, "X-Amz-")):
			return fmt.Errorf("header %s: the signature takes its place: leave it out, or the signer", name)
		case seen[canonical]:
			return fmt.Errorf("header %s: it is there in two spellings", name)
		}
		seen[canonical] = true
		for _, v := range values {
			if len(v) > maxField || !plainValue(v) {
				return fmt.Errorf("header %s: its value is longer than %d bytes, or has control characters", name, maxField)
			}
		}
	}
	return nil
}

func tokenChar(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// bucketName is the rule of S3 for new buckets.
func bucketName(s string) bool {
	alnum := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	if len(s) < 3 || len(s) > 63 || !alnum(s[0]) || !alnum(s[len(s)-1]) || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if !alnum(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

// place is where an endpoint is.
type place struct {
	scheme string
	host   string // as in Host: without the scheme's port
	addr   string // to dial
	prefix string // of all paths, decoded, without a slash at its end
	bucket bool   // paths are spelled as S3 does, and there is no query
}

func (p place) String() string {
	return (&url.URL{Scheme: p.scheme, Host: p.host, Path: p.prefix}).String()
}

// locate reads an endpoint.
func (c Config) locate(e Endpoint) (place, error) {
	u, err := url.Parse(e.URL)
	switch {
	case err != nil:
		return place{}, errors.New("url: it cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return place{}, errors.New("url: want http:// or https://")
	case u.User != nil:
		return place{}, errors.New("url: no user and password there: send them as a field of the header")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(e.URL, "#") || u.Opaque != "":
		return place{}, errors.New("url: want no query and no fragment")
	}
	p := place{scheme: u.Scheme, bucket: c.S3 != nil}
	name, port := strings.ToLower(u.Hostname()), u.Port()
	usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" {
		port = usual
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strings.HasSuffix(u.Host, ":") {
		return place{}, errors.New("url: want a port of 1 to 65535, or none")
	}
	ip, err := netip.ParseAddr(name)
	literal := err == nil
	if literal && ip.Zone() != "" || !literal && !hostName(name) {
		return place{}, errors.New("url: want a host's name in ASCII, or an address without a zone")
	}
	if p.prefix, err = plainpath.Canonical(u.EscapedPath()); err != nil && u.EscapedPath() != "" {
		return place{}, fmt.Errorf("url: its path: %w", err)
	}
	p.prefix = strings.TrimSuffix(p.prefix, "/")
	switch {
	case c.S3 != nil && c.S3.VirtualHost && literal:
		return place{}, errors.New("url: a bucket cannot be put before an address: want a name, or the bucket in the path")
	case c.S3 != nil && c.S3.VirtualHost:
		name = c.S3.Bucket + "." + name
	case c.S3 != nil:
		p.prefix += "/" + c.S3.Bucket
	}
	if literal && ip.Is6() {
		name = "[" + name + "]"
	}
	p.host, p.addr = name, name+":"+port
	if port != usual {
		p.host = p.addr
	}
	return p, nil
}

func hostName(s string) bool {
	if s == "" || len(s) > 253 || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}
