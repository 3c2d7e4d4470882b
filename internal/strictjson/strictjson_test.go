package strictjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

type color uint8

func (c *color) UnmarshalText(text []byte) error {
	if string(text) != "blue" {
		return errors.New(`want "blue"`)
	}
	*c = 1
	return nil
}

type options struct {
	Timeout int `json:"timeout,omitempty"`
}

type Base struct {
	Name string `json:"name"`
}

type ramp []int

func (r *ramp) UnmarshalJSON(data []byte) error {
	*r = ramp{len(data)}
	return nil
}

type sample struct {
	options
	*Base
	Text   string            `json:"text"`
	Small  uint8             `json:"small"`
	Signed int16             `json:"signed"`
	Count  int               `json:"count"`
	Size   uint64            `json:"size"`
	Share  float64           `json:"share"`
	On     bool              `json:"on"`
	Color  color             `json:"color"`
	At     time.Time         `json:"at"`
	Meta   map[string]string `json:"meta"`
	List   []sample          `json:"list"`
	Ptr    *int              `json:"ptr"`
	Any    any               `json:"any"`
	Raw    json.RawMessage   `json:"raw"`
	Ramp   ramp              `json:"ramp"`
	Bytes  []byte            `json:"bytes"`
	Hidden string            `json:"-"`
	//lint:ignore U1000 it must stay out of reach
	private string
	Untag   string
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	doc := `{"timeout": 4, "name": "n", "text": "a\u0041\ud83d\ude00é", "small": 255, "signed": -3, "count": 12,
	"size": 18446744073709551615, "share": 1.5e0, "on": true, "color": "blue", "at": "2026-01-02T03:04:05Z",
	"meta": {"k": "v"}, "list": [{"text": "in"}, {}], "ptr": 7, "any": {"x": [null]}, "raw": {"y":1}, "ramp": [1,2],
	"bytes": "QUI=", "Untag": "u"}`
	var got sample
	if err := Decode([]byte(doc), &got); err != nil {
		t.Fatal(err)
	}
	var want sample
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestNullIsAPointersOrAnInterfacesAbsence(t *testing.T) {
	got := sample{Ptr: new(int), Text: "before"}
	if err := Decode([]byte(`{"ptr": null, "any": null}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.Ptr != nil || got.Any != nil || got.Text != "" {
		t.Errorf("got %+v, want all that was there before replaced", got)
	}
}

func TestDecodeRefusesWithThePlaceAndWhatIsWanted(t *testing.T) {
	deep := strings.Repeat(`[`, MaxDepth+1)
	for name, c := range map[string]struct{ doc, want string }{
		"empty":                  {``, `line 1, column 1: the document ends here: want an object`},
		"only space":             {" \n ", `line 2, column 2: the document ends here`},
		"null":                   {`null`, `line 1, column 1: null: want an object`},
		"byte order mark":        {"\ufeff{}", `line 1, column 1: byte order mark`},
		"nothing":                {`nothing`, `unexpected "no": want a value`},
		"not an object":          {`[1]`, `line 1, column 1: an array: want an object`},
		"trailing value":         {"{}\n{}", `line 2, column 1: unexpected '{': want nothing after the end`},
		"trailing letter":        {"{} x", `line 1, column 4: unexpected 'x'`},
		"unknown field":          {"{\n  \"tekst\": 1}", `line 2, column 3: unknown field "tekst": want one of Untag, any, at`},
		"field in another case":  {`{"Text": "a"}`, `unknown field "Text"`},
		"untagged in lower case": {`{"untag": "a"}`, `unknown field "untag"`},
		"hidden field":           {`{"Hidden": "a"}`, `unknown field "Hidden"`},
		"dash field":             {`{"-": "a"}`, `unknown field "-"`},
		"private field":          {`{"private": "a"}`, `unknown field "private"`},
		"nested unknown field":   {`{"list": [{}, {"x": 1}]}`, `column 16: list[1]: unknown field "x"`},
		"duplicate key":          {`{"text": "a", "text": "b"}`, `column 15: key "text" is there twice`},
		"duplicate escaped key":  {`{"text": "a", "te\u0078t": "b"}`, `column 15: key "text" is there twice`},
		"duplicate in a map":     {`{"meta": {"a": "1", "a": "2"}}`, `meta: key "a" is there twice`},
		"duplicate below any":    {`{"any": [{"a": 1, "a": 2}]}`, `any[0]: key "a" is there twice`},
		"duplicate below raw":    {`{"raw": {"a": 1, "a": 2}}`, `raw: key "a" is there twice`},
		"string for a number":    {`{"count": "1"}`, `column 11: count: the string "1": want a whole number`},
		"float for an int":       {`{"count": 1.5}`, `count: 1.5: want a whole number`},
		"too large":              {`{"small": 256}`, `small: 256: want a whole number from 0 to 255`},
		"too small":              {`{"signed": -32769}`, `want a whole number from -32768 to 32767`},
		"negative":               {`{"size": -1}`, `size: -1: want a whole number, not negative`},
		"number for a string":    {`{"text": 5}`, `text: 5: want a string`},
		"number for a text type": {`{"color": 5}`, `color: 5: want a string`},
		"refused by a text type": {`{"color": "red"}`, `column 11: color: want "blue"`},
		"bad time":               {`{"at": "now"}`, `at: parsing time`},
		"object for an array":    {`{"list": {}}`, `list: an object: want an array`},
		"array for a map":        {`{"meta": []}`, `meta: an array: want an object`},
		"bool":                   {`{"on": 1}`, `on: 1: want true or false`},
		"float":                  {`{"share": "1"}`, `want a number`},
		"null string":            {`{"text": null}`, `column 10: text: null: want a string`},
		"null array":             {`{"list": null}`, `null: want an array`},
		"null map":               {`{"meta": null}`, `null: want an object`},
		"null in a map":          {`{"meta": {"a": null}}`, `meta.a: null: want a string`},
		"null element":           {`{"list": [null]}`, `list[0]: null: want an object`},
		"null own type":          {`{"ramp": null}`, `ramp: null: want another value`},
		"bad base64":             {`{"bytes": "!"}`, `bytes: `},
		"trailing comma":         {`{"on": true,}`, `column 13: unexpected '}': want a key in double quotes`},
		"trailing array comma":   {`{"list": [{},]}`, `column 14: list[1]: unexpected ']': want a value`},
		"no comma":               {`{"on": true "text": ""}`, `unexpected '"': want ',' or '}'`},
		"no colon":               {`{"on" true}`, `unexpected 't': want ':' after the key`},
		"bare key":               {`{on: true}`, `unexpected 'o': want a key in double quotes, or '}'`},
		"single quotes":          {`{'on': true}`, `unexpected '\'': want a key`},
		"comment":                {"{ // x\n}", `unexpected '/'`},
		"torn object":            {`{"on": true`, `column 12: the document ends here: want ',' or '}'`},
		"torn string":            {`{"text": "ab`, `the document ends within a string`},
		"torn key":               {`{"te`, `the document ends within a string`},
		"torn literal":           {`{"on": tr`, `unexpected "tr": want a value`},
		"torn escape":            {`{"text": "\`, `the document ends here: want one of`},
		"control character":      {"{\"text\": \"a\nb\"}", `control character 0x0a in a string`},
		"bad escape":             {`{"text": "\x41"}`, `unexpected 'x': want one of "\/bfnrtu`},
		"bad unicode escape":     {`{"text": "\u00g0"}`, `unexpected 'g': want four hexadecimal digits`},
		"torn unicode escape":    {`{"text": "\u0`, `want four hexadecimal digits`},
		"lone high surrogate":    {`{"text": "\ud83d"}`, `column 11: text: \ud83d is half of a surrogate pair`},
		"lone low surrogate":     {`{"text": "\ude00"}`, `half of a surrogate pair`},
		"two high surrogates":    {`{"text": "\ud83d\ud83d"}`, `half of a surrogate pair`},
		"bad second half":        {`{"text": "\ud83d\uzzzz"}`, `want four hexadecimal digits`},
		"invalid UTF-8":          {"{\"text\": \"\xff\"}", `invalid UTF-8 (byte 0xff) in a string`},
		"invalid UTF-8 outside":  {"{\xff}", `invalid UTF-8 (byte 0xff): want a key`},
		"invalid UTF-8 in a key": {"{\"\xc3\x28\": 1}", `invalid UTF-8 (byte 0xc3) in a string`},
		"NUL":                    {"{\x00}", `unexpected '\x00'`},
		"leading zero":           {`{"count": 01}`, `number with a leading zero`},
		"bare minus":             {`{"count": -}`, `want a digit`},
		"plus":                   {`{"count": +1}`, `unexpected '+': want a value`},
		"bare point":             {`{"count": 1.}`, `want a digit after the point`},
		"bare exponent":          {`{"count": 1e+}`, `want a digit of the exponent`},
		"infinity":               {`{"share": 1e999}`, `share: 1e999: want a number`},
		"NaN":                    {`{"share": NaN}`, `unexpected 'N'`},
		"bad below any":          {`{"any": [1, }`, `any[1]: unexpected '}'`},
		"column in characters":   {`{"text": "ééé", "x": 1}`, `line 1, column 17: unknown field`},
		"too deep":               {`{"any": ` + deep, `column 72: any[0][0][0][0][0][0][0][0][0][0][0]…: nested too deep: at most 64 levels`},
		"hostile path":           {`{"meta": {"a\nb": 1}}`, `meta."a\nb": 1: want a string`},
	} {
		t.Run(name, func(t *testing.T) {
			into := sample{Text: "untouched"}
			err := Decode([]byte(c.doc), &into)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if !reflect.DeepEqual(into, sample{Text: "untouched"}) {
				t.Errorf("after an error the target is %+v", into)
			}
		})
	}
}

func TestDecodeWantsAPointer(t *testing.T) {
	for _, into := range []any{nil, sample{}, (*sample)(nil)} {
		if err := Decode([]byte(`{}`), into); err == nil || !strings.Contains(err.Error(), "want a pointer") {
			t.Errorf("into %T: %v", into, err)
		}
	}
}

func TestAtPlacesAnErrorAtTheValue(t *testing.T) {
	doc := []byte("{\"blue\": [],\n \"green\": [{\"address\": \"a\"},\n  {\"address\": \"b\"}]}")
	wrong := errors.New("wrong")
	for _, c := range []struct {
		path []any
		want string
	}{
		{nil, "line 1, column 1: wrong"},
		{[]any{"green", 1, "address"}, "line 3, column 15: green[1].address: wrong"},
		{[]any{"green", 1, "weight"}, "line 3, column 3: green[1].weight: wrong"},
		{[]any{"green", 7}, "line 2, column 11: green[7]: wrong"},
		{[]any{"red"}, "line 1, column 1: red: wrong"},
		{[]any{"blue", "x"}, "line 1, column 10: blue.x: wrong"},
	} {
		err := At(doc, wrong, c.path...)
		if err.Error() != c.want || !errors.Is(err, wrong) {
			t.Errorf("At %v: got %q, want %q", c.path, err, c.want)
		}
	}
}

func FuzzDecodeAcceptsOnlyWhatEncodingJSONReadsAlike(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"text": "a\u0041\ud83d\ude00é", "small": 255, "list": [{"list": []}], "any": {"a": [1, null]}}`,
		`{"meta": {"k": "v"}, "at": "2026-01-02T03:04:05Z", "ptr": null, "raw": [1 , 2]}`, `{"count": 1e2}`, `{"name": "x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got sample
		if err := Decode(doc, &got); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(doc) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("%v without a place in the document", err)
			}
			return
		}
		var want sample
		if err := json.Unmarshal(doc, &want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}
