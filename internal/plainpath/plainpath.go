// Package plainpath knows which request paths have one reading only.
//
// A rule that is matched here on one reading of a path must not be bypassed
// by what an upstream, a CDN or a bucket reads there. Two grades of the same
// rule are kept in one place, so that they cannot drift apart:
//
//   - Ambiguous is what the blue/green proxy refuses: what a matcher and an
//     application could well read differently.
//   - Canonical is what media rules and signers work on. It refuses all that
//     Ambiguous refuses and whatever else any server on the way might cut,
//     drop or decode again, and returns the one reading that is left.
package plainpath

import (
	"path"
	"strings"
)

// Ambiguous reports whether a path has more than one reading. decoded is
// what was matched, raw what the client wrote. The empty path and "*" are
// forms of their own and not ambiguous.
func Ambiguous(decoded, raw string) bool {
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
