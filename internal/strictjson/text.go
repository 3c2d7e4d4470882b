package strictjson

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// string reads a string and returns what it means.
func (s *scanner) string() (string, error) {
	start := s.pos
	escaped := false
	s.pos++
	for !s.done() {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.unquote(s.data[start:s.pos], escaped)
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return "", err
			}
		case c < ' ':
			return "", s.fail(s.pos, "control character 0x%02x in a string: want it escaped", c)
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return "", s.fail(s.pos, "invalid UTF-8 (byte 0x%02x) in a string", c)
			}
			s.pos += size
		}
	}
	return "", s.fail(s.pos, "the document ends within a string: want '\"'")
}

func (s *scanner) unquote(raw []byte, escaped bool) (string, error) {
	if !escaped {
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", s.fail(s.pos-len(raw), "string: %w", err)
	}
	return text, nil
}

// escape reads a backslash and what belongs to it.
func (s *scanner) escape() error {
	at := s.pos
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		return s.unicodeEscape(at)
	}
	return s.unexpected(`one of "\/bfnrtu after the backslash`)
}

func (s *scanner) unicodeEscape(at int) error {
	unit, err := s.hex4()
	switch {
	case err != nil:
		return err
	case unit < 0xd800 || unit > 0xdfff:
		return nil
	case unit < 0xdc00 && s.pos+1 < len(s.data) && s.data[s.pos] == '\\' && s.data[s.pos+1] == 'u':
		s.pos++
		low, err := s.hex4()
		if err != nil {
			return err
		}
		if low >= 0xdc00 && low <= 0xdfff {
			return nil
		}
	}
	return s.fail(at, `\u%04x is half of a surrogate pair: want both halves`, unit)
}

// hex4 reads the u and four digits.
func (s *scanner) hex4() (uint64, error) {
	s.pos++
	for i := range 4 {
		if s.pos+i >= len(s.data) || !isHex(s.data[s.pos+i]) {
			s.pos = min(s.pos+i, len(s.data))
			return 0, s.unexpected(`four hexadecimal digits after \u`)
		}
	}
	s.pos += 4
	return strconv.ParseUint(string(s.data[s.pos-4:s.pos]), 16, 16)
}

func isHex(c byte) bool {
	return isDigit(c) || (c|0x20 >= 'a' && c|0x20 <= 'f')
}
