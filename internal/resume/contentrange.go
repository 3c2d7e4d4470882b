package resume

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// unknown stands in a ContentRange for what the field does not say.
const unknown = -1

// ContentRange is the value of a Content-Range field in bytes (RFC 9110
// §14.4). The zero value is none that ParseContentRange returns.
type ContentRange struct {
	First, Last int64 // inclusive; both -1: unsatisfied, "bytes */Total"
	Total       int64 // of the whole representation; -1: "*"
}

// ParseContentRange reads "bytes first-last/total", "bytes first-last/*" and
// "bytes */total". It is strict: one space, no signs, no leading zeros, numbers
// that fit an int64, first <= last < total.
func ParseContentRange(s string) (ContentRange, error) {
	r, ok := parseContentRange(s)
	if !ok {
		return ContentRange{}, fmt.Errorf(`Content-Range %.80q: want "bytes first-last/total"`, s)
	}
	return r, nil
}

func parseContentRange(s string) (ContentRange, bool) {
	unit, rest, _ := strings.Cut(s, " ")
	if !equalASCII(unit, "bytes") {
		return ContentRange{}, false
	}
	span, total, ok := strings.Cut(rest, "/")
	if !ok {
		return ContentRange{}, false
	}
	r := ContentRange{First: unknown, Last: unknown, Total: unknown}
	if total != "*" {
		if r.Total, ok = parseDigits(total); !ok {
			return ContentRange{}, false
		}
	}
	if span == "*" {
		return r, r.Total != unknown
	}
	if r.First, r.Last, ok = parseSpan(span); !ok {
		return ContentRange{}, false
	}
	return r, r.Total == unknown || r.Last < r.Total
}

// parseSpan reads "first-last".
func parseSpan(s string) (first, last int64, ok bool) {
	a, b, ok := strings.Cut(s, "-")
	if !ok {
		return 0, 0, false
	}
	first, okFirst := parseDigits(a)
	last, okLast := parseDigits(b)
	return first, last, okFirst && okLast && first <= last
}

// String is the value of the field.
func (r ContentRange) String() string {
	var b []byte
	b = append(b, "bytes "...)
	if r.First == unknown {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, r.First, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, r.Last, 10)
	}
	b = append(b, '/')
	if r.Total == unknown {
		return string(append(b, '*'))
	}
	return string(strconv.AppendInt(b, r.Total, 10))
}

// asked reports whether r is exactly what the Range field in h wants of a
// representation of r.Total bytes. A server may send less (RFC 9110 §15.3.7);
// one that does is taken at its word by nobody here.
func (r ContentRange) asked(h http.Header) bool {
	value, ok := single(h, "Range")
	unit, spec, _ := strings.Cut(value, "=")
	if !ok || !equalASCII(unit, "bytes") {
		return false
	}
	a, b, ok := strings.Cut(spec, "-")
	if !ok {
		return false
	}
	end := r.Total - 1
	if a == "" {
		n, ok := parseDigits(b)
		return ok && r.Last == end && r.First == max(0, r.Total-n)
	}
	first, ok := parseDigits(a)
	if b == "" {
		return ok && r.First == first && r.Last == end
	}
	first, last, ok := parseSpan(spec)
	return ok && r.First == first && r.Last == min(last, end)
}

// parseDigits reads a number as strconv would write it.
func parseDigits(s string) (int64, bool) {
	if s == "" || s[0] == '0' && s != "0" {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// single returns the value of a field that is there exactly once.
func single(h http.Header, key string) (string, bool) {
	if vv := h[key]; len(vv) == 1 {
		return vv[0], true
	}
	return "", false
}

// equalASCII compares without regard to case, and only ASCII has one:
// strings.EqualFold takes "byte\u017f" for "bytes". lower is in lower case.
func equalASCII(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
