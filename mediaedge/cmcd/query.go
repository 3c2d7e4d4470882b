package cmcd

import (
	"net/http"
	"net/url"
	"strings"
)

// Parameter is the name of the query parameter, in this case only.
const Parameter = "CMCD"

// fields are the names of the four fields, as net/http keeps them.
var fields = [...]string{"Cmcd-Object", "Cmcd-Request", "Cmcd-Session", "Cmcd-Status"}

// Fields returns the names of the request's four fields, as CTA-5004 writes them.
func Fields() []string {
	return []string{"CMCD-Object", "CMCD-Request", "CMCD-Session", "CMCD-Status"}
}

// ParseRequest reads what the request carries: its query, or if there is
// nothing, its fields. Players send one or the other. It reports false for
// neither.
func ParseRequest(r *http.Request) (Report, bool, error) {
	report, ok, err := ParseQuery(r.URL.RawQuery)
	if ok || err != nil {
		return report, ok, err
	}
	return ParseHeader(r.Header)
}

// ParseQuery reads the first parameter CMCD of a raw query. It reports false
// if there is none, or none with a value.
func ParseQuery(rawQuery string) (Report, bool, error) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		value, ok := parameter(pair)
		if !ok || value == "" {
			continue
		}
		if len(value) > 3*MaxLength {
			return Report{}, false, ErrLength
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return Report{}, false, ErrEncoding // the error itself quotes what a client sent
		}
		report, err := Parse(value)
		return report, err == nil, err
	}
	return Report{}, false, nil
}

// ParseHeader reads the four fields as one dictionary, in whichever of them a
// key stands. It reports false if there are none, or only empty ones.
func ParseHeader(h http.Header) (Report, bool, error) {
	var d dictionary
	for _, name := range fields {
		for _, value := range h[name] {
			if err := d.add(value); err != nil {
				return Report{}, false, err
			}
		}
	}
	if d.length == 0 {
		return Report{}, false, nil
	}
	report, err := d.done()
	return report, err == nil, err
}

// Strip removes all parameters CMCD from a raw query, in whichever spelling
// they decode to that name. The rest stays as it was, byte for byte. It does not
// allocate if there is nothing to remove.
func Strip(rawQuery string) string {
	if !carries(rawQuery) {
		return rawQuery
	}
	kept := make([]byte, 0, len(rawQuery))
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if _, ok := parameter(pair); !ok {
			kept = append(append(kept, '&'), pair...)
		}
	}
	return strings.TrimPrefix(string(kept), "&")
}

func carries(rawQuery string) bool {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if _, ok := parameter(pair); ok {
			return true
		}
	}
	return false
}

// StripHeader removes the four fields.
func StripHeader(h http.Header) {
	for _, name := range fields {
		delete(h, name)
	}
}

// parameter returns the raw value of a pair, if its name decodes to CMCD.
func parameter(pair string) (value string, ok bool) {
	for i := range len(Parameter) {
		switch want := Parameter[i]; {
		case pair != "" && pair[0] == want:
			pair = pair[1:]
		case len(pair) >= 3 && pair[0] == '%' && unhex(pair[1])<<4|unhex(pair[2]) == want:
			pair = pair[3:]
		default:
			return "", false
		}
	}
	if pair == "" {
		return "", true
	}
	return pair[1:], pair[0] == '='
}

// unhex returns a hexadecimal digit's value, and 0xff for what is none, which
// makes a byte that no letter is.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}
