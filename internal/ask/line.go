package ask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxLine is how many bytes of an answer are shown.
const MaxLine = 200

// Line returns the first line of a text that is not empty, for reasons that
// people read: printable, at most MaxLine bytes, in valid UTF-8.
func Line(text string) string {
	text = strings.TrimSpace(text)
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		text = text[:i]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	if len(text) <= MaxLine {
		return text
	}
	end := MaxLine
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
