package proxy

import (
	"net/http"
	"strings"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// The keys of sessions come from clients: what is too long or malformed is no
// key. None is kept or shown, only its hash.
const (
	maxSessionKey = 256
	maxCMCD       = 2048 // of one query argument or header field, decoded
	maxKeyPath    = 2048
)

func (k *PinKey) session(r *http.Request) switcher.Session {
	switch k.By {
	case "query":
		return querySession(r.URL.RawQuery, k.Name)
	case "cookie":
		return hashKey(cookieIn(r.Header["Cookie"], k.Name))
	case "path":
		return hashKey(k.inPath(r.URL.Path))
	case "cmcd":
		return cmcdSession(r)
	}
	return 0
}

func hashKey[K string | []byte](key K) switcher.Session {
	if len(key) == 0 || len(key) > maxSessionKey {
		return 0
	}
	return switcher.SessionOf(key)
}

func (k *PinKey) inPath(path string) string {
	if len(path) > maxKeyPath {
		return ""
	}
	if k.group == nil {
		rest, _ := strings.CutPrefix(path, k.Match)
		if len(rest) == len(path) {
			return ""
		}
		segment, _, _ := strings.Cut(rest, "/")
		return segment
	}
	if at := k.group.FindStringSubmatchIndex(path); at != nil && at[2] >= 0 {
		return path[at[2]:at[3]]
	}
	return ""
}

// cookieIn is the value of the first cookie of a name.
func cookieIn(lines []string, name string) string {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if key == name && value != "" {
				return strings.Trim(value, `"`)
			}
		}
	}
	return ""
}

// queryArgument is the first value of a query parameter, still escaped.
func queryArgument(query, name string) (value string) {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

func querySession(query, name string) switcher.Session {
	var buffer [maxSessionKey]byte
	key, ok := unescape(buffer[:0], queryArgument(query, name))
	if !ok {
		return 0
	}
	return hashKey(key)
}

// unescape decodes a query value into what into has room for. It wants
// something, and no half escapes.
func unescape(into []byte, value string) (decoded []byte, ok bool) {
	for i := 0; i < len(value); i++ {
		if len(into) == cap(into) {
			return nil, false
		}
		b := value[i]
		switch {
		case b == '+':
			b = ' '
		case b == '%':
			if len(value) < i+3 {
				return nil, false
			}
			high, low := hexDigit(value[i+1]), hexDigit(value[i+2])
			if high < 0 || low < 0 {
				return nil, false
			}
			b, i = byte(high<<4|low), i+2
		}
		into = append(into, b)
	}
	return into, len(into) > 0
}

// hexDigit is below 0 for what is none.
func hexDigit(b byte) int {
	i := strings.IndexByte("0123456789abcdefABCDEF", b)
	if i > 15 {
		return i - 6
	}
	return i
}

// cmcdSession reads the session ID of CTA-5004 from the query or, where that
// has none, from the header.
func cmcdSession(r *http.Request) switcher.Session {
	var buffer [maxCMCD]byte
	if keys, ok := unescape(buffer[:0], queryArgument(r.URL.RawQuery, "CMCD")); ok {
		if s := hashKey(sessionID(keys)); s != 0 {
			return s
		}
	}
	for _, line := range r.Header["Cmcd-Session"] {
		if len(line) > maxCMCD {
			continue
		}
		if s := hashKey(sessionID(append(buffer[:0], line...))); s != 0 {
			return s
		}
	}
	return 0
}

// sessionID finds the string sid in a list of keys: key=value pairs with a
// comma between them, as in RFC 8941. What is quoted or in parentheses is
// passed over whole. It decodes in place.
func sessionID(keys []byte) []byte {
	for len(keys) > 0 {
		item, rest := cutItem(keys)
		keys = rest
		for len(item) > 0 && (item[0] == ' ' || item[0] == '\t') {
			item = item[1:]
		}
		if len(item) > 5 && string(item[:5]) == `sid="` {
			return unquote(item[5:])
		}
	}
	return nil
}

// cutItem cuts at the first comma that is neither in a string nor in a list.
func cutItem(keys []byte) (item, rest []byte) {
	quoted, depth := false, 0
	for i := 0; i < len(keys); i++ {
		switch b := keys[i]; {
		case b == '\\' && quoted:
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '(':
			depth++
		case b == ')':
			depth = max(depth-1, 0)
		case b == ',' && depth == 0:
			return keys[:i], keys[i+1:]
		}
	}
	return keys, nil
}

// unquote decodes a string up to its closing quote; one that does not end is
// none.
func unquote(s []byte) []byte {
	n := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return s[:n]
		case '\\':
			if i++; i == len(s) {
				return nil
			}
		}
		s[n] = s[i]
		n++
	}
	return nil
}
