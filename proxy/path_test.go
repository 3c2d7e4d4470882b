package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// targets are request targets as a client writes them, and whether they have
// one reading only.
var targets = []struct {
	target string
	plain  bool
}{
	{"/", true}, {"/a", true}, {"/a/", true}, {"/a/b/c", true}, {"/a/b/c/", true}, {"/index.html", true},
	{"/a?b=c", true}, {"/a?x=%2F%5C%25%00//../", true}, {"/a?b=/../c", true}, {"/?", true}, {"/a%20b", true}, {"/a+b", true},
	{"/%41", true}, {"/%E2%82%AC", true}, {"/€", true}, {"/%e9", true}, {"/a%3Fb", true}, {"/a%23b", true}, {"/a%3Bb", true},
	{"/a;b=c", true}, {"/a;b/c", true}, {"/a:b", true}, {"/a@b", true}, {"/~user/", true}, {"/a,b", true}, {"/a=b&c", true},
	{"/.well-known/acme", true}, {"/.hidden", true}, {"/a/.b/c", true}, {"/a/..b", true}, {"/a/b..", true}, {"/a/b../c", true},
	{"/...", true}, {"/a/.../b", true}, {"/a.b", true}, {"/a..b/c", true}, {"/%2ewell-known", true}, {"/a%2eb", true},
	{"/a%0d%0ab", true}, {"/a%09b", true}, {"/a%7Fb", true}, {"/-", true}, {"/*", true},

	{"//", false}, {"//a", false}, {"/a//b", false}, {"/a//", false}, {"///", false}, {"//evil.example.com/x", false},
	{"/.", false}, {"/./", false}, {"/..", false}, {"/../", false}, {"/../a", false}, {"/a/.", false}, {"/a/..", false},
	{"/a/./b", false}, {"/a/../b", false}, {"/a/b/../../c", false}, {"/a/../../b", false}, {"/a/b/..", false},
	{"/%2e", false}, {"/%2e%2e/a", false}, {"/a/%2E%2E/b", false}, {"/a/.%2e/b", false}, {"/a/%2e./b", false}, {"/a/%2e/", false},
	{"/a%2fb", false}, {"/a%2Fb", false}, {"/a/..%2fb", false}, {"/a/%2e%2e%2fb", false}, {"/%2f", false}, {"/a%2f", false},
	{"/a\\b", false}, {"/a%5cb", false}, {"/a%5Cb", false}, {"/a/..%5cb", false}, {"/..\\b", false}, {"/\\", false},
	{"/a%00", false}, {"/%00", false}, {"/a%00.html", false}, {"/a%25", false}, {"/a%252fb", false}, {"/%252e%252e/", false},
	{"/a/..;/b", false}, {"/a/.;x/b", false}, {"/a/..;x=y/b", false}, {"/a/%2e%2e;/b", false}, {"/a/..%3b/b", false},
	{"/%c0%ae%c0%ae/a", false}, {"/%C0%AFa", false}, {"/%c1%9c", false}, {"/a/%c0%ae./b", false},
}

func TestATargetWithMoreThanOneReadingIsRefused(t *testing.T) {
	if len(targets) < 60 {
		t.Errorf("only %d targets", len(targets))
	}
	for _, c := range targets {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + c.target + " HTTP/1.1\r\nHost: a\r\n\r\n")))
		if err != nil {
			t.Errorf("%q: %v", c.target, err)
			continue
		}
		if got := checkTarget(r, false) == nil; got != c.plain {
			t.Errorf("%q: accepted %v, want %v", c.target, got, c.plain)
		}
		if err := checkTarget(r, true); err != nil {
			t.Errorf("%q where ambiguous paths are allowed: %v", c.target, err)
		}
	}
}

func TestMethodsAndFormsThatAreNotProxied(t *testing.T) {
	for _, c := range []struct {
		line string
		want error
	}{
		{"OPTIONS * HTTP/1.1", nil},
		{"GET * HTTP/1.1", nil},
		{"GET http://a/b HTTP/1.1", nil},
		{"GET http://a HTTP/1.1", nil},
		{"GET http://a/b/../c HTTP/1.1", errAmbiguousPath},
		{"GET http:b HTTP/1.1", errNoPath},
		{"GET http:b/../c HTTP/1.1", errNoPath},
		{"TRACE / HTTP/1.1", errMethod},
		{"PRI * HTTP/2.0", errMethod},
		{"PRI / HTTP/1.1", errMethod},
		{"CONNECT a:443 HTTP/1.1", errMethod},
		{"CONNECT /a HTTP/1.1", errMethod},
		{"BREW / HTTP/1.1", nil},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.line + "\r\nHost: a\r\n\r\n")))
		must(t, err)
		equal(t, c.line, checkTarget(r, false), c.want)
		if c.want == errNoPath {
			equal(t, c.line+" where ambiguous paths are allowed", checkTarget(r, true), errNoPath)
		}
	}
}

func TestAnExtendedConnectIsProxiedForWebSocketsOnly(t *testing.T) {
	for _, c := range []struct {
		major    int
		proto    string
		protocol string
		path     string
		want     error
	}{
		{2, "HTTP/2.0", "websocket", "/chat", nil},
		{3, "websocket", "", "/chat", nil},
		{2, "HTTP/2.0", "websocket", "/a/../chat", errAmbiguousPath},
		{2, "HTTP/2.0", "", "", errMethod},
		{2, "HTTP/2.0", "connect-udp", "/", errMethod},
		{3, "connect-udp", "", "/", errMethod},
		{3, "HTTP/3.0", "", "", errMethod},
		{1, "HTTP/1.1", "websocket", "/chat", errMethod},
	} {
		r, err := http.NewRequest(http.MethodConnect, "https://a"+c.path, nil)
		must(t, err)
		r.ProtoMajor, r.Proto = c.major, c.proto
		if c.protocol != "" {
			r.Header[":protocol"] = []string{c.protocol}
		}
		equal(t, fmt.Sprintf("%+v", c), checkTarget(r, false), c.want)
	}
}

func TestWhatIsRefusedReachesNoUpstream(t *testing.T) {
	blue, count := counting(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	h := newHouse(t)
	h.load(pair("app", blue, blue)+pair("lax", blue, blue, "allow_ambiguous_paths"), "blue_green /lax/* lax\nblue_green app")
	h.healthy("app", "lax")
	raw := func(line string) string {
		c, br := dialRaw(t, h.http)
		send(t, c, line+"\r\nHost: "+h.http+"\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(br, nil)
		must(t, err)
		defer res.Body.Close()
		return fmt.Sprintf("%d %s", res.StatusCode, readAll(t, res.Body))
	}
	for _, line := range []string{
		"GET /a%2fb HTTP/1.1", "GET //a HTTP/1.1", "GET /a/%2e%2e/b HTTP/1.1", "GET http:b HTTP/1.1", "TRACE /a HTTP/1.1", "CONNECT " + h.http + " HTTP/1.1",
	} {
		equal(t, line, raw(line), "400 ")
	}
	equal(t, "requests at the upstream", count.Load(), 0)
	equal(t, "plain", raw("GET /a%20b?c=%2F HTTP/1.1"), "200 /a%20b?c=%2F")
	equal(t, "allowed", raw("GET /lax/a%2fb HTTP/1.1"), "200 /lax/a%2fb")
}
