package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func pinBy(t testing.TB, keys ...*PinKey) *Pin {
	t.Helper()
	p := &Pin{Keys: keys}
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestASessionIsKnownFromTheFirstKeyThatARequestHas(t *testing.T) {
	p := pinBy(t,
		&PinKey{By: "path", Match: "/live/"}, &PinKey{By: "path", Match: `^/s-([a-z0-9]*)/`},
		&PinKey{By: "query", Name: "session"}, &PinKey{By: "cookie", Name: "sid"}, &PinKey{By: "cmcd"})
	long := strings.Repeat("k", 257)
	for _, c := range []struct{ name, target, cookie, cmcd, want string }{
		{"nothing", "/a.ts", "", "", ""},
		{"segment after a prefix", "/live/p1/a.ts?session=q1", "sid=c1", "", "p1"},
		{"last segment after a prefix", "/live/p1", "", "", "p1"},
		{"prefix without a segment", "/live/?session=q1", "", "", "q1"},
		{"prefix in the middle", "/x/live/p1/?session=q1", "", "", "q1"},
		{"group of an expression", "/s-abc9/a.ts", "sid=c1", "", "abc9"},
		{"empty group", "/s-/a.ts", "sid=c1", "", "c1"},
		{"query", "/a.ts?a=b&session=q1&session=q2", "sid=c1", "", "q1"},
		{"escaped query", "/a.ts?session=%71%31+%2F", "", "", "q1 /"},
		{"half an escape", "/a.ts?session=q%3", "sid=c1", "", "c1"},
		{"no escape", "/a.ts?session=q%zz", "sid=c1", "", "c1"},
		{"empty query", "/a.ts?session=&x", "sid=c1", "", "c1"},
		{"name that only ends so", "/a.ts?asession=q1", "sid=c1", "", "c1"},
		{"cookie among others", "/a.ts", `xsid=no; sid="c1"; sid=c2`, "", "c1"},
		{"cookie before CMCD", "/a.ts", "sid=c1", `sid="m1"`, "c1"},
		{"empty cookie", "/a.ts", "sid=", `sid="m1"`, "m1"},
		{"query that is too long", "/a.ts?session=" + long, "sid=c1", "", "c1"},
		{"cookie that is too long", "/a.ts", "sid=" + long, `sid="m1"`, "m1"},
		{"CMCD that is too long", "/a.ts", "", `sid="` + long + `"`, ""},
		{"path that is too long", "/live/" + long + "/", "sid=c1", "", "c1"},
	} {
		r := httptest.NewRequest(http.MethodGet, c.target, nil)
		set(r, "Cookie", c.cookie)
		set(r, "CMCD-Session", c.cmcd)
		is(t, c.name, p.session(r), c.want)
	}
}

func set(r *http.Request, name, value string) {
	if value != "" {
		r.Header.Set(name, value)
	}
}

func is(t *testing.T, name string, got switcher.Session, want string) {
	t.Helper()
	if wanted := switcher.SessionOf(want); want != "" && got != wanted || want == "" && got != 0 {
		t.Errorf("%s: not the session %q", name, want)
	}
}

func TestTheSessionOfCMCDIsTheSameInQueryAndHeaderAndInBothVersions(t *testing.T) {
	p := pinBy(t, &PinKey{By: "cmcd"})
	const id = "6e2fb550-c457-11e9-bb97-0800200c9a66"
	for _, c := range []struct{ name, query, header, want string }{
		{"version 1, query", `br%3D3200%2Cbs%2Csid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22`, "", id},
		{"version 1, query in lower case, first", `sid%3d%226e2fb550-c457-11e9-bb97-0800200c9a66%22%2cbs`, "", id},
		{"version 1, header", "", `cid="a,sid=\"x\"",sid="` + id + `",sf=h`, id},
		{"version 2, header", "", `bl=(2000 "a,b"),v=2, sid="` + id + `",bs`, id},
		{"version 2, query", `v%3D2%2Cbl%3D%282000%2C%29%2Csid%3D%22` + id + `%22`, "", id},
		{"query before the header", `sid%3D%22q%22`, `sid="h"`, "q"},
		{"query without one", `bs`, `sid="h"`, "h"},
		{"with an escaped quote", "", `sid="a\"b\\c"`, `a"b\c`},
		{"of another key", "", `osid="x",sid2="y"`, ""},
		{"within a string", "", `cid="a,sid=\"x\""`, ""},
		{"within a list", "", `nor=("a",sid="x")`, ""},
		{"not quoted", "", `sid=abc`, ""},
		{"not ended", "", `sid="abc`, ""},
		{"ending in an escape", "", `sid="abc\`, ""},
		{"empty", "", `sid=""`, ""},
		{"unbalanced", "", `)),("",sid="x"`, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/seg.ts", nil)
		if c.query != "" {
			r.URL.RawQuery = "a=b&CMCD=" + c.query
		}
		set(r, "CMCD-Session", c.header)
		is(t, c.name, p.session(r), c.want)
	}
}

func TestFindingASessionCostsNoAllocation(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/a/b.ts?x=y&session=a%20b&CMCD=bs%2Csid%3D%22abc%22", nil)
	r.Header.Set("Cookie", "a=b; sid=c")
	for _, k := range []*PinKey{{By: "path", Match: "/a/"}, {By: "query", Name: "session"}, {By: "cookie", Name: "sid"}, {By: "cmcd"}} {
		p := pinBy(t, k)
		if n := testing.AllocsPerRun(100, func() {
			if p.session(r) == 0 {
				t.Error("no session")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", k.By, n)
		}
	}
}

func FuzzNoSessionIDBreaksTheReader(f *testing.F) {
	for _, seed := range []string{`bl=(2000),sid="abc"`, `sid="a\"`, `)("`, "sid%3D%22a%22", "%", `sid="` + strings.Repeat("x", 300) + `"`} {
		f.Add(seed)
	}
	p := pinBy(f, &PinKey{By: "cmcd"}, &PinKey{By: "query", Name: "CMCD"}, &PinKey{By: "cookie", Name: "CMCD"}, &PinKey{By: "path", Match: "^/(.*)$"})
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawQuery = "/"+text, "CMCD="+text
		r.Header.Set("Cookie", "CMCD="+text)
		r.Header.Set("CMCD-Session", text)
		first := p.session(r)
		if again := p.session(r); again != first {
			t.Errorf("a request has two sessions: %x and %x", first, again)
		}
	})
}
