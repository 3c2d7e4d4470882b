package cache

import (
	"net/http"
	"testing"
	"time"
)

func TestDirectivesAreReadStrictly(t *testing.T) {
	s := time.Second
	for value, want := range map[string]directives{
		"":                              noDirectives(),
		"max-age=5":                     {maxAge: 5 * s, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"MAX-AGE=5":                     {maxAge: 5 * s, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"max-age=5, max-age=9":          {maxAge: 5 * s, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		" max-age = 5 ,,":               {maxAge: 5 * s, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"max-age=-5":                    {maxAge: 0, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"max-age=5.5":                   {maxAge: 0, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"max-age":                       {maxAge: 0, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"max-age=999999999999999999":    {maxAge: longest, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		`x="a, no-store", max-age=5`:    {maxAge: 5 * s, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		`x="a\", no-store", s-maxage=5`: {maxAge: unset, sharedMaxAge: 5 * s, staleIfError: unset, staleWhileRev: unset},
		`x="no-store, max-age=5`:        noDirectives(),
		"no-store":                      {noStore: true, maxAge: unset, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		`no-cache="set-cookie"`:         {noCache: true, maxAge: unset, sharedMaxAge: unset, staleIfError: unset, staleWhileRev: unset},
		"proxy-revalidate,stale-if-error=1,stale-while-revalidate=2": {mustRevalidate: true, maxAge: unset, sharedMaxAge: unset, staleIfError: s, staleWhileRev: 2 * s},
	} {
		if got := parseDirectives([]string{value}); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}

func TestAnUnreadablyLongFieldForbidsKeeping(t *testing.T) {
	long := make([]byte, maxDirectives+1)
	for i := range long {
		long[i] = 'a'
	}
	p := judge(http.Header{"Cache-Control": {"max-age=5", string(long)}}, Terms{TTL: time.Hour}, longSince, longSince)
	if p.shared {
		t.Errorf("%+v", p)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("max-age=5, s-maxage=7", "max-age=30;x", "5", "Sat, 01 Nov 2025 10:00:00 GMT", "0", "Accept, *", int64(5), int64(7), int64(9))
	f.Add(`private="a\"b", no-cache`, `max-age="5", private`, "-1", "", "Sat, 01 Nov 9999 10:00:00 GMT", "", int64(-5), int64(1)<<62, int64(-1)<<63)
	f.Fuzz(func(t *testing.T, control, targeted, age, date, expires, vary string, ttl, took, later int64) {
		h := http.Header{"Cache-Control": {control}, "Cdn-Cache-Control": {targeted}, "Age": {age}, "Date": {date}, "Expires": {expires}, "Vary": {vary}}
		terms := Terms{TTL: time.Duration(ttl), StaleIfError: time.Duration(took), StaleWhileRevalidate: time.Duration(later), Negative: time.Duration(ttl)}
		now := longSince.Add(time.Duration(took))
		hd := newHead(h, terms, longSince, now)
		for name, d := range map[string]time.Duration{"ttl": hd.ttl, "age": hd.age, "stale-if-error": hd.staleIfError,
			"stale-while-revalidate": hd.staleWhileRev, "age now": hd.current(now.Add(time.Duration(later)))} {
			if d < 0 || d > longest {
				t.Errorf("%s is %v", name, d)
			}
		}
		at := now.Add(time.Duration(later))
		if hd.fresh(at) && hd.current(at) >= hd.ttl {
			t.Error("fresh beyond its time")
		}
		if len(hd.control()) > 100 {
			t.Error(hd.control())
		}
		readPlaylist([]byte("#EXTM3U\n" + control + "\n" + targeted)).limit(terms)
	})
}
