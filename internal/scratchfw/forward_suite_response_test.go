package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

var responseTests = map[string]func(*testing.T, Forwarder){
	"interim responses come first and take nothing from the final one": testInterim,
	"too many interim responses end the attempt":                       testInterimFlood,
	"trailers arrive, announced or not":                                testResponseTrailers,
	"responses that have no body stay so":                              testNoBody,
	"event streams and unknown lengths come as they are written":       testFlush,
	"a Content-Type is not guessed":                                    testNoSniffing,
	"a 101 nobody asked for is an error":                               testUnasked101,
	"a response framed twice is relayed framed once":                   testResponseFramedTwice,
}

func get(t *testing.T, f *front, path string) *http.Response {
	t.Helper()
	res, err := f.server.Client().Get(f.server.URL + path)
	must(t, err)
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func testInterim(t *testing.T, fw Forwarder) {
	addr := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Link", "</b>")
		fmt.Fprint(w, "done")
	})
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f := newFront(t, fw, addr)
		f.before = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Color", "blue") }
		f.start(t, p)
		hints := make(chan http.Header, 1)
		req, _ := http.NewRequest(http.MethodGet, f.server.URL, nil)
		res, err := f.server.Client().Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				equal(t, "interim status", code, http.StatusEarlyHints)
				hints <- http.Header(h)
				return nil
			},
		})))
		must(t, err)
		equal(t, "body", readAll(t, res.Body), "done")
		res.Body.Close()
		hint := receive(t, hints)
		equal(t, "hinted Link", hint.Get("Link"), "</a>; rel=preload")
		equal(t, "hinted X-Color", hint.Get("X-Color"), "")
		equal(t, "Link", strings.Join(res.Header["Link"], "|"), "</b>")
		equal(t, "X-Color", res.Header.Get("X-Color"), "blue")
	}
}

func testInterimFlood(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"); err != nil {
				return
			}
		}
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	equal(t, "stage", attemptError(t, receive(t, f.results), StageSent).Timeout, false)
	if all := readAll(t, br); !strings.Contains(all, "HTTP/1.1 502 ") {
		t.Errorf("no 502 in %q", all)
	}
}

func testResponseTrailers(t *testing.T, fw Forwarder) {
	addr := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Late", "2")
	})
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f := newFront(t, fw, addr).start(t, p)
		res := get(t, f, "/")
		if _, ok := res.Trailer["X-Sum"]; !ok {
			t.Errorf("%s: X-Sum was not announced", p)
		}
		equal(t, "body", readAll(t, res.Body), "body")
		equal(t, "X-Sum", res.Trailer.Get("X-Sum"), "1")
		equal(t, "X-Late", res.Trailer.Get("X-Late"), "2")
	}
}

func testNoBody(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("Content-Length", "42")
		}
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	for _, line := range []string{"HEAD /", "GET /204", "GET /304", "HEAD /"} {
		// One connection: a body that should not be would be the next head.
		send(t, c, line+" HTTP/1.1\r\nHost: x\r\n\r\n")
		head := readHead(br)
		if !strings.HasPrefix(head, "HTTP/1.1 ") || strings.Contains(head, "chunked") {
			t.Fatalf("%s: %q", line, head)
		}
		equal(t, line+" keeps the length", strings.Contains(head, "Content-Length: 42"), line == "HEAD /")
		must(t, receive(t, f.results))
	}
}

func testFlush(t *testing.T, fw Forwarder) {
	for _, contentType := range []string{"text/event-stream; charset=utf-8", "application/json"} {
		next := make(chan string)
		f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			for s := range next {
				_, _ = io.WriteString(w, s)
				w.(http.Flusher).Flush()
			}
		})).start(t, frontH1)
		res := get(t, f, "/") // the head has come before any of the body
		for _, s := range []string{"one", "two"} {
			next <- s
			b := make([]byte, len(s))
			_, err := io.ReadFull(res.Body, b)
			must(t, err)
			equal(t, "event", string(b), s)
		}
		close(next)
		equal(t, "rest", readAll(t, res.Body), "")
		must(t, receive(t, f.results))
	}
}

func testNoSniffing(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprint(w, "<html>")
	})).start(t, frontH1)
	res := get(t, f, "/")
	equal(t, "body", readAll(t, res.Body), "<html>")
	equal(t, "Content-Type", res.Header.Get("Content-Type"), "")
}

func testUnasked101(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n")
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 502 ") {
		t.Errorf("head %q", head)
	}
	attemptError(t, receive(t, f.results), StageSent)
}

func testResponseFramedTwice(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	head := readHead(br)
	if strings.HasPrefix(head, "HTTP/1.1 200 ") && strings.Contains(head, "Content-Length") {
		t.Errorf("head %q", head) // a 502 instead is as good
	}
}
