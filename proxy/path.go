package proxy

import (
	"errors"
	"net/http"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
)

// Why a request is answered 400 before a color is chosen.
var (
	errAmbiguousPath = errors.New("ambiguous path: encoded slash, backslash, percent sign or NUL, overlong UTF-8, or dot or empty segments")
	errNoPath        = errors.New("a request target without a path")
	errMethod        = errors.New("CONNECT without a websocket, TRACE and PRI are not proxied")
)

// checkTarget refuses what a matcher here and an upstream there could read
// differently: a rule that is matched on one reading must not be bypassed by
// the other.
func checkTarget(r *http.Request, allowAmbiguous bool) error {
	switch r.Method {
	case http.MethodTrace, "PRI": // HTTP/2's preface, which net/http gives to handlers (RFC 9113 §3.4)
		return errMethod
	case http.MethodConnect:
		if r.ProtoMajor < 2 || r.Header.Get(":protocol") != "websocket" && r.Proto != "websocket" {
			return errMethod
		}
	}
	if r.URL.Opaque != "" { // as "http:x": no path was matched, and "x" would be forwarded
		return errNoPath
	}
	if !allowAmbiguous && plainpath.Ambiguous(r.URL.Path, r.URL.EscapedPath()) {
		return errAmbiguousPath
	}
	return nil
}
