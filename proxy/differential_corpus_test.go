package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func forwardersOf(t testing.TB) map[string]Forwarder {
	return map[string]Forwarder{forwardTransport: transportForwarderOf(t, adjustForTests), forwardFast: fastForwarderOf(t)}
}

// adjustForTests does what adjust does, before the transport is provisioned.
func adjustForTests(tr *reverseproxy.HTTPTransport) { tr.Compression = new(bool) }

func TestForwardersDoAsHTTPUtilDoes(t *testing.T) {
	c := newContest(t, forwardersOf(t))
	ok := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
	n := 0
	for _, request := range soundRequests {
		c.compare(t, plainRequest(request), ok, false)
		n++
	}
	for _, answer := range soundAnswers {
		for _, request := range []string{"GET / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "GET / HTTP/1.0\r\n\r\n"} {
			if strings.HasPrefix(request, "HEAD") && !strings.HasPrefix(answer, "HTTP/1.1 1") {
				head, _, _ := strings.Cut(answer, "\r\n\r\n")
				c.compare(t, plainRequest(request), head+"\r\n\r\n", false)
			} else {
				c.compare(t, plainRequest(request), answer, false)
			}
			n++
		}
	}
	for _, answer := range oddAnswers {
		for _, request := range []string{"GET / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"} {
			c.compare(t, plainRequest(request), answer, true)
			n++
		}
	}
	t.Logf("%d exchanges of each", n)
}

// plainRequest puts a Host into a request.
func plainRequest(raw string) string {
	line, rest, _ := strings.Cut(raw, "\r\n")
	return line + "\r\nHost: site.example\r\n" + rest
}

// compare wants our forwarders to do as httputil does. Where what the upstream
// says is odd they may refuse it instead, and must where httputil does.
func (c *contest) compare(t testing.TB, request, answer string, odd bool) {
	t.Helper()
	want := c.run(t, reference, request, answer)
	for n := 0; n < 10 && !odd && want.refused(); n++ {
		// It cuts a response that comes while its transport has yet to see the end
		// of a request's body, which net/http's server has closed by then.
		want = c.run(t, reference, request, answer)
	}
	got := make(map[string]exchanged)
	for _, name := range []string{forwardTransport, forwardFast} {
		e := c.run(t, name, request, answer)
		got[name] = e
		if e.request != want.request {
			t.Errorf("%.400q\n%s sends:\n%shttputil sends:\n%s", request, name, e.request, want.request)
		}
		if e.response != want.response && !(odd && e.refused()) && !(e.refused() && want.refused()) {
			t.Errorf("%.400q to %.400q\n%s answers:\n%s\nhttputil answers:\n%s", answer, request, name, e.response, want.response)
		}
	}
	if a, b := got[forwardTransport].trailer, got[forwardFast].trailer; a != b {
		t.Errorf("%.400q\nthe trailer of the transport: %s, of the fast one: %s", request, a, b)
	}
}

// soundRequests are what net/http's server takes; a Host comes to each.
var soundRequests = []string{
	"GET / HTTP/1.1\r\n\r\n", "GET /a/b?c=d&e HTTP/1.1\r\n\r\n", "GET /? HTTP/1.1\r\n\r\n", "GET /?a;b=%zz&&=x HTTP/1.1\r\n\r\n", "GET /%41%2f%20%c3%a9%00 HTTP/1.1\r\n\r\n", "GET /\xc3\xa9?\xc3\xa9 HTTP/1.1\r\n\r\n", "GET /a+b;c=d,e:f@g!$&'()*~ HTTP/1.1\r\n\r\n",
	"GET /a//b/../c/./d HTTP/1.1\r\n\r\n", "GET //a HTTP/1.1\r\n\r\n", "GET /{a}|b^c`d\"<e> HTTP/1.1\r\n\r\n", "GET /[a] HTTP/1.1\r\n\r\n", "GET /a#b HTTP/1.1\r\n\r\n", "GET http://site.example/a?b HTTP/1.1\r\n\r\n", "GET http://other.example HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n", "GET /\\a HTTP/1.1\r\n\r\n",
	"HEAD / HTTP/1.1\r\n\r\n", "OPTIONS / HTTP/1.1\r\n\r\n", "DELETE / HTTP/1.1\r\n\r\n", "PATCH / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", "PROPFIND / HTTP/1.1\r\n\r\n", "BREW / HTTP/1.1\r\n\r\n", "get / HTTP/1.1\r\n\r\n", "M-SEARCH / HTTP/1.1\r\n\r\n", "!#$%&'*+-.^_`|~ / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "PUT / HTTP/1.1\r\n\r\n", "PATCH / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "DELETE / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "HEAD / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
	"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10000), "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("a\r\n0123456789\r\n", 2000) + "0\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Other\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Other: 1\r\n\r\n",
	"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 1\r\n\r\n", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Real-IP, X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Real-IP: 1\r\n\r\n", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
	"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
	fielded("X: a", "X: b", "x: c"), fielded("X:"), fielded("X: ", "X:\t"), fielded("X:  a \t b  "), fielded("X: a,b", "X: , ,"), fielded("X: \xe9\xff"), fielded("X: \xe2\x82\xac"), fielded("X_Y: 1", "X-Y: 2"), fielded("x!#$%&'*+-.^_`|~9: 1"), fielded("X: a\r\n folded"), fielded("X: " + strings.Repeat("y", 50000)), fielded(manyFields(90)...), fielded("1: 1", "-: -", "_: _"),
	fielded("Accept-Encoding: gzip, br"), fielded("Accept-Encoding: identity"), fielded("Accept-Encoding:"), fielded("User-Agent:"), fielded("User-Agent: a", "User-Agent: b"), fielded("User-Agent: Go-http-client/1.1"), fielded("Range: bytes=0-1, 5-"), fielded("If-Range: \"a\"", "Range: bytes=0-1"), fielded("If-None-Match: *"),
	fielded("Cookie: a=b; c=d", "Cookie: e=f"), fielded("Authorization: Basic eA==", "Proxy-Authorization: Basic eA=="), fielded("TE: trailers"), fielded("TE: gzip;q=0.5, trailers"), fielded("TE: gzip"), fielded("te: trailers", "Connection: TE"), fielded("Trailer: X"), fielded("Keep-Alive: 5", "Connection: keep-alive"), fielded("Proxy-Connection: keep-alive"),
	fielded("Connection: X, y ,, Z", "X: 1", "Y: 2", "Z: 3", "W: 4"), fielded("Connection: Cookie", "Cookie: a"), fielded("Connection: close, X", "X: 1"), fielded("Connection: Host, Content-Length"), fielded("Connection: Accept-Encoding, User-Agent", "User-Agent: a", "Accept-Encoding: b"), fielded("Connection: Via", "Via: 1.0 first"), fielded("Connection: X", "Connection: Y", "X: 1", "Y: 2"),
	fielded("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AA"), fielded("Upgrade: x"), fielded("Connection: upgrade", "Upgrade: tls/1.0"), fielded("Via: 1.0 first", "Via: 1.1 second"), fielded("Forwarded: for=1.2.3.4"), fielded("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1"),
	fielded("X-Real-IP: 1", "True-Client-IP: 1", "X-Original-URL: /", "X_Forwarded_For: 1"), fielded("Idempotency-Key: 1"), fielded("Max-Forwards: 0"), fielded("Date: x", "Server: y", "Content-Type: a/b", "Content-Encoding: gzip"), fielded("Alt-Svc: h3"), fielded("Sec-WebSocket-Key: x"), fielded("Early-Data: 1"), fielded("Content-Length_: 5"), fielded("Transfer_Encoding: chunked"),
}

func fielded(fields ...string) string {
	return "GET / HTTP/1.1\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
}

func manyFields(n int) (fields []string) {
	for i := range n {
		fields = append(fields, fmt.Sprintf("X-%d: %d", i, i))
	}
	return fields
}

// saysOK is an answer with fields.
func saysOK(fields ...string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\nok"
}

// soundAnswers are by the standard, or say what has one reading only.
var soundAnswers = []string{
	saysOK(), saysOK("Content-Type: text/html"), saysOK("Content-Type:"), saysOK("X: a", "X: b", "x: c"), saysOK("X:"), saysOK("X: \xe9\xff"), saysOK("X:  a \t b "), saysOK("Set-Cookie: a=b", "Set-Cookie: c=d"), saysOK("X_Y: 1", "x!#$%&'*+-.^_`|~9: 2"), saysOK(manyFields(80)...), saysOK("X: " + strings.Repeat("y", 40000)),
	saysOK("Connection: close"), saysOK("Connection: keep-alive", "Keep-Alive: 5"), saysOK("Connection: X, Y", "X: 1", "Y: 2", "Z: 3"), saysOK("Connection: ETag", "ETag: \"a\"", "Content-Type: a/b"), saysOK("Proxy-Authenticate: Basic", "Proxy-Connection: x", "Upgrade: h2c", "Alt-Svc: h3", "TE: x"), saysOK("Trailer: X"), saysOK("Server: a", "Server: b"), saysOK("Via: 1.1 a"),
	saysOK("Content-Encoding: gzip"), saysOK("Content-Length: 2"), saysOK("ETag: \"a\"", "Vary: *", "Cache-Control: no-store"), saysOK("Location: http://upstream.example/"), saysOK("Content-Length_: 9"),
	"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 Alles g\xc3\xbct\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 299 X\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 599 Oh\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 999 Oh\r\nContent-Length: 2\r\n\r\nno",
	"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nhe", "HTTP/1.1 416 Range\r\nContent-Range: bytes */5\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 301 Moved\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10000),
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\no\r\n01\r\nk\r\n00\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("A\r\n0123456789\r\n", 2000) + "0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A, X-B\r\n\r\n2\r\nok\r\n0\r\nX-B: 1\r\nX-B: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\nok" + shut, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok" + shut, "HTTP/1.1 200 OK\r\n\r\n" + shut, "HTTP/1.0 200 OK\r\n\r\nok" + shut, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n" + saysOK("Link: </c>"), "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + saysOK(), "HTTP/1.1 100 Continue\r\n\r\n" + saysOK(), strings.Repeat("HTTP/1.1 103 E\r\n\r\n", 20) + saysOK(), "HTTP/1.1 199 X\r\nX: y\r\n\r\n" + saysOK(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
}

// oddAnswers are against the standard, or say what could be read in two ways.
var oddAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", saysOK("Content-Length: 3"), "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok" + shut, saysOK("X : y"), saysOK("X: y\r\n z"), saysOK("X"), saysOK(": y"), saysOK("X: a\rb"), saysOK("X: \x00"),
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok" + shut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n" + shut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n" + shut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + shut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + shut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + shut, "HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", saysOK() + "more", saysOK() + saysOK(),
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + shut, "HTTP/1.1 20 OK\r\n\r\n" + shut, "HTTP/1.1 2000 OK\r\n\r\n" + shut, "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 xyz\r\n\r\n" + shut, "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", "ICY 200 OK\r\n\r\n" + shut, "hello\r\n" + shut, "" + shut,
	strings.Repeat("HTTP/1.1 103 E\r\n\r\n", 200) + saysOK(), "HTTP/1.1 103 E\r\nContent-Length: 2\r\n\r\n" + saysOK(), "HTTP/1.1 103 E\r\n\r\n" + shut, saysOK(manyFields(300)...), saysOK("X: " + strings.Repeat("y", 200<<10)), "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok" + shut, "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
}
