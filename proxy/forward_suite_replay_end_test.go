package proxy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func testReplayContinue(t *testing.T, fw Forwarder) {
	hopeful := func(n int64) string {
		return rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
			equal(t, "Expect passed on", strings.Contains(readHead(br), "Expect: 100-continue"), true)
			send(t, c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			b := make([]byte, n)
			_, _ = io.ReadFull(br, b)
			if n == 8 {
				equal(t, "body", string(b), "the body")
				send(t, c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
		})
	}
	f := newFront(t, fw, hopeful(3), hopeful(5), hopeful(8))
	f.keep = kept(t, 4096, 0)
	f.start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	for range 2 { // on one connection
		send(t, c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
		var seen []string
		for len(seen) == 0 || seen[len(seen)-1] != "200" {
			status := strings.Fields(readHead(br) + " . .")[1]
			if seen = append(seen, status); status == "100" {
				send(t, c, "the body")
			}
			if len(seen) > 9 {
				break
			}
		}
		equal(t, "statuses", strings.Join(seen, " "), "103 100 103 103 200")
	}
}

func testReplayTrailers(t *testing.T, fw Forwarder) {
	sum := make(chan string, 1)
	addr := upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sum <- r.Trailer.Get("X-Sum")
	})
	for _, p := range []frontProtocol{frontH1, frontH2} {
		for _, at := range []int64{0, 2, 15} {
			f := newFront(t, fw, dyingAfter(t, at), addr)
			f.keep = kept(t, 4096, 0)
			f.start(t, p)
			req, err := http.NewRequest(http.MethodPut, f.server.URL, struct{ io.Reader }{strings.NewReader("body")})
			must(t, err)
			req.Trailer = http.Header{"X-Sum": {"1"}}
			res, err := f.server.Client().Do(req)
			must(t, err)
			res.Body.Close()
			equal(t, "X-Sum", receive(t, sum), "1")
		}
	}
}

func testReplayEarlyAnswer(t *testing.T, fw Forwarder) {
	done := make(chan struct{})
	defer close(done)
	addr, arrivals := taking(t)
	f := newFront(t, fw, early(t, done), addr)
	f.keep = kept(t, 4096, 0)
	f.start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbe") // and no more
	must(t, receive(t, f.results))
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 413 ") || !strings.Contains(head, "Connection: close\r\n") {
		t.Errorf("head %q", head)
	}
	equal(t, "arrivals", len(arrivals), 0)
	freed(t, f)
}

func testReplayClientGone(t *testing.T, fw Forwarder) {
	addr, got := silent(t)
	for _, p := range []frontProtocol{frontH1, frontH2} {
		next, arrivals := taking(t)
		f := newFront(t, fw, addr, next)
		f.keep = kept(t, 4096, 0)
		f.start(t, p)
		ctx, leave := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, f.server.URL, pr)
		must(t, err)
		go func() {
			_, _ = io.WriteString(pw, "a part")
			<-got
			leave()
			pw.Close()
		}()
		if _, err := f.server.Client().Do(req); err == nil {
			t.Error("an answer came")
		}
		attemptError(t, receive(t, f.results), StageCanceled)
		equal(t, "arrivals", len(arrivals), 0)
		freed(t, f)
	}
}

func testReplayUnanswered(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, dyingAfter(t, 2), dyingAfter(t, 3))
	f.keep = kept(t, 4096, 0)
	f.start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	// The rest of this body would be a request of its own if it were left.
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	send(t, c, fmt.Sprintf("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nabcd", len(smuggled)+4)) // and no more
	if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 502 ") || !strings.Contains(head, "Connection: close\r\n") {
		t.Errorf("head %q", head)
	}
	_, _ = io.WriteString(c, smuggled)
	rest, _ := io.ReadAll(br) // the end may be a reset
	equal(t, "responses in "+string(rest), strings.Count(string(rest), "HTTP/1.1 "), 0)
	equal(t, "exchanges", len(f.exchanges), 2)
	freed(t, f)
}

func testReplayAtTheEnd(t *testing.T, fw Forwarder) {
	addr, arrivals := taking(t)
	f := newFront(t, fw, dyingAfter(t, 4), addr)
	f.keep = kept(t, 4096, 0)
	f.start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	for range 3 { // on one connection, whose bodies end where the next request begins
		send(t, c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 200 ") || strings.Contains(head, "Connection: close") {
			t.Fatalf("head %q", head)
		}
		equal(t, "arrival", receive(t, arrivals), arrival{sha256.Sum256([]byte("body")), 4, http.MethodPut, nil})
	}
}

func testReplayFreed(t *testing.T, fw Forwarder) {
	done := make(chan struct{})
	f := newFront(t, fw, upstreamServer(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = http.NewResponseController(w).Flush()
		<-done
	}))
	defer close(done)
	f.keep = kept(t, 4096, gib)
	f.start(t, frontH1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.server.URL, bytes.NewReader(noise(100_000)))
	must(t, err)
	res, err := f.server.Client().Do(req)
	must(t, err)
	defer res.Body.Close()
	freed(t, f) // though the response goes on
}
