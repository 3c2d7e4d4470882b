package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fastWays are the two ways of a GET over a fastTransport to an upstream that has
// so many idle connections: the short one, and as an http.Request with a body that
// can be read again. They return its status and its error.
var fastWays = map[string]func(t *testing.T, addr string, idle int, ready func()) (int, error){
	"light": func(t *testing.T, addr string, idle int, ready func()) (int, error) {
		fw := fastForwarderOf(t)
		f := newFront(t, fw, addr).start(t, frontH1)
		warm(t, fw.t, addr, idle)
		ready()
		res := get(t, f, "/")
		return res.StatusCode, receive(t, f.results)
	},
	"http.Request": func(t *testing.T, addr string, idle int, ready func()) (int, error) {
		tr := fastForwarderOf(t).t
		warm(t, tr, addr, idle)
		ready()
		r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/", strings.NewReader("content"))
		must(t, err)
		res, err := tr.RoundTrip(r)
		if err != nil {
			return http.StatusBadGateway, err
		}
		return res.StatusCode, res.Body.Close()
	},
}

func warm(t *testing.T, tr *fastTransport, addr string, n int) {
	t.Helper()
	made, err := tr.poolOf(addr, "tcp", addr).Warm(t.Context(), time.Now(), n)
	must(t, err)
	equal(t, "idle connections", made, n)
}

func TestARequestThatUpstreamsDieOfGetsToTwoConnectionsAtMost(t *testing.T) {
	for name, ask := range fastWays {
		t.Run(name, func(t *testing.T) {
			var asked, opened atomic.Int64
			addr := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
				opened.Add(1)
				if strings.HasSuffix(readHead(br), "\r\n\r\n") {
					asked.Add(1)
				}
			})
			status, err := ask(t, addr, 10, func() {})
			equal(t, "status", status, http.StatusBadGateway)
			equal(t, "has failed", err != nil, true)
			equal(t, "asked", asked.Load(), 2)
			equal(t, "connections", opened.Load(), 11) // the second was a new one
		})
	}
}

func TestARequestThatANewConnectionDiesOfIsNotSentAgain(t *testing.T) {
	for name, ask := range fastWays {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			addr := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) {
				readHead(br)
				asked.Add(1)
			})
			status, err := ask(t, addr, 0, func() {})
			equal(t, "status", status, http.StatusBadGateway)
			equal(t, "has failed", err != nil, true)
			equal(t, "asked", asked.Load(), 1)
		})
	}
}

func TestAGETOutlivesTheEndOfAllIdleConnections(t *testing.T) {
	for name, ask := range fastWays {
		for what, seen := range map[string]bool{"as it is sent": false, "before": true} {
			t.Run(name+", "+what, func(t *testing.T) {
				var restarted atomic.Bool
				old := make(chan net.Conn, 10)
				addr := rawUpstream(t, func(c net.Conn, br *bufio.Reader) {
					isOld := !restarted.Load()
					if isOld {
						old <- c
					}
					if !strings.HasSuffix(readHead(br), "\r\n\r\n") || isOld {
						return
					}
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					_, _ = io.Copy(io.Discard, br)
				})
				status, err := ask(t, addr, 10, func() {
					for range 10 {
						c := receive(t, old)
						if seen {
							c.Close()
						}
					}
					restarted.Store(true)
				})
				must(t, err)
				equal(t, "status", status, http.StatusOK)
			})
		}
	}
}

func TestWhatIsSentOnceMoreEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	addr := rawUpstream(t, func(_ net.Conn, br *bufio.Reader) { readHead(br) })
	fw := fastForwarderOf(t)
	f := newFront(t, fw, addr).start(t, frontH1)
	dial, again := fw.t.dial, make(chan struct{})
	var dialed atomic.Int64
	fw.t.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialed.Add(1) == 1 {
			return dial(ctx, network, address)
		}
		close(again)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	}
	warm(t, fw.t, addr, 1)
	c, _ := dialRaw(t, f.addr())
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	receive(t, again)
	c.Close()
	receive(t, ended)
	attemptError(t, receive(t, f.results), StageCanceled)
}
