package media

import (
	"net/http"
	"strings"

	"github.com/greenroom-proxy/greenroom/mediaedge/origin"
)

// plainRange is r with its Range in one spelling, or without one that is not to be
// looked at, so that origins, whatever they make of it, and the cache read it
// alike. The unit is case-insensitive (RFC 9110 §14.1).
func plainRange(r *http.Request) *http.Request {
	all := r.Header["Range"]
	if len(all) == 0 || len(all) == 1 && strings.HasPrefix(all[0], "bytes=") && origin.ValidRange(all[0]) {
		return r
	}
	plain := *r
	plain.Header = r.Header.Clone()
	if len(all) == 1 && origin.ValidRange(all[0]) {
		plain.Header.Set("Range", strings.ToLower(all[0]))
	} else {
		plain.Header.Del("Range")
	}
	return &plain
}
