package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

var failureTests = map[string]func(*testing.T, Forwarder){
	"a response cut short upstream is cut short for the client":     testTruncated,
	"a client that leaves cancels the attempt":                      testClientGone,
	"a client that breaks off its body is not the upstream's fault": testBodyBrokenOff,
	"a failed dial leaves the whole body to another attempt":        testDialRetry,
	"a failed dial leaves the client's connection usable":           testDialFailureKeepsAlive,
	"an upstream that closes unanswered has been sent the request":  testClosedUnanswered,
	"an unreadable address is a failure to dial":                    testBadAddress,
	"a cut before the head leaves an answer to the handler":         testCutBefore,
	"a cut after the head aborts the response":                      testCutAfter,
	"a cut frees a handler whose client does not read":              testCutBlocked,
}

func testTruncated(t *testing.T, fw Forwarder) {
	for _, response := range []string{
		"Content-Length: 100\r\n\r\nsome", "Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n", "Transfer-Encoding: chunked\r\n\r\n9\r\nsome",
	} {
		for _, p := range []frontProtocol{frontH1, frontH2} {
			f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
				readHead(br)
				send(t, c, "HTTP/1.1 200 OK\r\n"+response)
			})).start(t, p)
			res := get(t, f, "/")
			b, err := io.ReadAll(res.Body)
			if err == nil {
				t.Errorf("%s over %s: a whole %q", response, p, b)
			}
			equal(t, "what came", string(b), "some")
			if err := receive(t, f.results); !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), f.upstreams[0]) {
				t.Errorf("got %v", err)
			}
			if !receive(t, f.exchanges).Broken {
				t.Errorf("%s over %s: not held against the upstream", response, p)
			}
		}
	}
}

// silent is an upstream that reads a head, says so, and never answers.
func silent(t *testing.T) (addr string, got chan struct{}) {
	got = make(chan struct{}, 8)
	return rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
		readHead(br)
		got <- struct{}{}
		_, _ = io.Copy(io.Discard, br)
	}), got
}

func testClientGone(t *testing.T, fw Forwarder) {
	addr, got := silent(t)
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f := newFront(t, fw, addr).start(t, p)
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server.URL, nil)
		must(t, err)
		go func() {
			<-got
			leave()
		}()
		if _, err := f.server.Client().Do(req); err == nil {
			t.Error("an answer came")
		}
		attemptError(t, receive(t, f.results), StageCanceled)
	}
}

func testBodyBrokenOff(t *testing.T, fw Forwarder) {
	addr, got := silent(t)
	f := newFront(t, fw, addr).start(t, frontH1)
	c, _ := dialRaw(t, f.addr())
	send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
	receive(t, got)
	c.Close()
	equal(t, "BodyRead", attemptError(t, receive(t, f.results), StageCanceled).BodyRead, true)
}

// refused is an address where nobody listens.
func refused(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func testDialRetry(t *testing.T, fw Forwarder) {
	body := make(chan string, 1)
	f := newFront(t, fw, refused(t), upstreamServer(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
	}))
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f.start(t, p)
		res, err := f.server.Client().Post(f.server.URL, "", strings.NewReader("whole"))
		must(t, err)
		res.Body.Close()
		equal(t, "status", res.StatusCode, http.StatusOK)
		equal(t, "body", receive(t, body), "whole")
		a := attemptError(t, receive(t, f.results), StageDial)
		equal(t, "BodyRead", a.BodyRead, false)
		equal(t, "names the address", strings.Contains(a.Error(), f.upstreams[0]), true)
		must(t, receive(t, f.results))
	}
}

func testDialFailureKeepsAlive(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, refused(t)).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	for range 2 {
		send(t, c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		if head := readHead(br); !strings.HasPrefix(head, "HTTP/1.1 502 ") {
			t.Fatalf("head %q", head)
		}
		attemptError(t, receive(t, f.results), StageDial)
	}
}

func testClosedUnanswered(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
		readHead(br)
		_, _ = io.ReadFull(br, make([]byte, 4))
	})).start(t, frontH1)
	res, err := f.server.Client().Post(f.server.URL, "", strings.NewReader("body"))
	must(t, err)
	res.Body.Close()
	a := attemptError(t, receive(t, f.results), StageSent)
	equal(t, "BodyRead", a.BodyRead, true)
	equal(t, "Timeout", a.Timeout, false)
	equal(t, "names the address", strings.Contains(a.Error(), f.upstreams[0]), true)
}

func testBadAddress(t *testing.T, fw Forwarder) {
	f := newFront(t, fw, "127.0.0.1:80-90").start(t, frontH1)
	get(t, f, "/")
	attemptError(t, receive(t, f.results), StageDial)
}

func testCutBefore(t *testing.T, fw Forwarder) {
	addr, got := silent(t)
	f := newFront(t, fw, addr).start(t, frontH1)
	drained := errors.New("drained")
	go func() {
		<-got
		(<-f.exchanges).Cut(drained)
	}()
	equal(t, "status", get(t, f, "/").StatusCode, http.StatusBadGateway)
	if a := attemptError(t, receive(t, f.results), StageCanceled); !errors.Is(a, drained) {
		t.Errorf("got %v", a)
	}
}

func testCutAfter(t *testing.T, fw Forwarder) {
	done := make(chan struct{})
	addr := upstreamServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-done
	})
	defer close(done)
	for _, p := range []frontProtocol{frontH1, frontH2} {
		f := newFront(t, fw, addr).start(t, p)
		res := get(t, f, "/")
		drained := errors.New("drained")
		x := receive(t, f.exchanges)
		x.Cut(drained)
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("the body ended as if whole")
		}
		if err := receive(t, f.results); !errors.Is(err, ErrAborted) || !errors.Is(err, drained) {
			t.Errorf("got %v", err)
		}
		if x.Broken {
			t.Error("held against the upstream")
		}
	}
}

func testCutBlocked(t *testing.T, fw Forwarder) {
	stuck := make(chan struct{}, 1)
	f := newFront(t, fw, rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
		readHead(br)
		send(t, c, "HTTP/1.1 200 OK\r\n\r\n")
		block := make([]byte, 64<<10)
		for { // until all buffers between here and the client are full
			_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := c.Write(block)
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				select {
				case stuck <- struct{}{}:
				default:
				}
			case err != nil:
				return
			}
		}
	})).start(t, frontH1)
	c, br := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	readHead(br) // and no more
	receive(t, stuck)
	receive(t, f.exchanges).Cut(errors.New("drained"))
	if err := receive(t, f.results); !errors.Is(err, ErrAborted) {
		t.Errorf("got %v", err)
	}
}
