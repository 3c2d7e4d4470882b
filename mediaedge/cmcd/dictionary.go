package cmcd

import (
	"errors"
	"strings"
)

// Bounds of one report.
const (
	MaxLength = 2 << 10 // bytes, after percent-decoding; of all four fields together
	MaxKeys   = 64
	MaxKey    = 64 // bytes of a key
)

// What is wrong with a report that is refused. None of them quotes it: it may
// hold anything, and has the session's id.
var (
	ErrLength     = errors.New("CMCD is longer than 2048 bytes; a player sends less than half of that")
	ErrKeys       = errors.New("CMCD has more than 64 keys; CTA-5004 knows fewer than 50")
	ErrKey        = errors.New("CMCD has a key longer than 64 bytes")
	ErrEncoding   = errors.New("CMCD in the query is not percent-encoded as a URL is")
	ErrUnreadable = errors.New("CMCD has no member that can be read; it is a dictionary as of RFC 8941, such as bl=2000,bs")
)

// Parse reads one dictionary, as it stands in a field or in a line of events,
// or in the query after decoding. Members that cannot be read are left out. It
// does not allocate, but for session ids with escapes; the report's session is a
// part of s.
func Parse(s string) (Report, error) {
	var d dictionary
	if err := d.add(s); err != nil {
		return Report{}, err
	}
	return d.done()
}

// dictionary is a report while it is read, from one string or several.
type dictionary struct {
	report               Report
	length, keys, usable int
}

func (d *dictionary) add(s string) error {
	if d.length += len(s); d.length > MaxLength {
		return ErrLength
	}
	for s != "" {
		end := memberEnd(s)
		member := trim(s[:end])
		s = s[min(end+1, len(s)):]
		if member == "" {
			continue
		}
		if d.keys++; d.keys > MaxKeys {
			return ErrKeys
		}
		key, value, found := strings.Cut(member, "=")
		if bare, _, ok := strings.Cut(key, ";"); ok || !found {
			key, value = bare, "?1" // a key without a value is true: RFC 8941, §3.2
		}
		if len(key) > MaxKey {
			return ErrKey
		}
		if isKey(key) {
			d.usable++
			d.report.set(key, value)
		}
	}
	return nil
}

func (d *dictionary) done() (Report, error) {
	if d.usable == 0 {
		return Report{}, ErrUnreadable
	}
	if d.report.Version == 0 {
		d.report.Version = 1
	}
	return d.report, nil
}

// memberEnd returns where the first member ends: at a comma outside of quotes
// and lists. A quote or list that is never closed takes all the rest with it,
// since nobody can say where it should have ended.
func memberEnd(s string) int {
	quoted, list := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(' && i > 0 && s[i-1] == '=':
			list = true
		case c == ')':
			list = false
		case c == ',' && !list:
			return i
		}
	}
	return len(s)
}

// trim takes spaces and tabs off both ends.
func trim(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// isKey: RFC 8941, §3.1.2.
func isKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || c == '*'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '_' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}
