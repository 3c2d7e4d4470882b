package cors

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

const page = "https://www.example.com"

func policy(t *testing.T, p Policy) *CORS {
	t.Helper()
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask returns the response's fields and whether the request was answered.
func ask(c *CORS, method string, fields http.Header) (http.Header, bool) {
	r := httptest.NewRequest(method, "/a.m4s", nil)
	maps.Copy(r.Header, fields)
	w := httptest.NewRecorder()
	answered := c.Handle(w, r)
	if answered && (w.Code != http.StatusNoContent || w.Body.Len() > 0) {
		panic("a preflight is answered 204 without a body")
	}
	return w.Header(), answered
}

func equal(t *testing.T, name string, got, want http.Header) {
	t.Helper()
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s:\n got %v\nwant %v", name, got, want)
	}
}

const exposes = "Content-Length, Content-Range, ETag, Date, Age, Cache-Status, CMSD-Static, CMSD-Dynamic"

func TestAListedPageReadsMedia(t *testing.T) {
	c := policy(t, Policy{Origins: []string{page, "http://localhost:8080"}})
	for _, origin := range []string{page, "http://localhost:8080"} {
		got, answered := ask(c, "GET", http.Header{"Origin": {origin}})
		equal(t, origin, got, http.Header{
			"Vary": {"Origin"}, "Access-Control-Allow-Origin": {origin}, "Access-Control-Expose-Headers": {exposes},
			"Timing-Allow-Origin": {origin}, "Cross-Origin-Resource-Policy": {"cross-origin"},
		})
		if answered {
			t.Error("a GET was answered")
		}
	}
}

func TestAnyPageReadsMediaWhereAllMay(t *testing.T) {
	c := policy(t, Policy{Origins: []string{"*"}})
	for _, fields := range []http.Header{nil, {"Origin": {page}}, {"Origin": {"null"}}, {"Origin": {"a", "b"}}, {"Origin": {"x\r\ny: z"}}} {
		got, answered := ask(c, "HEAD", fields)
		equal(t, "HEAD", got, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposes},
			"Timing-Allow-Origin": {"*"}, "Cross-Origin-Resource-Policy": {"cross-origin"},
		})
		if answered {
			t.Error("a HEAD was answered")
		}
	}
}

func TestAPreflightIsAnswered(t *testing.T) {
	c := policy(t, Policy{Origins: []string{page}})
	fields := http.Header{"Origin": {page}, "Access-Control-Request-Method": {"DELETE"}, "Access-Control-Request-Headers": {"x-evil"}}
	want := http.Header{
		"Vary": {"Origin"}, "Access-Control-Allow-Origin": {page}, "Access-Control-Allow-Methods": {"GET, HEAD, OPTIONS"},
		"Access-Control-Allow-Headers": {"Range, If-Range, If-None-Match, If-Modified-Since, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status"},
		"Access-Control-Max-Age":       {"86400"},
	}
	got, answered := ask(c, "OPTIONS", fields)
	equal(t, "defaults", got, want)
	if !answered {
		t.Error("not answered")
	}
	c = policy(t, Policy{
		Origins: []string{page}, Credentials: true, MaxAge: 90*time.Second + time.Millisecond,
		Methods: []string{"GET", "POST"}, Headers: []string{"Content-Type", "X-Session"},
	})
	want["Access-Control-Allow-Credentials"] = []string{"true"}
	want["Access-Control-Allow-Methods"] = []string{"GET, POST"}
	want["Access-Control-Allow-Headers"][0] += ", Content-Type, X-Session"
	want["Access-Control-Max-Age"] = []string{"90"}
	got, _ = ask(c, "OPTIONS", fields)
	equal(t, "configured", got, want)
}

func TestOnlyAPreflightIsAnswered(t *testing.T) {
	c := policy(t, Policy{Origins: []string{"*"}})
	for method, fields := range map[string]http.Header{
		"OPTIONS": {"Origin": {page}}, "GET": {"Access-Control-Request-Method": {"GET"}}, "options": {"Access-Control-Request-Method": {"GET"}},
	} {
		if _, answered := ask(c, method, fields); answered {
			t.Errorf("%s %v was answered", method, fields)
		}
	}
}

var strangers = []http.Header{
	nil,
	{"Origin": nil},
	{"Origin": {""}},
	{"Origin": {"null"}},
	{"Origin": {"*"}},
	{"Origin": {page + "/"}},
	{"Origin": {page + "."}},
	{"Origin": {page + ".evil.example"}},
	{"Origin": {page + ":443"}},
	{"Origin": {page + ":8443"}},
	{"Origin": {page + "@evil.example"}},
	{"Origin": {page + "%00.evil.example"}},
	{"Origin": {page + "\r\nSet-Cookie: a=b"}},
	{"Origin": {page + "\x00"}},
	{"Origin": {page + " "}},
	{"Origin": {" " + page}},
	{"Origin": {page + " https://evil.example"}},
	{"Origin": {page + ", https://evil.example"}},
	{"Origin": {page + "," + page}},
	{"Origin": {page, page}},
	{"Origin": {page, "https://evil.example"}},
	{"Origin": {"https://evil.example", page}},
	{"Origin": {"https://evilwww.example.com"}},
	{"Origin": {"https://evil.www.example.com"}},
	{"Origin": {"https://example.com"}},
	{"Origin": {"https://wwwxexample.com"}},
	{"Origin": {"http://www.example.com"}},
	{"Origin": {"HTTPS://www.example.com"}},
	{"Origin": {"https://WWW.example.com"}},
	{"Origin": {"https://ｗｗｗ.example.com"}},
	{"Origin": {"//www.example.com"}},
	{"Origin": {"www.example.com"}},
	{"Origin": {"file://"}},
	{"Origin": {strings.Repeat(page, 1000)}},
}

func TestAStrangerIsToldNothing(t *testing.T) {
	c := policy(t, Policy{Origins: []string{page}, Credentials: true})
	for _, fields := range strangers {
		got, answered := ask(c, "GET", fields)
		equal(t, "GET", got, http.Header{"Vary": {"Origin"}, "Cross-Origin-Resource-Policy": {"cross-origin"}})
		if answered {
			t.Errorf("%v: answered", fields)
		}
		fields = maps.Clone(fields)
		if fields == nil {
			fields = http.Header{}
		}
		fields["Access-Control-Request-Method"] = []string{"GET"}
		got, answered = ask(c, "OPTIONS", fields)
		equal(t, "preflight", got, http.Header{"Vary": {"Origin"}})
		if !answered {
			t.Errorf("%v: not answered", fields)
		}
	}
}

func TestAServerSaysSoOnTheWire(t *testing.T) {
	c := policy(t, Policy{Origins: []string{page}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.Handle(w, r) {
			_, _ = io.WriteString(w, "media")
		}
	}))
	defer server.Close()
	for method, want := range map[string]string{"OPTIONS": "", "GET": "media"} {
		r, err := http.NewRequest(method, server.URL+"/a.m4s", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", page)
		r.Header.Set("Access-Control-Request-Method", "GET")
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(body) != want || res.Header.Get("Access-Control-Allow-Origin") != page || (res.StatusCode == 204) != (want == "") {
			t.Errorf("%s: %s, %q, %v", method, res.Status, body, err)
		}
	}
}

func TestThePolicyIsTheOnlyOne(t *testing.T) {
	h := http.Header{
		"Access-Control-Allow-Origin": {"https://evil.example"}, "Access-Control-Allow-Private-Network": {"true"}, "Timing-Allow-Origin": {"*"},
		"Cross-Origin-Resource-Policy": {"same-origin"}, "Vary": {"Accept"}, "Etag": {`"a"`}, "Cross-Origin-Opener-Policy": {"same-origin"},
	}
	Clean(h)
	equal(t, "left", h, http.Header{"Vary": {"Accept"}, "Etag": {`"a"`}, "Cross-Origin-Opener-Policy": {"same-origin"}})
}

func TestVaryKeepsWhatOthersSay(t *testing.T) {
	c := policy(t, Policy{Origins: []string{page}})
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Accept")
	c.Handle(w, httptest.NewRequest("GET", "/", nil))
	if got := w.Header()["Vary"]; !slices.Equal(got, []string{"Accept", "Origin"}) {
		t.Errorf("%v", got)
	}
}

func TestAPolicyThatCannotBeMeantIsRefused(t *testing.T) {
	for want, p := range map[string]Policy{
		"no origins":        {},
		"beside others":     {Origins: []string{"*", page}},
		"every page":        {Origins: []string{"*"}, Credentials: true},
		"max age -1s":       {Origins: []string{"*"}, MaxAge: -time.Second},
		"max age 1ms":       {Origins: []string{"*"}, MaxAge: time.Millisecond},
		`"GET, POST" is no`: {Origins: []string{"*"}, Methods: []string{"GET, POST"}},
		`"*" is no`:         {Origins: []string{"*"}, Headers: []string{"*"}},
		`"X\r\nY" is no`:    {Origins: []string{"*"}, Headers: []string{"X\r\nY"}},
		`"" is no`:          {Origins: []string{"*"}, Headers: []string{""}},
	} {
		if c, err := New(p); c != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v does not say %q", p, err, want)
		}
	}
}

func TestAnOriginIsSchemeHostAndPort(t *testing.T) {
	for _, s := range []string{
		"", "null", "NULL", "www.example.com", "//www.example.com", "ftp://www.example.com", "file://", "https://", "https:", "https:www.example.com", "https://:443",
		page + "/", page + "?", page + "#", page + "/a", page + "?a", page + "#a", "https://user@www.example.com", "https://u:p@www.example.com", "https://@www.example.com",
		"https://*.example.com", "https://*", "https://www.example.com.", "https://wwẃ.example.com", "https://\u212Aelvin.example", "https://%77ww.example.com",
		page + ":", page + ":0", page + ":65536", page + ":-1", page + ":x", page + ":0443", page + ":443:443", page + " ", " " + page, page + "\r\n", page + "," + page,
		"https://[::1%25eth0]", "https://[::1", "https://a_b/", "chrome-extension://abc",
	} {
		if c, err := New(Policy{Origins: []string{s}}); c != nil || err == nil {
			t.Errorf("%q was taken", s)
		}
	}
	for s, want := range map[string]string{
		page: page, page + ":443": page, "HTTPS://WWW.Example.COM": page, "http://www.example.com:80": "http://www.example.com",
		"http://www.example.com:443": "http://www.example.com:443", "https://localhost:8443": "https://localhost:8443",
		"http://[::1]:8080": "http://[::1]:8080", "https://[::1]:443": "https://[::1]", "https://xn--ww-zia.example": "https://xn--ww-zia.example",
	} {
		c := policy(t, Policy{Origins: []string{s}})
		if got, _ := ask(c, "GET", http.Header{"Origin": {want}}); got.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("%q does not let %s read", s, want)
		}
	}
}
