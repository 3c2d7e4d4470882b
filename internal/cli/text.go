package cli

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes text of unknown origin safe for a terminal: what is not
// printable (control characters, so every escape sequence; marks that reorder
// or hide text; broken UTF-8) is shown as an escape, like \x1b.
func clean(s string) string {
	if !strings.ContainsFunc(s, isUnsafe) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case !isUnsafe(r):
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			b.WriteString(`\x` + hexByte(s[i]))
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// isUnsafe holds U+FFFD for unsafe too, as it may stand for a broken byte.
func isUnsafe(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }

func hexByte(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

// wide lists the runes that take two cells on a terminal: East Asian wide and
// full-width ones, and emoji.
var wide = []struct{ from, to rune }{
	{0x1100, 0x115f}, {0x2e80, 0xa4cf}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
	{0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
}

// cellsOf returns how many cells r takes: 0, 1 or 2.
func cellsOf(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if r >= w.from && r <= w.to {
			return 2
		}
	}
	return 1
}

// cells returns the width of clean text.
func cells(s string) (n int) {
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

// cut shortens clean text to at most width cells, the last of them "…" where
// something was left out.
func cut(s string, width int) string {
	if cells(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if used += cellsOf(r); used > width-1 {
			return s[:i] + strings.Repeat("…", min(width, 1))
		}
	}
	return s
}
