// Package strictjson reads JSON that somebody wrote by hand, or that somebody
// may have written to deceive: pool files, state, requests.
//
// [Decode] refuses what encoding/json lets pass, each time with the line and
// the column of what is wrong, and with what is wanted there:
//
//   - a field that the type does not have, also one that differs only in case;
//   - a key that comes twice in an object, however it is escaped;
//   - null, where the Go type is neither a pointer nor an interface;
//   - anything but white space after the value;
//   - invalid UTF-8, half of a surrogate pair, a byte order mark;
//   - values nested deeper than [MaxDepth].
//
// Below a type that unmarshals itself (json.Unmarshaler, or
// encoding.TextUnmarshaler) duplicate keys and bad UTF-8 are still refused, but
// unknown fields are that type's business.
//
// Decode does not say which fields must be there: the caller looks at the
// result, and reports what it finds with [At].
//
// The caller bounds the size of what it reads.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 64

// Error says where a document is wrong, and what is wrong there.
type Error struct {
	Offset int    // in bytes, from 0
	Line   int    // from 1
	Column int    // in characters, from 1
	Path   string // of the value, as "blue[2].address"; empty at the top
	Err    error
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
	}
	return fmt.Sprintf("line %d, column %d: %s: %v", e.Line, e.Column, e.Path, e.Err)
}

// Unwrap returns what is wrong, without the place.
func (e *Error) Unwrap() error { return e.Err }

// Decode reads data, which must be exactly one value, into what the pointer
// into points to. What was there before is replaced whole, and stays untouched
// after an error, which is an *Error.
func Decode(data []byte, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("strictjson: Decode into %T: want a pointer", into)
	}
	fresh := reflect.New(target.Type().Elem()).Elem()
	d := decoder{scanner: scanner{data: data}, fields: map[reflect.Type]structFields{}}
	if err := d.document(fresh); err != nil {
		return err
	}
	target.Elem().Set(fresh)
	return nil
}

// At says that err is about the value at path, a sequence of keys (strings) and
// indices (ints). Where data has no such value, the error is placed at the
// innermost one on the way that is there.
func At(data []byte, err error, path ...any) *Error {
	s := scanner{data: data}
	offset := s.locate(path)
	return place(data, offset, pathString(path), err)
}

func place(data []byte, offset int, path string, err error) *Error {
	offset = min(offset, len(data))
	before := data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return &Error{
		Offset: offset,
		Line:   bytes.Count(before, []byte{'\n'}) + 1,
		Column: utf8.RuneCount(before[start:]) + 1,
		Path:   path,
		Err:    err,
	}
}

// maxPath is how many steps of a path are shown.
const maxPath = 12

func pathString(path []any) string {
	var b strings.Builder
	for i, step := range path {
		if i == maxPath {
			return b.String() + "…"
		}
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(shortKey(step))
		}
	}
	return b.String()
}

// shortKey keeps a hostile key from flooding or confusing a log.
func shortKey(key string) string {
	plain := len(key) > 0 && len(key) <= 40 && !strings.ContainsFunc(key, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\.[]`, r)
	})
	if plain {
		return key
	}
	return fmt.Sprintf("%.40q", key)
}

// errFound ends a search; it never leaves the package.
var errFound = errors.New("found")

// locate returns the offset of the value at path, or of the innermost one on
// the way to it.
func (s *scanner) locate(path []any) int {
	s.space()
	at := s.pos
	if len(path) == 0 {
		return at
	}
	var err error
	switch step := path[0].(type) {
	case string:
		err = s.object(func(key string, _ int) error {
			if key != step {
				return s.skip()
			}
			at = s.locate(path[1:])
			return errFound
		})
	case int:
		err = s.array(func(i int) error {
			if i != step {
				return s.skip()
			}
			at = s.locate(path[1:])
			return errFound
		})
	}
	_ = err // errFound, or the syntax ended the search: at is the best there is
	return at
}
