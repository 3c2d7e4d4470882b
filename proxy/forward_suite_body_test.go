package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

var bodyTests = map[string]func(*testing.T, Forwarder){
	"a body waits for the upstream's 100 Continue":               testContinue,
	"a body the upstream refuses is never asked for":             testContinueRefused,
	"request trailers arrive":                                    testRequestTrailers,
	"a response may begin before its request ended":              testFullDuplex,
	"an early answer frees the handler while the body is coming": testEarlyAnswer,
	"an early answer closes the connection it left unread":       testEarlyAnswerCloses,
}

func testContinue(t *testing.T, fw Forwarder) {
	agree := make(chan struct{})
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		head := readHead(br)
		equal(t, "Expect passed on", strings.Contains(head, "Expect: 100-continue"), true)
		<-agree
		equal(t, "bytes before 100", br.Buffered(), 0)
		send(t, c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
		b := make([]byte, 4)
		_, _ = io.ReadFull(br, b)
		equal(t, "body", string(b), "body")
		send(t, c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	close(agree)
	for _, want := range []string{"HTTP/1.1 103 ", "HTTP/1.1 100 "} {
		if head := readHead(br); !strings.HasPrefix(head, want) {
			t.Fatalf("got %q, want %s", head, want)
		}
	}
	send(t, c, "body")
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("got %q", head)
	}
	must(t, receive(t, f.results))
}

func testContinueRefused(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		send(t, c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 417 ") {
		t.Fatalf("got %q", head)
	}
	must(t, receive(t, f.results))
}

func testRequestTrailers(t *testing.T, fw Forwarder) {
	sum := make(chan string, 1)
	addr := upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sum <- r.Trailer.Get("X-Sum")
	})
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f := newFront(t, fw, addr).start(t, p)
		req, err := http.NewRequest(http.MethodPost, f.server.URL, struct{ io.Reader }{strings.NewReader("body")})
		must(t, err)
		req.Trailer = http.Header{"X-Sum": {"1"}}
		res, err := f.server.Client().Do(req)
		must(t, err)
		res.Body.Close()
		equal(t, "X-Sum", receive(t, sum), "1")
	}
}

func testFullDuplex(t *testing.T, fw Forwarder) {
	addr := upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		must(t, http.NewResponseController(w).EnableFullDuplex())
		w.(http.Flusher).Flush()
		for in := bufio.NewReader(r.Body); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, strings.ToUpper(line))
			w.(http.Flusher).Flush()
		}
	})
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f := newFront(t, fw, addr).start(t, p)
		pr, pw := io.Pipe()
		req, err := http.NewRequest(http.MethodPost, f.server.URL, pr)
		must(t, err)
		res, err := f.server.Client().Do(req) // answered with nothing sent yet
		must(t, err)
		in := bufio.NewReader(res.Body)
		for _, s := range []string{"a\n", "b\n"} {
			send(t, pw, s)
			line, err := in.ReadString('\n')
			must(t, err)
			equal(t, "echo", line, strings.ToUpper(s))
		}
		pw.Close()
		equal(t, "rest", readAll(t, in), "")
		res.Body.Close()
		must(t, receive(t, f.results))
	}
}

// early answers 413 to the head alone and keeps the connection open.
func early(t *testing.T, done <-chan struct{}) string {
	return rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		send(t, c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		<-done
	})
}

func testEarlyAnswer(t *testing.T, fw Forwarder) {
	done := make(chan struct{})
	addr := early(t, done)
	defer close(done)
	for _, framing := range []string{"Content-Length: 1000000000", "Transfer-Encoding: chunked"} {
		f := newFront(t, fw, addr).start(t, frontH1)
		c, br := dialRaw(t, f.addr())
		send(t, c, "POST / HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n5\r\nbe") // and no more: a slow client
		must(t, receive(t, f.results))
		head := readHead(br)
		if !strings.HasPrefix(head, "HTTP/1.1 413 ") || !strings.Contains(head, "Connection: close\r\n") {
			t.Errorf("head %q", head)
		}
		b := make([]byte, 3)
		_, err := io.ReadFull(br, b)
		must(t, err)
		equal(t, "body", string(b), "big")
	}
}

func testEarlyAnswerCloses(t *testing.T, fw Forwarder) {
	done := make(chan struct{})
	f := newFront(t, fw, early(t, done)).start(t, frontH1)
	defer close(done)
	c, br := dialRaw(t, f.addr())
	// The rest of this body would be a request of its own if it were left.
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	send(t, c, fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n0", len(smuggled)+1))
	must(t, receive(t, f.results))
	_, _ = io.WriteString(c, smuggled)
	all, _ := io.ReadAll(br) // the end may be a reset
	equal(t, "responses in "+string(all), strings.Count(string(all), "HTTP/1.1 "), 1)
	equal(t, "exchanges", len(f.exchanges), 1)
}
