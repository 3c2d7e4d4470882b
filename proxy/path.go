package proxy

import (
	"errors"
	"net/http"
	"path"
	"strings"
)

// Why a request is answered 400 before a color is chosen.
var (
	errAmbiguousPath = errors.New("ambiguous path: encoded slash, backslash, percent sign or NUL, overlong UTF-8, or dot or empty segments")
	errNoPath        = errors.New("a request target without a path")
	errMethod        = errors.New("CONNECT without a websocket, and TRACE, are not proxied")
)

// checkTarget refuses what a matcher here and an upstream there could read
// differently: a rule that is matched on one reading must not be bypassed by
// the other.
func checkTarget(r *http.Request, allowAmbiguous bool) error {
	switch r.Method {
	case http.MethodTrace:
		return errMethod
	case http.MethodConnect:
		if r.ProtoMajor < 2 || r.Header.Get(":protocol") != "websocket" && r.Proto != "websocket" {
			return errMethod
		}
	}
	if r.URL.Opaque != "" { // as "http:x": no path was matched, and "x" would be forwarded
		return errNoPath
	}
	if !allowAmbiguous && ambiguous(r.URL.Path, r.URL.EscapedPath()) {
		return errAmbiguousPath
	}
	return nil
}

// ambiguous reports whether a path has more than one reading. decoded is
// what was matched, raw what the client wrote.
func ambiguous(decoded, raw string) bool {
	if strings.ContainsAny(decoded, "\\\x00") {
		return true
	}
	for i := range len(raw) - 2 {
		if raw[i] != '%' {
			continue
		}
		switch strings.ToLower(raw[i+1 : i+3]) {
		case "2f", "5c", "25", "00", "c0", "c1": // the last two begin overlong UTF-8
			return true
		}
	}
	if decoded == "" || decoded == "*" {
		return false
	}
	if !strings.Contains(decoded, "//") && !strings.Contains(decoded, "/.") {
		return decoded[0] != '/'
	}
	if strings.Contains(decoded, "/.;") || strings.Contains(decoded, "/..;") {
		return true // dot segments to servers that cut parameters off
	}
	clean := path.Clean(decoded)
	if strings.HasSuffix(decoded, "/") && clean != "/" {
		clean += "/"
	}
	return clean != decoded
}
