package h1

import (
	"bytes"
	"math"
	"net/http"
	"strings"
)

// section finds the end of lines that an empty one ends, as they come in.
type section struct {
	line, pos int // where the line began, and where to look next
}

// end returns the length of the section at the beginning of b, 0 while it is
// not complete. b may only grow from call to call.
func (s *section) end(b []byte) (int, flaw) {
	for {
		i := bytes.IndexByte(b[s.pos:], '\n')
		if i < 0 {
			s.pos = len(b)
			return 0, flaw{}
		}
		i += s.pos
		if i == s.line || b[i-1] != '\r' {
			return 0, flaw{what: "bare LF", at: i}
		}
		s.pos = i + 1
		if i-1 == s.line {
			return i + 1, flaw{}
		}
		s.line = i + 1
	}
}

const version = "HTTP/1."

// parseStatus reads a status line without its CRLF (RFC 9112 §4). The space
// behind the code may be missing where there is no reason: that is common, and
// can be read in one way only.
func parseStatus(line []byte) (status, minor int, f flaw) {
	const code = len(version) + 2
	bad := func(what string, at int) (int, int, flaw) { return 0, 0, flaw{what: what, at: at} }
	if len(line) < len(version) || string(line[:len(version)]) != version {
		return bad("no HTTP/1 status line", 0)
	}
	if len(line) < code || line[code-1] != ' ' || line[code-2] != '0' && line[code-2] != '1' {
		return bad("a version that is not 1.0 or 1.1", len(version))
	}
	if len(line) < code+3 {
		return bad("a status that is not three digits", code)
	}
	for _, c := range line[code : code+3] {
		if c < '0' || c > '9' {
			return bad("a status that is not three digits", code)
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return bad("a status below 100", code)
	}
	if rest := line[code+3:]; len(rest) > 0 {
		if rest[0] != ' ' {
			return bad("a status that is not three digits", code)
		}
		if i := stray(rest, inValue); i >= 0 {
			return bad("a control character in the reason", code+3+i)
		}
	}
	return status, int(line[code-2] - '0'), flaw{}
}

// checkFields checks the field lines of a section, to its empty line, writes
// their names in canonical form, and counts them (RFC 9112 §5). base is where
// b begins in what flaws are told of.
func checkFields(b []byte, most, base int) (n int, f flaw) {
	for i := 0; ; n++ {
		end := i + bytes.IndexByte(b[i:], '\n') - 1
		line := b[i:end]
		switch {
		case len(line) == 0:
			return n, flaw{}
		case n == most:
			return n, flaw{what: "too many fields", at: base + i, large: true}
		case isSpace(line[0]):
			return n, flaw{what: "a folded line", at: base + i}
		}
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 {
			return n, flaw{what: "a line without a field's name", at: base + i}
		}
		if at := stray(line[:colon], inToken); at >= 0 {
			what := "a bad character in a field's name"
			if isSpace(line[at]) {
				what = "a space in a field's name, or before the colon"
			}
			return n, flaw{what: what, at: base + i + at}
		}
		if at := stray(line[colon+1:], inValue); at >= 0 {
			return n, flaw{what: "a control character in a field's value", at: base + i + colon + 1 + at}
		}
		canonize(line[:colon])
		i = end + 2
	}
}

// collect adds the n field lines of s to h. All strings are parts of s, and all
// values that come once lie in one array.
func collect(s string, n int, h http.Header) {
	values := make([]string, n)
	for i := range n {
		line, rest, _ := strings.Cut(s, "\r")
		s = rest[1:]
		name, value, _ := strings.Cut(line, ":")
		values[i] = trimmed(value)
		if prior, ok := h[name]; ok {
			h[name] = append(prior, values[i])
		} else {
			h[name] = values[i : i+1 : i+1]
		}
	}
}

// parseLength reads a Content-Length (RFC 9110 §8.6): digits, no sign, no list.
func parseLength(s string) (n int64, ok bool) {
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, s != ""
}
