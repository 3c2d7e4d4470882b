package schema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Range is the versions that a color works with, both ends included.
type Range struct{ Min, Max int64 }

// ParseRange reads "12..14", or "12" for that version alone. A version is a whole
// number that is not negative: 42, or a time like 20260131093000.
func ParseRange(text string) (Range, error) {
	low, high, two := strings.Cut(text, "..")
	if !two {
		high = low
	}
	var r Range
	var err error
	if r.Min, err = parseVersion(low); err == nil {
		r.Max, err = parseVersion(high)
	}
	switch {
	case err != nil:
		return Range{}, fmt.Errorf("schema range %.60q: want a version or two, as 12..14: %w", text, err)
	case r.Min > r.Max:
		return Range{}, fmt.Errorf("schema range %.60q: its end is before its beginning", text)
	}
	return r, nil
}

func (r Range) String() string { return fmt.Sprintf("%d..%d", r.Min, r.Max) }

func parseVersion(text string) (int64, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case text == "":
		return 0, errors.New("there is nothing where a version should be")
	case err != nil || n < 0:
		return 0, fmt.Errorf("%.40q is no version: want a whole number", text)
	}
	return n, nil
}
