package control

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
)

// decodeStrict reads one JSON object into the struct that into points to, by
// the rules of strictjson, which refuses what encoding/json lets pass. An empty
// body leaves the zero value. The error is a *Problem.
func decodeStrict(body []byte, into any) error {
	if len(body) == 0 {
		return nil
	}
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return badField("", int64(len(body)-len(start)), "the body must be one JSON object")
	}
	err := strictjson.Decode(body, into)
	if err == nil {
		return nil
	}
	var at *strictjson.Error
	if !errors.As(err, &at) {
		return badField("", 0, err.Error())
	}
	return badField(at.Path, int64(at.Offset), at.Err.Error())
}

// maxField bounds what a problem says of a field's name: an attacker chose it.
const maxField = 100

func badField(field string, offset int64, what string) *Problem {
	field = cut(field, maxField)
	where := fmt.Sprintf("at byte %d", offset)
	if field != "" {
		where = fmt.Sprintf("%q at byte %d", field, offset)
	}
	p := newProblem(CodeInvalid, "%s: %s", where, cut(what, maxReason))
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
