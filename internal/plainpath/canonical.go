package plainpath

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrAmbiguous is wrapped by every error of Canonical: a path that two
// servers could read differently. It is answered with the status 400.
var ErrAmbiguous = errors.New("ambiguous path")

// Canonical returns the only reading of a request path, decoded: valid
// UTF-8 that begins with "/", without "%", "?", "#", ";", "\", control
// characters, dot segments or empty segments. raw is the path as the client
// wrote it, without the query. A path that is canonical already is returned
// as it is.
//
// Refused, with an error that wraps ErrAmbiguous, is what has a second
// reading somewhere:
//
//   - what is no path: the empty one, "*", an absolute form, an authority;
//   - all that Ambiguous refuses: an encoded slash, backslash or percent sign
//     (so also double encoding), NUL, dot and empty segments, in any spelling;
//   - percent signs that encode nothing, and what is not UTF-8 (so also
//     overlong forms and Latin-1): servers replace, drop or refuse these;
//   - control characters, C1 and DEL included: they end lines and strings;
//   - "?" and "#", which can only have come encoded, and ";": what follows is
//     query, fragment or parameters to servers that decode before they split;
//   - segments that end in a dot or a space: file systems drop both.
//
// All other encoded characters are the same as when written plainly. Letters
// keep their case, and Unicode is not normalized: buckets compare bytes.
func Canonical(raw string) (string, error) {
	if !strings.HasPrefix(raw, "/") {
		return "", refuse("it does not begin with a slash")
	}
	if strings.ContainsAny(raw, "?#") {
		return "", refuse("a query or a fragment within the path")
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return "", refuse("a percent sign without two hexadecimal digits")
	}
	if Ambiguous(decoded, raw) {
		return "", refuse("an encoded slash, backslash, percent sign or NUL, or a dot or empty segment")
	}
	if !utf8.ValidString(decoded) {
		return "", refuse("not UTF-8")
	}
	for _, r := range decoded {
		switch {
		case unicode.IsControl(r):
			return "", refuse("a control character")
		case r == ';':
			return "", refuse("a parameter behind a semicolon")
		case r == '?' || r == '#':
			return "", refuse("an encoded question mark or number sign")
		}
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " ") {
			return "", refuse("a segment that ends in a dot or a space")
		}
	}
	return decoded, nil
}

func refuse(why string) error { return fmt.Errorf("%w: %s", ErrAmbiguous, why) }
