package cli

import "fmt"

type integer interface{ int | int64 | uint64 }

// grouped writes n with a comma between thousands.
func grouped[N integer](n N) string {
	s := fmt.Sprint(n)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number is a count with its noun, which takes an s, or an es, for more than
// one.
func number[N integer](n N, noun string) string {
	switch {
	case n == 1:
	case noun[len(noun)-1] == 'h':
		noun += "es"
	default:
		noun += "s"
	}
	return grouped(n) + " " + noun
}
