package h1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestInterimResponsesAreHandedOnAndMayEndIt(t *testing.T) {
	const say = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nlink: a\r\nLink: b\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n"
	c := NewConn(&script{say: say}, Limits{})
	must(t, c.WriteHead(get))
	into := http.Header{"Stale": {"a"}}
	var seen []string
	res, err := c.ReadHead(into, func(status int, h http.Header) error {
		seen = append(seen, http.StatusText(status)+strings.Join(h["Link"], ""))
		return nil
	})
	must(t, err)
	equal(t, "seen", strings.Join(seen, ";"), "Early Hintsab")
	equal(t, "fields", len(into), 2)
	equal(t, "X", res.Header.Get("X"), "y")

	c = NewConn(&script{say: say}, Limits{})
	must(t, c.WriteHead(get))
	enough := errors.New("enough")
	_, err = c.ReadHead(nil, func(int, http.Header) error { return enough })
	if !errors.Is(err, enough) || c.Reusable() {
		t.Errorf("got %v", err)
	}
}

func TestTrailersComeAfterTheBody(t *testing.T) {
	c := NewConn(&script{say: "HTTP/1.1 200 OK\r\nTrailer: x-a, Connection\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-a: b\r\nConnection: close\r\nX-C: d\r\n\r\n"}, Limits{})
	must(t, c.WriteHead(get))
	res, err := c.ReadHead(nil, nil)
	must(t, err)
	equal(t, "announced", strings.Join(res.Announced, " "), "X-A")
	_, err = io.ReadAll(c)
	must(t, err)
	equal(t, "X-A", c.Trailer().Get("X-A"), "b")
	equal(t, "fields", len(c.Trailer()), 2)
}

func TestContentWaitsForLeave(t *testing.T) {
	for name, c := range map[string]struct {
		say, rest string
		proceed   bool
		status    int
	}{
		"100":              {"HTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
		"103 and 100":      {"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 100 C\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
		"a final response": {"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", "", false, 417},
		"silence":          {"", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
		"half a head":      {"HTTP/1.1 1", "00 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan string, 1)
			conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
				for line := ""; line != "\r\n"; {
					line, _ = br.ReadString('\n')
				}
				_, _ = io.WriteString(nc, c.say)
				if c.proceed {
					p := make([]byte, 5)
					_, _ = io.ReadFull(br, p)
					got <- string(p)
				}
				_, _ = io.WriteString(nc, c.rest)
				_, _ = br.ReadByte()
			}))
			must(t, conn.WriteHead(&Request{Method: "PUT", Target: "/", Length: 5, Expect: true}))
			if !strings.Contains(c.say, "\r\n\r\n") {
				must(t, conn.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
			}
			proceed, err := conn.AwaitContinue(nil)
			must(t, err)
			must(t, conn.SetReadDeadline(time.Time{}))
			equal(t, "proceed", proceed, c.proceed)
			if proceed {
				_, err = conn.Write([]byte("hello"))
				must(t, err)
				must(t, conn.End(nil))
				equal(t, "content", <-got, "hello")
			}
			res, err := conn.ReadHead(nil, nil)
			must(t, err)
			equal(t, "status", res.Status, c.status)
			equal(t, "reusable", conn.Reusable(), proceed)
		})
	}
}

func TestAnEarlyAnswerIsReadWhileContentIsSent(t *testing.T) {
	conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
		_, _ = br.ReadString('\n')
		_, _ = io.WriteString(nc, "HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, br)
	}))
	must(t, conn.WriteHead(&Request{Method: "PUT", Target: "/", Length: -1}))
	must(t, conn.Flush())
	var sending sync.WaitGroup
	sending.Go(func() {
		for p := make([]byte, 64<<10); ; {
			if _, err := conn.Write(p); err != nil {
				failed(t, err, StageSending, KindClosed, "")
				return
			}
		}
	})
	eventually(t, "the answer waits", conn.Waiting)
	res, err := conn.ReadHead(nil, nil)
	must(t, err)
	body, err := io.ReadAll(conn)
	must(t, err)
	equal(t, "answer", res.Status, 413)
	equal(t, "body", string(body), "no")
	equal(t, "canceled", conn.Cancel(conn.Exchange()), true)
	sending.Wait()
	equal(t, "reusable", conn.Reusable(), false)
}

func TestAConnectionSwitchesOnlyWhereAsked(t *testing.T) {
	const agree = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	nc := &script{say: agree + "early"}
	c := NewConn(nc, Limits{})
	must(t, c.WriteHead(&Request{Method: "GET", Target: "/", Upgrade: "websocket"}))
	res, err := c.ReadHead(nil, nil)
	must(t, err)
	equal(t, "status", res.Status, 101)
	equal(t, "reusable", c.Reusable(), false)
	got, ahead, ok := c.Hijack()
	if got != nc || string(ahead) != "early" || !ok || c.Cancel(c.Exchange()) {
		t.Errorf("got %v %q %v", got, ahead, ok)
	}
	if _, _, ok := c.Hijack(); ok {
		t.Error("taken over twice")
	}
}

func TestErrorsTellHowFarItCame(t *testing.T) {
	reset := func(nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0) }
	for name, c := range map[string]struct {
		say   string
		end   func(net.Conn)
		stage Stage
		kind  Kind
	}{
		"closed before a byte":  {"", nil, StageWaiting, KindEOF},
		"closed in the head":    {"HTTP/1.1 2", nil, StageHead, KindEOF},
		"closed after a 103":    {"HTTP/1.1 103 E\r\n\r\n", nil, StageHead, KindEOF},
		"closed in the body":    {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", nil, StageBody, KindEOF},
		"closed in the trailer": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX", nil, StageBody, KindEOF},
		"reset before a byte":   {"", reset, StageWaiting, KindReset},
		"silent":                {"", func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageWaiting, KindTimeout},
		"silent in the head":    {"HTTP/1.1 2", func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageHead, KindTimeout},
		"silent in the body": {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
			func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageBody, KindTimeout},
		"silent in the trailer": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX",
			func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, StageBody, KindTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
				if hear(br) == nil {
					_, _ = io.WriteString(nc, c.say)
					if c.end != nil {
						c.end(nc)
					}
				}
			}))
			if c.kind == KindTimeout {
				must(t, conn.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
			}
			_, _, err := ask(conn)
			failed(t, err, c.stage, c.kind, "")
			equal(t, "reusable", conn.Reusable(), false)
		})
	}
}

func TestReadingGoesOnAfterADeadline(t *testing.T) {
	more := make(chan string)
	conn := connect(t, serve(t, func(nc net.Conn, br *bufio.Reader) {
		if hear(br) == nil {
			for s := range more {
				_, _ = io.WriteString(nc, s)
			}
			_, _ = br.ReadByte()
		}
	}))
	must(t, conn.WriteHead(get))
	var got strings.Builder
	p := make([]byte, 64)
	headed := false
	for _, s := range []string{"HTT", "P/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n", "5\r", "\nhel", "lo\r\n0\r\n", "X: y\r", "\n\r\n"} {
		more <- s
		for {
			must(t, conn.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
			var err error
			n := 0
			if !headed {
				_, err = conn.ReadHead(nil, nil)
				headed = err == nil
			} else {
				n, err = conn.Read(p)
				got.Write(p[:n])
			}
			if e, ok := errors.AsType[*Error](err); ok && e.Timeout() {
				break
			} else if err == io.EOF {
				close(more)
				equal(t, "body", got.String(), "hello")
				equal(t, "trailer", conn.Trailer().Get("X"), "y")
				equal(t, "reusable", conn.Reusable(), true)
				return
			}
			must(t, err)
		}
	}
	close(more)
	t.Error("no end")
}

func TestBulkAccountsForEveryByte(t *testing.T) {
	body := strings.Repeat("0123456789", 20<<10)
	dial := serve(t, func(nc net.Conn, br *bufio.Reader) {
		for hear(br) == nil {
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 204800\r\n\r\n"+body)
		}
	})
	conn := connect(t, dial)
	for range 3 {
		must(t, conn.WriteHead(get))
		_, err := conn.ReadHead(nil, nil)
		must(t, err)
		var got strings.Builder
		p := make([]byte, 10)
		n, err := conn.Read(p) // and now the rest otherwise
		must(t, err)
		got.Write(p[:n])
		for err = nil; err == nil; {
			ahead, tcp, left, ok := conn.Bulk()
			equal(t, "bulk", ok, true)
			equal(t, "left", left, int64(len(body)-got.Len()))
			m := int64(len(ahead))
			if m > 0 {
				got.Write(ahead)
			} else {
				m, err = io.Copy(&got, &io.LimitedReader{R: tcp, N: min(left, 50_000)})
				must(t, err)
			}
			err = conn.Took(m)
		}
		equal(t, "end", err, io.EOF)
		equal(t, "whole", got.String() == body, true)
		equal(t, "next", conn.Next(), true)
	}
	must(t, conn.WriteHead(get))
	_, err := conn.ReadHead(nil, nil)
	must(t, err)
	failed(t, conn.Took(int64(len(body)+1)), StageBody, KindMisuse, "more was taken")
	equal(t, "next", conn.Next(), false)
}

func TestALateCancelDoesNothingToTheNextExchange(t *testing.T) {
	conn := connect(t, serve(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")))
	late := conn.Exchange()
	_, _, err := ask(conn)
	must(t, err)
	equal(t, "next", conn.Next(), true)
	equal(t, "late", conn.Cancel(late), false)
	_, body, err := ask(conn)
	must(t, err)
	equal(t, "body", body, "ok")
	equal(t, "in time", conn.Cancel(conn.Exchange()), true)
	equal(t, "next", conn.Next(), false)
	failed(t, conn.WriteHead(get), StageSending, KindClosed, "")
}

func TestWhatCannotBeLookedAtServesOnce(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	go answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(far, bufio.NewReader(far))
	c := NewConn(near, Limits{})
	_, body, err := ask(c)
	must(t, err)
	equal(t, "body", body, "ok")
	equal(t, "next", c.Next(), false)
}

// tlsPair is a dialer to a TLS server that answers as it is told. It asks for a
// client certificate, since Go sends its tickets after the handshake only then.
func tlsPair(t *testing.T, each func(net.Conn, *bufio.Reader)) func(context.Context) (net.Conn, error) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS() // for its certificate
	pool := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	certs := s.TLS.Certificates
	s.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certs, ClientAuth: tls.RequestClientCert})
	must(t, err)
	serveOn(t, l, each)
	d := &tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", l.Addr().String()) }
}

func TestOverTLSTicketsAreNoSurplusAndSurplusIsSeen(t *testing.T) {
	for say, fit := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                    true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n":             false,
		"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20001):     false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nsurplus!": false,
	} {
		p := NewPool(Config{Dial: tlsPair(t, answering(say))})
		n, err := p.Warm(t.Context(), now, 1)
		must(t, err)
		equal(t, "made", n, 1)
		p.mu.Lock()
		warm := p.idle[0]
		p.mu.Unlock()
		eventually(t, "tickets", warm.Waiting)
		c, idled, err := p.Get(t.Context(), now)
		must(t, err)
		equal(t, "warm", idled && c == warm, true)
		must(t, c.WriteHead(get))
		res, err := c.ReadHead(nil, nil)
		must(t, err)
		for left := max(res.Length, 2); left > 0; { // never asking for more than there is
			n, err := c.Read(make([]byte, min(left, 700)))
			if left -= int64(n); err == io.EOF {
				break
			}
			must(t, err)
		}
		_, _ = c.Read(make([]byte, 1))
		p.Put(c, now)
		again, idled, err := p.Get(t.Context(), now)
		must(t, err)
		equal(t, "the same again", again == c && idled, fit)
		p.Put(again, now)
		p.Close()
	}
}
