package strictjson

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decoder scans a document and fills a value on the way, so that whatever is
// wrong with it has a place.
type decoder struct {
	scanner
	fields map[reflect.Type]structFields // of the types met so far
}

// structFields leads from a key to the field's index.
type structFields map[string][]int

func (d *decoder) document(v reflect.Value) error {
	if err := d.value(v); err != nil {
		return err
	}
	return d.end()
}

// value reads one value into v, which is zero and can be set.
func (d *decoder) value(v reflect.Value) error {
	d.space()
	if d.peek() == 'n' {
		return d.null(v)
	}
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		return d.value(v.Elem())
	case unmarshalsItself(t):
		return d.leaf(v)
	case t.Kind() == reflect.Struct:
		return d.structure(v)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && !unmarshalsItself(t.Key()):
		return d.mapping(v)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return d.slice(v)
	}
	return d.leaf(v)
}

func (d *decoder) null(v reflect.Value) error {
	at := d.pos
	if err := d.literal("null"); err != nil {
		return err
	}
	if k := v.Kind(); k == reflect.Pointer || k == reflect.Interface {
		return nil
	}
	return d.fail(at, "null: want %s", wanted(v.Type()))
}

func (d *decoder) structure(v reflect.Value) error {
	if d.peek() != '{' {
		return d.mismatch(v.Type())
	}
	fields := d.fieldsOf(v.Type())
	return d.object(func(key string, at int) error {
		index, known := fields[key]
		if !known {
			d.path = d.path[:len(d.path)-1]
			return d.fail(at, "unknown field %.40q: want one of %s", key,
				strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		return d.value(fieldAt(v, index))
	})
}

// fieldAt makes the embedded pointers on the way to a field.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

func (d *decoder) mapping(v reflect.Value) error {
	if d.peek() != '{' {
		return d.mismatch(v.Type())
	}
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	return d.object(func(key string, _ int) error {
		element := reflect.New(t.Elem()).Elem()
		if err := d.value(element); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), element)
		return nil
	})
}

func (d *decoder) slice(v reflect.Value) error {
	if d.peek() != '[' {
		return d.mismatch(v.Type())
	}
	t := v.Type()
	v.Set(reflect.MakeSlice(t, 0, 0))
	return d.array(func(int) error {
		element := reflect.New(t.Elem()).Elem()
		if err := d.value(element); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
		return nil
	})
}

// leaf hands one value, whose syntax is good, to encoding/json.
func (d *decoder) leaf(v reflect.Value) error {
	at := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	raw := d.data[at:d.pos]
	err := json.Unmarshal(raw, v.Addr().Interface())
	if err == nil {
		return nil
	}
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return d.fail(at, "%s: want %s", describe(raw), wanted(v.Type()))
	}
	return d.fail(at, "%w", err)
}

// mismatch is about a value of the wrong kind; bad syntax is told first.
func (d *decoder) mismatch(t reflect.Type) error {
	if d.done() {
		return d.unexpected(wanted(t))
	}
	at := d.pos
	if err := d.skip(); err != nil {
		return err
	}
	return d.fail(at, "%s: want %s", describe(d.data[at:d.pos]), wanted(t))
}

// describe names a value as it stands in the document.
func describe(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		if len(raw) > 40 {
			return "a string"
		}
		return "the string " + string(raw)
	}
	return fmt.Sprintf("%.40s", raw)
}

// wanted says in words what t is read from.
func wanted(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return "a string"
	}
	if reflect.PointerTo(t).Implements(jsonUnmarshaler) {
		return "another value"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Int8, reflect.Int16, reflect.Int32:
		limit := int64(1)<<(t.Bits()-1) - 1
		return fmt.Sprintf("a whole number from %d to %d", -limit-1, limit)
	case reflect.Uint, reflect.Uint64:
		return "a whole number, not negative"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a value"
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func unmarshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonUnmarshaler) || p.Implements(textUnmarshaler)
}

func structure(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// fieldsOf lists the fields of a struct by the keys that encoding/json gives
// them, those of embedded structs included; where two share a key, the outer
// one has it.
func (d *decoder) fieldsOf(t reflect.Type) structFields {
	if known, ok := d.fields[t]; ok {
		return known
	}
	fields := structFields{}
	for _, f := range reflect.VisibleFields(t) {
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inlined := f.Anonymous && key == "" && structure(f.Type)
		if !f.IsExported() || inlined || f.Tag.Get("json") == "-" {
			continue
		}
		if key == "" {
			key = f.Name
		}
		if outer, taken := fields[key]; !taken || len(f.Index) < len(outer) {
			fields[key] = f.Index
		}
	}
	d.fields[t] = fields
	return fields
}
