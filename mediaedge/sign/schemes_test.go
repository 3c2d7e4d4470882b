package sign

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	here   = "https://cdn.example.com/vod/42/a b+c=d~é.mp4"
	beside = "https://cdn.example.com/vod/43/a.mp4"
)

func TestWhatIsSignedIsTakenUntilItEndsAndNowhereElse(t *testing.T) {
	for _, s := range schemes(t) {
		for _, key := range []string{"new", "old"} {
			g := Window{}.Grant(now)
			s.grant(&g)
			for _, query := range []string{"", "?x=y&z=%2F*"} {
				got := signed(t, s.signer(t, key), here+query, g)
				v := viewing{url: got.URL, cookies: got.Cookies, at: now, ip: viewer.String()}
				if err := s.verify(v); err != nil {
					t.Errorf("%s: %s: %v", s.name, got.URL, err)
				}
				for name, change := range map[string]func(*viewing){
					"the moment it ends": func(v *viewing) { v.at = g.Expiry },
					"long after":         func(v *viewing) { v.at = now.Add(365 * 24 * time.Hour) },
					"on another path":    func(v *viewing) { v.url = strings.Replace(v.url, "/vod/42/", "/vod/43/", 1) },
					"above its path":     func(v *viewing) { v.url = strings.Replace(v.url, "/vod/42/", "/vod/", 1) },
				} {
					moved := v
					if change(&moved); s.verify(moved) == nil {
						t.Errorf("%s: taken %s: %s", s.name, name, moved.url)
					}
				}
				other := v
				if other.url = strings.Replace(v.url, "cdn.", "cdn2.", 1); !s.hostless && s.verify(other) == nil {
					t.Errorf("%s: taken by another host", s.name)
				}
				tampered(t, s, v)
			}
		}
	}
}

// tampered changes each character of the token, one at a time.
func tampered(t *testing.T, s scheme, v viewing) {
	t.Helper()
	if len(v.cookies) == 0 {
		first := strings.IndexByte(v.url, '?') + 1
		if s.token != "" {
			first = strings.Index(v.url, s.token) + len(s.token)
		}
		for i := first; i < len(v.url); i++ {
			changed := v
			if changed.url = flip(v.url, i); s.verify(changed) == nil && !padding(v.url, i) {
				t.Errorf("%s: taken though changed at %d: %s", s.name, i, changed.url)
			}
		}
	}
	for n, c := range v.cookies {
		for i := range c.Value {
			changed, other := v, *c
			other.Value = flip(c.Value, i)
			changed.cookies = append([]*http.Cookie(nil), v.cookies...)
			if changed.cookies[n] = &other; s.verify(changed) == nil && !padding(c.Value, i) {
				t.Errorf("%s: taken though changed at %d: %s", s.name, i, other.Value)
			}
		}
	}
}

// flip changes one character; digits stay digits, so that times stay times.
func flip(s string, i int) string {
	c := byte('x')
	if s[i] == 'x' {
		c = 'y'
	} else if '0' <= s[i] && s[i] <= '9' {
		c = '0' + (s[i]-'0'+1)%10
	}
	return s[:i] + string(c) + s[i+1:]
}

// padding is where a change of base64 may mean the same bytes: its last
// character before padding has bits that nobody reads.
func padding(s string, i int) bool {
	rest := s[i+1:]
	return strings.HasPrefix(rest, "=") || strings.HasPrefix(rest, "_") || strings.HasPrefix(rest, "%3D") || strings.HasPrefix(rest, "&Key-Pair-Id") || rest == ""
}

func TestOneBucketGivesOneURLAndTheNextAnother(t *testing.T) {
	for _, s := range schemes(t) {
		signer := s.signer(t, "")
		at := func(when time.Time) Signed {
			g := Window{}.Grant(when)
			s.grant(&g)
			return signed(t, signer, here, g)
		}
		first := at(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
		last := at(time.Date(2026, 11, 21, 12, 4, 59, 999, time.UTC))
		if !reflect.DeepEqual(first, last) {
			t.Errorf("%s: %v, %v", s.name, first, last)
		}
		if next := at(time.Date(2026, 11, 21, 12, 5, 0, 0, time.UTC)); reflect.DeepEqual(next, first) {
			t.Errorf("%s: the next bucket is the same: %v", s.name, next)
		}
	}
}

func TestATokenThatIsBoundIsTakenFromItsAddressAndAfterItsBeginning(t *testing.T) {
	for _, s := range schemes(t) {
		g := Window{}.Grant(now)
		s.grant(&g)
		if !s.able.ip || !g.ClientIP.IsValid() {
			continue
		}
		got := signed(t, s.signer(t, ""), here, g)
		if v := (viewing{url: got.URL, cookies: got.Cookies, at: now, ip: "192.0.2.8"}); !errors.Is(s.verify(v), errRefused) {
			t.Errorf("%s: taken from another address", s.name)
		}
		if v := (viewing{url: got.URL, cookies: got.Cookies, at: g.NotBefore.Add(-time.Second), ip: viewer.String()}); !errors.Is(s.verify(v), errRefused) {
			t.Errorf("%s: taken before it begins", s.name)
		}
		if v := (viewing{url: strings.Replace(got.URL, "/vod/42/", "/vod/42/x/", 1), cookies: got.Cookies, at: now, ip: viewer.String()}); s.verify(v) != nil {
			t.Errorf("%s: refused below its prefix: %v", s.name, s.verify(v))
		}
	}
}

func TestAGrantThatASchemeCannotExpressIsRefused(t *testing.T) {
	for _, s := range schemes(t) {
		signer := s.signer(t, "")
		for name, c := range map[string]struct {
			change func(*Grant)
			able   bool
		}{
			"path prefix": {func(g *Grant) { g.PathPrefix = "/vod/42/" }, s.able.prefix},
			"begin":       {func(g *Grant) { g.NotBefore = g.Issued }, s.able.start},
			"address":     {func(g *Grant) { g.ClientIP = viewer }, s.able.ip},
			"session":     {func(g *Grant) { g.Session = "a" }, s.able.session},
		} {
			g := Window{}.Grant(now)
			s.grant(&g)
			c.change(&g)
			_, err := signer.Sign(t.Context(), parsed(t, here), g)
			if c.able != (err == nil) || err != nil && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), name)) {
				t.Errorf("%s: %s: %v", s.name, name, err)
			}
		}
	}
}

// A path may have in it what is a wildcard or a separator to the CDN. If it
// were signed as it is, its signature would open more than its URL.
func TestAPathWithWildcardsOpensItselfOnly(t *testing.T) {
	for _, s := range schemes(t) {
		for _, name := range []string{"*", "a*.mp4", "*!*", "a~acl=", "a~exp=9999999999", "a&Expires=9999999999", "a\"b'c<d>"} {
			g := Window{}.Grant(now)
			s.grant(&g)
			u := parsed(t, beside)
			u.Path = "/vod/42/" + name
			got, err := s.signer(t, "").Sign(t.Context(), u, g)
			if err != nil {
				t.Errorf("%s: %q: %v", s.name, name, err)
				continue
			}
			if strings.ContainsAny(got.URL[:strings.IndexByte(got.URL+"?", '?')], "*!\"'<>& ") || strings.HasPrefix(s.name, "Akamai") && strings.Contains(strings.SplitN(got.URL, "?", 2)[0], "~") {
				t.Errorf("%s: %s", s.name, got.URL)
			}
			v := viewing{url: got.URL, cookies: got.Cookies, at: now, ip: viewer.String()}
			if err := s.verify(v); err != nil {
				t.Errorf("%s: %q: %v", s.name, name, err)
			}
			_, query, _ := strings.Cut(v.url, "?")
			v.url = beside + "?" + query
			if s.verify(v) == nil {
				t.Errorf("%s: %q opens %s", s.name, name, v.url)
			}
		}
	}
	// The canned policy for …/* is, letter by letter, a custom one for all.
	s := made[*CloudFront](t)(NewCloudFront(keysFor(t, PEM, "a\n"+pkcs8(t), ""), nil))
	for _, target := range []string{"https://cdn.example.com/*", "https://cdn.example.com/a?*"} {
		got := signed(t, s, target, Window{}.Grant(now)).URL
		if strings.Contains(got, "*") {
			t.Errorf("%s", got)
		}
	}
}
