package strictjson

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// scanner walks over a document once, from front to back, and accepts only the
// grammar of RFC 8259.
type scanner struct {
	data  []byte
	pos   int
	depth int
	path  []any // of the value that is being read
}

// fail places an error at offset.
func (s *scanner) fail(offset int, format string, args ...any) error {
	return place(s.data, offset, pathString(s.path), fmt.Errorf(format, args...))
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, and 0 at the end. A NUL in the document is told
// from the end by done.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.data[s.pos]
}

func (s *scanner) done() bool { return s.pos >= len(s.data) }

// unexpected describes what stands where want is wanted.
func (s *scanner) unexpected(want string) error {
	if s.done() {
		return s.fail(s.pos, "the document ends here: want %s", want)
	}
	r, size := utf8.DecodeRune(s.data[s.pos:])
	switch {
	case r == utf8.RuneError && size == 1:
		return s.fail(s.pos, "invalid UTF-8 (byte 0x%02x): want %s", s.data[s.pos], want)
	case r == '\ufeff':
		return s.fail(s.pos, "byte order mark: want UTF-8 without one, and here %s", want)
	}
	return s.fail(s.pos, "unexpected %s: want %s", strconv.QuoteRune(r), want)
}

// skip reads one value of any kind.
func (s *scanner) skip() error {
	s.space()
	switch c := s.peek(); {
	case c == '{':
		return s.object(func(string, int) error { return s.skip() })
	case c == '[':
		return s.array(func(int) error { return s.skip() })
	case c == '"':
		_, err := s.string()
		return err
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.unexpected("a value")
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > MaxDepth {
		return s.fail(s.pos, "nested too deep: at most %d levels", MaxDepth)
	}
	s.pos++ // the bracket
	s.space()
	return nil
}

// leave ends an object or array, if it ends here.
func (s *scanner) leave(bracket byte) bool {
	s.space()
	if s.peek() != bracket {
		return false
	}
	s.pos++
	s.depth--
	return true
}

// object calls member for each key, with the offset of the key; member must
// read the value.
func (s *scanner) object(member func(key string, at int) error) error {
	if s.peek() != '{' {
		return s.unexpected("an object")
	}
	if err := s.enter(); err != nil {
		return err
	}
	seen := map[string]struct{}{}
	for first := true; !s.leave('}'); first = false {
		if err := s.comma(first, "'}'"); err != nil {
			return err
		}
		at := s.pos
		key, err := s.key(first)
		if err != nil {
			return err
		}
		if _, twice := seen[key]; twice {
			return s.fail(at, "key %.40q is there twice: want each key once", key)
		}
		seen[key] = struct{}{}
		s.path = append(s.path, key)
		if err := member(key, at); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
	return nil
}

func (s *scanner) key(first bool) (string, error) {
	if s.peek() != '"' {
		if first {
			return "", s.unexpected("a key in double quotes, or '}'")
		}
		return "", s.unexpected("a key in double quotes")
	}
	key, err := s.string()
	if err != nil {
		return "", err
	}
	s.space()
	if s.peek() != ':' {
		return "", s.unexpected("':' after the key")
	}
	s.pos++
	return key, nil
}

// array calls element for each index; element must read the value.
func (s *scanner) array(element func(i int) error) error {
	if s.peek() != '[' {
		return s.unexpected("an array")
	}
	if err := s.enter(); err != nil {
		return err
	}
	for i := 0; !s.leave(']'); i++ {
		if err := s.comma(i == 0, "']'"); err != nil {
			return err
		}
		s.path = append(s.path, i)
		if err := element(i); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
	}
	return nil
}

func (s *scanner) comma(first bool, end string) error {
	if first {
		return nil
	}
	if s.peek() != ',' {
		return s.unexpected("',' or " + end)
	}
	s.pos++
	s.space()
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	zero := s.peek() == '0'
	if n := s.digits(); n == 0 {
		return s.unexpected("a digit")
	} else if zero && n > 1 {
		return s.fail(s.pos-n, "number with a leading zero")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.unexpected("a digit after the point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return s.unexpected("a digit of the exponent")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos - start
}

func (s *scanner) literal(word string) error {
	at := s.pos
	for i := range len(word) {
		if s.peek() != word[i] {
			return s.fail(at, "unexpected %.20q: want a value", s.data[at:min(s.pos+1, len(s.data))])
		}
		s.pos++
	}
	return nil
}

// end wants nothing but white space to follow.
func (s *scanner) end() error {
	s.space()
	if s.done() {
		return nil
	}
	err := s.unexpected("nothing after the end of the value")
	var e *Error
	if errors.As(err, &e) {
		e.Path = ""
	}
	return err
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
