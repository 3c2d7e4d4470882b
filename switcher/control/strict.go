package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// wants says what a field of a type wants, in the words of an operator.
var wants = map[reflect.Type]string{
	reflect.TypeFor[string]():            "a string",
	reflect.TypeFor[[]string]():          "a list of strings",
	reflect.TypeFor[bool]():              "true or false",
	reflect.TypeFor[uint8]():             "a whole number from 0 to 255",
	reflect.TypeFor[*uint64]():           "a whole number, 0 or greater",
	reflect.TypeFor[switcher.Color]():    `"blue" or "green"`,
	reflect.TypeFor[switcher.Duration](): `a duration, as "30s" or "10m"`,
	reflect.TypeFor[*switcher.Ramp]():    `a ramp, as "10:5m,50:10m"`,
}

// decodeStrict reads one JSON object into the struct that into points to. It
// refuses what encoding/json lets pass: bytes that are not UTF-8, keys given
// twice at any depth, null, names in another case, halves of surrogate pairs.
// An empty body leaves the zero value. The error is a *Problem.
func decodeStrict(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	if at := invalidUTF8(body); at >= 0 {
		return badField("", int64(at), "the body is not UTF-8")
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, new(json.RawMessage)); errors.As(err, &syntax) {
		return badField("", syntax.Offset, fmt.Sprintf("not one JSON object: %s", syntax))
	}
	if err := newScan(body).value(""); err != nil {
		return err
	}
	return newScan(body).fields(reflect.ValueOf(into).Elem())
}

// scan goes through a body that is known to be good JSON.
type scan struct {
	*json.Decoder
	body []byte
}

func newScan(body []byte) scan { return scan{json.NewDecoder(bytes.NewReader(body)), body} }

// at returns where the next token begins.
func (s scan) at() int64 {
	at := s.InputOffset()
	for int(at) < len(s.body) && strings.IndexByte(" \t\r\n:,", s.body[at]) >= 0 {
		at++
	}
	return at
}

// fields reads the members of the object into a struct.
func (s scan) fields(into reflect.Value) error {
	at := s.at()
	if start, err := s.Token(); err != nil || start != json.Delim('{') {
		return badField("", at, `want a JSON object, as {"reason":"…"}`)
	}
	fields, names := fieldsOf(into.Type())
	for s.More() {
		at := s.at()
		key, err := s.Token()
		if err != nil {
			return badField("", at, err.Error())
		}
		name, _ := key.(string)
		field, known := fields[name]
		if !known {
			return badField(name, at, "unknown field: want one of "+strings.Join(names, ", "))
		}
		at = s.at()
		var value json.RawMessage
		if err := s.Decode(&value); err != nil {
			return badField(name, at, err.Error())
		}
		if err := json.Unmarshal(value, into.FieldByIndex(field.Index).Addr().Interface()); err != nil {
			return badField(name, at, wanted(field.Type, err))
		}
	}
	return nil
}

// wanted explains err. What the type itself says is better than anything known
// here, but encoding/json speaks of Go's types.
func wanted(t reflect.Type, err error) string {
	var mismatch *json.UnmarshalTypeError
	if want, ok := wants[t]; ok && errors.As(err, &mismatch) {
		return "want " + want + ", not " + mismatch.Value
	}
	return err.Error()
}

// value reads one value and checks all that encoding/json would let pass.
func (s scan) value(path string) error {
	at := s.at()
	token, err := s.Token()
	if err != nil {
		return badField(path, at, err.Error())
	}
	switch token := token.(type) {
	case nil:
		return badField(path, at, "null is not a value here: leave the field out")
	case string:
		return checkText(path, at, token)
	case json.Delim:
		if token == '{' {
			err = s.object(path)
		} else {
			err = s.array(path)
		}
		if err == nil {
			_, err = s.Token() // the closing delimiter
		}
		return err
	}
	return nil
}

func (s scan) object(path string) error {
	path = cut(path, maxField)
	seen := map[string]bool{}
	for s.More() {
		at := s.at()
		key, err := s.Token()
		if err != nil {
			return badField(path, at, err.Error())
		}
		name, _ := key.(string)
		inner := strings.TrimPrefix(path+"."+name, ".")
		if seen[name] {
			return badField(inner, at, "given twice")
		}
		seen[name] = true
		if err := checkText(inner, at, name); err != nil {
			return err
		}
		if err := s.value(inner); err != nil {
			return err
		}
	}
	return nil
}

func (s scan) array(path string) error {
	path = cut(path, maxField)
	for i := 0; s.More(); i++ {
		if err := s.value(fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses what encoding/json puts in the place of half a pair.
func checkText(path string, at int64, text string) error {
	if strings.ContainsRune(text, utf8.RuneError) {
		return badField(path, at, "half a surrogate pair, or U+FFFD, in a string")
	}
	return nil
}

// fieldsOf returns the fields of a struct by their names in JSON, and the
// names in order.
func fieldsOf(t reflect.Type) (fields map[string]reflect.StructField, names []string) {
	fields = map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f
			names = append(names, name)
		}
	}
	return fields, names
}

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// maxField bounds what a problem says of a field's name: an attacker chose it.
const maxField = 100

func badField(field string, offset int64, what string) *Problem {
	field = cut(field, maxField)
	where := fmt.Sprintf("at byte %d", offset)
	if field != "" {
		where = fmt.Sprintf("%q at byte %d", field, offset)
	}
	p := newProblem(CodeInvalid, "%s: %s", where, what)
	p.Field, p.Offset = field, &offset
	return p
}

// cut shortens s to at most limit bytes, without breaking a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
