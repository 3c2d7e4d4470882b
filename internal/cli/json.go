package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// document is one value as JSON on one line, safe for a terminal: what is not
// printable is escaped, which JSON allows within strings, and elsewhere there
// is nothing of the kind.
func document(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsFunc(string(data), isUnsafe) {
		return data, nil
	}
	var b bytes.Buffer
	for _, r := range string(data) {
		switch {
		case !isUnsafe(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes(), nil
}

// printJSON writes one document and a line feed. A failure becomes the
// document's "error".
func printJSON(w io.Writer, doc any, f *failure) error {
	data := []byte("{}")
	var err error
	if doc != nil {
		if data, err = document(doc); err != nil {
			return err
		}
	}
	if f != nil {
		problem, err := document(f)
		if err != nil {
			return err
		}
		data = withMember(data, "error", problem)
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

// withMember adds a member to a JSON object.
func withMember(object []byte, name string, value []byte) []byte {
	inner := bytes.TrimSuffix(object, []byte("}"))
	if len(inner) > 1 {
		inner = append(inner, ',')
	}
	return fmt.Appendf(inner, "%q:%s}", name, value)
}
