package healthcheck

import (
	"fmt"
	"strconv"
	"strings"
)

// A StatusSet is a set of HTTP status codes. The zero value is 200-299.
type StatusSet struct {
	ranges []statusRange
}

type statusRange struct{ from, to int }

// ParseStatusSet reads a comma-separated list of codes ("204"), ranges
// ("200-299") and classes ("2xx"), each within 100-599. Empty text is the
// zero value.
func ParseStatusSet(text string) (StatusSet, error) {
	var set StatusSet
	if strings.TrimSpace(text) == "" {
		return set, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		r, ok := parseStatusRange(strings.TrimSpace(item))
		if !ok {
			return StatusSet{}, fmt.Errorf("status %q: %q is not a code, range or class within 100-599 (like 204, 200-299, 2xx)", text, item)
		}
		set.ranges = append(set.ranges, r)
	}
	return set, nil
}

func parseStatusRange(item string) (statusRange, bool) {
	if class, ok := strings.CutSuffix(strings.ToLower(item), "xx"); ok {
		item = class + "00-" + class + "99"
	}
	low, high, found := strings.Cut(item, "-")
	if !found {
		high = low
	}
	from, okFrom := parseCode(low)
	to, okTo := parseCode(high)
	return statusRange{from, to}, okFrom && okTo && from <= to
}

func parseCode(text string) (int, bool) {
	code, err := strconv.ParseUint(text, 10, 16) // takes no sign, unlike Atoi
	return int(code), err == nil && len(text) == 3 && code >= 100 && code <= 599
}

// Contains reports whether code is in the set.
func (s StatusSet) Contains(code int) bool {
	for _, r := range s.orDefault() {
		if r.from <= code && code <= r.to {
			return true
		}
	}
	return false
}

// String is the set in the form that ParseStatusSet reads.
func (s StatusSet) String() string {
	var items []string
	for _, r := range s.orDefault() {
		item := strconv.Itoa(r.from)
		if r.to != r.from {
			item += "-" + strconv.Itoa(r.to)
		}
		items = append(items, item)
	}
	return strings.Join(items, ",")
}

func (s StatusSet) orDefault() []statusRange {
	if s.ranges == nil {
		return []statusRange{{200, 299}}
	}
	return s.ranges
}
