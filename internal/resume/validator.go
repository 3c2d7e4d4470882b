package resume

import (
	"net/http"
	"strings"
	"time"
)

// StrongETag returns the entity tag in h, quotes included, if there is exactly
// one field, and it is a strong and well-formed tag (RFC 9110 §8.8.3). Else the
// reason says what is the matter. "" in quotes is a tag like any other.
func StrongETag(h http.Header) (string, Reason) {
	vv := h["Etag"]
	if len(vv) == 0 {
		return "", ReasonETagMissing
	}
	tag := vv[0]
	switch {
	case len(vv) > 1:
		return "", ReasonETagInvalid
	case strings.HasPrefix(tag, "W/") && opaque(tag[2:]):
		return "", ReasonETagWeak
	case !opaque(tag):
		return "", ReasonETagInvalid
	}
	return tag, ""
}

// opaque reports whether s is an opaque-tag: no space, quote, or control
// character between its quotes.
func opaque(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

// settled is how much older than the response a Last-Modified must be to be
// taken for strong. RFC 9110 §8.8.2.2 asks for a second between clocks that
// agree, and more where they may not.
const settled = time.Minute

// strongLastModified returns the Last-Modified in h if it can be a strong
// validator: one field in the one format that is generated, and one Date that
// is sufficiently later.
func strongLastModified(h http.Header) (string, bool) {
	value, ok := single(h, "Last-Modified")
	date, okDate := single(h, "Date")
	if !ok || !okDate {
		return "", false
	}
	modified, err := time.Parse(http.TimeFormat, value)
	sent, errDate := http.ParseTime(date)
	if err != nil || errDate != nil || modified.Format(http.TimeFormat) != value {
		return "", false
	}
	return value, sent.Sub(modified) >= settled
}
