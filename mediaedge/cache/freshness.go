package cache

import (
	"net/http"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

const (
	// maxDirectives bounds the length of a field that says how to cache. What is
	// longer is not read, and its object not kept.
	maxDirectives = 4 << 10

	// longest is what a longer time is taken for (RFC 9111 §1.2.2 has 68 years
	// as the least that must be understood; a year is for ever here).
	longest = 365 * 24 * time.Hour

	unset = time.Duration(-1)
)

// directives are those of a Cache-Control that mean something to a shared cache
// (RFC 9111 §5.2.2, RFC 5861). A time is unset, or 0 to longest.
type directives struct {
	noStore, private, noCache   bool
	mustRevalidate              bool // or proxy-revalidate
	maxAge, sharedMaxAge        time.Duration
	staleIfError, staleWhileRev time.Duration
}

// policy is how a response may be used.
type policy struct {
	shared                      bool // may be kept, and given to others than the one who asked
	ttl                         time.Duration
	age                         time.Duration // when it was received
	staleIfError, staleWhileRev time.Duration
}

// judge decides by the response's fields, then by the terms. requested and
// received are when the request was sent and the response's head was there.
//
// The age is RFC 9111's corrected_age_value and leaves its apparent_age out, as
// §4.2.3 allows where caches on the way speak HTTP/1.1: an origin whose clock
// is behind would otherwise switch the shield off.
func judge(h http.Header, t Terms, requested, received time.Time) policy {
	p := policy{shared: !varyStar(h), age: ageOf(h) + max(0, received.Sub(requested))}
	p.age = min(p.age, longest)
	d, ok := targeted(h)
	expires := !ok
	if !ok {
		d = parseDirectives(h["Cache-Control"])
	}
	if d.noStore || d.private {
		p.shared = false
	}
	mayBeStale := !d.noCache && !d.mustRevalidate
	switch {
	case d.noCache:
	case d.sharedMaxAge != unset:
		p.ttl = d.sharedMaxAge
	case d.maxAge != unset:
		p.ttl = d.maxAge
	case expires && len(h["Expires"]) > 0:
		p.ttl = lifetime(h, received)
	default:
		p.ttl = clamp(t.TTL)
	}
	if !mayBeStale {
		return p
	}
	if d.sharedMaxAge == unset { // s-maxage implies proxy-revalidate, RFC 9111 §5.2.2.10
		p.staleIfError, p.staleWhileRev = clamp(t.StaleIfError), clamp(t.StaleWhileRevalidate)
	}
	if d.staleIfError != unset {
		p.staleIfError = d.staleIfError
	}
	if d.staleWhileRev != unset {
		p.staleWhileRev = d.staleWhileRev
	}
	return p
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), longest) }

// varyStar reports whether a member of Vary is "*". All other members are fine:
// for one key the caller sends the origin the same fields each time.
func varyStar(h http.Header) bool {
	for _, v := range h["Vary"] {
		for member := range strings.SplitSeq(v, ",") {
			if strings.TrimSpace(member) == "*" {
				return true
			}
		}
	}
	return false
}

// ageOf is the Age field, 0 if there is none that can be read.
func ageOf(h http.Header) time.Duration {
	age := seconds(strings.TrimSpace(h.Get("Age")))
	return max(age, 0)
}

// lifetime is Expires less Date, both by the origin's clock. An Expires that is
// no date has passed (RFC 9111 §5.3).
func lifetime(h http.Header, received time.Time) time.Duration {
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil || len(h["Expires"]) > 1 {
		return 0
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		date = received
	}
	return clamp(expires.Sub(date))
}

// seconds reads delta-seconds; unset if s is none.
func seconds(s string) time.Duration {
	if s == "" {
		return unset
	}
	var n time.Duration
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return unset
		}
		n = min(n*10+time.Duration(c-'0'), longest/time.Second)
	}
	return n * time.Second
}

func noDirectives() directives {
	return directives{maxAge: unset, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset}
}

// parseDirectives reads Cache-Control. Of a directive that is there twice the
// first counts (RFC 9111 §4.2.1); a time that cannot be read is 0; a list of
// fields behind private or no-cache is not looked at, which is stricter.
func parseDirectives(values []string) directives {
	d := noDirectives()
	rest := strings.Join(values, ",")
	if len(rest) > maxDirectives {
		d.noStore = true
		return d
	}
	for rest != "" {
		var name, value string
		name, value, rest = nextDirective(rest)
		age := max(seconds(value), 0)
		d.set(name, age)
	}
	return d
}

func (d *directives) set(name string, age time.Duration) {
	first := func(to *time.Duration) {
		if *to == unset {
			*to = age
		}
	}
	switch name {
	case "no-store":
		d.noStore = true
	case "private":
		d.private = true
	case "no-cache":
		d.noCache = true
	case "must-revalidate", "proxy-revalidate":
		d.mustRevalidate = true
	case "max-age":
		first(&d.maxAge)
	case "s-maxage":
		first(&d.sharedMaxAge)
	case "stale-if-error":
		first(&d.staleIfError)
	case "stale-while-revalidate":
		first(&d.staleWhileRev)
	}
}

// nextDirective cuts the first directive off: its name in lower case, its value
// without quotes.
func nextDirective(s string) (name, value, rest string) {
	end := strings.IndexAny(s, "=,")
	if end < 0 {
		return strings.ToLower(strings.TrimSpace(s)), "", ""
	}
	name = strings.ToLower(strings.TrimSpace(s[:end]))
	if s[end] == ',' {
		return name, "", s[end+1:]
	}
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, ",")
		return name, strings.TrimSpace(value), rest
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			_, rest, _ = strings.Cut(s[i+1:], ",")
			return name, s[1:i], rest
		}
	}
	return name, "", "" // the quote never ends
}

// targeted reads CDN-Cache-Control, which stands for Cache-Control and Expires
// if it is there and valid (RFC 9213 §2.1). A parameter of another type than
// the directive has is as if it were not there.
func targeted(h http.Header) (directives, bool) {
	d := noDirectives()
	values := h["Cdn-Cache-Control"]
	if len(values) == 0 || len(strings.Join(values, ",")) > maxDirectives {
		return d, false
	}
	dict, err := httpsfv.UnmarshalDictionary(values)
	if err != nil || len(dict.Names()) == 0 {
		return d, false
	}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		item, ok := member.(httpsfv.Item)
		if !ok {
			continue
		}
		switch v := item.Value.(type) {
		case bool:
			if v && !timed(name) {
				d.set(name, 0)
			}
		case int64:
			if timed(name) {
				d.set(name, min(time.Duration(max(v, 0)), longest/time.Second)*time.Second)
			}
		case string:
			if name == "private" || name == "no-cache" {
				d.set(name, 0)
			}
		}
	}
	return d, true
}

// timed reports whether the directive has a time.
func timed(name string) bool {
	switch name {
	case "max-age", "s-maxage", "stale-if-error", "stale-while-revalidate":
		return true
	}
	return false
}
