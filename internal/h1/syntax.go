package h1

import (
	"net/http"
	"strings"
)

// class says where a byte may stand.
type class uint8

const (
	inToken  class = 1 << iota // RFC 9110 §5.6.2
	inValue                    // RFC 9110 §5.5: no control character but HTAB
	inHost                     // RFC 3986 §3.2.2 and §3.2.3, no user
	inTarget                   // no space, no control character
)

var classes = func() (t [256]class) {
	for c := range 256 {
		b := byte(c)
		alnum := 'a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9'
		if alnum || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0 {
			t[c] |= inToken
		}
		if b >= ' ' && b != 0x7f || b == '\t' {
			t[c] |= inValue
		}
		if alnum || strings.IndexByte("-._~!$&'()*+,;=:[]%", b) >= 0 {
			t[c] |= inHost
		}
		if b > ' ' && b != 0x7f {
			t[c] |= inTarget
		}
	}
	return t
}()

// stray returns where s has a byte that is not of class k, or -1.
func stray[T string | []byte](s T, k class) int {
	for i := range len(s) {
		if classes[s[i]]&k == 0 {
			return i
		}
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// trimmed is s without optional white space around it.
func trimmed(s string) string {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// canonize writes a token as http.CanonicalHeaderKey does, in place.
func canonize(name []byte) {
	upper := true
	for i, c := range name {
		switch {
		case upper && 'a' <= c && c <= 'z', !upper && 'A' <= c && c <= 'Z':
			name[i] = c ^ 0x20
		}
		upper = c == '-'
	}
}

// same reports whether two names are those of one field. "_" counts as "-",
// since upstreams in the manner of CGI cannot tell them apart.
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if folded(a[i]) != folded(b[i]) {
			return false
		}
	}
	return true
}

func folded(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '_':
		return '-'
	}
	return c
}

// framing reports whether a field says where a message begins or ends.
func framing(name string) bool {
	return same(name, "content-length") || same(name, "transfer-encoding") || same(name, "host") || same(name, "trailer")
}

// reserved reports whether a field does not go from one connection to the next
// as it is: it is hop-by-hop (RFC 9110 §7.6.1), or written by this package.
func reserved(name string) bool {
	switch len(name) {
	case 2:
		return same(name, "te")
	case 4:
		return same(name, "host")
	case 6:
		return same(name, "expect")
	case 7:
		return same(name, "trailer") || same(name, "upgrade") || same(name, "alt-svc")
	case 10:
		return same(name, "connection") || same(name, "keep-alive")
	case 14:
		return same(name, "content-length") || same(name, "http2-settings")
	case 16:
		return same(name, "proxy-connection")
	case 17:
		return same(name, "transfer-encoding")
	case 18:
		return same(name, "proxy-authenticate")
	case 19:
		return same(name, "proxy-authorization")
	}
	return false
}

// lists reports whether a comma-separated list in lines has the token.
func lists(lines []string, token string) bool {
	for _, line := range lines {
		for line != "" {
			var item string
			item, line, _ = strings.Cut(line, ",")
			if same(trimmed(item), token) {
				return true
			}
		}
	}
	return false
}

// names counts the items of the lists in lines, empty ones too.
func names(lines []string) (n int) {
	for _, line := range lines {
		n += 1 + strings.Count(line, ",")
	}
	return n
}

// announced are the fields that Trailer names, in canonical form.
func announced(lines []string, most int) ([]string, string) {
	if len(lines) == 0 {
		return nil, ""
	}
	if names(lines) > most {
		return nil, "too many names in Trailer"
	}
	var all []string
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			item = trimmed(item)
			switch {
			case item == "":
				continue
			case stray(item, inToken) >= 0:
				return nil, "a bad name in Trailer"
			case framing(item):
				return nil, "a field of the framing in Trailer"
			case !reserved(item):
				all = append(all, http.CanonicalHeaderKey(item))
			}
		}
	}
	return all, ""
}
