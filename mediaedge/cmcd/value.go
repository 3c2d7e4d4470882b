package cmcd

import "strings"

// item returns a value without its parameters.
func item(s string) string {
	first, _ := cut(s, ';')
	return first
}

// cut cuts s at the first sep outside of quotes.
func cut(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// next takes the first item off a value, which is a list or a single item,
// and returns it without its parameters. What is left of a list is a list
// without its opening parenthesis; in it, parameters that come after a space
// show up as items, which no reader of numbers takes for one.
func next(s string) (first, rest string) {
	list, isList := strings.CutPrefix(s, "(")
	if !isList {
		return item(s), ""
	}
	list, after := cut(list, ')')
	if len(list)+1 == len(s) || after != "" && after[0] != ';' {
		return "", "" // never closed, or followed by something
	}
	return nextOf(list)
}

// nextOf takes the first item off the inside of a list.
func nextOf(list string) (first, rest string) {
	list = strings.TrimLeft(list, " ")
	first, rest = cut(list, ' ')
	return item(first), strings.TrimLeft(rest, " ")
}

// one reads a single number of at most limit; a list counts by its greatest.
func one(s string, limit uint32) Number { return greatest(s, limit) }

func greatest(s string, limit uint32) Number {
	var found Number
	for first, rest := next(s); first != ""; first, rest = nextOf(rest) {
		if n := number(first, limit); n.Known && (!found.Known || n.N > found.N) {
			found = n
		}
	}
	return found
}

func least(s string, limit uint32) Number {
	var found Number
	for first, rest := next(s); first != ""; first, rest = nextOf(rest) {
		if n := number(first, limit); n.Known && (!found.Known || n.N < found.N) {
			found = n
		}
	}
	return found
}

// number reads digits, and drops a fraction. Signs, exponents and what is
// greater than limit make it unknown.
func number(s string, limit uint32) Number {
	whole, fraction, hasFraction := strings.Cut(s, ".")
	if whole == "" || hasFraction && (fraction == "" || strings.Trim(fraction, "0123456789") != "") {
		return Number{}
	}
	var n uint64
	for i := range len(whole) {
		c := whole[i]
		if c < '0' || c > '9' {
			return Number{}
		}
		if n = n*10 + uint64(c-'0'); n > uint64(limit) {
			return Number{}
		}
	}
	return Number{N: uint32(n), Known: true}
}

// boolean reads ?1, as a bare key has it, and true, which the JSON form of
// version 1 had. All else is false.
func boolean(s string) bool {
	s = item(s)
	return s == "?1" || s == "true"
}

// some reports whether a value has an item that is a text: a list of strings,
// as version 2 has errors, or a single one.
func some(s string) bool {
	first, _ := next(s)
	return text(first, MaxLength) != ""
}

// token reads one of the known tokens. The string returned is the known one,
// not a part of the input.
func token(s string, known []Token) Token {
	s = text(item(s), MaxKey)
	for _, t := range known {
		if string(t) == s {
			return t
		}
	}
	return ""
}

// text reads a string of at most limit characters, in quotes or without them
// if it begins with a letter or digit and has nothing in it that would end it.
func text(s string, limit int) string {
	if s == "" {
		return ""
	}
	if s[0] == '"' {
		s = unquote(s)
	} else if !isBare(s) {
		return ""
	}
	if len(s) > limit {
		return ""
	}
	return s
}

func isBare(s string) bool {
	c := s[0] | 0x20
	if (c < 'a' || c > 'z') && (s[0] < '0' || s[0] > '9') {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '(' || c == ')' {
			return false
		}
	}
	return true
}

// unquote: RFC 8941, §3.3.3. It returns an empty string for what is none.
func unquote(s string) string {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return ""
	}
	s = s[1 : len(s)-1]
	plain := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~' || c == '"':
			return ""
		case c == '\\':
			plain = false
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return ""
			}
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
